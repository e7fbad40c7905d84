"""Samples of a study that has been run: what its configuration says, without what reads them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

from pydantic import ConfigDict

from omniflow.errors import InputError
from omniflow.sources.source import ColumnNames, Source

if TYPE_CHECKING:
    from omniflow.events.sample import Events


class Recorded(Source):
    """Stands for any source where results are read, so that nothing is loaded that reads events."""

    model_config = ConfigDict(extra="allow")

    def extent(self) -> str:
        """Return that it has been read."""
        return "as it was read"

    def shares(self, other: Source) -> bool:
        """Return False: the study has been checked when it was run."""
        return False

    def columns(self, level: str) -> ColumnNames:
        """Return nothing: what networks have seen is in their files."""
        return (), ()

    def observables(self, others: Mapping[str, Sequence[Source]]) -> dict[str, Any]:
        """Return nothing: the study has been run with some."""
        return {}

    def named_weights(self) -> None:
        """Return None: they are in the stores."""
        return

    def read(self) -> Iterator[Events]:
        """Refuse: the events are in the study's stores."""
        raise InputError("the samples of a study that is read are not read again; run it anew")

    def next(self, number: int) -> Self:
        """Return this sample: of those after it names alone are asked."""
        return self
