"""Engines: what evaluates a network and its gradient; the trainer does not know how."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np

from omniflow.config.schema import Config
from omniflow.events.batches import Selection, Source
from omniflow.events.features import Features
from omniflow.models.architecture import Architecture
from omniflow.training import compiler, native, runtime
from omniflow.training.compiler import CompilerError
from omniflow.training.native import Native
from omniflow.training.steps import Steps

# Engines by what they are made from, while jobs of one process share them.
_shared: dict[tuple, Engine] | None = None


class Engine(Protocol):
    """Outputs and gradients of networks of one architecture, each given as one vector (d,).

    Attributes:
        name: recorded with every network; engines differ by rounding.
        device: what networks run on, the GPU's name or `CPU`.
        stack: networks that it trains at a time.
        ahead: events that are worth reading at a time; more than a batch has where reading costs as
            much as training.
        trains: whether it can do updates itself.
    """

    name: str
    device: str
    stack: int

    @property
    def ahead(self) -> int:
        """Events that are read at a time."""

    @property
    def trains(self) -> bool:
        """Whether it can do updates itself."""

    def prepare(self, networks: Sequence[Selection]) -> Any:
        """Return the events of updates as a sequence, of all networks in each.

        Runs in another thread.

        Args:
            networks: for each network its sources and the positions (U, k) in each of them, those
                of U updates, as many for all networks.

        Returns:
            A sequence of U, for `gradient` and, as a whole, for `train`.
        """

    def gradient(
        self, parameters: Sequence[np.ndarray], prepared: Any
    ) -> tuple[list[float], list[np.ndarray]]:
        """Return for each network the loss, summed over its events, and its gradient (d,).

        Args:
            parameters: (d,) of each network.
            prepared: what `prepare` returned of one update.

        Returns:
            A loss and a gradient (d,) for each network.
        """

    def train(
        self, steps: Steps, prepared: Any, rates: Sequence[float], momenta: Sequence[float]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Update one network by all that was prepared in one call; for engines that can.

        Args:
            steps: optimiser and state of the network, which change.
            prepared: what `prepare` returned.
            rates: learning rate of each update.
            momenta: of the average.

        Returns:
            Loss and norm of the gradient of each update, (u,) each, up to one that is not finite.
        """

    def outputs(
        self, parameters: Sequence[np.ndarray], source: Source, index: np.ndarray
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield the events `index` (k,) in parts of any order, with outputs (networks, k) each.

        Of any number of networks, which share the reading.

        Args:
            parameters: (d,) of each network.
            source: where the events are.
            index: (k,) positions.

        Yields:
            Positions (m,) and outputs (networks, m).
        """


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


def require(config: Config) -> None:
    """Refuse a study whose networks nothing can train here, before its jobs do.

    Nothing is built or loaded: compilers and TensorFlow that are there are taken to work.

    Raises:
        CompilerError: `native` is asked for and cannot be had.
        EngineError: it takes TensorFlow, which is not installed.
    """
    asked = config.execution.engine
    if runtime.installed() and asked != "native":
        return
    why = _takes_tensorflow(config)
    if why is None:
        try:
            compiler.require()
            return
        except CompilerError as error:
            if asked == "native":
                raise
            why = f"the native engine cannot be had: {error}"
    raise runtime.missing(why)


def engine(
    config: Config, architecture: Architecture, features: Features, local_rank: int = 0
) -> Engine:
    """Return the configured engine for a classifier.

    `auto` is the native one for the classifiers that it has, on a CPU, and TensorFlow for
    everything else.

    Args:
        config: of the study; its classifier is the one of `architecture`.
        architecture: the classifier.
        features: say how many columns the inputs have.
        local_rank: which of the machine's GPUs is this process's.

    Raises:
        CompilerError: `native` is asked for and cannot be had.
        EngineError: it takes TensorFlow, which is not installed.
    """
    if _shared is None:
        return _made(config, architecture, features, local_rank)
    columns = (features.particles, features.neighbours, features.event)
    key = (
        *(part.model_dump_json() for part in (config.classifier, config.execution)),
        config.training.loss,
        config.training.micro_batches,
        *(part.shape[1] for part in columns),
    )
    if key not in _shared:
        _shared[key] = _made(config, architecture, features, local_rank)
    return _shared[key]


def _made(
    config: Config, architecture: Architecture, features: Features, local_rank: int
) -> Engine:
    execution, settings, loss = config.execution, config.classifier, config.training.loss
    why = _takes_tensorflow(config)
    if why is None:
        try:
            return Native(architecture.layout, settings, features, execution.threads, loss)
        except CompilerError as error:
            if execution.engine == "native":
                raise
            why = f"the native engine cannot be had: {error}"
            print(f"The slower TensorFlow engine is used, because {why}", file=sys.stderr)
    runtime.configure(execution.threads, local_rank, why)
    from omniflow.training.graph import Graph

    gpu = runtime.device() != "CPU"
    stack = execution.stack
    if stack == "auto":
        stack = execution.networks_per_job if gpu else 1
    parts = config.training.micro_batches
    return Graph(architecture.keras(), features, parts, stack, xla=gpu, loss=loss)


def _takes_tensorflow(config: Config) -> str | None:
    """Return why the native engine is not to be used; None where it is.

    Raises:
        CompilerError: `native` is asked for, and does not know the classifier.
    """
    execution, kind = config.execution, config.classifier.kind
    if execution.engine == "tensorflow":
        return "execution.engine is tensorflow"
    known = ", ".join(native.NETWORKS)
    if execution.engine == "native":
        if kind not in native.NETWORKS:
            raise CompilerError(
                f"execution.engine: native has the classifier kinds {known}, and not {kind}; "
                "choose auto."
            )
        return None
    if kind not in native.NETWORKS:
        return f"classifier.kind is {kind}, and the native engine has {known} alone"
    if execution.precision != "float32":
        return f"execution.precision is {execution.precision}"
    device = runtime.device()
    return None if device == "CPU" else f"there is a GPU, {device}"
