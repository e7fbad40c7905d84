"""Sets: deep sets and MLP in C++, for the native engine; `native/sets.cpp` says how."""

from __future__ import annotations

import ctypes
import itertools
from collections.abc import Sequence

import numpy as np

from omniflow.config.training import Classifier
from omniflow.events.batches import Flat, Flats
from omniflow.models.layout import Layout
from omniflow.training import compiler
from omniflow.training.calls import Result, loss_number, pointer
from omniflow.training.steps import Steps

# Particles and events per chunk: the rows of all matrices of one forward and backward pass. Fewer
# would waste matrix products, more would leave the cache.
ROWS, EVENTS = 256, 96

# Events that are read at a time: an MLP trains on 256 faster than Python asks for so few.
AHEAD = 16384


class Layers(ctypes.Structure):
    """Sizes of a network, as in sets.h."""

    _fields_ = [
        *(
            (name, ctypes.c_int64)
            for name in (
                *("features", "event_features", "neighbours"),
                *("particle_layers", "event_layers", "rows_per_chunk", "events_per_chunk"),
            )
        ),
        ("widths", ctypes.c_void_p),
    ]


class Sets:
    """The C++ function for deep sets, or MLPs, of one architecture.

    Attributes:
        kind: type of all numbers.
        reads: what it reads of events beside their features.
        size: number of parameters d.
    """

    def __init__(
        self,
        per_particle: Sequence[int] | None,
        per_event: Sequence[int],
        features: tuple[int, int],
        threads: int = 1,
        double: bool = False,
        loss: str = "bce_logistic",
    ) -> None:
        """Prepare calls; the library is compiled if need be.

        Parameters are kernel and bias of each layer, as of `models.sets`: those of particles, those
        of events, the head.

        Args:
            per_particle: widths of the layers that see single particles; None: an MLP on event
                features alone.
            per_event: widths of the layers that see events.
            features: (F, E): particle features, event features.
            threads: threads of one call.
            double: float64 instead of float32, for tests.
            loss: as `training.loss`.

        Raises:
            CompilerError: the library cannot be built here, or does not have the loss.
        """
        self.kind = np.dtype(np.float64 if double else np.float32)
        self.reads = () if per_particle is None else ("particles",)
        library = compiler.library(double)
        self._call = library.omniflow_sets
        self._call.restype = ctypes.c_double
        self._train = library.omniflow_sets_train
        self._train.restype = ctypes.c_int64
        self._threads = ctypes.c_int(threads)
        self._loss = ctypes.c_int(loss_number(library, loss))
        self._widths = np.array([*(per_particle or ()), *per_event], np.int64)
        self._layers = Layers(
            *(*features, 0, -1 if per_particle is None else len(per_particle), len(per_event)),
            *(ROWS, EVENTS, self._widths.ctypes.data),
        )
        self.size = _size(per_particle, per_event, features)

    @property
    def ahead(self) -> int:
        """Events that are worth reading at a time; particles take memory."""
        return AHEAD // 8 if self.reads else AHEAD

    @classmethod
    def of(
        cls,
        layout: Layout,
        settings: Classifier,
        features: tuple[int, int, int],
        threads: int = 1,
        double: bool = False,
        loss: str = "bce_logistic",
    ) -> Sets:
        """Return the function for the configured deep sets or MLP.

        Args:
            layout: its parameters, of which the kernels tell the widths.
            settings: which of the two it is.
            features: (F, E, K): particle features, event features, neighbours.
            threads: as of `__init__`.
            double: as of `__init__`.
            loss: as of `__init__`.
        """
        widths = {
            part: [
                each.shape[1]
                for each in layout.parameters
                if each.name.startswith(f"{part}_") and each.drawn
            ]
            for part in ("particle", "event")
        }
        per_particle = None if settings.kind == "mlp" else widths["particle"]
        found = cls(per_particle, widths["event"], features[:2], threads, double, loss)
        if found.size != layout.size:
            raise AssertionError("sets.cpp and models.layouts do not have the same parameters")
        return found

    def __call__(self, parameters: np.ndarray, events: Flat, gradient: bool = False) -> Result:
        """Return the outputs of `events`, and with `gradient` loss and gradient as well.

        The loss is that of `losses`, summed over events. Neighbours are not looked at, and
        particles are not by an MLP.
        """
        n = len(events.event)
        outputs = np.empty(n, self.kind)
        sums = np.zeros(self.size, self.kind) if gradient else None
        rows = (None, self._layers.features)
        loss = self._call(
            ctypes.byref(self._layers),
            pointer(parameters, self.kind, (self.size,)),
            ctypes.c_int64(n),
            pointer(events.offsets, np.dtype(np.int64), (n + 1,)),
            pointer(events.particles, self.kind, rows) if self.reads else None,
            pointer(events.event, self.kind, (n, self._layers.event_features)),
            pointer(events.numerator, self.kind, (n,)),
            pointer(events.denominator, self.kind, (n,)),
            self._loss,
            self._threads,
            pointer(outputs, self.kind, (n,)),
            None if sums is None else pointer(sums, self.kind, (self.size,)),
        )
        return Result(outputs, loss, sums)

    def train(
        self, steps: Steps, batches: Flats, rates: Sequence[float], momenta: Sequence[float]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Update a network by one batch after the other; as `engines.Engine.train`.

        Args:
            steps: optimiser and state of the network, which change.
            batches: U batches of B events.
            rates: (U,) learning rates.
            momenta: (U,) of the average.

        Returns:
            Losses and norms, (u,) float64 each, up to one that is not finite.

        Raises:
            TypeError: numbers of another type, or other features.
        """
        times, n, features = batches.event.shape
        if features != self._layers.event_features or self.kind != np.float32:
            raise TypeError(f"expected {self._layers.event_features} features, got {features}")
        kind, whole, double = self.kind, np.dtype(np.int64), np.dtype(np.float64)
        losses, norms = np.zeros((2, times))
        given = [np.array(each, double) for each in (rates, momenta)]  # C++ reads them
        for vector in (steps.parameters, steps.average, *steps.state.values()):
            if vector.ndim:
                pointer(vector, kind, (self.size,))
        trained = steps.trained()
        done = self._train(
            ctypes.byref(self._layers),
            ctypes.byref(steps.settings()),
            ctypes.byref(trained),
            *(ctypes.c_int64(number) for number in (self.size, times, n)),
            pointer(batches.offsets, whole, (times, n + 1)),
            pointer(batches.rows, whole, (times + 1,)),
            pointer(batches.particles, kind, (None, self._layers.features)) if self.reads else None,
            pointer(batches.event, kind, (times, n, features)),
            pointer(batches.numerator, kind, (times, n)),
            pointer(batches.denominator, kind, (times, n)),
            self._loss,
            self._threads,
            *(pointer(each, double, (times,)) for each in (*given, losses, norms)),
        )
        steps.state["updates"][...] = trained.updates
        return losses[:done], norms[:done]


def _size(
    per_particle: Sequence[int] | None, per_event: Sequence[int], features: tuple[int, int]
) -> int:
    """Return the number of parameters."""
    particle, event = features
    chains = [] if per_particle is None else [(particle, *per_particle)]
    start = event if per_particle is None else chains[0][-1] + 1 + event
    chains.append((start, *per_event, 1))
    return sum((a + 1) * b for chain in chains for a, b in itertools.pairwise(chain))
