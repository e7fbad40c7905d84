from pathlib import Path

import h5py
import numpy as np
import pytest

from omniflow.events.sample import Level
from omniflow.physics.dis.kinematics import DIS_EVENT, DIS_PARTICLE
from omniflow.physics.dis.pythia import Pythia

DATA = Path(__file__).parents[1] / "data"


def read(name: str, level: str) -> tuple[Level, np.ndarray]:
    """One level of an excerpt of independently generated events, and its flag."""
    with h5py.File(DATA / f"h1_{name}.h5") as file:
        event = file[f"{level}_event_features"][:]
        padded = file[f"{level}_particle_features"][:]
    real = padded[:, :, 0] > 0
    offsets = np.concatenate([[0], np.cumsum(real.sum(axis=1))])
    return Level(event[:, :5], padded[real], offsets, DIS_EVENT, DIS_PARTICLE), event[:, -1] == 1


@pytest.fixture(scope="session")
def excerpt():
    return read


@pytest.fixture(scope="session")
def recipe():
    recipes = {
        "nature": {"shower": "vincia", "pdf": 8, "factorisation_scale": 4.0, "seed": 101},
        "simulation": {"shower": "simple", "pdf": 13, "factorisation_scale": 0.5, "seed": 202},
    }

    def make(name: str, events: int, **changes) -> Pythia:
        return Pythia(source="pythia", events=events, **(recipes[name] | changes))

    return make
