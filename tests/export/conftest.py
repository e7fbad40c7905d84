import numpy as np
import pytest

import omniflow
from omniflow import Events

TRAINING = {
    **{"optimizer": "adam", "learning_rate": 1e-2, "warmup_epochs": 0, "schedule": "constant"},
    **{"epochs": 1, "min_updates": 2, "batch_size": 100},
}
SETTINGS = {
    "iterations": 1,
    "passes": 2,
    "training": TRAINING,
    "classifier": {"kind": "mlp", "width": 4, "blocks": 1},
    "diagnostics": {"second_classifier": False, "oracle": False, "response": False},
    "observables": {
        "define": {
            "x": {"expression": "x", "edges": [-2, 0, 1, 3], "unit": "GeV"},
            "y": {"expression": "y", "edges": [0, 1, 4]},
        }
    },
}


def _events(n, mean, seed, truth=True):
    """Return events of which one in five is not unfolded, and as many are not seen."""
    rng = np.random.default_rng(seed)
    true = {"x": rng.normal(mean, 1, n), "y": rng.exponential(1 + mean, n)}
    seen = {name: values + rng.normal(0, 0.3, n) for name, values in true.items()}
    flags = {"pass_detector": rng.uniform(size=n) < 0.8}
    if truth:
        flags["pass_particle"] = rng.uniform(size=n) < 0.8
    return Events.from_arrays(seen, true if truth else None, **flags)


@pytest.fixture(scope="session")
def study(tmp_path_factory):
    """A study with all components of the error, and predictions."""
    return omniflow.unfold(
        _events(500, 0.2, 1),
        _events(600, 0.0, 2),
        **SETTINGS,
        methods={"none": {}, "again": {}},  # the same networks, and no uncertainties
        uncertainties={
            **{"data_replicas": 4, "simulation_replicas": 4},
            "variations": {
                "model_up": {"simulation": _events(600, 0.1, 3)},
                "model_down": {"simulation": _events(600, -0.1, 4)},
                "scale": {"simulation": _events(600, 0.15, 5)},
            },
            "predictions": {"standard": _events(600, 0.3, 6), "shifted": _events(600, 0.6, 7)},
        },
        output=tmp_path_factory.mktemp("export") / "whole",
    )


@pytest.fixture(scope="session")
def plain(tmp_path_factory):
    """A study of real data, of unit sums, without replicas and variations."""
    return omniflow.unfold(
        _events(500, 0.2, 1, truth=False),
        _events(600, 0.0, 2),
        **SETTINGS,
        methods={"parallel": {"lanes": 2}},
        combine=["mean", "median"],
        unfolding={"normalization": "shape"},
        output=tmp_path_factory.mktemp("export") / "plain",
    )
