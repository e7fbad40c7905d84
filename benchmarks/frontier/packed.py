"""Members of a step as one packed MLP, trained in C++ (`packed.cpp`): shape and training."""

from __future__ import annotations

import ctypes
import functools
import math
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from omniflow.native import FLAGS, PROCESSOR, SOURCES
from omniflow.training.steps import Settings, Trained

SHARED, OWN, SCALED = range(3)
KINDS = {"shared": SHARED, "own": OWN, "scaled": SCALED}


class Layers(ctypes.Structure):
    """As `Shape` in packed.cpp."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in ("inputs", "members", "layers")),
        *((name, ctypes.c_void_p) for name in ("widths", "kinds")),
    ]


@dataclass(frozen=True)
class Shape:
    """An MLP of several members, each with a head and a loss of its own.

    Attributes:
        inputs: F.
        members: heads.
        widths: of the hidden layers.
        kinds: of the hidden layers: `shared`, `own` (one per member) or `scaled` (shared, with
            scales of inputs and outputs and a bias of each member: BatchEnsemble,
            arXiv:2002.06715). Above a layer that is not shared nothing is one for all members.
        signs: which scales start at random signs: `all` (BatchEnsemble), or those of the inputs
            (`inputs`; TabM, arXiv:2410.24210). Others start at 1.
    """

    inputs: int
    members: int = 1
    widths: tuple[int, ...] = (32, 32)
    kinds: tuple[str, ...] = ("own", "own")
    signs: str = "inputs"

    @property
    def units(self) -> int:
        """Hidden units of one member."""
        return sum(self.widths)

    def initial(self, rng: np.random.Generator) -> np.ndarray:
        """Return the parameters (d,) before training: Glorot-uniform kernels, biases of 0."""
        parts: list[np.ndarray] = []
        sizes = zip((self.inputs, *self.widths), self.widths, self.kinds, strict=False)
        for layer, (rows, columns, kind) in enumerate(sizes):
            for _ in range(self.members if kind == "own" else 1):
                parts.append(_glorot(rng, rows, columns))
                parts.append(np.zeros(0 if kind == "scaled" else columns))
            for _ in range(self.members if kind == "scaled" else 0):
                one, two = rng.choice([-1.0, 1.0], rows), rng.choice([-1.0, 1.0], columns)
                parts.append(one if self.signs == "all" or layer == 0 else np.ones(rows))
                parts.append(two if self.signs == "all" else np.ones(columns))
                parts.append(np.zeros(columns))
        for _ in range(self.members):
            parts += [_glorot(rng, self.widths[-1], 1), np.zeros(1)]
        return np.concatenate(parts).astype(np.float32)


@dataclass(frozen=True)
class Fit:
    """How a packed network is trained: Adam on batches of all events.

    Attributes:
        epochs: rounds through the events, a multiple of `cycles`.
        batch: events per update.
        rate: peak of the learning rate.
        cycles: cosines that the rate falls by, each from the peak to 1% of it; 0: constant.
        kept: ends of cycles (of epochs, if constant) whose states are members, the last ones.
        ema: momentum of the average over updates that is used in place of the last state; 0: none.
        swa: epochs at the end whose states are averaged to one (arXiv:1803.05407); 0: none.
        dropout: probability that a unit is dropped in an update.
        copies: members made of one network by dropping units; 0: the whole network alone.
        bootstrap: whether each member sees each event a Poisson(1) number of times.
    """

    epochs: int = 8
    batch: int = 512
    rate: float = 5e-3
    cycles: int = 1
    kept: int = 1
    ema: float = 0.0
    swa: int = 0
    dropout: float = 0.0
    copies: int = 0
    bootstrap: bool = False


@dataclass(frozen=True)
class Classes:
    """Events (n, F) float32 with their weights in class A and class B, (n,) each."""

    events: np.ndarray
    a: np.ndarray
    b: np.ndarray

    def balanced(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the weights (n,) float32 of both classes, each with a sum of n."""
        n = len(self.events)
        return tuple((w * n / w.sum()).astype(np.float32) for w in (self.a, self.b))


@functools.cache
def library() -> ctypes.CDLL:
    """Return packed.cpp, compiled as the native engine is."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "packed.so"
        command = ["c++", *FLAGS, *PROCESSOR, f"-I{SOURCES}", "-o", str(path)]
        subprocess.run([*command, str(Path(__file__).with_name("packed.cpp"))], check=True)
        found = ctypes.CDLL(str(path))
    found.packed_train.restype = ctypes.c_double
    return found


def train(
    shape: Shape,
    fit: Fit,
    classes: Classes,
    rng: np.random.Generator,
    start: np.ndarray | None = None,
) -> list[np.ndarray]:
    """Return the parameters (d,) of each state that is kept, the last one last.

    Args:
        shape: of the network.
        fit: how it is trained.
        classes: what it tells apart.
        rng: of the initial parameters, if `start` is None, and of the order of batches.
        start: (d,), which are copied.
    """
    ends: list[np.ndarray] = []
    parameters = shape.initial(rng) if start is None else start.copy()
    average, *momenta = parameters.copy(), np.zeros_like(parameters), np.zeros_like(parameters)
    trained = Trained(*(vector.ctypes.data for vector in (parameters, average, *momenta)), 0)
    size = min(fit.batch, len(classes.events))
    a, b = (weights / np.float32(size) for weights in classes.balanced())
    counts = None
    if fit.bootstrap:
        counts = rng.poisson(1, (len(a), shape.members)).astype(np.uint8)
    updates = len(a) // size
    for epoch in range(fit.epochs):
        order = rng.permutation(len(a))[: updates * size].astype(np.int32)
        numbers = epoch * updates + np.arange(updates)
        rates = np.array([_rate(fit, number, updates) for number in numbers])
        # As the trainer: early states do not linger.
        keeps = np.minimum(fit.ema, (1 + numbers) / (10 + numbers))
        masks = _masks(fit.dropout, rng, updates, shape.units) if fit.dropout else None
        library().packed_train(
            *(ctypes.byref(_layers(shape)), ctypes.byref(_ADAM), ctypes.byref(trained)),
            *(ctypes.c_int64(number) for number in (len(parameters), updates, size)),
            *(_at(array) for array in (order, classes.events, a, b)),
            *(_at(counts), _at(masks), ctypes.c_int64(shape.units), _at(rates), _at(keeps)),
        )
        ends.append((average if fit.ema else parameters).copy())
    if fit.swa:
        return [np.mean(ends[-fit.swa :], axis=0, dtype=np.float32)]
    length = fit.epochs // fit.cycles if fit.cycles else 1
    return ends[length - 1 :: length][-fit.kept :]


def logits(
    shape: Shape, fit: Fit, states: list[np.ndarray], events: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Return the logits (members, n) of all members of all `states` at events (n, F)."""
    masks: list[np.ndarray | None] = [None]
    if fit.copies:
        masks = list(_masks(fit.dropout, rng, fit.copies, shape.units))
    found = [_outputs(shape, state, events, mask) for state in states for mask in masks]
    return np.concatenate(found)


def _outputs(
    shape: Shape, state: np.ndarray, events: np.ndarray, mask: np.ndarray | None
) -> np.ndarray:
    out = np.empty((shape.members, len(events)), np.float32)
    library().packed_outputs(
        *(ctypes.byref(_layers(shape)), _at(state), ctypes.c_int64(len(events))),
        *(_at(array) for array in (events, mask, out)),
    )
    return out


def _masks(rate: float, rng: np.random.Generator, count: int, units: int) -> np.ndarray:
    """Return factors (count, units) on units: 0, or 1 / (1 - rate)."""
    return ((rng.random((count, units)) >= rate) / (1 - rate)).astype(np.float32)


def _rate(fit: Fit, update: int, updates: int) -> float:
    """Return the learning rate of an update, `updates` of them an epoch."""
    if fit.cycles == 0:
        return fit.rate
    length = fit.epochs // fit.cycles * updates
    return fit.rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * (update % length) / length)))


def _glorot(rng: np.random.Generator, rows: int, columns: int) -> np.ndarray:
    limit = math.sqrt(6 / (rows + columns))
    return rng.uniform(-limit, limit, rows * columns)


_ADAM = Settings(2, 0.9, 0.999, 0.0, 0.0)


@functools.cache
def _places(shape: Shape) -> tuple[np.ndarray, np.ndarray]:
    return np.array(shape.widths), np.array([KINDS[kind] for kind in shape.kinds])


def _layers(shape: Shape) -> Layers:
    return Layers(
        *(shape.inputs, shape.members, len(shape.widths)),
        *(array.ctypes.data for array in _places(shape)),
    )


def _at(array: np.ndarray | None) -> ctypes.c_void_p:
    return ctypes.c_void_p(None if array is None else array.ctypes.data)
