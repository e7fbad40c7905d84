"""Native engine: outputs and gradients in C++, for the CPU.

The same functions as `models.pet` and `models.sets` (tests compare them), but events are not
padded, work stays in the processor's cache, and starting costs no tracing. `native/pet.cpp` and
`native/sets.cpp` say how.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from omniflow.config.training import Classifier
from omniflow.events.batches import Flat, Flats, Selection, Source, flat, flats
from omniflow.events.features import Features
from omniflow.models.layout import Layout
from omniflow.training import compiler
from omniflow.training.calls import Result, loss_number, pointer
from omniflow.training.gather import gather
from omniflow.training.sets import Sets
from omniflow.training.steps import Steps

# Particles per chunk: the rows of all matrices of one forward and backward pass. Fewer would waste
# matrix products, more would leave the cache.
ROWS = 128


class Sizes(ctypes.Structure):
    """Sizes of a network, as in pet.cpp."""

    _fields_ = [
        (name, ctypes.c_int64)
        for name in (
            *("features", "event_features", "neighbours"),
            *("width", "heads", "blocks", "class_blocks", "rows_per_chunk"),
        )
    ]


class PET:
    """The C++ function for PETs of one architecture.

    Attributes:
        kind: type of all numbers.
        reads: what it reads of events beside their features.
        ahead: as of engines.
    """

    reads = ("particles", "neighbours")
    ahead = 0

    def __init__(
        self,
        layout: Layout,
        settings: Classifier,
        features: tuple[int, int, int],
        threads: int = 1,
        double: bool = False,
        loss: str = "bce_logistic",
    ) -> None:
        """Prepare calls; the library is compiled if need be.

        Args:
            layout: where each parameter stands in the flat vector.
            settings: sizes of the network.
            features: (F, E, K): particle features, event features, neighbours.
            threads: threads of one call.
            double: float64 instead of float32, for tests.
            loss: as `training.loss`.

        Raises:
            CompilerError: the library cannot be built here, or does not have the loss.
        """
        self.kind = np.dtype(np.float64 if double else np.float32)
        library = compiler.library(double)
        self._call = library.omniflow_pet
        self._call.restype = ctypes.c_double
        self._threads, self._loss = threads, loss_number(library, loss)
        self._sizes = Sizes(
            *features,
            settings.width,
            settings.heads,
            settings.blocks,
            settings.class_blocks,
            ROWS,
        )
        self._size = layout.size
        self._places = layout.places(_order(settings))

    def __call__(
        self,
        parameters: np.ndarray,
        events: Flat,
        gradient: bool = False,
    ) -> Result:
        """Return the outputs of `events`, and with `gradient` loss and gradient as well.

        The loss is that of `losses`, summed over events.
        """
        n = len(events.event)
        outputs = np.empty(n, self.kind)
        sums = np.zeros(self._size, self.kind) if gradient else None
        loss = self._call(
            ctypes.byref(self._sizes),
            pointer(parameters, self.kind, (self._size,)),
            pointer(self._places, np.dtype(np.int64), self._places.shape),
            ctypes.c_int64(n),
            pointer(events.offsets, np.dtype(np.int64), (n + 1,)),
            pointer(events.particles, self.kind, (None, self._sizes.features)),
            pointer(events.neighbours, np.dtype(np.int32), (None, self._sizes.neighbours)),
            pointer(events.event, self.kind, (n, self._sizes.event_features)),
            pointer(events.numerator, self.kind, (n,)),
            pointer(events.denominator, self.kind, (n,)),
            ctypes.c_int(self._loss),
            ctypes.c_int(self._threads),
            pointer(outputs, self.kind, (n,)),
            None if sums is None else pointer(sums, self.kind, (self._size,)),
        )
        return Result(outputs, loss, sums)


# What runs natively, by the kind of classifier.
NETWORKS: dict[str, Callable[..., PET | Sets]] = {"pet": PET, "deepsets": Sets.of, "mlp": Sets.of}


class Native:
    """Runs networks of one architecture on the CPU. See `engines.Engine`."""

    device = "CPU"
    # One after the other: together they would share the processor's cache.
    stack = 1

    def __init__(
        self,
        layout: Layout,
        settings: Classifier,
        features: Features,
        threads: int,
        loss: str = "bce_logistic",
    ) -> None:
        """Load, or compile, the C++ function.

        Raises:
            CompilerError: it cannot be built here, or does not have the loss.
        """
        sizes = (
            features.particles.shape[1],
            features.event.shape[1],
            features.neighbours.shape[1],
        )
        self.network: PET | Sets = NETWORKS[settings.kind](
            layout, settings, sizes, threads, loss=loss
        )
        self.name = compiler.engine()

    @property
    def ahead(self) -> int:
        """Events that are read at a time."""
        return self.network.ahead

    def prepare(self, networks: Sequence[Selection]) -> Flats:
        """Return the events of each update of the one network."""
        ((sources, positions),) = networks
        return flats(sources, positions, self.network.reads, gather)

    @property
    def trains(self) -> bool:
        """Whether the network's updates are native as well."""
        return isinstance(self.network, Sets)

    def train(
        self, steps: Steps, prepared: Flats, rates: Sequence[float], momenta: Sequence[float]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return losses and norms (u,) of updates."""
        if not isinstance(self.network, Sets):
            raise TypeError("only deep sets and MLPs do their updates themselves; see `trains`")
        return self.network.train(steps, prepared, rates, momenta)

    def gradient(
        self, parameters: Sequence[np.ndarray], prepared: Flat
    ) -> tuple[list[float], list[np.ndarray]]:
        """Return loss and gradient (d,)."""
        vector = np.ascontiguousarray(parameters[0], np.float32)
        found = self.network(vector, prepared, gradient=True)
        assert found.gradient is not None  # it is asked for
        return [found.loss], [found.gradient]

    def outputs(
        self, parameters: Sequence[np.ndarray], source: Source, index: np.ndarray
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield the events `index` (k,), read once for all networks, and outputs (networks, k)."""
        events = flat([source], [index], self.network.reads, gather)
        vectors = (np.ascontiguousarray(each, np.float32) for each in parameters)
        yield index, np.stack([self.network(vector, events).outputs for vector in vectors])


def _order(settings: Classifier) -> list[str]:
    """Return the names of a PET's parameters in the order in which pet.cpp reads them."""
    norms = [("norm_1/gamma", "norm_1/beta"), ("norm_2/gamma", "norm_2/beta")]
    attention = [f"attention/{part}" for part in ("query", "key", "value", "output")]
    attention = [name for name in _dense(*attention) if name != "attention/key/bias"]
    hidden = _dense("hidden/first", "hidden/second")
    block = (*norms[0], *attention, "scale_1/scale", *norms[1], *hidden, "scale_2/scale")
    class_block = (*norms[0], *attention, *norms[1], *hidden)

    found = _dense("embedding/first", "embedding/second")
    for local in ("local_1", "local_2"):
        found += [f"{local}/edge_kernel", f"{local}/edge_bias", *_dense(f"{local}/dense")]
    found += _dense("condition")
    found += [f"block_{i}/{name}" for i in range(settings.blocks) for name in block]
    found.append("token/token")
    found += [f"class_{i}/{name}" for i in range(settings.class_blocks) for name in class_block]
    return [*found, "norm/gamma", "norm/beta", *_dense("head")]


def _dense(*layers: str) -> list[str]:
    return [f"{layer}/{part}" for layer in layers for part in ("kernel", "bias")]
