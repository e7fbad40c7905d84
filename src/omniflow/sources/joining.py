"""Joining: levels and friends that lie in tables of their own, by event id."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from omniflow.errors import InputError
from omniflow.events.sample import Events, Level
from omniflow.expressions import Values
from omniflow.sources import mapping
from omniflow.sources.readers.reader import refuse_unknown
from omniflow.sources.rows import Rows, taken

if TYPE_CHECKING:
    from omniflow.sources.mapped import Friend, LevelMap, Mapped


_NOMINAL = ""  # among weights by name


@dataclass(frozen=True)
class Joined:
    """All events of a friend, ordered by id.

    Attributes:
        where: its files, for messages.
        event_id: (m,) uint64, rising.
        columns: (m,) or jagged, by name.
    """

    where: str
    event_id: np.ndarray
    columns: dict[str, Values]

    def joined(self, source: Mapped, rows: Rows) -> Rows:
        """Return records with the friend's columns beside their own.

        Raises:
            InputError: a record has no event with its id in the friend.
        """
        wanted = mapping.ids(source, rows)
        at = np.minimum(np.searchsorted(self.event_id, wanted), len(self.event_id) - 1)
        lost = np.flatnonzero(self.event_id[at] != wanted)
        if len(lost):
            raise InputError(
                f"{mapping.named(source, rows, int(lost[0]))}: {self.where} has no event with its "
                f"id; so it is with {len(lost)} of {len(rows)} records: leave them out by "
                "`preselection`, or give the files that belong together"
            )
        more = {name: taken(values, at) for name, values in self.columns.items()}
        return Rows(rows.where, rows.first, rows.record, {**rows.columns, **more})


def friend(source: Mapped, settings: Friend, names: frozenset[str]) -> Joined:
    """Read what a friend has of the columns `names`.

    Columns of the sample itself come first where both have them.

    Raises:
        InputError: it cannot be read, has none of them, or an id twice.
    """
    table = settings.table if settings.table is not None else source.table
    with source.reader(source.files[0], source.table) as reader:
        lacking = frozenset(reader.lacking(names))
    with source.reader(settings.files[0], table) as reader:
        where, wanted = reader.where, lacking - frozenset(reader.lacking(lacking))
        if not wanted:
            refuse_unknown(reader, sorted(lacking))
            raise InputError(f"{where}: gives no column that the sample lacks; leave it out")
    if not source.id:
        _refuse_other_lengths(source)
    whole = source.model_copy(update={"events": None, "skip": 0, "preselection": None})
    of_ids = whole.names(weights=False)
    parts = list(mapping.records(whole, settings.files, table, wanted | of_ids))
    event_id = np.concatenate([mapping.ids(source, rows) for rows in parts])
    order = np.argsort(event_id, kind="stable")
    _refuse_twice(source, parts, event_id)
    columns = {name: _whole([rows.columns[name] for rows in parts]) for name in wanted}
    return Joined(where, event_id[order], {n: taken(v, order) for n, v in columns.items()})


def apart(source: Mapped) -> Events:
    """Return the events of a sample whose levels lie in different tables.

    All events of the particle level come first, in its order, then those of the detector level
    that it does not have: fakes. Events of one level alone fail at the other one. `events` and
    `skip` choose from these.

    Raises:
        InputError: a table cannot be read, has an id twice, has no event in common with the other,
            or there are fewer events than asked for.
    """
    whole = _joined(source.model_copy(update={"events": None, "skip": 0}))
    last = len(whole) if source.events is None else source.skip + source.events
    if last > len(whole) or source.skip >= len(whole):
        raise InputError(
            f"{source.title()}: events from {source.skip} to {last - 1} are asked for but there "
            f"are {len(whole)}; change events or skip, or add files"
        )
    if len(whole) == last - source.skip:
        return whole
    return whole.take(np.arange(source.skip, last))


def _joined(source: Mapped) -> Events:
    detector, passes, weights, event_id, where = _table(source, source.detector, "detector")
    if source.particle is None:
        weight = weights.pop(_NOMINAL)
        return Events(event_id, weight, passes, None, detector, None, weights)
    truth, inside, true_weights, true_id, true_where = _table(source, source.particle, "particle")
    order = np.argsort(event_id, kind="stable")
    at = np.minimum(np.searchsorted(event_id[order], true_id), len(event_id) - 1)
    match = np.where(event_id[order][at] == true_id, order[at], -1)
    if not source.id:
        _refuse_other_lengths(source)
    if not (match >= 0).any():
        raise InputError(
            f"{where} and {true_where}: have no event id in common; check `id`, and that the files "
            "belong together"
        )
    alone = np.setdiff1d(np.arange(len(event_id)), match[match >= 0])
    rows = np.concatenate([match, alone])
    true_rows = np.concatenate([np.arange(len(true_id)), np.full(len(alone), -1)])
    found = {n: np.concatenate([true_weights[n], weights[n][alone]]) for n in weights}
    return Events(
        np.concatenate([true_id, event_id[alone]]),
        found.pop(_NOMINAL),
        (rows >= 0) & passes[rows],
        (true_rows >= 0) & inside[true_rows],
        _spread(detector, rows),
        _spread(truth, true_rows),
        found,
    )


def _refuse_other_lengths(source: Mapped) -> None:
    """Refuse tables that are joined record by record, and have other numbers of records.

    Raises:
        InputError: with their numbers.
    """
    tables = [source.table_of(level) for level in source.levels]
    tables += [(each.files, each.table or source.table) for each in source.friends]
    counts = []
    for files, table in tables:
        total = 0
        for path in files:
            with source.reader(path, table) as reader:
                total += reader.count()
        counts.append(total)
    if len(set(counts)) > 1:
        shown = ", ".join(
            f"{files[0]}{f':{table}' if table else ''} {count:,}"
            for (files, table), count in zip(tables, counts, strict=True)
        )
        raise InputError(
            f"tables without `id` are joined record by record, but have other numbers of records: "
            f"{shown}; give what tells events apart, such as id: [run, event]"
        )


def _table(
    source: Mapped, settings: LevelMap, name: str
) -> tuple[Level, np.ndarray, dict[str, np.ndarray], np.ndarray, str]:
    """Return a level, which events pass, weights by name, ids and where they are."""
    files, table = source.table_of(settings)
    parts = list(mapping.records(source, files, table, source.names(settings)))
    levels, passes = zip(
        *(mapping.level(settings, rows, name, fail_is_empty=name == "detector") for rows in parts),
        strict=True,
    )
    each = [
        {_NOMINAL: mapping.weight(rows, source.weight, "weight")}
        | mapping.named_weights(source, rows)
        for rows in parts
    ]
    weights = {name: np.concatenate([found[name] for found in each]) for name in each[0]}
    event_id = np.concatenate([mapping.ids(source, rows) for rows in parts])
    _refuse_twice(source, parts, event_id)
    return Level.joined(levels), np.concatenate(passes), weights, event_id, parts[0].where


def _spread(level: Level, rows: np.ndarray) -> Level:
    """Return events `rows` (k,) of a level; -1 stands for one with nothing."""
    found = level.take(rows[rows >= 0])
    event = np.zeros((len(rows), level.event.shape[1]), np.float32)
    event[rows >= 0] = found.event
    counts = np.zeros(len(rows), np.int64)
    counts[rows >= 0] = found.counts
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return Level(event, found.particles, offsets, level.event_columns, level.particle_columns)


def _refuse_twice(source: Mapped, parts: Sequence[Rows], event_id: np.ndarray) -> None:
    """Refuse records of one id; the message names the first two."""
    order = np.argsort(event_id, kind="stable")
    same = np.flatnonzero(np.diff(event_id[order]) == 0)
    if not len(same):
        return
    starts = np.concatenate([[0], np.cumsum([len(rows) for rows in parts])])
    found = []
    for at in order[same[0] : same[0] + 2]:
        part = int(np.searchsorted(starts, at, side="right")) - 1
        found.append(mapping.named(source, parts[part], int(at - starts[part])))
    raise InputError(
        f"{' and '.join(found)}: have one id, as have {len(same)} pairs of records; events are "
        "joined by id: give what tells them apart, such as [run, event]"
    )


def _whole(parts: list[Values]) -> Values:
    """Return the parts of a column as one."""
    array = np.concatenate([part.array for part in parts])
    if parts[0].offsets is None:
        return Values(array, None, parts[0].source)
    counts = np.concatenate([np.diff(part.bounds) for part in parts])
    return Values(array, np.concatenate([[0], np.cumsum(counts)]).astype(np.int64), parts[0].source)
