"""Columns of a level, by the names that expressions call them."""

from __future__ import annotations

from omniflow.events.sample import Level
from omniflow.expressions import Values


def of_level(level: Level) -> dict[str, Values]:
    """Return the columns of a level's n events: events' (n,), particles' (M,) with offsets.

    Each has its name, and `event.<name>` or `particles.<name>`, which tell columns apart that have
    the same name at both; the plain name is then that of the event's column.
    """
    found: dict[str, Values] = {}
    for at, name in enumerate(level.particle_columns):
        values = Values(level.particles[:, at], level.offsets, name)
        found |= {name: values, f"particles.{name}": values}
    for at, name in enumerate(level.event_columns):
        values = Values(level.event[:, at], None, name)
        found |= {name: values, f"event.{name}": values}
    return found
