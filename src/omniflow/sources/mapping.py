"""Mapping: levels, weights and ids made of the columns of files."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from omniflow.errors import InputError
from omniflow.events.hashing import mixed
from omniflow.events.sample import Level
from omniflow.expressions import Values, parse
from omniflow.sources.readers.reader import refuse_unknown
from omniflow.sources.rows import Rows, cleared

if TYPE_CHECKING:
    from omniflow.sources.mapped import Column, LevelMap, Mapped


def records(
    source: Mapped, files: tuple[str, ...], table: str | None, names: frozenset[str]
) -> Iterator[Rows]:
    """Yield the chosen records of files, by blocks, without those that `preselection` leaves out.

    Raises:
        InputError: a file cannot be read or lacks a column, or there are fewer records than asked.
    """
    first, last = 0, None if source.events is None else source.skip + source.events
    seen, kept = 0, 0
    for path in files:
        with source.reader(path, table) as reader:
            count = reader.count()
            refuse_unknown(reader, sorted(names))
            start = max(source.skip - first, 0)
            stop = count if last is None else min(max(last - first, 0), count)
            at = start
            if start < stop:
                for size, columns in reader.chunks(sorted(names), start, stop):
                    cleaned = {
                        name: cleared(values, source.missing) for name, values in columns.items()
                    }
                    rows = Rows(reader.where, first, np.arange(at, at + size), cleaned)
                    at, seen = at + size, seen + size
                    if source.preselection is not None:
                        rows = rows.take(rows.condition(source.preselection, "preselection"))
                    kept += len(rows)
                    if len(rows):
                        yield rows
        first += count
    more = " and others" if len(files) > 1 else ""
    if not first:
        raise InputError(
            f"{', '.join(files)}{f': {table}' if table else ''}: there are no records; give files "
            "with events, or another table"
        )
    if (last is not None and last > first) or not seen:
        wanted = f"from {source.skip}" if last is None else f"{source.skip} to {last - 1}"
        raise InputError(
            f"{files[0]}{more}: records {wanted} are asked for but there are {first}; change "
            "events or skip, or add files"
        )
    if not kept:
        raise InputError(
            f"{files[0]}{more}: none of {seen} records passes preselection "
            f"({source.preselection}); correct it"
        )


def first_records(source: Mapped, level: LevelMap) -> Iterator[Rows]:
    """Yield records of the first file of a level's table, with the columns of its expressions.

    Those of friends are not among them; nothing is yielded where one is needed.
    """
    levels = (level,) if source.apart else source.levels
    texts = [text for each in levels for text in each.texts()]
    names = {name for text in texts for name in parse(text, indices=True).names}
    if source.preselection is not None:
        names |= parse(source.preselection, indices=True).names
    files, table = source.table_of(level)
    with source.reader(files[0], table) as reader:
        if reader.lacking(names):
            return
        last = source.skip + source.events if source.events is not None else reader.count()
        count = max(min(last, reader.count()) - source.skip, 0)
    if count:
        first = source.model_copy(update={"events": count})
        yield from records(first, files[:1], table, frozenset(names))


def weight(rows: Rows, text: str, what: str) -> np.ndarray:
    """Return weights (k,) float64.

    Args:
        rows: k records.
        text: expression of the weight.
        what: its key, for messages.

    Returns:
        (k,) float64, finite.

    Raises:
        InputError: one is not a number.
    """
    found = np.array(rows.per_event(text, what), np.float64)
    bad = ~np.isfinite(found)
    if bad.any():
        at = int(np.flatnonzero(bad)[0])
        raise InputError(
            f"{rows.place(at)}: {what}: {text!r} is {found[at]}; leave such records out by "
            "`preselection`, or mend the file"
        )
    return found


def named_weights(source: Mapped, rows: Rows) -> dict[str, np.ndarray]:
    """Return the further weights (k,) of records by name, `replica-<n>` those of replicas.

    Args:
        source: with the expressions of weights.
        rows: k records.

    Returns:
        (k,) float64 by name.

    Raises:
        InputError: a weight is not a number.
    """
    found = {n: weight(rows, text, f"weights.{n}") for n, text in source.weights.items()}
    for number, text in enumerate(source.replicas, 1):
        found[f"replica-{number}"] = weight(rows, text, f"replicas.{number}")
    return found


def ids(source: Mapped, rows: Rows) -> np.ndarray:
    """Return event ids (k,) uint64: record numbers, one column, or a hash of several.

    Args:
        source: with the expressions of ids.
        rows: k records.

    Returns:
        (k,) uint64.

    Raises:
        InputError: an id is negative or no whole number.
    """
    if not source.id:
        return (rows.first + rows.record).astype(np.uint64)
    columns = [_whole(rows, text) for text in source.id]
    if len(columns) == 1:
        return columns[0]
    total = np.zeros(len(rows), np.uint64)
    for column in columns:
        total = mixed(total + column)
    return total


def _whole(rows: Rows, text: str) -> np.ndarray:
    """Return a column of ids (k,) uint64."""
    found = rows.per_event(text, "id")
    if found.dtype.kind == "f":
        limit = 2.0 ** (np.finfo(found.dtype).nmant + 1)
        if (found >= limit).any():
            at = int(np.argmax(found >= limit))
            raise InputError(
                f"{rows.place(at)}: id: {text!r} is {found[at]:.17g}, but {found.dtype} holds "
                f"whole numbers up to {limit:.0f} only, so that different events may have the same "
                "id; write ids as integers"
            )
        bad = ~(np.isfinite(found) & (found == np.floor(found)) & (found >= 0))
    else:
        bad = found < 0
    if bad.any():
        at = int(np.flatnonzero(bad)[0])
        raise InputError(
            f"{rows.place(at)}: id: {text!r} is {found[at]}; ids are whole numbers from 0 on"
        )
    return found.astype(np.uint64)


def level(
    settings: LevelMap, rows: Rows, name: str, *, fail_is_empty: bool
) -> tuple[Level, np.ndarray]:
    """Return a level of the records, and which of them pass its selection, (k,) bool.

    Args:
        settings: how it is made.
        rows: the records.
        name: of the level, for messages.
        fail_is_empty: whether events that fail have rows of zeros and no particles.

    Returns:
        A level of k events, and (k,) bool.

    Raises:
        InputError: a value is missing, is no number, or is of another kind than is needed.
    """
    event = np.empty((len(rows), len(settings.event)), np.float32)
    for at, (key, column) in enumerate(settings.event.items()):
        event[:, at] = _single(rows.per_event(column.expression, f"{name}.event.{key}"), column)
    present = ~np.isnan(event).any(axis=1)
    passes = present
    if settings.selection is not None:
        passes = rows.condition(settings.selection, f"{name}.selection")
        # Fakes have no truth: what fails may lack it.
        blank = ~passes if fail_is_empty else ~passes & ~present
    else:
        blank = ~passes if fail_is_empty else np.zeros(len(rows), bool)
    event[blank] = 0
    _refuse_missing(settings, rows, name, event, ~np.isfinite(event).all(axis=1))
    particles, offsets = _particles(settings, rows, name, passes if fail_is_empty else None)
    return Level(
        event, particles, offsets, tuple(settings.event), tuple(settings.particles)
    ), passes


def _single(values: np.ndarray, column: Column) -> np.ndarray:
    """Return values in the stored unit, float32."""
    factor = column.factor[0]
    with np.errstate(over="ignore"):  # what float32 cannot hold is refused as infinite
        return (values if factor == 1 else values * factor).astype(np.float32, copy=False)


def _refuse_missing(
    settings: LevelMap, rows: Rows, name: str, event: np.ndarray, bad: np.ndarray
) -> None:
    if not bad.any():
        return
    at = int(np.flatnonzero(bad)[0])
    key = list(settings.event)[int(np.flatnonzero(~np.isfinite(event[at]))[0])]
    text = settings.event[key].expression
    if name == "particle":
        mend = (
            "make particle.selection fail for it if it is a fake, leave it out by `preselection`, "
            "or give another expression (where)"
        )
    else:
        mend = f"make {name}.selection fail for it, or mend the file"
    value = event[at, list(settings.event).index(key)]
    what = "missing" if np.isnan(value) else f"{value}, or above what float32 holds"
    raise InputError(f"{rows.place(at)}: {name}.event.{key}: {text!r} is {what}; {mend}")


def _particles(
    settings: LevelMap, rows: Rows, name: str, passes: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Return particles (M, F) float32 and offsets (k + 1,) of a level."""
    none = np.zeros((0, len(settings.particles)), np.float32)
    if not settings.particles:
        return none, np.zeros(len(rows) + 1, np.int64)
    found = {}
    for key, column in settings.particles.items():
        values = rows.evaluate(column.expression)
        if values.offsets is None:
            raise InputError(
                f"{rows.where}: {name}.particles.{key}: {column.expression!r} has one value per "
                "event where one per particle is needed; it belongs under event"
            )
        found[key] = values
    (reference, first), *others = found.items()
    for key, values in others:
        _refuse_other_collection(rows, name, (reference, first), (key, values))
    keep = _kept(settings, rows, name, first)
    counts = np.diff(first.bounds)
    if passes is not None and not passes.all():
        keep = np.repeat(passes, counts) if keep is None else keep & np.repeat(passes, counts)
    if keep is not None:
        owner = np.repeat(np.arange(len(rows)), counts)[keep]
        counts = np.bincount(owner, minlength=len(rows))
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    particles = np.empty((int(offsets[-1]), len(found)), np.float32)
    for at, (key, column) in enumerate(settings.particles.items()):
        array = found[key].array
        particles[:, at] = _single(array if keep is None else array[keep], column)
    _refuse_bad_particle(settings, rows, name, particles, offsets)
    return particles, offsets


def _kept(settings: LevelMap, rows: Rows, name: str, like: Values) -> np.ndarray | None:
    if settings.keep is None:
        return None
    values = rows.evaluate(settings.keep)
    if values.offsets is None or values.array.dtype != np.bool_:
        raise InputError(
            f"{rows.where}: {name}.keep: {settings.keep!r} is no condition on particles; write a "
            "comparison of their columns"
        )
    _refuse_other_collection(rows, name, (next(iter(settings.particles)), like), ("keep", values))
    return values.array


def _refuse_other_collection(
    rows: Rows, name: str, one: tuple[str, Values], other: tuple[str, Values]
) -> None:
    differs = np.flatnonzero(np.diff(one[1].bounds) != np.diff(other[1].bounds))
    if len(differs):
        at = int(differs[0])
        counts = [int(np.diff(values.bounds)[at]) for _, values in (one, other)]
        raise InputError(
            f"{rows.place(at)}: {name}.particles: {one[0]} has {counts[0]} values and {other[0]} "
            f"has {counts[1]}; all columns of particles must be of one collection"
        )


def _refuse_bad_particle(
    settings: LevelMap, rows: Rows, name: str, particles: np.ndarray, offsets: np.ndarray
) -> None:
    bad = ~np.isfinite(particles)
    if bad.any():
        row, column = (int(axis[0]) for axis in np.nonzero(bad))
        at = int(np.searchsorted(offsets, row, side="right")) - 1
        key = list(settings.particles)[column]
        raise InputError(
            f"{rows.place(at)}: {name}.particles.{key}: is {particles[row, column]} for its "
            f"particle {row - int(offsets[at])}; leave such particles out by {name}.keep"
        )


def place(source: Mapped, event_id: int, most: int = 1) -> str:
    """Return the file, table and entry of the event with an id, and what its id columns hold.

    Args:
        source: that it is of.
        event_id: its id.
        most: how many events are named, where several have the id.
    """
    names = source.names(weights=False)
    found: list[str] = []
    for files, table in dict.fromkeys(map(source.table_of, source.levels)):
        found = []
        for rows in records(source, files, table, names):
            at = np.flatnonzero(ids(source, rows) == np.uint64(event_id))
            found += [named(source, rows, int(each)) for each in at[: most - len(found)]]
            if len(found) == most:
                return " and ".join(found)
        if found:
            break
    return " and ".join(found) or f"event with id {event_id}"


def named(source: Mapped, rows: Rows, at: int) -> str:
    """Return where record `at` stands, with the values of its id columns."""
    columns = [f"{text} {_whole(rows, text)[at]}" for text in source.id]
    return rows.place(at) + (f" ({', '.join(columns)})" if columns else "")
