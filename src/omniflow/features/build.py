"""Building of features: from the columns of a level to scaled inputs and their file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np

from omniflow.errors import InputError
from omniflow.events.columns import of_level
from omniflow.events.features import SCHEMA, VERSION, Features
from omniflow.events.neighbours import nearest
from omniflow.events.sample import Level
from omniflow.expressions import Expression, ExpressionError, Values, parse
from omniflow.features.feature_set import FeatureSet
from omniflow.features.scaling import Scaling
from omniflow.files import atomic_path

_CHUNK = 20_000


def compute(
    level: Level, wanted: FeatureSet, first: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return unscaled features of n events with M particles, and coordinates of neighbours.

    Args:
        level: the events.
        wanted: the features.
        first: position of the first event in the sample, for messages.

    Returns:
        Features of particles (M, F) and of events (n, E) and coordinates (M, 2), float64. Events
        that hold nothing at this level, because they fail its selection, have zeros where a
        feature is not defined.

    Raises:
        InputError: a column is missing, a feature is not one number per particle or event, or it is
            not finite.
    """
    table = _Table(level, first)
    for name, text in wanted.define.items():
        table.columns[name] = table.evaluate(name, text)
    particles = np.empty((len(level.particles), len(wanted.particles)))
    for at, (name, text) in enumerate(wanted.particles.items()):
        particles[:, at] = table.of_particles(name, text)
    event = np.empty((len(level), len(wanted.event)))
    for at, (name, text) in enumerate(wanted.event.items()):
        event[:, at] = table.of_events(name, text)
    coordinates = np.zeros((len(level.particles), 2))
    for at, text in enumerate(wanted.neighbours or ()):
        coordinates[:, at] = table.of_particles("neighbours", text)
    return particles, event, coordinates


class _Table:
    """The columns of a level, with those that are defined on the way."""

    def __init__(self, level: Level, first: int) -> None:
        self.level, self.first = level, first
        self.columns: dict[str, Values] = of_level(level)

    def evaluate(self, name: str, text: str) -> Values:
        expression: Expression = parse(text)
        try:
            return expression.evaluate(self.columns, len(self.level))
        except ExpressionError as error:
            raise InputError(f"feature {name!r} (classifier.features): {error}") from error

    def of_particles(self, name: str, text: str) -> np.ndarray:
        """Return a feature (M,) of all particles; what events have is repeated."""
        values, level = self.evaluate(name, text), self.level
        if values.offsets is None:
            return np.repeat(values.array, level.counts)
        if not np.array_equal(values.offsets, level.offsets):
            raise InputError(
                f"feature {name!r} (classifier.features): {text!r} is not defined for all "
                "particles of an event; use where(condition, value, 0) instead of a selection"
            )
        bad = np.flatnonzero(~np.isfinite(values.array))
        if len(bad):
            at = int(np.searchsorted(level.offsets, bad[0], side="right")) - 1
            place = f"particle {bad[0] - int(level.offsets[at])} of event {self.first + at}"
            raise self._not_finite(name, text, values.array[bad[0]], place)
        return values.array

    def of_events(self, name: str, text: str) -> np.ndarray:
        """Return a feature (n,) of all events."""
        values, level = self.evaluate(name, text), self.level
        if values.offsets is not None:
            raise InputError(
                f"feature {name!r} (classifier.features): {text!r} has one value per particle "
                "where one per event is needed; take sum, max, first, count or mean of it"
            )
        array = values.array
        bad = ~np.isfinite(array)
        if bad.any():
            empty = (level.counts == 0) & ~np.asarray(level.event).any(axis=1)
            array = np.where(bad & empty, 0.0, array)
            bad &= ~empty
        if bad.any():
            at = int(np.flatnonzero(bad)[0])
            raise self._not_finite(name, text, array[at], f"event {self.first + at}")
        return array

    def _not_finite(self, name: str, text: str, value: float, place: str) -> InputError:
        return InputError(
            f"feature {name!r} (classifier.features): {text!r} is {value} for {place} of the "
            "sample; give a value where it is not defined: where(condition, value, 0)"
        )


def fit_scaling(level: Level, select: np.ndarray, wanted: FeatureSet) -> Scaling:
    """Return mean and standard deviation of the features of events `select` ((n,) bool).

    Args:
        level: of n events.
        select: (n,) bool.
        wanted: the features.

    Returns:
        Means and deviations of F particle features, (F,), and of E event features, (E,); a
        deviation is 1 where a feature is constant.
    """
    sums: list[np.ndarray | float] = [0.0] * 6
    for start, part in _chunks(level):
        chosen = part.take(select[start : start + len(part)])
        particles, event, _ = compute(chosen, wanted, start)
        parts = [len(particles), particles.sum(0), (particles**2).sum(0)]
        parts += [len(event), event.sum(0), (event**2).sum(0)]
        sums = [a + b for a, b in zip(sums, parts, strict=True)]
    moments = []
    for count, total, square in (sums[:3], sums[3:]):
        count = max(count, 1)
        mean = np.asarray(total) / count
        variance = np.maximum(np.asarray(square) / count - mean**2, 0.0)
        # A constant feature carries no information; leave it at zero instead of dividing by 0.
        std = np.sqrt(np.where(variance > 1e-12 * (1 + mean**2), variance, 1.0))
        moments += [np.atleast_1d(mean), np.atleast_1d(std)]
    return Scaling(*moments)


def build(
    level: Level, scaling: Scaling, wanted: FeatureSet, neighbours: int, first: int = 0
) -> Features:
    """Return the scaled features of a level that fits in memory."""
    particles, event, coordinates = compute(level, wanted, first)
    return Features(
        ((particles - scaling.particle_mean) / scaling.particle_std).astype(np.float32),
        nearest(coordinates, np.asarray(level.offsets), neighbours),
        np.asarray(level.offsets, np.int64),
        ((event - scaling.event_mean) / scaling.event_std).astype(np.float32),
    )


def write(path: Path, level: Level, scaling: Scaling, wanted: FeatureSet, neighbours: int) -> None:
    """Write the scaled features of `level` to `path`, by chunks of events."""
    width, event_width = len(wanted.particles), len(wanted.event)
    total = len(level.particles)
    with atomic_path(path) as temporary, h5py.File(temporary, "w", locking=False) as file:
        file.attrs["schema"] = SCHEMA
        file.attrs["version"] = VERSION
        file.create_dataset("particles", (total, width), np.float32)
        file.create_dataset("neighbours", (total, neighbours), np.int16)
        file.create_dataset("event", (len(level), event_width), np.float32)
        file.create_dataset("offsets", data=np.asarray(level.offsets, np.int64))
        for start, part in _chunks(level):
            features = build(part, scaling, wanted, neighbours, start)
            rows = slice(int(level.offsets[start]), int(level.offsets[start + len(part)]))
            if rows.stop > rows.start:
                file["particles"][rows] = features.particles
                file["neighbours"][rows] = features.neighbours
            file["event"][start : start + len(part)] = features.event


def _chunks(level: Level) -> Iterator[tuple[int, Level]]:
    for start in range(0, len(level), _CHUNK):
        stop = min(start + _CHUNK, len(level))
        offsets = np.asarray(level.offsets[start : stop + 1])
        yield (
            start,
            Level(
                np.asarray(level.event[start:stop]),
                np.asarray(level.particles[offsets[0] : offsets[-1]]),
                offsets - offsets[0],
                level.event_columns,
                level.particle_columns,
            ),
        )
