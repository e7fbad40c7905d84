"""Checkpoint: the state of one training, outside the outputs that Snakemake knows and removes."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from omniflow.files import discard_left_over, to_json, understood
from omniflow.hdf5 import create_h5, open_h5, read_dataset

SCHEMA = 2


@dataclass(frozen=True)
class State:
    """What a checkpoint holds: numbers and texts, and arrays by name."""

    progress: dict
    arrays: dict[str, np.ndarray]


class Checkpoint:
    """The file of one network's state."""

    def __init__(self, path: Path, key: str) -> None:
        """Name the file, and all that determines the training (a hash) by `key`."""
        self.path, self.key = path, key

    def read(self) -> State | None:
        """Return the last state written; None where there is none of this training.

        Raises:
            InputError: the file is damaged.
        """
        if not self.path.is_file():
            return None
        with open_h5(self.path) as file:
            if (file.attrs.get("schema"), file.attrs.get("key")) != (SCHEMA, self.key):
                return None  # of other settings or events, or an earlier version
            with understood(self.path, "progress"):
                progress = dict(json.loads(read_dataset(file, "progress").item()))
            arrays = {name: read_dataset(file, f"arrays/{name}") for name in file["arrays"]}
        return State(progress, arrays)

    def write(self, state: State) -> None:
        """Replace the last state by this one, atomically."""
        with create_h5(self.path) as file:
            file.attrs["schema"], file.attrs["key"] = SCHEMA, self.key
            file.create_dataset("progress", data=to_json(state.progress), dtype=h5py.string_dtype())
            group = file.create_group("arrays")
            for name, array in state.arrays.items():
                group.create_dataset(name, data=array)


def remove(paths: Iterable[Path]) -> None:
    """Delete checkpoints and what killed writers left of them.

    Folders stay although empty: other jobs may be about to write into them.
    """
    for path in paths:
        path.unlink(missing_ok=True)
        discard_left_over(path)
