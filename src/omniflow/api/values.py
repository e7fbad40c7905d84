"""What is histogrammed: where the public interface meets observables."""

from __future__ import annotations

from typing import Any

import numpy as np

from omniflow.errors import InputError
from omniflow.events.columns import of_level
from omniflow.events.sample import Level
from omniflow.expressions import Values, parse
from omniflow.observables import Entries, cache
from omniflow.stages import evaluation
from omniflow.unfolding.plan import Plan


def is_observable(plan: Plan, what: Any) -> bool:
    """Return whether `what` is the name of an observable of the study."""
    return isinstance(what, str) and what in plan.config.observables.names


def edges(plan: Plan, name: str) -> np.ndarray | None:
    """Return the bin edges of an observable of the study; None where it has no axes.

    Args:
        plan: of a finished study.
        name: of an observable.

    Returns:
        (B + 1,) increasing, in the unit of the observable; None where it has no axis.
    """
    if not plan.axes.is_file():
        return None
    axis = evaluation.read_axes(plan).get(name)
    return None if axis is None else np.asarray(axis.edges)


def entries(plan: Plan, role: str, level: str, events: Level, what: str) -> Entries:
    """Return the entries of an observable, or of an expression, of the events of a sample.

    Args:
        plan: of the study.
        role: of the sample.
        level: `detector` or `particle`.
        events: the sample's events at this level.
        what: name of an observable that is cached, or an expression over the columns.

    Raises:
        ExpressionError: as `parse` and `Expression.evaluate`.
        InputError: the observable does not exist at this level.
    """
    path = plan.observables(role) / f"{level}.h5"
    if is_observable(plan, what) and path.is_file():
        there = evaluation.read_axes(plan)[what].levels
        if level not in there:
            raise InputError(
                f"histogram: {what} exists at {there[0]} level alone; give level={there[0]!r}, or "
                "another observable"
            )
        return cache.read(path, [what], len(events))[what]
    return _finite(parse(what).evaluate(of_level(events), len(events)))


def of_array(given: Any, n: int) -> Entries:
    """Return the entries of an array: one per event (n,), or jagged (n, any number) by awkward.

    Raises:
        InputError: of another shape.
    """
    if type(given).__module__.partition(".")[0] == "awkward" and given.ndim == 2:
        import awkward

        counts = awkward.to_numpy(awkward.num(given, axis=1))
        offsets = np.concatenate([[0], np.cumsum(counts)])
        values = Values(awkward.to_numpy(awkward.flatten(given, axis=1)), offsets)
        found = len(counts)
    else:
        array = np.asarray(given)
        if array.ndim != 1 or array.dtype.kind not in "biuf":
            raise InputError(
                f"histogram: has shape {array.shape} and type {array.dtype}; give one number per "
                "event (n,), a jagged awkward array, or an expression"
            )
        values, found = Values(array), len(array)
    if found != n:
        raise InputError(
            f"histogram: the array has {found} events and the simulation has {n}; give a value for "
            'each of events("simulation"), in their order'
        )
    return _finite(values)


def reordered(found: Entries, order: np.ndarray) -> Entries:
    """Return entries of events in another order, of which event i was `order[i]` before.

    Args:
        found: entries of n events.
        order: (m,) positions of the events that are wanted.

    Returns:
        Entries of m events; those of an event keep their order.
    """
    counts = np.bincount(found.event_index, minlength=int(order.max(initial=-1)) + 1)
    starts = np.cumsum(counts) - counts
    taken = counts[order]
    first = np.repeat(starts[order] - (np.cumsum(taken) - taken), taken)
    return Entries(
        np.repeat(np.arange(len(order)), taken), found.value[first + np.arange(len(first))]
    )


def _finite(values: Values) -> Entries:
    array = np.asarray(values.array, np.float64)
    keep = np.isfinite(array)
    return Entries(values.event_index[keep], array[keep])
