"""The same small study by the `omnifold` package: its own ensembles, in this process."""

import os
import sys
import tempfile
import time

import numpy as np


def main(arrays: str, members: str, iterations: str, epochs: str, batch: str) -> None:
    """Unfold the arrays and print `seconds` from the start of the process, and the mean."""
    os.chdir(tempfile.mkdtemp())
    from omnifold import net
    from omnifold.dataloader import DataLoader
    from omnifold.omnifold import MultiFold

    found = np.load(arrays)
    data = DataLoader(reco=found["data"], normalize=False)
    simulation = DataLoader(reco=found["detector"], gen=found["particle"], normalize=False)
    columns = found["data"].shape[1]
    unfolding = MultiFold(
        "study",
        net.MLP(columns),
        net.MLP(columns),
        data,
        simulation,
        niter=int(iterations),
        n_ensemble=int(members),
        batch_size=int(batch),
        epochs=int(epochs),
        early_stop=int(epochs),
        lr=1e-3,
    )
    unfolding.Unfold()
    weights = unfolding.weights_push
    mean = np.average(found["particle"][:, 0], weights=weights)
    print("result", time.time() - float(os.environ["STARTED"]), mean, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
