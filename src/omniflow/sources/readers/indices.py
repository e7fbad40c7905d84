"""Indices: `Jet.Tau[2]` is the third of the numbers that every jet has in `Jet.Tau`."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from omniflow.errors import InputError
from omniflow.expressions.errors import written

_LAST = re.compile(r"(.+)\[(-?\d+)\]")


def split(name: str, known: Collection[str]) -> tuple[str, tuple[int, ...]]:
    """Return the column that a name stands for, and the indices behind it.

    Columns that are known by the name as it is come first.

    Args:
        name: as an expression has it.
        known: columns that there are.

    Returns:
        Name of the column, and its indices.

    Examples:
        >>> split("Jet.Tau[2]", known=["Jet.Tau"])
        ('Jet.Tau', (2,))
    """
    column = name
    indices: tuple[int, ...] = ()
    while column not in known and (found := _LAST.fullmatch(column)):
        column, indices = found[1], (int(found[2]), *indices)
    return column, indices


def check(where: str, column: str, indices: Sequence[int], axes: Sequence[int | None]) -> None:
    """Refuse indices that do not leave one number per event or per particle.

    Args:
        where: file and table, for messages.
        column: its name.
        indices: those that are given, of the last axes.
        axes: lengths of the axes behind the event; None where it varies.

    Raises:
        InputError: the message says which indices there are.
    """
    if problem := refusal(column, indices, axes):
        raise InputError(f"{where}: {shown(column, indices)}: {problem}")


def refusal(column: str, indices: Sequence[int], axes: Sequence[int | None]) -> str:
    """Return what is wrong with indices, or nothing; as `check`."""
    fixed = _fixed(axes)
    left = axes[: max(len(axes) - len(indices), 0)]
    if indices and not fixed:
        if axes:
            return _nested(axes) if len(axes) > 1 else _varying(column, indices)
        return "is one number per event, which has no index; leave it out"
    if len(indices) > len(fixed):
        most = f"there are no more than {len(fixed)} indices"
        return f"{_size(axes)}, so that {most}: {_how(column, fixed)}"
    for index, size in zip(indices, fixed[len(fixed) - len(indices) :], strict=True):
        if not 0 <= index < size:
            return f"{_size(axes)}, which are counted from 0: {_how(column, fixed)}"
    if len(left) <= 1:
        return ""
    if left[-1] is None:
        return _nested(axes)
    return f"{_size(axes)}: take one by its index, {_how(column, fixed)}"


def shown(column: str, indices: Sequence[int]) -> str:
    """Return how an expression has to write a column with indices."""
    return written(column) + "".join(f"[{index}]" for index in indices)


def _fixed(axes: Sequence[int | None]) -> tuple[int, ...]:
    """Return the lengths of the last axes, all of which are fixed."""
    fixed: tuple[int, ...] = ()
    for size in reversed(axes):
        if size is None:
            break
        fixed = (size, *fixed)
    return fixed


def _size(axes: Sequence[int | None]) -> str:
    fixed = _fixed(axes)
    per = "per event" if len(fixed) == len(axes) else "per particle"
    return f"holds {' x '.join(map(str, fixed))} numbers {per}"


def _how(column: str, fixed: Sequence[int]) -> str:
    last = [size - 1 for size in fixed]
    if not all(fixed):
        return "there are none"
    return f"{shown(column, [0] * len(fixed))} to {shown(column, last)}"


def _varying(column: str, indices: Sequence[int]) -> str:
    return (
        "is a list of particles, as many as the event has, and no array of a fixed size; one of "
        f"them is nth({written(column)}, {indices[0]})"
    )


def _nested(axes: Sequence[int | None]) -> str:
    return (
        f"holds lists in lists ({len(axes)} levels, as of std::vector<std::vector<float>>), whose "
        "lengths vary; write what you need of the inner ones (sum, first) as a list of its own, or "
        "arrays of a fixed size"
    )
