from pathlib import Path

import h5py
import numpy as np
import pytest

from omniflow.events.sample import Events
from omniflow.physics.dis import h1_file

DATA = Path(__file__).parents[1] / "data"


@pytest.fixture(scope="session", autouse=True)
def _runtime(tensorflow_runtime):
    return tensorflow_runtime


@pytest.fixture(scope="session")
def h1():
    """Return the events of an excerpt of H1 files."""

    def events(name: str) -> Events:
        return Events.joined(list(h1_file.read([str(DATA / f"h1_{name}.h5")])))

    return events


@pytest.fixture(scope="session")
def datasets():
    """Return all datasets of the HDF5 files below a folder, by file and name."""

    def read(folder: Path, pattern: str) -> dict[str, np.ndarray]:
        found = {}
        for path in sorted(folder.glob(pattern)):
            with h5py.File(path) as file:

                def visit(name, item, path=path):
                    if isinstance(item, h5py.Dataset):
                        found[f"{path.relative_to(folder)}: {name}"] = item[...]

                file.visititems(visit)
        return found

    return read
