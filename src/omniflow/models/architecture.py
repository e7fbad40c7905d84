"""Architecture: what training needs to know of a classifier, whatever computes with it.

Parameters of a network are one vector (d,). Trainer, stages and files see no more of a network than
this; only engines (`omniflow.training.engines`) know what makes outputs of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    import keras

    from omniflow.models.layout import Layout


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


class Architecture(Protocol):
    """A classifier of given sizes.

    Attributes:
        layout: its parameters by name, how they are drawn, and where they stand in the vector.
    """

    @property
    def layout(self) -> Layout: ...  # noqa: D102

    def save(self, parameters: np.ndarray, path: Path) -> None:
        """Write parameters (d,) to a file.

        Args:
            parameters: (d,).
            path: of the file.
        """

    def load(self, path: Path) -> np.ndarray:
        """Return the parameters (d,) that `save` wrote.

        Args:
            path: of the file.

        Returns:
            (d,).

        Raises:
            InputError: the file is missing, or of another architecture.
        """

    def keras(self) -> keras.Model:
        """Return it as a Keras model, of which TensorFlow takes the structure alone."""
