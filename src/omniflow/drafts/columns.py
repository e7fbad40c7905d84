"""Columns: levels made of the columns of a table that no layout is known of."""

from __future__ import annotations

from collections import Counter
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
        weight_lists: names of arrays of weights, such as those of PDF sets.
        guessed: sentences on pairs that no word makes.
    """

    levels: dict[str, Level] = field(default_factory=dict)
    left: list[str] = field(default_factory=list)
    weights: list[str] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    weight_lists: list[str] = field(default_factory=list)
    guessed: list[str] = field(default_factory=list)


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
    singles = {n: v for n, v in known.items() if v.offsets is None and not names.is_index(n)}
    lists = {n: v for n, v in known.items() if v.offsets is not None}
    found.left += [n for n in wanted if n not in known]
    found.weights = names.weights(singles)
    found.ids = names.ids(singles)
    found.weight_lists = names.weights(lists)
    lists = {n: v for n, v in lists.items() if n not in found.weight_lists}
    skipped = {*found.weights, *found.ids, *_counters(singles, lists)}
    numbers = [n for n in singles if n not in skipped and not names.is_counter(n)]
    marks = {each.name: each for each in names.levels([*numbers, *lists])}
    if only:  # true columns of a table of detector level are none of it
        found.left += [n for n, m in marks.items() if only == "detector" and m.level == "particle"]
        marks = {n: Marked(n, m.base if m.level else n, only) for n, m in marks.items()}
        numbers = [n for n in numbers if n not in found.left]
        lists = {n: v for n, v in lists.items() if n not in found.left}
    flags = {n: level for n in numbers if (level := _flag(marks[n], singles[n]))}
    events = [marks[n] for n in numbers if n not in flags]
    found.left += [each.name for each in events if names.is_label(each.base)]
    events = [each for each in events if not names.is_label(each.base)]
    there = Counter(names.plain(each.base) for each in events)
    still = [e for e in events if values.is_constant(singles[e.name])]
    still = [e for e in still if there[names.plain(e.base)] == 1]  # tells nothing, has no partner
    found.left += [each.name for each in still]
    events = [each for each in events if each not in still]
    _fill_events(found, events if only else _paired(found, events, bool(lists)), singles)
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


def _paired(found: Found, marks: list[Marked], lists: bool) -> list[Marked]:
    """Return columns of events with pairs by last words, and the others as measured if need be.

    Args:
        found: what is to be said of it goes here.
        marks: of the columns.
        lists: whether particles make a level too.
    """
    if not any(each.level == "particle" for each in marks):
        return marks
    before = {each.name: each for each in marks}
    after = names.by_last_words(marks)
    true = {names.plain(each.base): each for each in after if each.level == "particle"}
    for each in (each for each in after if each.level == "detector"):
        other = true.get(names.plain(each.base))
        if other and (each, other) != (before[each.name], before[other.name]):
            found.guessed.append(f"{each.name} and {other.name} are taken for one quantity")
    if lists or all(e.level for e in after) or any(e.level == "detector" for e in after):
        return after
    found.guessed.append("no name says that it is measured: those that are not true are taken")
    return [each if each.level else Marked(each.name, each.base, "detector") for each in after]


def align(one: Level, other: Level) -> list[str]:
    """Give columns of events of two tables that are one quantity one name, and say which."""
    marks = [Marked(f"detector {key}", key, "detector") for key in one.event]
    marks += [Marked(f"particle {key}", key, "particle") for key in other.event]
    said = []
    for each in names.by_last_words(marks):
        level, _, key = each.name.partition(" ")
        columns = one.event if level == "detector" else other.event
        if each.base != key and each.base not in columns:
            columns[each.base] = columns.pop(key)
            said.append(f"{columns[each.base].expression} ({level} level)")
    return [f"{', '.join(said)} are paired by their last words"] if said else []


def same_units(*levels: Level) -> None:
    """Give all momenta one unit, MeV if any is in MeV; and columns of one name that of the first.

    Small momenta of a file in MeV look like those of one in GeV.
    """
    columns = [column for level in levels for _, _, column in level.columns()]
    if any(column.unit == "MeV" for column in columns):
        for column in columns:
            column.unit = "MeV" if column.unit == "GeV" else column.unit
    first: dict[str, str] = {}
    for level in levels:
        for part, key, column in level.columns():
            column.unit = first.setdefault(f"{part}.{key}", column.unit)


def _fill_events(found: Found, marks: list[Marked], singles: Mapping[str, Values]) -> None:
    """Put columns of events into levels; pairs have one name at both."""
    levels = {each.level for each in marks}
    paired = levels >= {"particle"} and levels != {"particle"}
    taken: dict[tuple[str, str], str] = {}
    keys: dict[str, str] = {}
    for each in marks:
        base, level = names.plain(each.base), each.level or "detector"
        if (not each.level and paired) or not base or (level, base) in taken:
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
        if values.is_constant(lists[each.name]):  # such as the mass of muons
            continue
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
