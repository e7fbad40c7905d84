"""Quantities of the events of a bundle: observables and expressions, conditions, and bins."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import cached_property

import numpy as np

from omniflow.errors import InputError
from omniflow.export.bundle.events import EventTable
from omniflow.export.bundle.metadata import Metadata, Observable
from omniflow.export.bundle.more import More
from omniflow.expressions import Values, parse
from omniflow.observables.entries import Entries


class Quantities:
    """What can be histogrammed."""

    def __init__(self, metadata: Metadata, events: EventTable, weights: Collection[str]) -> None:
        """Take the events.

        Args:
            metadata: of the bundle.
            events: its columns.
            weights: names of columns that are weights.
        """
        self._metadata, self._events, self._weights = metadata, events, set(weights)
        self._more = metadata.omniflow or More()

    def counted(self, where: str | None) -> np.ndarray:
        """Return which events (n,) fulfil a condition, all without one.

        Args:
            where: the condition, as an expression.

        Returns:
            (n,) bool.

        Raises:
            ExpressionError: it does not fit the columns.
            InputError: it is no condition on events.
        """
        if where is None:
            return np.ones(self._events.rows, bool)
        found = self._evaluate(where)
        if found.offsets is not None or found.array.dtype != bool:
            raise InputError(
                f"histogram: {where!r} is no condition on events; write one such as 'pt > 20'"
            )
        return found.array

    def edges(
        self, names: list[str], edges: Sequence[float] | Sequence[Sequence[float]] | None, one: bool
    ) -> list[np.ndarray]:
        """Return the edges of bins of several quantities.

        Args:
            names: the quantities.
            edges: (B + 1,) of each of them; None: those of the authors.
            one: whether there is one quantity, whose edges are given as they are.

        Returns:
            (B + 1,) of each.

        Raises:
            InputError: there are none, or they do not rise.
        """
        given: list[object] = [None] * len(names)
        if edges is not None:
            given = [edges] if one else list(edges)
        if len(given) != len(names):
            raise InputError(f"histogram: has edges for {len(given)} of {len(names)} expressions")
        return [self._rising(name, each) for name, each in zip(names, given, strict=True)]

    def _rising(self, name: str, given: object) -> np.ndarray:
        if given is None:
            given = self._official.get(name)
        if given is None:
            raise InputError(
                f"histogram: {name} has no edges of its authors; give some, such as [0, 10, 20]"
            )
        try:
            found = np.asarray(given, np.float64)
        except (TypeError, ValueError):
            found = np.empty(0)
        rises = found.ndim == 1 and len(found) >= 2 and bool((np.diff(found) > 0).all())
        if not rises or not np.isfinite(found).all():
            raise InputError(f"histogram: edges of {name} must be numbers that rise, two or more")
        return found

    @cached_property
    def _official(self) -> dict[str, Sequence[float]]:
        """Edges of the authors, by observable."""
        plain = {each.name: each.edges for each in self._metadata.observables}
        jagged = {name: each.edges for name, each in self._more.jagged.items()}
        return {name: edges for name, edges in (plain | jagged).items() if edges is not None}

    def entries(self, what: str) -> Entries:
        """Return what is filled into a histogram.

        Args:
            what: an observable, or an expression.

        Raises:
            ExpressionError: the expression does not fit the columns.
            InputError: a column cannot be read.
        """
        found = self._events.values(what) if what in self._own else self._evaluate(what)
        array = np.asarray(found.array, np.float64)
        keep = np.isfinite(array)
        for text in self._selections(what):
            keep &= self.counted(text)[found.event_index]
        return Entries(found.event_index[keep], array[keep])

    @cached_property
    def _own(self) -> dict[str, Observable | None]:
        return {each.name: each for each in self._metadata.observables} | dict.fromkeys(
            self._more.jagged
        )

    def _selections(self, what: str) -> set[str]:
        """Return the conditions under which the observables in an expression exist."""
        names = {what} if what in self._own else parse(what).names
        found = (self._own.get(name) for name in names)
        return {each.selection for each in found if each is not None and each.selection}

    def _evaluate(self, text: str) -> Values:
        expression = parse(text)
        columns = self._columns
        known = {
            name: self._events.values(columns[name]) for name in expression.names if name in columns
        }
        if len(known) < len(expression.names):  # its message lists what there is
            nothing = Values(np.empty(0))
            known = {**dict.fromkeys(columns, nothing), **known}
        return expression.evaluate(known, self._events.rows)

    @cached_property
    def _columns(self) -> dict[str, str]:
        """Columns of the file by the names that expressions call them."""
        found = {name: name for name in self._events.names if name not in self._weights}
        for name, column in self._more.event_columns.items():
            found.setdefault(name, column)
            found[f"event.{name}"] = column
        return found
