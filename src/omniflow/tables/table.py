"""A table: its columns, and building, writing and reading by them."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from omniflow.errors import InputError
from omniflow.files import write_csv

if TYPE_CHECKING:
    import pandas as pd


class Type(StrEnum):
    """What the cells of a column hold."""

    TEXT = "text"
    WHOLE = "whole number"
    WHOLE_OR_EMPTY = "whole number or empty"
    NUMBER = "number"


class When(StrEnum):
    """When a file is there, as docs/formats.md says it; `unfolding.results` knows it of a plan."""

    ALWAYS = "always"
    UNCERTAINTIES = "with `uncertainties`"
    STACKING = "with `aggregate: stacking`"
    ADAPTIVE = "with `methods.<name>.until`"


@dataclass(frozen=True)
class Column:
    """A column of a table: a name, what its cells hold, and what that means.

    Attributes:
        meaning: in Markdown, one line.
        unit: of the numbers; empty where they have none, or that of the observable.
    """

    name: str
    type: Type
    meaning: str
    unit: str = ""


def text(name: str, meaning: str) -> Column:
    """Return a column of text, which may be empty."""
    return Column(name, Type.TEXT, meaning)


def whole(name: str, meaning: str, *, empty: bool = False, unit: str = "") -> Column:
    """Return a column of whole numbers, some of which may be missing."""
    return Column(name, Type.WHOLE_OR_EMPTY if empty else Type.WHOLE, meaning, unit)


def number(name: str, meaning: str, unit: str = "") -> Column:
    """Return a column of numbers, empty where there are none."""
    return Column(name, Type.NUMBER, meaning, unit)


@dataclass(frozen=True)
class File:
    """A file for the reader, in the folder of a study.

    Attributes:
        name: with its ending.
        meaning: in Markdown, one line.
        when: it is there.
        notes: what else is to be said of it, in Markdown.
    """

    name: str
    meaning: str
    when: When = When.ALWAYS
    notes: str = ""

    @property
    def stem(self) -> str:
        """Name without its ending, by which tables are asked for."""
        return Path(self.name).stem


@dataclass(frozen=True, kw_only=True)
class Table(File):
    r"""A table in CSV.

    Attributes:
        columns: in their order.
        key: columns whose values no two rows share; empty: rows may be equal.

    Examples:
        >>> from omniflow.tables.table import Table, text, whole
        >>> lanes = Table(
        ...     "lanes.csv",
        ...     "lanes of methods",
        ...     columns=(text("method", "its name"), whole("lanes", "how many")),
        ...     key=("method",),
        ... )
        >>> lanes.build([{"lanes": 3, "method": "parallel"}]).to_csv(index=False)
        'method,lanes\nparallel,3\n'
        >>> lanes.build([{"method": "parallel"}])
        Traceback (most recent call last):
        ValueError: lanes.csv: column lanes is missing
    """

    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()

    @property
    def names(self) -> list[str]:
        """Names of the columns in their order."""
        return [column.name for column in self.columns]

    def build(
        self, rows: pd.DataFrame | Iterable[Mapping[str, Any]] | Mapping[str, Any]
    ) -> pd.DataFrame:
        """Return rows as a data frame of exactly these columns, in this order and of these types.

        Args:
            rows: a data frame, rows by column, or columns (n,) by name; where there are no rows,
                the columns may be missing.

        Returns:
            Rows in the order in which they came.

        Raises:
            ValueError: a column is missing or unknown, a cell does not fit its type, or two rows
                have the same key; the message names file, column and row.
        """
        import pandas as pd

        if not isinstance(rows, pd.DataFrame):
            rows = pd.DataFrame(rows if isinstance(rows, Mapping) else list(rows))
        if rows.empty:
            rows = rows.reindex(columns=list(dict.fromkeys([*self.names, *rows.columns])))
        _same_columns(self, list(rows.columns), ValueError, self.name)
        frame = pd.DataFrame({c.name: _typed(c, rows[c.name], self.name) for c in self.columns})
        self._check_key(frame, ValueError, self.name)
        return frame

    def write(self, rows: pd.DataFrame | Iterable[Mapping[str, Any]], path: Path) -> None:
        """Write rows, built by the columns, as CSV, atomically.

        Raises:
            ValueError: as `build`.
        """
        write_csv(self.build(rows), path)

    def read(self, path: Path) -> pd.DataFrame:
        """Return what a file holds, checked by the columns.

        Returns:
            Text as str, `""` where it is empty; whole numbers as int64, or Int64 where they may be
            missing; other numbers as float64, NaN where they are missing.

        Raises:
            InputError: the file is missing or no CSV; a column is missing or unknown; a cell does
                not fit its type; or two rows have the same key. The message names file, column and
                line.
        """
        import pandas as pd

        names, rows = _read_cells(path)
        _same_columns(self, names, InputError, f"{path}")
        cells = dict(
            zip(names, zip(*rows, strict=True) if rows else [()] * len(names), strict=True)
        )
        frame = pd.DataFrame({c.name: _parsed(c, cells[c.name], path) for c in self.columns})
        self._check_key(frame, InputError, f"{path}")
        return frame

    def _check_key(self, frame: pd.DataFrame, error: type[Exception], where: str) -> None:
        """Refuse rows that share their key."""
        keys = list(self.key)
        if keys and (repeated := frame.duplicated(keys)).any():
            first = frame.loc[repeated, keys].iloc[0]
            found = ", ".join(f"{name} {value}" for name, value in first.items())
            raise error(f"{where}: more than one row for {found}")


def _same_columns(table: Table, found: list[str], error: type[Exception], where: str) -> None:
    """Refuse columns that are missing, unknown or given twice."""
    missing = [name for name in table.names if name not in found]
    if len(found) > len(set(found)) and not missing:
        twice = next(name for name in found if found.count(name) > 1)
        raise error(f"{where}: column {twice} is given twice")
    unknown = [str(name) for name in found if name not in table.names]
    for names, what in ((missing, "missing"), (unknown, "unknown")):
        if names:
            plural = "columns" if len(names) > 1 else "column"
            verb = "are" if len(names) > 1 else "is"
            raise error(f"{where}: {plural} {', '.join(names)} {verb} {what}")


def _typed(column: Column, values: pd.Series, file: str) -> Any:
    """Return the cells (n,) of a column in its type."""
    import pandas as pd

    if column.type is Type.TEXT:
        found, wrong = values.to_numpy(object), np.zeros(len(values), bool)
        if pd.api.types.infer_dtype(found, skipna=False) not in ("string", "empty"):
            wrong = np.array([not isinstance(each, str) for each in values], bool)
    elif values.dtype.kind in "iuf":  # numbers already, as most are
        found = values.to_numpy(float, na_value=np.nan)
        wrong = _misfits(found, column.type)
    else:
        numbers = pd.to_numeric(values, errors="coerce")
        found = numbers.to_numpy(float, na_value=np.nan)
        wrong = np.isnan(found) & values.notna().to_numpy(bool) | _misfits(found, column.type)
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        (found,) = values.iloc[row : row + 1].tolist()
        raise ValueError(
            f"{file}: column {column.name}, row {row}: {found!r}, not {_words(column)}"
        )
    return _stored(found, column.type)


def _parsed(column: Column, cells: Sequence[str], path: Path) -> Any:
    """Return what the cells (n,) of a column say, in its type."""
    if column.type is Type.TEXT:
        return np.array(cells, object)
    found = np.array([_number(cell) for cell in cells], float)
    wrong = _misfits(found, column.type)
    for row in np.flatnonzero(np.isnan(found)):
        wrong[row] |= cells[row].strip().lower() not in ("", "nan")
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise InputError(
            f"{path}: column {column.name}, line {row + 2}: {cells[row]!r}, not {_words(column)}"
        )
    return _stored(found, column.type)


def _number(cell: str) -> float:
    """Return a number to the last digit, NaN for what is none; pandas crashes on 1e99999999."""
    try:
        return np.nan if "_" in cell else float(cell)  # Python reads 1_0 as 10
    except ValueError:
        return np.nan


def _words(column: Column) -> str:
    """Return what a cell must be."""
    return column.type if column.type is Type.TEXT else f"a {column.type}"


def _misfits(found: np.ndarray, type_: Type) -> np.ndarray:
    """Return which numbers (n,) do not fit a type."""
    if type_ is Type.NUMBER:
        return np.zeros(len(found), bool)
    whole = np.abs(found) <= 2**53
    whole[whole] = found[whole] == np.round(found[whole])
    return ~(whole | np.isnan(found)) if type_ is Type.WHOLE_OR_EMPTY else ~whole


def _stored(found: np.ndarray, type_: Type) -> Any:
    """Return cells (n,), which fit, as the type is stored."""
    import pandas as pd

    if type_ is Type.WHOLE:
        return found.astype(np.int64)
    if type_ is Type.WHOLE_OR_EMPTY:
        return pd.array(found, dtype="Int64")
    return found


def _read_cells(path: Path) -> tuple[list[str], list[list[str]]]:
    """Return the names of the columns of a CSV file, and its rows as they stand there."""
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            lines = csv.reader(file, strict=True)
            names, rows = next(lines, []), []
            for cells in lines:
                if len(cells) != len(names):
                    raise InputError(
                        f"{path}: line {lines.line_num} has {len(cells)} cells, and there are "
                        f"{len(names)} columns"
                    )
                rows.append(cells)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); run the evaluation") from None
    except (csv.Error, ValueError) as error:
        raise InputError(f"{path}: not a CSV table ({error})") from None
    if not names:
        raise InputError(f"{path}: not a CSV table (its first line is empty)")
    return names, rows
