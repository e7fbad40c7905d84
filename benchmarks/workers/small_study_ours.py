"""A small study in memory: step ensembles, in this process."""

import os
import sys
import time

import numpy as np


def main(arrays: str, members: str, iterations: str, epochs: str, batch: str, engine: str) -> None:
    """Unfold the arrays and print `seconds` from the start of the process, and the mean."""
    import omniflow

    found = np.load(arrays)
    result = omniflow.unfold(
        omniflow.Events.from_arrays(found["data"]),
        omniflow.Events.from_arrays(found["detector"], found["particle"]),
        methods={"step": {"members": int(members)}},
        iterations=int(iterations),
        passes=1,
        classifier={"kind": "mlp", "layers": [64, 128, 64]},
        training={
            "epochs": int(epochs),
            "patience": int(epochs),
            "batch_size": int(batch),
            "optimizer": "adam",
            "learning_rate": 1e-3,
            "min_updates": 1,
        },
        execution={"engine": engine},
    )
    mean = np.average(found["particle"][:, 0], weights=result.weights)
    print("result", time.time() - float(os.environ["STARTED"]), mean, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
