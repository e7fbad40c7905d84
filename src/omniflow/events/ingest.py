"""Ingest: events of any source, checked, into an event store."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omniflow.errors import InputError
from omniflow.events import duplicates, store
from omniflow.events.checks import check_part, check_whole, placed
from omniflow.events.plausibility import Plausibility
from omniflow.events.sample import Events
from omniflow.events.spool import Spool

if TYPE_CHECKING:
    from omniflow.config.samples import Sample


def ingest(
    sample: Sample,
    path: str | Path,
    seed: int,
    recorded: Mapping[str, Any] | None = None,
    progress: Callable[[int], None] = lambda events: None,
) -> None:
    """Read or generate a sample, check it and write it to the event store `path`.

    Args:
        sample: section of the configuration, which knows how its events are read.
        path: the event store; it appears complete or not at all.
        seed: of the order of events in the store.
        recorded: what the store is to say of itself beside where its events come from.
        progress: is called with the number of events read so far.

    Raises:
        InputError: the source is refused (see its `read`, and `checks.check`), holds events
            twice, or is strict and holds implausible values.
    """
    provenance = {
        "source": sample.source,
        "sample": sample.model_dump(mode="json"),
        **sample.provenance(),
        **(recorded or {}),
    }
    plausibility = Plausibility(sample.units(), sample.rules(), sample.converted())
    with Spool(path) as spool:
        for part in sample.read():
            with placed(sample.place if sample.inputs() else None):
                check_part(part, sample.title(), spool.events)
                sample.check(part, spool.events)
            plausibility.add(part)
            spool.append(part, sample.title())
            progress(spool.events)
        if not spool.events:
            raise InputError(f"{sample.title()}: there are no events; give a sample with events")
        events = spool.whole()
        check_whole(events, sample.title(), sample.places)
        _refuse_duplicates(sample, events)
        provenance["warnings"] = plausibility.warnings(sample.place)
        _refuse_implausible(sample, provenance["warnings"])
        store.write(events, path, provenance, seed, sample.units(), spool.discard)


def _refuse_implausible(sample: Sample, warnings: list[str]) -> None:
    if sample.strict and warnings:
        raise InputError(
            f"{sample.title()}: {' '.join(warnings)} (Without `strict: true` these are warnings.)"
        )


def _refuse_duplicates(sample: Sample, events: Events) -> None:
    found = duplicates.find(events)
    if not len(found.pairs):
        return
    earlier, later = (sample.place(int(events.event_id[at])) for at in found.pairs[0])
    raise InputError(
        f"{later}: holds the same numbers as {earlier}: it is the same event twice, as are "
        f"{found.number} of {len(events)} events. Networks would be trained on events that they "
        "are judged by, and errors be too small: leave the repeated events out"
    )
