"""Values: what the numbers of a column tell of it: units, absent ones, flags, ids."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from omniflow.drafts import names
from omniflow.drafts.content import Table
from omniflow.drafts.draft import TODO
from omniflow.events.hashing import mixed
from omniflow.events.plausibility import BEAM, MISSING
from omniflow.expressions import Values

ABSENT = (-99.0, *MISSING, -99.9, -999.9)
_MOMENTA = ("pt", "e", "p", "px", "py", "pz", "mass")
_WHOLE = 20_000_000  # records up to which ids are compared


def is_flag(values: Values) -> bool:
    """Return whether a column of events holds 0 and 1 alone."""
    if values.offsets is not None:
        return False
    return values.array.dtype.kind == "b" or bool(np.isin(values.array, (0, 1)).all())


def is_constant(values: Values) -> bool:
    """Return whether all values are the same."""
    array = values.array
    return len(array) > 1 and bool((array == array[0]).all())


def absent(columns: Iterable[Values]) -> tuple[float, ...]:
    """Return the numbers that stand for missing ones in columns: far below all others."""
    found = set()
    for values in columns:
        array = values.array
        if array.dtype.kind not in "if" or not len(array):
            continue
        numbers = array[np.isfinite(array)].astype(np.float64)
        if not len(numbers):
            continue
        for number in ABSENT:
            same = np.abs(numbers - number) <= 2e-7 * abs(number)
            others = numbers[~same]
            far = len(others) > 0 and others.min() > number / 2
            if same.any() and (far or number in MISSING):
                found.add(number)
    return tuple(sorted(found, reverse=True))


def cleared(values: Values, missing: tuple[float, ...]) -> np.ndarray:
    """Return the numbers of a column, NaN where they are missing.

    Args:
        values: (k,) of the column.
        missing: numbers that stand for none.

    Returns:
        (k,) float64.
    """
    array = values.array.astype(np.float64)
    for number in missing:
        array[np.abs(array - number) <= 2e-7 * abs(number)] = np.nan
    return array


def unit(name: str, values: Values, missing: tuple[float, ...] = ()) -> str:
    """Return the unit that values probably have: of momenta GeV or MeV, of angles rad or deg."""
    kind = names.quantity(name)
    word = names.plain(name)
    array = np.abs(cleared(values, missing))
    array = array[np.isfinite(array)]
    largest = float(array.max()) if len(array) else 0.0
    if kind in _MOMENTA or word.endswith(("met", "ht", "sumet", "mjj", "mll")):
        return "MeV" if largest > BEAM else "GeV"
    if kind == "phi" or word.endswith("phi"):
        return "deg" if 2 * math.pi < largest <= 360 else "rad"
    return ""


def unique_ids(table: Table, columns: list[str]) -> tuple[list[str], str]:
    """Return columns as ids, and why not where they are none.

    Args:
        table: that they are in.
        columns: such as run, luminosity block, event.

    Returns:
        the columns, none where they do not tell events apart; and a sentence.
    """
    if not columns:
        return [], "no column tells events apart: their number in the files does"
    shown = ", ".join(columns)
    if table.entries > _WHOLE:
        return columns, "whether they are unique has not been looked at in so many records"
    found = table.together(columns)
    for name in columns:
        array = found[name]
        if array.dtype.kind == "f":
            whole = np.isfinite(array) & (array == np.floor(array)) & (array >= 0)
            if not whole.all() or array.max(initial=0) >= 2.0 ** (np.finfo(array.dtype).nmant + 1):
                return [], f"{name} holds no whole numbers: events are told apart by their number"
        elif array.dtype.kind not in "iu" or (array.dtype.kind == "i" and (array < 0).any()):
            return [], f"{name} holds no numbers from 0 on: events are told apart by their number"
    again = table.entries - len(np.unique(hashed(found, columns)))
    if again:
        return [], (
            f"{TODO}{shown} repeats in {again:,} of {table.entries:,} records, so that events are "
            "told apart by their number. Is an event there twice, or is there a better id?"
        )
    return columns, ""


def hashed(found: Mapping[str, np.ndarray], columns: Sequence[str]) -> np.ndarray:
    """Return one number of each event, made of its ids.

    Args:
        found: (n,) whole numbers by name.
        columns: which of them, in their order.

    Returns:
        (n,) uint64.
    """
    total = np.zeros(len(found[columns[0]]), np.uint64)
    for name in columns:
        total = mixed(total + found[name].astype(np.uint64))
    return total
