"""Columns: levels made of the columns of a table that no layout is known of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from omniflow.drafts import names, values
from omniflow.drafts.content import Table
from omniflow.drafts.draft import TODO, Column, Level
from omniflow.drafts.names import Marked
from omniflow.expressions import Values
from omniflow.sources.readers.arrays import Layout

_WIDE = 40  # columns of an array (N, C) that are written down
_SHOWN = 20  # names in a sentence


@dataclass
class Found:
    """What the columns of a table make.

    Attributes:
        levels: by name; of a table of one level that alone.
        left: names that no place was found for.
        weights: names, the most likely nominal one first.
        ids: names of what tells events apart.
    """

    levels: dict[str, Level] = field(default_factory=dict)
    left: list[str] = field(default_factory=list)
    weights: list[str] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)


def sort(table: Table, only: str = "") -> Found:
    """Return the levels that the columns of a table make.

    Args:
        table: the table.
        only: the level of all columns, where it holds one alone.
    """
    layout = table.layout
    found = Found()
    wanted = _usable(table, layout, found)
    known = table.values(wanted, layout)
    singles = {n: v for n, v in known.items() if v.offsets is None}
    lists = {n: v for n, v in known.items() if v.offsets is not None}
    found.left += [n for n in wanted if n not in known]
    found.weights = names.weights(singles)
    found.ids = names.ids(singles)
    skipped = {*found.weights, *found.ids, *_counters(singles, lists)}
    numbers = [n for n in singles if n not in skipped and not names.is_counter(n)]
    marks = {each.name: each for each in names.levels([*numbers, *lists])}
    if only:
        marks = {n: Marked(n, m.base if m.level else n, only) for n, m in marks.items()}
    flags = {n: level for n in numbers if (level := _flag(marks[n], singles[n]))}
    _fill_events(found, [marks[n] for n in numbers if n not in flags], singles, only)
    _fill_particles(found, [marks[n] for n in lists], lists)
    for level in ("detector", "particle"):
        texts = [_condition(n, singles[n]) for n, at in flags.items() if at == level]
        if texts and level in found.levels:
            found.levels[level].selection = " and ".join(texts)
            found.levels[level].notes["selection"] = "flag of the file"
        elif texts:
            found.left += [n for n, at in flags.items() if at == level]
    return found


def _usable(table: Table, layout: Layout, found: Found) -> list[str]:
    """Return the names of columns that are looked at."""
    if not table.arrays:
        return list(table.names)
    wanted = []
    counters = set(layout.counts.values())
    for array in (each for each in table.arrays.values() if each.name not in counters):
        if not array.shape:
            found.left.append(array.name)
        elif array.dtype.names:
            prefix = f"{array.name}." if array.prefix is None else array.prefix
            wanted += [f"{prefix}{key}" for key in array.dtype.names]
        elif array.labels is not None:
            wanted += [f"{array.prefix or ''}{label}" for label in array.labels]
        elif len(array.shape) == 1 or array.name in layout.padded:
            wanted.append(array.name)
        elif len(array.shape) in (2, 3) and array.shape[-1] <= _WIDE:
            wanted += [f"{array.name}_{at}" for at in range(array.shape[-1])]
        else:
            found.left.append(array.name)
    return wanted


def _counters(singles: Mapping[str, Values], lists: Mapping[str, Values]) -> set[str]:
    """Return the columns that are nothing but numbers of particles, such as `nJet`."""
    sizes = [np.diff(each.offsets) for each in lists.values() if each.offsets is not None]
    found = set()
    for name, each in singles.items():
        called = name.startswith(("n", "N", "cnt", "count")) or name.endswith(("_size", "_n"))
        if called and any(len(s) == len(each.array) and (s == each.array).all() for s in sizes):
            found.add(name)
    return found


def _flag(found: Marked, column: Values) -> str:
    return names.flag_level(found) if values.is_flag(column) else ""


def _condition(name: str, column: Values) -> str:
    text = names.expression(name)
    return text if column.array.dtype.kind == "b" else f"{text} == 1"


def _fill_events(
    found: Found, marks: list[Marked], singles: Mapping[str, Values], only: str
) -> None:
    """Put columns of events into levels; pairs have one name at both."""
    paired = any(each.level == "particle" for each in marks) and not only
    taken: dict[tuple[str, str], str] = {}
    keys: dict[str, str] = {}
    for each in marks:
        constant = values.is_constant(singles[each.name]) or each.base == ""
        if (not each.level and paired) or (constant and not paired):
            found.left.append(each.name)
            continue
        level = each.level or "detector"
        base = each.base.lower()
        if (level, base) in taken:
            found.left.append(each.name)
            continue
        taken[level, base] = each.name
        key = keys.setdefault(base, names.column(each.base, set(keys.values())))
        unit = values.unit(each.base, singles[each.name], values.absent([singles[each.name]]))
        column = Column(names.expression(each.name), unit)
        found.levels.setdefault(level, Level()).event[key] = column


def _fill_particles(found: Found, marks: list[Marked], lists: Mapping[str, Values]) -> None:
    """Put the columns of one collection per level into levels."""
    groups: dict[tuple[str, str], dict[str, Marked]] = {}
    for each in marks:
        level = each.level or "detector"
        # A level may be told by the collection alone: `reco` (N, P, F), `reco_0`.
        base = names.collection(each.base)
        last = each.base[len(base) :].lstrip("_./:") or each.base
        groups.setdefault((level, base), {}).setdefault(last, each)
    chosen = _chosen(groups, lists)
    for level, base in chosen.items():
        columns = _columns(groups[level, base], lists)
        if columns:
            target = found.levels.setdefault(level, Level())
            target.particles = columns
            if all(last.isdigit() for last in groups[level, base]):  # of an array (N, P, F)
                target.notes["particles"] = (
                    f"{TODO}what is which? Call momenta pt, eta, phi, and networks know them"
                )
    used = {m.name for level, base in chosen.items() for m in groups[level, base].values()}
    found.left += [n for n in lists if n not in used]


def _chosen(
    groups: Mapping[tuple[str, str], Mapping[str, Marked]], lists: Mapping[str, Values]
) -> dict[str, str]:
    """Return the collection of each level: momenta first, one that both levels have, large ones."""

    def worth(level: str, base: str) -> tuple[int, int, int]:
        members = groups[level, base]
        known = {names.quantity(each.base) for each in members.values()}
        other = "particle" if level == "detector" else "detector"
        return len(known & {"pt", "eta", "phi"}), int((other, base) in groups), len(members)

    found: dict[str, str] = {}
    for level in ("detector", "particle"):
        bases = [base for at, base in groups if at == level]
        if bases:
            found[level] = max(bases, key=lambda base: worth(level, base))
    return found


def _offsets(values: Values) -> np.ndarray:
    """Return where each event's part of a list begins, (n + 1,)."""
    assert values.offsets is not None  # lists alone come here
    return values.offsets


def _columns(members: Mapping[str, Marked], lists: Mapping[str, Values]) -> dict[str, Column]:
    """Return the columns of a collection, momenta by the names that features know."""
    first = next(iter(members.values()))
    offsets = _offsets(lists[first.name])
    same = {
        last: each
        for last, each in members.items()
        if np.array_equal(_offsets(lists[each.name]), offsets)
    }
    if all(last.isdigit() for last in same):
        return _numbered([same[last] for last in sorted(same, key=int)], lists)
    found: dict[str, Column] = {}
    order = {name: at for at, name in enumerate(names.QUANTITIES)}
    for last, each in sorted(
        same.items(), key=lambda item: order.get(names.quantity(item[0]), len(order))
    ):
        key = names.column(names.quantity(last) or last, found)
        unit = values.unit(last, lists[each.name])
        found[key] = Column(names.expression(each.name), unit)
    return found


def _numbered(members: Iterable[Marked], lists: Mapping[str, Values]) -> dict[str, Column]:
    """Return the columns of an array (N, P, F): pt, eta, phi where the numbers look like them."""
    members = list(members)
    arrays = [lists[each.name].array for each in members]
    found = {}
    looks = (
        len(arrays) >= 3
        and (arrays[0] > 0).all()
        and np.abs(arrays[1]).max(initial=0) < 10
        and (arrays[1] < 0).any()
        and np.abs(arrays[2]).max(initial=0) <= 2 * np.pi
        and (arrays[2] < 0).any()
    )
    for at, each in enumerate(members):
        key = ("pt", "eta", "phi")[at] if looks and at < 3 else f"p{at}"
        unit = {"pt": values.unit("pt", lists[each.name]), "phi": "rad"}.get(key, "")
        found[key] = Column(names.expression(each.name), unit)
    return found


def sentence(left: list[str]) -> str:
    """Return which columns were left out, as a sentence; nothing where there are none."""
    if not left:
        return ""
    more = f" and {len(left) - _SHOWN} more" if len(left) > _SHOWN else ""
    return f"Not used: {', '.join(left[:_SHOWN])}{more}."
