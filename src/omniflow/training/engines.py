"""Engines: what evaluates a network and its gradient; the trainer does not know how."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from omniflow.config.schema import Config
from omniflow.events.batches import Source
from omniflow.events.features import Features
from omniflow.training import runtime
from omniflow.training.compiler import CompilerError

if TYPE_CHECKING:
    import keras

# Positions (k,) in each of the sources of a network.
Batches = tuple[Sequence[Source], Sequence[np.ndarray]]

# Classifiers that there are in C++.
NATIVE = ("pet", "deepsets", "mlp")

# Engines by what they are made from, while jobs of one process share them.
_shared: dict[tuple, Engine] | None = None


class Engine(Protocol):
    """Outputs and gradients of networks of one architecture, each given as one vector (d,).

    Attributes:
        name: recorded with every network; engines differ by rounding.
        stack: networks that it evaluates at a time.
        ahead: events that are worth reading at a time; more than a batch has where reading costs as
            much as training.
    """

    name: str
    stack: int
    ahead: int

    def prepare(self, updates: Sequence[Sequence[Batches]]) -> list[Any]:
        """Read the events of updates, for each of the same networks. Runs in another thread."""

    def gradient(self, parameters: Sequence[Any], prepared: Any) -> tuple[list[float], list[Any]]:
        """Return for each network the loss, summed over its events, and its gradient (d,)."""

    def outputs(
        self, parameters: Sequence[Any], source: Source, index: np.ndarray
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield the events `index` (k,) in parts of any order, with outputs (networks, k) each."""


@contextmanager
def shared() -> Iterator[None]:
    """Make an engine once for all jobs of this process that ask for the same.

    Tracing is half of the time of a small study. Numbers stay what they are: engines hold no state,
    and the networks of a job share one anyway.
    """
    global _shared
    before, _shared = _shared, {}
    try:
        yield
    finally:
        _shared = before


def engine(config: Config, model: keras.Model, features: Features) -> Engine:
    """Return the configured engine for `model`.

    `auto` is the native one for built-in classifiers on a CPU, and TensorFlow for everything else.

    Raises:
        CompilerError: `native` is asked for and cannot be had.
    """
    if _shared is None:
        return _made(config, model, features)
    columns = (features.particles, features.neighbours, features.event)
    key = (
        *(part.model_dump_json() for part in (config.classifier, config.execution)),
        config.training.loss,
        config.training.micro_batches,
        model.dtype_policy.name,
        *(part.shape[1] for part in columns),
    )
    if key not in _shared:
        _shared[key] = _made(config, model, features)
    return _shared[key]


def _made(config: Config, model: keras.Model, features: Features) -> Engine:
    from omniflow.training.graph import Graph
    from omniflow.training.native import Native

    wanted, settings, loss = config.execution.engine, config.classifier, config.training.loss
    fits = settings.kind in NATIVE and runtime.device() == "CPU"
    fits = fits and config.execution.precision == "float32"
    if wanted == "native" and not fits:
        raise CompilerError(
            f"execution.engine: native is for the classifier kinds {', '.join(NATIVE)} in float32 "
            "on a CPU only; choose auto."
        )
    if wanted != "tensorflow" and fits:
        try:
            return Native(model, settings, features, config.execution.threads, loss)
        except CompilerError as error:
            if wanted == "native":
                raise
            print(f"The slower TensorFlow engine is used, because: {error}", file=sys.stderr)
    gpu = runtime.device() != "CPU"
    stack = config.execution.stack
    if stack == "auto":
        stack = config.execution.networks_per_job if gpu else 1
    return Graph(model, features, config.training.micro_batches, stack, xla=gpu, loss=loss)
