"""Architecture: what training needs to know of a classifier, whatever computes with it.

Parameters of a network are one vector (d,). Trainer, stages and files see no more of a network than
this; only engines (`omniflow.training.engines`) know what makes outputs of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np


@dataclass(frozen=True)
class Units:
    """Where the parameters that read the units of hidden layers stand in the flat vector.

    Attributes:
        size: parameters (d,) of a network.
        kernels: start, rows and columns of every matrix (rows, columns) that reads such units.
    """

    size: int
    kernels: tuple[tuple[int, int, int], ...]

    @property
    def count(self) -> int:
        """Number of units."""
        return sum(rows for _, rows, _ in self.kernels)


class Sizes(Protocol):
    """What the trainer asks of an architecture.

    Attributes:
        size: number of parameters d.
        dtype: NumPy's name of their type.
        backbone: how many of them come before those of the last layer.
        variance: sum of the variances of newly drawn parameters.
    """

    @property
    def size(self) -> int: ...  # noqa: D102
    @property
    def dtype(self) -> str: ...  # noqa: D102
    @property
    def backbone(self) -> int: ...  # noqa: D102
    @property
    def variance(self) -> float: ...  # noqa: D102


class Architecture(Sizes, Protocol):
    """What the stages ask of it beside."""

    def initial(self, seed: np.random.SeedSequence) -> np.ndarray:
        """Return newly drawn parameters (d,), a function of the seed alone."""

    def neutral(self, parameters: np.ndarray) -> np.ndarray:
        """Return parameters (d,) with a last layer that gives every event the ratio 1."""

    def units(self) -> Units:
        """Return the hidden units that dropout acts on."""

    def save(self, parameters: np.ndarray, path: Path) -> None:
        """Write parameters (d,) to a file."""

    def load(self, path: Path) -> np.ndarray:
        """Return the parameters (d,) that `save` wrote.

        Raises:
            InputError: the file is missing, or of another architecture.
        """
