"""One rank of a training, started by horovodrun, srun or alone: rank_process.py RANKS KIND OUT."""

import os
import sys
import time
from pathlib import Path

import numpy as np

# The small samples of the unit tests.
sys.path.insert(0, str(Path(__file__).parents[1] / "training"))


def main(size: str, kind: str, folder: str) -> None:
    """Train two networks and write what comes out.

    The kind `die` ends rank 1 on the way, `late` makes it late and trains nothing.
    """
    from training_inputs import classifier, settings, two_classes

    from omniflow.training import distributed, interrupt, runtime
    from omniflow.training.checkpoint import Checkpoint

    out = Path(folder)
    if kind == "late" and "1" in (os.environ.get("HOROVOD_RANK"), os.environ.get("SLURM_PROCID")):
        time.sleep(10)
    ranks = distributed.start(int(size), out)
    if kind == "late":
        return
    runtime.configure(1, ranks.local)
    import keras

    from omniflow.models import registry
    from omniflow.models.keras_model import KerasModel
    from omniflow.training.graph import Graph
    from omniflow.training.progress import Seeds, Task
    from omniflow.training.trainer import Trainer

    if kind == "float64":
        keras.config.set_floatx("float64")
        keras.config.set_dtype_policy("float64")
    chosen = {
        "float64": settings(optimizer="sgd", learning_rate=0.2, epochs=3),
        "lion": settings(optimizer="lion", learning_rate=0.002, epochs=6, ema=0.99),
        "die": settings(epochs=100_000, patience=100_000),
    }[kind]
    sources = two_classes(601 if kind == "float64" else 3001)
    model = registry.build(classifier("deepsets"), 3, 2)
    trainer = Trainer(KerasModel(model).layout, chosen, Graph(model, sources[0].features, 2), ranks)
    if kind == "die" and ranks.rank == 1:
        gradient, count = trainer.engine.gradient, 0

        def fatal(*arguments: object) -> object:
            nonlocal count
            count += 1
            if count == 50:
                os._exit(9)
            return gradient(*arguments)

        trainer.engine.gradient = fatal
    tasks = [
        Task(
            f"network {k}",
            sources,
            # Ranks draw different weights: those of rank 0 must be the ones used.
            KerasModel(model).layout.initial(np.random.SeedSequence([k, ranks.rank])),
            Seeds(5 + k, np.random.SeedSequence(7 + k)),
            checkpoint=Checkpoint(out / f"die-{k}.h5", "key") if kind == "die" else None,
        )
        for k in range(2)
    ]
    with interrupt.noted():  # as in jobs: horovodrun sends SIGTERM to the ranks that are left
        fits = trainer.fit(tasks)
    parameters = [fit.parameters for fit in fits]
    logits = np.concatenate([x for _, x in trainer.predict(parameters, sources[1])], axis=1)
    np.savez(
        out / f"{kind}-{size}-{ranks.rank}.npz",
        parameters=parameters,
        logits=logits,
        losses=[[epoch["val_loss"] for epoch in fit.history] for fit in fits],
    )


if __name__ == "__main__":
    from omniflow.errors import OmniflowError

    try:
        main(*sys.argv[1:])
    except OmniflowError as error:
        sys.exit(f"{type(error).__name__}: {error}")
