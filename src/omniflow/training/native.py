"""Native engine: the point-edge transformer's outputs and gradients in C++, for the CPU.

The same function as `models.pet` (tests compare them), but events are not padded, work stays in the
processor's cache, and starting costs no tracing. `native/pet.cpp` says how.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from omniflow.config.training import Classifier
from omniflow.events.batches import Flat, Source, flat
from omniflow.events.features import Features
from omniflow.models.layout import Layout
from omniflow.training import compiler
from omniflow.training.compiler import CompilerError
from omniflow.training.losses import LOSSES

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


@dataclass(frozen=True)
class Result:
    """Outcome of one pass: outputs (n,) and, with weights, loss and gradient (d,)."""

    outputs: np.ndarray
    loss: float
    gradient: np.ndarray | None


class PET:
    """The C++ function for PETs of one architecture."""

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
        number = LOSSES[loss].number
        self._threads, self._loss = threads, -1 if number is None else number
        if not library.omniflow_knows_loss(ctypes.c_int(self._loss)):
            raise CompilerError(f"native/loss.h has no loss {loss}.")
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
            _pointer(parameters, self.kind, (self._size,)),
            _pointer(self._places, np.dtype(np.int64), self._places.shape),
            ctypes.c_int64(n),
            _pointer(events.offsets, np.dtype(np.int64), (n + 1,)),
            _pointer(events.particles, self.kind, (None, self._sizes.features)),
            _pointer(events.neighbours, np.dtype(np.int32), (None, self._sizes.neighbours)),
            _pointer(events.event, self.kind, (n, self._sizes.event_features)),
            _pointer(events.numerator, self.kind, (n,)),
            _pointer(events.denominator, self.kind, (n,)),
            ctypes.c_int(self._loss),
            ctypes.c_int(self._threads),
            _pointer(outputs, self.kind, (n,)),
            None if sums is None else _pointer(sums, self.kind, (self._size,)),
        )
        return Result(outputs, loss, sums)


# What runs natively, by the kind of classifier.
NETWORKS = {"pet": PET}


class Native:
    """Runs networks of one architecture on the CPU. See `engines.Engine`."""

    name, device = "native", "CPU"
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
        self._network = NETWORKS[settings.kind](layout, settings, sizes, threads, loss=loss)

    def prepare(self, batches: Sequence[tuple[Sequence[Source], Sequence[np.ndarray]]]) -> Flat:
        """Return the events of a batch."""
        ((sources, indices),) = batches
        return flat(sources, indices)

    def gradient(
        self, parameters: Sequence[np.ndarray], prepared: Flat
    ) -> tuple[list[float], list[np.ndarray]]:
        """Return loss and gradient (d,)."""
        found = self._network(
            np.ascontiguousarray(parameters[0], np.float32), prepared, gradient=True
        )
        return [found.loss], [found.gradient]

    def outputs(
        self, parameters: Sequence[np.ndarray], source: Source, index: np.ndarray
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield the events `index` (k,) and their outputs (1, k)."""
        found = self._network(
            np.ascontiguousarray(parameters[0], np.float32), flat([source], [index])
        )
        yield index, found.outputs[np.newaxis]


def _pointer(array: np.ndarray, kind: np.dtype, shape: Sequence[int | None]) -> ctypes.c_void_p:
    # C++ cannot tell a wrong array from a right one.
    wrong = array.dtype != kind or array.ndim != len(shape) or not array.flags.c_contiguous
    if wrong or any(w is not None and w != n for w, n in zip(shape, array.shape, strict=True)):
        raise TypeError(f"expected {kind} {tuple(shape)}, got {array.dtype} {array.shape}")
    return ctypes.c_void_p(array.ctypes.data)


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
