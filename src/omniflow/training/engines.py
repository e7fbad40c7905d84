"""Engines: what evaluates a network and its gradient; the trainer does not know how."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import keras
import numpy as np

from omniflow.config.schema import Config
from omniflow.events.batches import Source
from omniflow.events.features import Features
from omniflow.training import runtime
from omniflow.training.compiler import CompilerError


class Engine(Protocol):
    """Logits and gradients of one architecture, for parameters given as one vector (d,).

    Attributes:
        name: recorded with every network; engines differ by rounding.
    """

    name: str

    def load(self, parameters: Any) -> None:
        """Use these parameters (d,) from now on."""

    def prepare(self, sources: Sequence[Source], indices: Sequence[np.ndarray]) -> Any:
        """Read the events of one update: positions (k,) per source. Runs in another thread."""

    def gradient(self, prepared: Any) -> tuple[float, Any]:
        """Return the loss, summed over the events, and its gradient (d,)."""

    def logits(self, source: Source, index: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield the events `index` (k,) in parts of any order, each with its logits."""


def engine(config: Config, model: keras.Model, features: Features) -> Engine:
    """Return the configured engine for `model`.

    `auto` is the native one for PETs on a CPU, and TensorFlow for everything else.

    Raises:
        CompilerError: `native` is asked for and cannot be had.
    """
    from omniflow.training.graph import Graph
    from omniflow.training.native import Native

    wanted, settings = config.execution.engine, config.classifier
    fits = settings.kind == "pet" and runtime.device() == "CPU"
    if wanted == "native" and not fits:
        raise CompilerError(
            "execution.engine: native is for the classifier kind pet on a CPU only; choose auto."
        )
    if wanted != "tensorflow" and fits:
        try:
            return Native(model, settings, features, config.execution.threads)
        except CompilerError as error:
            if wanted == "native":
                raise
            print(f"The slower TensorFlow engine is used, because: {error}", file=sys.stderr)
    return Graph(model, features, config.training.micro_batches)
