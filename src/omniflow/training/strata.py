"""Strata: the sources of events that every batch is drawn from, in fixed numbers."""

from __future__ import annotations

from collections.abc import Sequence

from omniflow.events.split import Part


def batch_sizes(parts: Sequence[Part], events: int) -> list[int]:
    """Return how many events of each part a batch of about `events` has, at least one.

    Classes have equal shares: (A, B) in step 1, and a single one where all events stand in both.
    Parts of the same class (data and backgrounds) share by the sums of their weights' magnitudes,
    so that an event of either moves the gradient by about as much.
    """
    classes = [(bool(part.source.numerator), bool(part.source.denominator)) for part in parts]
    share = max(1, events // len(set(classes)))
    if len(set(classes)) == len(classes):
        return [share] * len(parts)
    magnitudes = [part.magnitude() for part in parts]
    total = {
        key: sum(m for m, other in zip(magnitudes, classes, strict=True) if other == key)
        for key in classes
    }
    return [
        max(1, round(share * magnitude / total[key]))
        for magnitude, key in zip(magnitudes, classes, strict=True)
    ]
