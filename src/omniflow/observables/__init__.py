"""Observables: what is histogrammed, of any sample."""

from omniflow.observables.chunk import Chunk
from omniflow.observables.entries import Entries
from omniflow.observables.observable import Observable, Quantiles, from_expression, from_function
from omniflow.physics.jets import JetDefinition

__all__ = [
    "Chunk",
    "Entries",
    "JetDefinition",
    "Observable",
    "Quantiles",
    "from_expression",
    "from_function",
]
