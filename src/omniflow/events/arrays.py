"""Arrays of a program as levels of events: NumPy, mappings, pandas, awkward, padded particles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from omniflow.errors import InputError
from omniflow.events.checks import check_flag, problem
from omniflow.events.sample import Level

# Keys of a level that is given in parts.
PARTS = ("event", "particles", "mask", "event_columns", "particle_columns")
_FORMS = (
    "give an array (n,) or (n, columns), a mapping from names to arrays (n,), a pandas DataFrame, "
    "an awkward array of records, or a mapping with the keys 'event' and 'particles'"
)
# What particles are read as: names of columns, flat values (M, F), particles per event (n,).
Particles = tuple[tuple[str, ...], np.ndarray, np.ndarray]


def level(given: Any, name: str) -> Level:
    """Return what stands for a level as a level; arrays are copied.

    Args:
        given: see `Events.from_arrays`.
        name: of the argument, for messages.

    Raises:
        InputError: not of such a form, not numbers, or of different lengths.
    """
    if isinstance(given, Level):
        return given
    if isinstance(given, Mapping) and "particles" in given:
        return _of_parts(given, name)
    if _is_of("awkward", given) and given.fields:
        return _of_records(given, name)
    if getattr(given, "ndim", 0) == 3 or _is_jagged(given):
        return _of_parts({"particles": given}, name)
    columns, values = _flat(given, name)
    return _joined(columns, values, None, name)


def flags(given: Any, name: str, n: int) -> np.ndarray:
    """Return flags (n,) as bool; all events pass where none are given.

    Args:
        given: (n,) of true and false, or 0 and 1; None: all events pass.
        name: of the argument, for messages.
        n: number of events.

    Returns:
        (n,) bool.

    Raises:
        InputError: another form or length, or other numbers.
    """
    if given is None:
        return np.ones(n, bool)
    return check_flag(_numbers(given, name, n), WHERE, name, name)


def ids(given: Any, n: int) -> np.ndarray:
    """Return ids (n,) uint64; 0 to n - 1 where none are given.

    Args:
        given: (n,) whole numbers, none below 0; None: 0 to n - 1.
        n: number of events.

    Returns:
        (n,) uint64.

    Raises:
        InputError: another form, length or type, or an id below 0.
    """
    if given is None:
        return np.arange(n, dtype=np.uint64)
    values = _numbers(given, "event_id", n)
    if values.dtype.kind not in "iu":
        raise problem(WHERE, "event_id", f"has type {values.dtype}", "give whole numbers")
    if values.dtype.kind == "i" and (values < 0).any():
        at = int(np.flatnonzero(values < 0)[0])
        raise problem(WHERE, "event_id", f"is {values[at]}", "ids must not be negative", at)
    return values.astype(np.uint64)


def weights(given: Any, n: int, name: str = "weight") -> np.ndarray:
    """Return weights (n,) float64; 1 where none are given.

    Args:
        given: (n,) numbers; None: 1 each.
        n: number of events.
        name: of the argument, for messages.

    Returns:
        (n,) float64.

    Raises:
        InputError: another form or length.
    """
    return np.ones(n) if given is None else _numbers(given, name, n).astype(np.float64)


def named_weights(given: Any, n: int) -> dict[str, np.ndarray]:
    """Return further weights (n,) float64 by name.

    Args:
        given: mapping or DataFrame of (n,) numbers; None: none.
        n: number of events.

    Returns:
        (n,) float64 by name.

    Raises:
        InputError: no mapping, or weights of another form or length.
    """
    if given is None:
        return {}
    if not isinstance(given, Mapping) and not _is_of("pandas", given):
        raise problem(
            WHERE, "weights", f"is a {type(given).__name__}", "give a mapping from names to arrays"
        )
    return {str(name): weights(given[name], n, f"weights[{name!r}]") for name in given}


def with_truth(level: Level, kept: np.ndarray) -> Level:
    """Return a particle level with zeros for NaN of events that are not `kept` (n,).

    Fakes may lack their truth.

    Args:
        level: of n events.
        kept: (n,) bool.

    Returns:
        The level, of which other events are unchanged.
    """
    lacking = ~kept & np.isnan(level.event).any(axis=1)
    if not lacking.any():
        return level
    return replace(level, event=np.where(lacking[:, None], np.float32(0), level.event))


def require_one_order(**given: Any) -> None:
    """Refuse pandas objects whose indices hold the same labels in another order.

    Events are told apart by their places, so that rows of one would be paired with others.
    """
    indices = {
        name: each.index
        for name, each in given.items()
        if _is_of("pandas", each) and each.index.is_unique
    }
    if not indices:
        return
    first, index = next(iter(indices.items()))
    for name, other in indices.items():
        same = len(other) == len(index) and other.isin(index).all()
        if same and not other.equals(index):
            raise problem(
                WHERE,
                name,
                f"its index holds the labels of that of {first} in another order",
                f"events are paired by their places: reindex one of the two ({name}.loc"
                f"[{first}.index]), or give arrays (.to_numpy())",
            )


def blanked(level: Level, kept: np.ndarray) -> Level:
    """Return a level with zeros, and without particles, for events that are not `kept` (n,).

    Args:
        level: of n events.
        kept: (n,) bool.

    Returns:
        A level of n events.
    """
    if kept.all():
        return level
    rows = np.repeat(kept, level.counts)
    counts = np.where(kept, level.counts, 0)
    return Level(
        np.where(kept[:, None], level.event, np.float32(0)),
        level.particles[rows],
        _offsets(counts),
        level.event_columns,
        level.particle_columns,
    )


WHERE = "Events.from_arrays"


# -- event columns -------------------------------------------------------------------------------


def _flat(given: Any, name: str) -> tuple[tuple[str, ...], list[np.ndarray]]:
    """Return names and values (n,) of columns of the event."""
    if isinstance(given, Mapping):
        return tuple(map(str, given)), [_numbers(v, f"{name}[{k!r}]") for k, v in given.items()]
    if _is_of("pandas", given):
        if hasattr(given, "to_frame"):  # a series
            given = given.to_frame(given.name if given.name is not None else "x0")
        columns = tuple(map(str, given.columns))
        return columns, [
            _numbers(given.iloc[:, i], f"{name}[{column!r}]") for i, column in enumerate(columns)
        ]
    if _is_of("awkward", given) and given.fields:
        found = [_numbers(given[field], f"{name}[{field!r}]") for field in given.fields]
        return tuple(given.fields), found
    # Tensors and arrays of other packages say what they are as NumPy arrays.
    other = isinstance(given, list | tuple) or hasattr(given, "__array__")
    values = _array(given, name) if other and not _is_of("awkward", given) else given
    if getattr(getattr(values, "dtype", None), "names", None):  # a structured array
        fields = values.dtype.names
        return fields, [_numbers(values[field], f"{name}[{field!r}]") for field in fields]
    if _is_of("awkward", given):
        values = _plain(given, name)
    if isinstance(given, list | tuple) and values.dtype.kind == "O":
        raise problem(WHERE, name, f"is a {type(given).__name__} of other things", _FORMS)
    if not isinstance(values, np.ndarray) or values.ndim not in (1, 2):
        shape = getattr(values, "shape", None)
        said = f"is a {type(given).__name__}" + ("" if shape is None else f" of shape {shape}")
        raise problem(WHERE, name, said, _FORMS)
    rows = values.T if values.ndim == 2 else values[None]
    return tuple(f"x{i}" for i in range(len(rows))), [_numbers(row, name) for row in rows]


def _array(given: Any, name: str) -> np.ndarray:
    """Return anything as a NumPy array; a masked one stays masked.

    Raises:
        InputError: lists of different lengths, which are no array.
    """
    try:
        return np.asanyarray(given)
    except ValueError as error:
        what = f"is a {type(given).__name__} of parts of different lengths"
        raise problem(WHERE, name, what, _FORMS) from error


def _numbers(given: Any, name: str, n: int | None = None) -> np.ndarray:
    """Return numbers (n,) as an array of their own type.

    Raises:
        InputError: of another shape, masked, or no real numbers.
    """
    if _is_of("awkward", given):
        given = _plain(given, name)
    if hasattr(given, "to_numpy"):
        given = given.to_numpy()
    if np.ma.isMaskedArray(given) and np.ma.getmaskarray(given).any():
        at = int(np.flatnonzero(np.ma.getmaskarray(given))[0])
        raise problem(WHERE, name, "has no value", "leave the event out, or give a number", at)
    values = np.asarray(_array(given, name))
    if values.dtype.kind not in "biuf":
        mend = ", such as by .astype(float)" if values.dtype.kind == "O" else ""
        raise problem(WHERE, name, f"has type {values.dtype}", f"give real numbers{mend}")
    if values.ndim != 1:
        raise problem(WHERE, name, f"has shape {values.shape}", "give one number per event, (n,)")
    if n is not None and len(values) != n:
        raise problem(
            WHERE, name, f"has {len(values)} events", f"the detector level has {n}: give as many"
        )
    return values


def _joined(
    columns: tuple[str, ...], values: list[np.ndarray], particles: Particles | None, name: str
) -> Level:
    """Return a level of event columns and particles."""
    lengths = dict(zip(columns, map(len, values), strict=True))
    names, flat, counts = particles or ((), np.zeros((0, 0), np.float32), None)
    if counts is not None:
        lengths["particles"] = len(counts)
    if not lengths:
        raise problem(WHERE, name, "has no columns", _FORMS)
    n = next(iter(lengths.values()))
    if other := [key for key, length in lengths.items() if length != n]:
        key, first = other[0], next(iter(lengths))
        raise problem(
            WHERE,
            name,
            f"{key} has {lengths[key]} events and {first} has {n}",
            "all columns must hold the same events",
        )
    event = [_single(v, column, name) for v, column in zip(values, columns, strict=True)]
    return Level(
        np.stack(event, axis=1) if event else np.zeros((n, 0), np.float32),
        flat,
        _offsets(np.zeros(n, int) if counts is None else counts),
        columns,
        names,
    )


def _single(values: np.ndarray, column: str, name: str) -> np.ndarray:
    """Return values as float32, of which none becomes infinite; those that are not finite stay."""
    with np.errstate(over="ignore", invalid="ignore"):
        found = values.astype(np.float32)
        large = np.isinf(found) & np.isfinite(values)
    if large.any():
        at = int(np.flatnonzero(large)[0])
        raise problem(
            WHERE, name, f"{column} is {values[at]}, more than float32 holds", "change its unit", at
        )
    return found


# -- particles -----------------------------------------------------------------------------------


def _of_parts(given: Mapping[str, Any], name: str) -> Level:
    """Return a level of the keys `PARTS`."""
    if unknown := [key for key in given if key not in PARTS]:
        raise problem(
            WHERE,
            name,
            f"has the keys 'particles' and {', '.join(map(repr, unknown))}",
            f"with 'particles' the keys are {', '.join(PARTS)}",
        )
    event, where = given.get("event"), f"{name}['event']"
    columns, values = ((), []) if event is None else _flat(event, where)
    columns = _named(given.get("event_columns"), columns, f"{name}['event_columns']")
    names, flat, counts = _particles(given["particles"], given.get("mask"), f"{name}['particles']")
    names = _named(given.get("particle_columns"), names, f"{name}['particle_columns']")
    return _joined(columns, values, (names, flat, counts), name)


def _named(wanted: Sequence[str] | None, found: tuple[str, ...], name: str) -> tuple[str, ...]:
    if wanted is None:
        return found
    wanted = (wanted,) if isinstance(wanted, str) else wanted
    if len(wanted) != len(found):
        raise problem(
            WHERE, name, f"has {len(wanted)} names", f"there are {len(found)} columns: name each"
        )
    return tuple(map(str, wanted))


def _particles(given: Any, mask: Any, name: str) -> Particles:
    """Return particles of every event, padded or jagged."""
    if _is_of("awkward", given) or isinstance(given, Mapping):
        if mask is not None:
            raise problem(WHERE, name, "is jagged and has a mask", "leave the mask out")
        return _jagged(given, name)
    values = np.asarray(_array(given, name))
    if values.ndim != 3 or values.dtype.kind not in "biuf":
        raise problem(
            WHERE,
            name,
            f"has shape {values.shape} and type {values.dtype}",
            "give numbers (events, particles, columns), padded with zeros or with a 'mask' "
            "(events, particles), or an awkward array",
        )
    if mask is None:
        present = (values != 0).any(axis=2)
    else:
        present = np.asarray(mask)
        if present.shape != values.shape[:2]:
            raise problem(
                WHERE,
                name,
                f"has shape {values.shape} and its mask {present.shape}",
                "give a mask (events, particles)",
            )
        present = check_flag(present.reshape(-1), WHERE, name, "mask").reshape(present.shape)
    names = tuple(f"x{i}" for i in range(values.shape[2]))
    kept = values[present]
    flat = [_single(column, each, name) for column, each in zip(kept.T, names, strict=True)]
    return names, _table(flat, len(kept)), present.sum(axis=1)


def _jagged(given: Any, name: str) -> Particles:
    """Return the particles of jagged columns, all of the same counts."""
    import awkward

    if isinstance(given, Mapping):
        parts = {str(key): awkward.Array(value) for key, value in given.items()}
    elif given.fields:
        parts = {field: given[field] for field in given.fields}
    elif given.ndim == 3:
        widths = awkward.to_numpy(awkward.flatten(awkward.num(given, axis=2), axis=None))
        if len(np.unique(widths)) > 1:
            raise problem(
                WHERE,
                name,
                f"has particles of {widths.min()} to {widths.max()} columns",
                "give all particles the same columns",
            )
        width = int(widths.max(initial=0))
        parts = {f"x{i}": given[:, :, i] for i in range(width)}
    else:
        parts = {"x0": given}
    columns, counts = [], None
    for key, values in parts.items():
        if values.ndim != 2 or values.fields:
            raise problem(
                WHERE, f"{name}[{key!r}]", f"is of type {values.type}", "give numbers per particle"
            )
        found = awkward.to_numpy(awkward.num(values, axis=1))
        if counts is not None and not np.array_equal(found, counts):
            first = next(iter(parts))
            at = None
            if len(found) == len(counts):
                at = int(np.flatnonzero(found != counts)[0])
            raise problem(
                WHERE,
                name,
                f"{key} has other numbers of particles than {first}",
                "give columns of one collection of particles",
                at,
            )
        counts = found
        flat = _numbers(awkward.flatten(values, axis=1), f"{name}[{key!r}]")
        columns.append(_single(flat, key, name))
    if counts is None:
        raise problem(WHERE, name, "has no columns", "name at least one column of particles")
    return tuple(parts), _table(columns, int(counts.sum())), counts


def _of_records(given: Any, name: str) -> Level:
    """Return a level of awkward records: jagged fields are of particles, flat ones of the event."""
    flat: dict[str, np.ndarray] = {}
    jagged: dict[str, Any] = {}
    for field in given.fields:
        part = given[field]
        if part.ndim == 1 and part.fields:
            flat |= {f"{field}.{k}": _numbers(part[k], f"{name}[{field!r}]") for k in part.fields}
        elif part.ndim == 1:
            flat[field] = _numbers(part, f"{name}[{field!r}]")
        elif part.fields:
            jagged |= {
                key if key not in jagged else f"{field}.{key}": part[key] for key in part.fields
            }
        else:
            jagged[field] = part
    particles = _jagged(jagged, name) if jagged else None
    return _joined(tuple(flat), list(flat.values()), particles, name)


def _table(columns: list[np.ndarray], rows: int) -> np.ndarray:
    return np.stack(columns, axis=1) if columns else np.zeros((rows, 0), np.float32)


def _offsets(counts: np.ndarray) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)


def _is_of(package: str, given: Any) -> bool:
    """Return whether something is an object of a package, which need not be loaded."""
    return type(given).__module__.partition(".")[0] == package


def _is_jagged(given: Any) -> bool:
    """Return whether something is an awkward array of lists of any length."""
    if not _is_of("awkward", given) or given.ndim != 2:
        return False
    return given.layout.is_list and not given.layout.is_regular


def _plain(given: Any, name: str) -> np.ndarray:
    """Return an awkward array that has as many numbers in every event."""
    import awkward

    try:
        return awkward.to_numpy(given, allow_missing=False)
    except (ValueError, TypeError) as error:
        raise InputError(
            f"{WHERE}: {name}: is of type {given.type}, and not one number per event; {_FORMS}"
        ) from error
