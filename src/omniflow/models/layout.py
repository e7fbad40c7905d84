"""Layout: the arrays of a network by name, one after the other in the flat vector (d,)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from omniflow.models.architecture import Units


@dataclass(frozen=True)
class Parameter:
    """One array of a network.

    Attributes:
        name: its path, such as `block_0/attention/query/kernel`.
        shape: of the array. Matrices, and kernels with more axes, are drawn.
        constant: what an array that is not drawn starts at.
        place: where files of weights have it, such as `condition/vars/0`; a classifier of the
            user's own has none, Keras writes its files.
    """

    name: str
    shape: tuple[int, ...]
    constant: float | np.ndarray = 0.0
    place: str = ""

    @property
    def size(self) -> int:
        """Number of values."""
        return math.prod(self.shape)

    @property
    def drawn(self) -> bool:
        """Whether it starts from random numbers."""
        return len(self.shape) >= 2

    @property
    def fans(self) -> int:
        """Inputs plus outputs of a kernel; axes before the last two are those of a window."""
        return math.prod(self.shape[:-2]) * sum(self.shape[-2:])


def inside(name: str, parameters: Sequence[Parameter], place: str | None = None) -> list[Parameter]:
    """Return the parameters of a layer, below its name and its place in files (by default `name`).

    The order stays.
    """
    place = name if place is None else place
    return [
        replace(each, name=f"{name}/{each.name}", place=f"{place}/{each.place}")
        for each in parameters
    ]


@dataclass(frozen=True)
class Layout:
    """All parameters of a network. The last two are kernel and bias of the layer `head`.

    Attributes:
        parameters: in the order of the flat vector.
        dropped: names of the kernels that dropout acts on, in the order of its random numbers.
        dtype: NumPy's name of their type.
    """

    parameters: tuple[Parameter, ...]
    dropped: tuple[str, ...] = ()
    dtype: str = "float32"

    @cached_property
    def starts(self) -> dict[str, int]:
        """Where each parameter starts in the flat vector."""
        sizes = [each.size for each in self.parameters]
        firsts = np.cumsum([0, *sizes])[:-1].tolist()
        return dict(zip((each.name for each in self.parameters), firsts, strict=True))

    @cached_property
    def size(self) -> int:
        """Number of values d."""
        return sum(each.size for each in self.parameters)

    @cached_property
    def backbone(self) -> int:
        """How many of them come before those of the layer `head`."""
        return self.size - sum(each.size for each in self.parameters[-2:])

    @cached_property
    def variance(self) -> float:
        """Sum of the variances of newly drawn values."""
        return float(sum(2 * each.size / each.fans for each in self.parameters if each.drawn))

    def initial(self, seed: np.random.SeedSequence) -> np.ndarray:
        """Return newly drawn values (d,), a function of the seed alone.

        Kernels are Glorot-uniform (Glorot and Bengio 2010), drawn by NumPy; all others (biases,
        norms, LayerScale) are their constants.

        Args:
            seed: of the random numbers.

        Returns:
            (d,) of the layout's type.
        """
        rng = np.random.default_rng(seed)
        vector = np.empty(self.size, self.dtype)
        for each, values in zip(self.parameters, self.split(vector), strict=True):
            if each.drawn:
                bound = np.sqrt(6 / each.fans)
                values[...] = rng.uniform(-bound, bound, each.shape)
            else:
                values[...] = each.constant
        return vector

    def neutral(self, vector: np.ndarray) -> np.ndarray:
        """Return values (d,) with a head that gives every event the ratio 1.

        Its kernel is 0 and its bias the one that networks start from, the output of a ratio of 1.

        Args:
            vector: (d,), which stays as it is.

        Returns:
            (d,).
        """
        result = np.array(vector)
        kernel, bias = self.split(result)[-2:]
        kernel[...] = 0
        bias[...] = self.parameters[-1].constant
        return result

    def shrunk(self, vector: np.ndarray, factor: float) -> np.ndarray:
        """Return a network whose outputs are `factor` times as far from that of a ratio of 1.

        Args:
            vector: (d,) values.
            factor: between 0 and 1.

        Returns:
            (d,) values.
        """
        result = np.array(vector)
        kernel, bias = self.split(result)[-2:]
        start = self.parameters[-1].constant
        kernel *= factor
        bias[...] = start + factor * (bias - start)
        return result

    def units(self) -> Units:
        """Return the units that dropout acts on: those that the matrices `dropped` read."""
        shapes = {each.name: each.shape for each in self.parameters}
        kernels = []
        for name in self.dropped:
            rows, columns = shapes[name]
            kernels.append((self.starts[name], rows, columns))
        return Units(self.size, tuple(kernels))

    def split(self, vector: np.ndarray) -> list[np.ndarray]:
        """Return the parameters in a vector (d,), as views of it.

        Args:
            vector: (d,).

        Returns:
            One array of the shape of each parameter, in their order.

        Examples:
            >>> import numpy as np
            >>> head = Layout((Parameter("head/kernel", (2, 1)), Parameter("head/bias", (1,))))
            >>> [part.shape for part in head.split(np.zeros(head.size))]
            [(2, 1), (1,)]
        """
        pieces = np.split(vector, list(self.starts.values())[1:])
        return [
            piece.reshape(each.shape) for piece, each in zip(pieces, self.parameters, strict=True)
        ]

    def places(self, names: Sequence[str]) -> np.ndarray:
        """Return where parameters start in the flat vector, (n,) int64, in the order of `names`.

        Args:
            names: of all n parameters.

        Returns:
            (n,) int64.

        Raises:
            ValueError: `names` are not all parameters, each once.
        """
        if sorted(names) != sorted(self.starts):
            raise ValueError(f"not the parameters of this network: {', '.join(names)}")
        return np.array([self.starts[name] for name in names], np.int64)
