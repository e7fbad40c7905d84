"""Judgement: what is to be said of a sample, in words, the worst first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from omniflow.config.diagnostics import WeightLimits
from omniflow.events import quality
from omniflow.events.sample import Events

if TYPE_CHECKING:
    from omniflow.sources.description import Multiplicity

# From the worst on: no study would start; its result would be poor; to be known; as it should be.
REFUSED, DOUBTFUL, NOTE, GOOD = "refused", "doubtful", "note", "good"
GRADES = (REFUSED, DOUBTFUL, NOTE, GOOD)
STYLES = {REFUSED: "bold red", DOUBTFUL: "yellow", NOTE: "cyan", GOOD: "green"}  # for consoles

# Shares beyond which acceptance is doubtful.
_FEW_PASS, _FEW_MATCHED, _MANY_FAKES, _MANY_ABSENT = 0.01, 0.05, 0.5, 0.5
_FEW_EVENTS = 1_000


@dataclass(frozen=True)
class Remark:
    """A sentence and how bad it is (`GRADES`)."""

    grade: str
    text: str


def ordered(remarks: Sequence[Remark]) -> tuple[Remark, ...]:
    """Return remarks, the worst first."""
    return tuple(sorted(remarks, key=lambda remark: GRADES.index(remark.grade)))


def of_events(events: Events, limits: WeightLimits) -> Iterator[Remark]:
    """Yield what ids, weights and flags of events tell; columns are not looked at.

    Args:
        events: n > 0 of them.
        limits: of weights (`diagnostics.weights`).
    """
    yield from _ids(events)
    yield from _weights(events, limits)
    yield from _acceptance(events)
    if len(events) < _FEW_EVENTS:
        yield Remark(NOTE, f"{len(events):,} events are few: networks need some thousands.")


def of_particles(multiplicities: Sequence[Multiplicity]) -> Iterator[Remark]:
    """Yield particles per event in words."""
    for row in multiplicities:
        text = (
            f"{row.mean:.1f} particles per event at {row.level} level (99% have at most "
            f"{row.quantile_99:.0f}, the largest event {row.maximum:,})."
        )
        yield Remark(DOUBTFUL if row.maximum == 0 else GOOD, text)


def of_absent(shares: dict[tuple[str, str], float]) -> Iterator[Remark]:
    """Yield which columns lack numbers; shares of the events by level and column."""
    for (level, name), share in shares.items():
        if share > 0:
            grade = DOUBTFUL if share > _MANY_ABSENT else NOTE
            yield Remark(grade, f"{name} at {level} level is absent in {share:.1%} of the records.")


def _ids(events: Events) -> Iterator[Remark]:
    again = len(events) - len(np.unique(events.event_id))
    if again:
        yield Remark(
            REFUSED,
            f"{again:,} events have the id of another one: give what tells events apart, `id`.",
        )


def _weights(events: Events, limits: WeightLimits) -> Iterator[Remark]:
    weight = np.asarray(events.weight)
    found = quality.measure(weight)
    for text in quality.of_sample(events, "Weights", limits):
        yield Remark(DOUBTFUL, text)
    if not found.total > 0:
        yield Remark(REFUSED, f"The sum of weights is {found.total:g}, and must be above 0.")
    if (weight == weight[0]).all():
        yield Remark(GOOD, f"All weights are {weight[0]:g}.")
    else:
        grade = NOTE if found.negative else GOOD
        yield Remark(grade, f"Weights: {quality.words(found)}.")


def _acceptance(events: Events) -> Iterator[Remark]:
    """Yield how many events pass, and how many of those are misses and fakes."""
    detector = np.asarray(events.pass_detector)
    share = float(detector.mean())
    if not detector.any():
        yield Remark(REFUSED, "No event passes at detector level: check its selection.")
        return
    if share < _FEW_PASS:
        yield Remark(DOUBTFUL, f"Only {share:.2%} of the records pass at detector level.")
    if events.pass_particle is None:
        if share >= _FEW_PASS:
            yield Remark(GOOD, f"{share:.1%} of the records pass at detector level.")
        return
    particle = np.asarray(events.pass_particle)
    if not particle.any():
        yield Remark(REFUSED, "No event passes at particle level: check its selection.")
        return
    matched = float((particle & detector).sum())
    efficiency, fakes = matched / particle.sum(), 1 - matched / detector.sum()
    if detector.all() and particle.all():
        yield Remark(
            NOTE,
            "All records pass at both levels, so that there are neither misses nor fakes: is a "
            "selection missing?",
        )
        return
    text = f"{efficiency:.1%} of the events of particle level are measured; the others are misses."
    yield Remark(DOUBTFUL if efficiency < _FEW_MATCHED else GOOD, text)
    text = f"{fakes:.1%} of the measured events are fakes: they fail at particle level."
    yield Remark(DOUBTFUL if fakes > _MANY_FAKES else GOOD, text)
