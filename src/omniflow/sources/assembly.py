"""Assembly: the events of a mapped source, from its tables."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from omniflow.events.sample import Events
from omniflow.sources import joining, mapping
from omniflow.sources.rows import Rows

if TYPE_CHECKING:
    from omniflow.sources.mapped import Mapped


def read(source: Mapped) -> Iterator[Events]:
    """Yield the events of a mapped source, by blocks of records.

    Raises:
        InputError: the message names file, table, column, entry and remedy.
    """
    if source.apart:
        yield joining.apart(source)
        return
    names = source.names(*source.levels)
    friends = [joining.friend(source, each, names) for each in source.friends]
    of_friends = {name for friend in friends for name in friend.columns}
    for rows in mapping.records(source, source.files, source.table, names - of_friends):
        for friend in friends:
            rows = friend.joined(source, rows)
        yield events(source, rows)


def events(source: Mapped, rows: Rows) -> Events:
    """Return the events that records make."""
    detector, passes = mapping.level(source.detector, rows, "detector", fail_is_empty=True)
    particle, inside = None, None
    if source.particle is not None:
        particle, inside = mapping.level(source.particle, rows, "particle", fail_is_empty=False)
    return Events(
        mapping.ids(source, rows),
        mapping.weight(rows, source.weight, "weight"),
        passes,
        inside,
        detector,
        particle,
        mapping.named_weights(source, rows),
    )
