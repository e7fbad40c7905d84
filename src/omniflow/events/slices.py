"""Slices: samples some events at a time, so that memory does not grow with their number."""

from __future__ import annotations

from collections.abc import Iterator

# Events of a slice. A number per lane, pass or iteration is a few MB for each; sums over slices are
# added to each other, so that sums over more events than this depend on it in their last digits.
EVENTS = 50_000


def slices(events: int) -> Iterator[slice]:
    """Yield consecutive parts of so many events, in their order.

    Args:
        events: how many there are.

    Yields:
        Slices of `EVENTS` events, the last one shorter.

    Examples:
        >>> list(slices(120_000))
        [slice(0, 50000, None), slice(50000, 100000, None), slice(100000, 120000, None)]
    """
    for start in range(0, events, EVENTS):
        yield slice(start, min(start + EVENTS, events))
