"""Checks of a sample of events; each refusal names file, dataset, event and remedy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

from omniflow.errors import InputError
from omniflow.events.sample import Events, Level


class EventRefused(InputError):
    """An event is refused.

    Attributes:
        event_id: its id.
        what: the message without its beginning, which says where the event is.
    """

    def __init__(self, message: str, event_id: int, what: str) -> None:
        """Take the message, the id, and the message without the event."""
        super().__init__(message)
        self.event_id, self.what = event_id, what


@contextmanager
def placed(place: Callable[[int], str] | None) -> Iterator[None]:
    """Say of an event that is refused inside where it stands in its files.

    Args:
        place: returns that for an id (`Source.place`); None: there are no files.

    Raises:
        InputError: in place of the refusal.
    """
    try:
        yield
    except EventRefused as error:
        if place is None:
            raise
        raise InputError(f"{place(error.event_id)}: {error.what}") from error


def problem(
    where: str,
    dataset: str,
    what: str,
    remedy: str,
    record: int | None = None,
    event_id: int | None = None,
) -> InputError:
    """Return an InputError that names file, dataset, event and remedy.

    Args:
        where: the file or the sample.
        dataset: the dataset in it.
        what: what is wrong.
        remedy: what to do about it.
        record: index of the event in the file or the sample, counted from 0.
        event_id: the event's id, where it is another number than `record`.
    """
    event = "" if record is None else f", event {record}"
    if event_id is not None and event_id != record:
        event += f" (id {event_id})"
    message = f"{where}: {dataset}{event}: {what}; {remedy}"
    if event_id is None:
        return InputError(message)
    return EventRefused(message, event_id, f"{dataset}: {what}; {remedy}")


def check(events: Events, where: str) -> None:
    """Refuse a sample that cannot be unfolded: `check_part` and `check_whole`.

    Args:
        events: the sample, of any source.
        where: file or sample, named in the message.

    Raises:
        InputError: as both.
    """
    if not len(events):
        raise problem(where, "event_id", "there are no events", "give a sample with events")
    check_part(events, where)
    check_whole(events, where)


def check_part(events: Events, where: str, first: int = 0) -> None:
    """Refuse consecutive events of a sample that cannot be unfolded.

    Args:
        events: some or all events of the sample.
        where: file or sample, named in the message.
        first: number of the first of them in the sample.

    Raises:
        InputError: types, shapes or counts disagree; flags other than 0 and 1; NaN or infinity;
            pt not above 0; or events that fail but are not empty at detector level.
    """
    _check_shapes(events, where, first)
    _check_flags(events, where, first)
    ids = events.event_id
    check_finite(events.weight[:, None], ("weight",), where, "weight", first, ids)
    for name, values in events.weights.items():
        check_finite(values[:, None], (name,), where, f"weights/{name}", first, ids)
    for name, level in _levels(events):
        _check_level(level, where, name, first, ids)
    _check_failing(events, where, first)


def check_whole(events: Events, where: str, place: Callable[[int], str] | None = None) -> None:
    """Refuse a sample whose events are right one by one, but not together.

    Args:
        events: the sample; its arrays may be memory maps.
        where: file or sample, named in the message.
        place: returns where the events with an id stand (`Source.places`), for the message.

    Raises:
        InputError: repeated event ids; sum of weights not positive; no event passes the
            detector-level selection.
    """
    _check_ids(events.event_id, where, place)
    _check_weights(events, where)


def check_finite(
    values: np.ndarray,
    columns: tuple[str, ...],
    where: str,
    dataset: str,
    first: int = 0,
    ids: np.ndarray | None = None,
) -> None:
    """Refuse NaN and infinity in `values` (n, ..., C), whose first axis is the event.

    Args:
        values: (n, ..., C) the numbers.
        columns: C names.
        where: the file.
        dataset: the dataset in it.
        first: record index of values[0].
        ids: (n,) event ids, where they differ from the record index.
    """
    bad = ~np.isfinite(values)
    if bad.any():
        index = tuple(int(axis[0]) for axis in np.nonzero(bad))
        raise problem(
            where,
            dataset,
            f"{columns[index[-1]]} is {values[index]}",
            "remove the event or correct it; one that is lost at a level stays, and its flag says "
            "so (pass_detector, pass_particle)",
            first + index[0],
            None if ids is None else int(ids[index[0]]),
        )


def check_flag(
    values: np.ndarray,
    where: str,
    dataset: str,
    name: str,
    first: int = 0,
    ids: np.ndarray | None = None,
) -> np.ndarray:
    """Return flags `values` (n,) as bool; refuse numbers other than 0 and 1.

    Further arguments as in `check_finite`.

    Args:
        values: (n,) numbers or bool.
        where: file or argument, for messages.
        dataset: name of the dataset, for messages.
        name: what the flag is, for messages.
        first: position of the first event, for messages.
        ids: (n,) of the events, for messages.

    Returns:
        (n,) bool.

    Raises:
        InputError: another number; the message names the event.
    """
    bad = ~((values == 0) | (values == 1))
    if bad.any():
        at = int(np.flatnonzero(bad)[0])
        raise problem(
            where,
            dataset,
            f"{name} is {values[at]}",
            "flags must be 0 or 1",
            first + at,
            None if ids is None else int(ids[at]),
        )
    return values == 1


def _levels(events: Events) -> list[tuple[str, Level]]:
    levels = [("detector", events.detector)]
    return levels if events.particle is None else [*levels, ("particle", events.particle)]


def _check_shapes(events: Events, where: str, first: int) -> None:
    n = len(events)
    if (events.particle is None) != (events.pass_particle is None):
        raise problem(
            where, "pass_particle", "particle level without its flag, or the reverse", "give both"
        )
    wanted = [("event_id", events.event_id, np.uint64), ("weight", events.weight, np.float64)]
    for name, array, dtype in wanted:
        _need(array, (n,), np.dtype(dtype), where, name)
    for name, flag in _flags(events):
        _need(flag, (n,), None, where, name)
    for name, level in _levels(events):
        columns = (len(level.event_columns), len(level.particle_columns))
        _need(level.event, (n, columns[0]), np.dtype(np.float32), where, f"{name}/event")
        _need(level.offsets, (n + 1,), np.dtype(np.int64), where, f"{name}/offsets")
        _need(
            level.particles,
            (len(level.particles), columns[1]),
            np.dtype(np.float32),
            where,
            f"{name}/particles",
        )
        _check_offsets(level, where, name, first, events.event_id)
        for names in (level.event_columns, level.particle_columns):
            if len(set(names)) != len(names):
                raise problem(
                    where, name, f"repeated column names {names}", "name every column once"
                )
            if "" in names:
                raise problem(where, name, f"a column without a name in {names}", "name it")


def _flags(events: Events) -> list[tuple[str, np.ndarray]]:
    flags = [("pass_detector", events.pass_detector), ("pass_particle", events.pass_particle)]
    return [(name, flag) for name, flag in flags if flag is not None]


def _need(
    array: np.ndarray, shape: tuple[int, ...], dtype: np.dtype | None, where: str, name: str
) -> None:
    if array.shape != shape:
        raise problem(
            where,
            name,
            f"has shape {array.shape} where {shape} is needed",
            "all datasets must hold the same events",
        )
    if dtype is not None and array.dtype != dtype:
        raise problem(
            where, name, f"has type {array.dtype}", f"{dtype} is needed: convert the values"
        )


def _check_offsets(level: Level, where: str, name: str, first: int, ids: np.ndarray) -> None:
    counts = level.counts
    if (counts < 0).any():
        at = int(np.flatnonzero(counts < 0)[0])
        remedy = "write the file again"
        raise problem(where, f"{name}/offsets", "offsets fall", remedy, first + at, int(ids[at]))
    if level.offsets[0] != 0 or level.offsets[-1] != len(level.particles):
        raise problem(
            where,
            f"{name}/offsets",
            f"run from {level.offsets[0]} to {level.offsets[-1]} but {name}/particles has "
            f"{len(level.particles)} rows",
            "the counts disagree: write the file again",
        )


def _check_flags(events: Events, where: str, first: int) -> None:
    for name, flag in _flags(events):
        check_flag(flag, where, name, name, first, events.event_id)
        if flag.dtype != np.bool_:
            raise problem(
                where, name, f"has type {flag.dtype}", "bool is needed: convert the values"
            )


def _check_ids(event_id: np.ndarray, where: str, place: Callable[[int], str] | None) -> None:
    ordered = np.sort(event_id)
    same = np.flatnonzero(ordered[1:] == ordered[:-1])
    if not len(same):
        return
    repeated = int(ordered[same[0]])
    first, second = np.flatnonzero(event_id == ordered[same[0]])[:2]
    if place is not None:
        raise InputError(
            f"{place(repeated)}: have one id; ids must be unique: remove the repeated event, or "
            "give what tells events apart (`id`)"
        )
    raise problem(
        where,
        "event_id",
        f"{repeated} is already the id of event {first}",
        "ids must be unique: remove the repeated event, or give what tells events apart (`id`)",
        int(second),
    )


def _check_level(level: Level, where: str, name: str, first: int, ids: np.ndarray) -> None:
    check_finite(level.event, level.event_columns, where, f"{name}/event", first, ids)
    bad = ~np.isfinite(level.particles)
    if bad.any():
        row, column = (int(axis[0]) for axis in np.nonzero(bad))
        raise _particle_problem(level, where, name, first, ids, row, level.particle_columns[column])
    if "pt" in level.particle_columns:
        low = level.particles[:, level.particle_columns.index("pt")] <= 0
        if low.any():
            raise _particle_problem(level, where, name, first, ids, int(np.argmax(low)), "pt")


def _particle_problem(
    level: Level, where: str, name: str, first: int, ids: np.ndarray, row: int, column: str
) -> InputError:
    at = int(np.searchsorted(level.offsets, row, side="right")) - 1
    value = level.particles[row, level.particle_columns.index(column)]
    return problem(
        where,
        f"{name}/particles",
        f"{column} of its particle {row - int(level.offsets[at])} is {value}",
        "leave out the particle or the event, or correct it",
        first + at,
        int(ids[at]),
    )


def _check_failing(events: Events, where: str, first: int) -> None:
    fails = ~events.pass_detector
    full = fails & ((events.detector.counts > 0) | (events.detector.event != 0).any(axis=1))
    if full.any():
        at = int(np.flatnonzero(full)[0])
        raise problem(
            where,
            "detector/event",
            "the event fails at detector level but its features are not zero",
            "set them to zero and leave out its particles",
            first + at,
            int(events.event_id[at]),
        )


def _check_weights(events: Events, where: str) -> None:
    weight, passes = np.asarray(events.weight), np.asarray(events.pass_detector)
    if not passes.any():
        raise problem(
            where,
            "pass_detector",
            "no event passes the detector-level selection",
            "give more events or check the selection",
        )
    if not (weight != 0).any():
        raise problem(where, "weight", "all weights are zero", "give the events weights")
    for sample, total in (("all", weight.sum()), ("passing", weight[passes].sum())):
        if not total > 0:
            raise problem(
                where,
                "weight",
                f"the weights of {sample} events add up to {total:g}",
                "their sum must be positive: check the negative weights",
            )
