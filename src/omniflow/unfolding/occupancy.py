"""Occupancy: particles per event of a sample, and the share of its records that passes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from omniflow.config.samples import Sample
from omniflow.errors import OmniflowError
from omniflow.events.sample import Events
from omniflow.unfolding.coordinates import LEVELS

# Records that are looked at: shares are then known to 1%. Tables that have to be joined are read as
# a whole, and only where all files together are smaller than this.
RECORDS, BYTES = 2_000, 50_000_000
# Where neither files nor source tell.
PARTICLES, PASSING = 20.0, 1.0


@dataclass(frozen=True)
class Occupancy:
    """What an average record of a sample holds.

    Attributes:
        particles: per event by level; at detector level of those that pass.
        passing: share of the records that pass by level.
        records: that this was measured in; 0: it is taken for granted.
    """

    particles: dict[str, float]
    passing: dict[str, float]
    records: int = 0


def of(sample: Sample) -> Occupancy:
    """Return what a sample's files tell, where they are there, or else what is usual."""
    return measured(sample) or assumed(sample)


def assumed(sample: Sample) -> Occupancy:
    """Return what the source takes for usual, or else PARTICLES and PASSING."""
    particles, passing = sample.typical() or (PARTICLES, PASSING)
    there = {level: particles if sample.columns(level)[1] else 0.0 for level in LEVELS}
    return Occupancy(there, {"detector": passing, "particle": 1.0})


def measured(sample: Sample) -> Occupancy | None:
    """Return what the first records of a sample hold; None where its files do not tell.

    What is wrong with the files is said by the jobs that read them.
    """
    files = [Path(name) for name in sample.inputs()]
    if not files or sample.generated or not all(path.is_file() for path in files):
        return None
    known, events = sample.records(), RECORDS
    if sample.joined:
        if sum(path.stat().st_size for path in files) > BYTES or known is None:
            return None
        events = known
    chosen = sample.model_copy(update={"events": min(events, known or events)})
    parts, read = [], 0
    try:
        for part in chosen.read():
            parts.append(part)
            read += len(part)
            if read >= events:
                break
    except OmniflowError:
        return None
    # Records that a preselection leaves out count as failing.
    return _of_events(parts, max(read, chosen.events or 0)) if read else None


def _of_events(parts: list[Events], records: int) -> Occupancy:
    """Return the occupancy of events that are left of so many records."""
    passing = sum(int(part.pass_detector.sum()) for part in parts)
    particles = sum(int(part.detector.counts[part.pass_detector].sum()) for part in parts)
    kept = sum(map(len, parts))
    inside = sum(int(p.pass_particle.sum()) for p in parts if p.pass_particle is not None)
    truth = sum(int(p.particle.counts.sum()) for p in parts if p.particle is not None)
    return Occupancy(
        {"detector": particles / max(passing, 1), "particle": truth / kept},
        {"detector": passing / records, "particle": inside / records},
        records,
    )
