"""Rows: records of one table, and what expressions give on their columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from omniflow.errors import InputError
from omniflow.expressions import ExpressionError, Values, parse

Arrays = Mapping[str, Values]


@dataclass(frozen=True)
class Rows:
    """Records of one table.

    Attributes:
        where: file and table, for messages.
        first: record number of the first one, over all files.
        record: (k,) their numbers in the file.
        columns: by name.
    """

    where: str
    first: int
    record: np.ndarray
    columns: Arrays

    def __len__(self) -> int:
        """Return the number of records."""
        return len(self.record)

    def evaluate(self, text: str) -> Values:
        """Return the values of an expression.

        Raises:
            InputError: it cannot be evaluated on these columns.
        """
        expression = parse(text, indices=True)
        if text in self.columns and expression.names == {text}:
            return self.columns[text]  # a column as it is
        try:
            return expression.evaluate(self.columns, len(self))
        except ExpressionError as error:
            raise InputError(f"{self.where}: {error}") from error

    def per_event(self, text: str, what: str) -> np.ndarray:
        """Return the values (k,) of an expression of events.

        Args:
            text: an expression.
            what: its key, for messages.

        Returns:
            (k,) of any type of number.

        Raises:
            InputError: it has one value per particle.
        """
        values = self.evaluate(text)
        if values.offsets is not None:
            raise InputError(
                f"{self.where}: {what}: {text!r} has one value per particle where one per event is "
                "needed; take sum, max, first, count or any of it, or an index (x[0]) where it "
                "is an array of a fixed size"
            )
        return values.array

    def condition(self, text: str, what: str) -> np.ndarray:
        """Return the truth (k,) of a condition on events.

        Args:
            text: an expression.
            what: its key, for messages.

        Returns:
            (k,) bool.

        Raises:
            InputError: it has one value per particle, or one that is neither true nor false.
        """
        found = self.per_event(text, what)
        if found.dtype.kind != "b" and not np.isin(found, (0, 1)).all():
            at = int(np.flatnonzero(~np.isin(found, (0, 1)))[0])
            raise InputError(
                f"{self.place(at)}: {what}: {text!r} is {found[at]}, which is neither true nor "
                "false; write a comparison"
            )
        return found.astype(bool)

    def place(self, at: int) -> str:
        """Return where row `at` stands, for messages."""
        return f"{self.where}: entry {int(self.record[at])}"

    def take(self, keep: np.ndarray) -> Rows:
        """Return the records `keep` (k,) bool or positions.

        Args:
            keep: (k,) bool, or (m,) positions.

        Returns:
            m records.
        """
        index = np.flatnonzero(keep) if keep.dtype == bool else keep
        columns = {name: taken(values, index) for name, values in self.columns.items()}
        return Rows(self.where, self.first, self.record[index], columns)


def taken(values: Values, index: np.ndarray) -> Values:
    """Return the events `index` (k,) of a column.

    Args:
        values: of k events: (k,), or (M,) with offsets.
        index: (m,) positions.

    Returns:
        Values of m events.
    """
    if values.offsets is None:
        return Values(values.array[index], None, values.source)
    start = values.offsets[index]
    counts = values.offsets[index + 1] - start
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    rows = np.repeat(start - offsets[:-1], counts) + np.arange(offsets[-1])
    return Values(values.array[rows], offsets, values.source)


def cleared(values: Values, missing: tuple[float, ...]) -> Values:
    """Return a column with NaN in place of the values that stand for a missing number.

    They are compared as the column's type holds them: -999.9 is not the same number in float32.
    """
    array, gone = values.array, np.zeros((), bool)
    for value in missing:
        if array.dtype.kind == "f":
            with np.errstate(over="ignore"):  # what the type cannot hold is not there
                number = array.dtype.type(value)
            if np.isfinite(number):
                gone = gone | (array == number)
        elif array.dtype.kind in "iu" and value == int(value):
            gone = gone | (array == int(value))
    if not gone.any():
        return values
    return Values(np.where(gone, np.nan, array), values.offsets, values.source)
