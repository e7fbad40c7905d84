"""Quality of event weights: whether the sums of a sample rest on few of its events, in words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from omniflow.events.sample import Events

if TYPE_CHECKING:
    from omniflow.config.diagnostics import WeightLimits


def effective_size(total: np.ndarray, square: np.ndarray) -> np.ndarray:
    """Return (sum w)^2 / sum w^2 (L. Kish, Survey Sampling, 1965), 0 where there are no weights.

    So many events of equal weights have the same relative error.

    Args:
        total: sums of weights, of any shape.
        square: sums of their squares, of the same shape.

    Returns:
        Of the same shape as the sums, float64.

    Examples:
        >>> import numpy as np
        >>> weight = np.array([1.0, 1.0, 2.0])
        >>> float(effective_size(weight.sum(), np.square(weight).sum()).round(2))
        2.67
    """
    root = np.sqrt(np.asarray(square, np.float64))
    return np.square(np.divide(total, root, out=np.zeros_like(root), where=root > 0))


@dataclass(frozen=True)
class Quality:
    """What decides whether sums of weights can be relied on.

    Attributes:
        events: their number.
        total: sum of the weights.
        effective: effective sample size.
        largest: share of the largest weight in the sum of magnitudes.
        negative: share of the events with a negative weight.
        heaviest: id of the event with the largest weight, where it is known.
    """

    events: int
    total: float
    effective: float
    largest: float
    negative: float
    heaviest: int | None = None


def measure(weight: np.ndarray, event_id: np.ndarray | None = None) -> Quality:
    """Return the quality of weights (n,), n > 0, of events with ids (n,).

    Args:
        weight: (n,), n > 0, of either sign.
        event_id: (n,) uint64; None: the heaviest event has no name.

    Returns:
        Sum, effective size, share of the largest weight and of negative ones.
    """
    weight = np.asarray(weight, np.float64)
    size = np.abs(weight)
    at = int(size.argmax())
    # In units of the largest, whose square may be more than a float holds.
    scaled = weight / (size[at] or 1.0)
    return Quality(
        events=len(weight),
        total=float(weight.sum()),
        effective=float(effective_size(scaled.sum(), np.square(scaled).sum())),
        largest=float(1 / np.abs(scaled).sum()) if size[at] else 0.0,
        negative=float(np.mean(weight < 0)),
        heaviest=None if event_id is None else int(event_id[at]),
    )


def words(found: Quality) -> str:
    """Return all numbers of a quality as a sentence without its end."""
    share = found.effective / found.events
    return (
        f"{found.events:,} events, sum of weights {found.total:.6g}, effective sample size "
        f"{found.effective:,.1f} ({share:.2%}), the largest weight is {found.largest:.2%} of the "
        f"sum of magnitudes, {found.negative:.2%} are negative"
    )


def judge(
    found: Quality,
    limits: WeightLimits,
    before: float | None = None,
    place: Callable[[int], str] = "the event with id {}".format,
) -> str:
    """Return what is wrong with weights, as a sentence; nothing where all is within the limits.

    Args:
        found: of the weights.
        limits: `diagnostics.weights` of the configuration.
        before: sum of the weights that these were made from.
        place: returns where the event with an id stands.
    """
    faults = []
    if found.effective < limits.effective * found.events:
        faults.append(
            f"the effective sample size is {found.effective:,.1f} of {found.events:,} events "
            f"({found.effective / found.events:.2%}; limit effective: {limits.effective:.2%})"
        )
    if found.largest > limits.largest:
        event = "one event" if found.heaviest is None else place(found.heaviest)
        faults.append(
            f"{event} carries {found.largest:.2%} of the sum of magnitudes (limit largest: "
            f"{limits.largest:.2%})"
        )
    if found.negative > limits.negative:
        faults.append(
            f"{found.negative:.2%} of the weights are negative (limit negative: "
            f"{limits.negative:.2%})"
        )
    if before is not None and abs(found.total / before - 1) > limits.yield_change:
        faults.append(
            f"their sum changed from {before:.6g} to {found.total:.6g} (limit yield_change: "
            f"{limits.yield_change:.2%})"
        )
    if not faults:
        return ""
    return (
        f"poor weights: {'; '.join(faults)}. Check the weights of the inputs (diagnostics.weights)."
    )


def of_sample(
    events: Events,
    where: str,
    limits: WeightLimits,
    place: Callable[[int], str] = "the event with id {}".format,
) -> list[str]:
    """Return a note on the weights of a sample `where`, of all its events or of those that pass.

    None where they are within the limits.

    Args:
        events: the sample.
        where: what the note calls it.
        limits: of weights.
        place: returns where the event with an id stands.
    """
    every = np.ones(len(events), bool)
    for name, chosen in (("", every), (", events that pass", np.asarray(events.pass_detector))):
        if chosen.any():
            ids = np.asarray(events.event_id)[chosen]
            measured = measure(np.asarray(events.weight)[chosen], ids)
            found = judge(measured, limits, place=place)
            if found:
                return [f"{where}{name}: {found}"]
    return []
