"""Unfold with PETs, from events to the report, in a process that has no TensorFlow."""

import sys

import numpy as np

REFUSED = {"tensorflow", "keras", "horovod"}


class Refuse:
    """A finder that makes imports fail."""

    def find_spec(self, name: str, *_: object) -> None:
        if name.partition(".")[0] in REFUSED:
            raise ImportError(f"{name} is refused")


def events(n: int, mean: float, seed: int) -> object:
    """Return events of a column `x` and two to five particles with pt, eta and phi."""
    import awkward as ak

    import omniflow

    rng = np.random.default_rng(seed)
    counts = rng.integers(2, 6, n)
    total = counts.sum()
    momenta = {
        "pt": rng.exponential(1 + mean, total) + 0.1,
        "eta": rng.normal(0, 1, total),
        "phi": rng.uniform(-np.pi, np.pi, total),
    }
    particles = ak.unflatten(ak.zip(momenta), counts)
    level = {"event": {"x": rng.normal(mean, 1, n)}, "particles": particles}
    return omniflow.Events.from_arrays(level, level)


def main(folder: str, engine: str) -> None:
    """Unfold, and write the report into a folder."""
    import omniflow

    study = omniflow.unfold(
        events(600, 0.3, 1),
        events(900, 0.0, 2),
        classifier={"kind": "pet", "width": 8, "heads": 2, "blocks": 1, "class_blocks": 1},
        training={"epochs": 2, "min_updates": 5, "warmup_epochs": 0, "learning_rate": 1e-2},
        methods={"hybrid": {"lanes": 2, "members": 2}},
        iterations=1,
        passes=2,
        execution={"engine": engine},
        output=f"{folder}/study",
    )
    study.report(f"{folder}/report.html")
    (network, *_) = study.networks()
    assert network.record["engine"] == "native"
    assert not REFUSED & {name.partition(".")[0] for name in sys.modules}


if __name__ == "__main__":
    sys.meta_path.insert(0, Refuse())
    main(*sys.argv[1:])
