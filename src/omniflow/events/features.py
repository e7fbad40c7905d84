"""Classifier inputs computed from event stores, and the memory-mapped file that holds them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from omniflow.errors import InputError
from omniflow.events.neighbours import nearest
from omniflow.events.sample import Level
from omniflow.files import atomic_path, memory_map, open_h5
from omniflow.physics.dis import DIS_EVENT, DIS_PARTICLE

SCHEMA = "omniflow-features"
VERSION = 2
_CHUNK = 20_000

DIS_PARTICLE_FEATURES = (
    "eta - eta_e",
    "phi - phi_e - pi",
    "log pt",
    "log pt/Q",
    "log E/Q",
    "log E",
    "distance to electron",
)
DIS_EVENT_FEATURES = ("log q2", "y", "pt_e/Q", "eta_e", "phi_e")
# Sums over all particles of the event, which attention (a mean) cannot form by itself.
DIS_SUM_FEATURES = (
    "log(1 + n)",
    "log pt_h/pt_e",
    "|phi_h - phi_e - pi|",
    "eta_h",
    "log (E - pz)_h",
)
EVENT_FEATURES = {
    "dis": DIS_EVENT_FEATURES,
    "dis_sums": DIS_EVENT_FEATURES[:-1] + DIS_SUM_FEATURES,
}


@dataclass(frozen=True)
class Scaling:
    """Mean and standard deviation of every feature, from detector-level simulation.

    Attributes:
        particle_mean, particle_std: (F,) float64.
        event_mean, event_std: (E,) float64.
    """

    particle_mean: np.ndarray
    particle_std: np.ndarray
    event_mean: np.ndarray
    event_std: np.ndarray

    def to_json(self) -> str:
        """Return the numbers as JSON."""
        return json.dumps({key: value.tolist() for key, value in vars(self).items()}, indent=1)

    @classmethod
    def from_json(cls, text: str) -> Scaling:
        """Return the scaling that `to_json` wrote."""
        return cls(**{key: np.asarray(value, float) for key, value in json.loads(text).items()})


@dataclass(frozen=True)
class Features:
    """Scaled inputs of n events with M particles, jagged; the arrays may be memory maps.

    Attributes:
        particles: (M, F) float32.
        neighbours: (M, K) int16, index within the event of the nearest particles in
            (eta, phi), nearest first; -1 where the event has fewer.
        offsets: (n + 1,) int64.
        event: (n, E) float32.
    """

    particles: np.ndarray
    neighbours: np.ndarray
    offsets: np.ndarray
    event: np.ndarray

    def __len__(self) -> int:
        """Return the number of events."""
        return len(self.event)


def wrap(angle: np.ndarray) -> np.ndarray:
    """Return `angle` (rad, any shape) wrapped to (-pi, pi]."""
    return np.pi - np.mod(np.pi - angle, 2 * np.pi)


def raw(level: Level, kind: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return unscaled particle features (M, F), event features (n, E) and (eta, phi) (M, 2).

    `kind` is `dis` (method of arXiv:2503.20753, section 2), `dis_sums` (DIS_SUM_FEATURES in place
    of phi_e, and phi - phi_e - pi with the sign that phi_h - phi_e - pi has: what rotations about
    the beam and mirror images change is left out) or `plain` (columns as stored).
    Events without electron (all-zero rows: failed selection) get zeros.

    Raises:
        InputError: DIS features asked of a sample that lacks the DIS columns.
    """
    if kind == "plain":
        names = level.particle_columns
        known = "eta" in names and "phi" in names and len(level.particles)
        columns = [names.index("eta"), names.index("phi")] if known else [0, 0]
        coordinates = level.particles[:, columns] if known else np.zeros((len(level.particles), 2))
        return np.asarray(level.particles, float), np.asarray(level.event, float), coordinates
    if level.event_columns != DIS_EVENT or level.particle_columns != DIS_PARTICLE:
        raise InputError(
            f"features: {kind} needs events of {DIS_EVENT} and particles of {DIS_PARTICLE}; "
            f"the sample has {level.event_columns} and {level.particle_columns}. "
            "Set classifier.features: plain."
        )
    q2, y, px, py, pz = np.asarray(level.event, float).T
    valid = q2 > 0
    q = np.sqrt(np.where(valid, q2, 1.0))
    pt_e = np.where(valid, np.hypot(px, py), 1.0)
    eta_e = np.arcsinh(pz / pt_e)
    phi_e = np.arctan2(py, px)
    event = np.stack([2 * np.log(q), y, pt_e / q, eta_e, phi_e], axis=1)
    counts = level.counts
    pt, eta, phi, _ = np.asarray(level.particles, float).T
    side = np.ones(len(counts))
    if kind == "dis_sums":
        sums = _sums(pt, eta, phi, counts, pt_e, phi_e)
        side = np.where(sums[:, 2] < 0, -1.0, 1.0)
        sums[:, 2] *= side
        event = np.concatenate([event[:, :-1], sums], axis=1)
    event[~valid] = 0.0
    q, eta_e, phi_e, side = (np.repeat(x, counts) for x in (q, eta_e, phi_e, side))
    energy = pt * np.cosh(eta)
    delta_eta = eta - eta_e
    delta_phi = side * wrap(phi - phi_e - np.pi)
    particles = np.stack(
        [
            delta_eta,
            delta_phi,
            np.log(pt),
            np.log(pt / q),
            np.log(energy / q),
            np.log(energy),
            # |delta_phi| is pi - |phi - phi_e|: distance to the point opposite the electron.
            np.hypot(delta_eta, delta_phi),
        ],
        axis=1,
    )
    return particles, event, np.stack([eta, wrap(phi)], axis=1)


def _sums(
    pt: np.ndarray,
    eta: np.ndarray,
    phi: np.ndarray,
    counts: np.ndarray,
    pt_e: np.ndarray,
    phi_e: np.ndarray,
) -> np.ndarray:
    """Return DIS_SUM_FEATURES (n, 5), the third with its sign; finite also without particles."""
    event = np.repeat(np.arange(len(counts)), counts)
    px, py, pz, energy = (
        np.bincount(event, term, len(counts))
        for term in (pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta), pt * np.cosh(eta))
    )
    pt_h = np.maximum(np.hypot(px, py), 1e-2)
    return np.stack(
        [
            np.log1p(counts),
            np.log(pt_h / pt_e),
            wrap(np.arctan2(py, px) - phi_e - np.pi),
            np.arcsinh(pz / pt_h),
            np.log(np.maximum(energy - pz, 1e-2)),
        ],
        axis=1,
    )


def fit_scaling(level: Level, select: np.ndarray, kind: str) -> Scaling:
    """Return mean and standard deviation of the features of events `select` ((n,) bool)."""
    sums: list[np.ndarray | float] = [0.0] * 6
    for start, part in _chunks(level):
        chosen = part.take(select[start : start + len(part)])
        particles, event, _ = raw(chosen, kind)
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


def build(level: Level, scaling: Scaling, kind: str, neighbours: int) -> Features:
    """Return the scaled features of a level that fits in memory."""
    particles, event, coordinates = raw(level, kind)
    return Features(
        ((particles - scaling.particle_mean) / scaling.particle_std).astype(np.float32),
        nearest(coordinates, np.asarray(level.offsets), neighbours),
        np.asarray(level.offsets, np.int64),
        ((event - scaling.event_mean) / scaling.event_std).astype(np.float32),
    )


def write(path: Path, level: Level, scaling: Scaling, kind: str, neighbours: int) -> None:
    """Write the scaled features of `level` to `path`, by chunks of events."""
    width = level.particles.shape[1] if kind == "plain" else len(DIS_PARTICLE_FEATURES)
    event_width = level.event.shape[1] if kind == "plain" else len(EVENT_FEATURES[kind])
    total = len(level.particles)
    with atomic_path(path) as temporary, h5py.File(temporary, "w") as file:
        file.attrs["schema"] = SCHEMA
        file.attrs["version"] = VERSION
        file.create_dataset("particles", (total, width), np.float32)
        file.create_dataset("neighbours", (total, neighbours), np.int16)
        file.create_dataset("event", (len(level), event_width), np.float32)
        file.create_dataset("offsets", data=np.asarray(level.offsets, np.int64))
        for start, part in _chunks(level):
            features = build(part, scaling, kind, neighbours)
            rows = slice(int(level.offsets[start]), int(level.offsets[start + len(part)]))
            if rows.stop > rows.start:
                file["particles"][rows] = features.particles
                file["neighbours"][rows] = features.neighbours
            file["event"][start : start + len(part)] = features.event


def open_features(path: Path) -> Features:
    """Return the memory-mapped features in `path`.

    Raises:
        InputError: not a feature file of this version, or its datasets do not fit together.
    """
    with open_h5(path) as file:
        found = (file.attrs.get("schema"), file.attrs.get("version"))
        if found != (SCHEMA, VERSION):
            raise InputError(
                f"{path}: schema {found} is not {(SCHEMA, VERSION)}; delete the file and rerun."
            )
        particles = memory_map(file, "particles", (None, None), "f")
        neighbours = memory_map(file, "neighbours", (len(particles), None), "i")
        event = memory_map(file, "event", (None, None), "f")
        offsets = memory_map(file, "offsets", (len(event) + 1,), "i")
        if offsets[-1] != len(particles):
            raise InputError(
                f"{path}: offsets: end at {offsets[-1]}, but there are {len(particles)} particles; "
                "delete the file and rerun."
            )
        return Features(particles, neighbours, offsets, event)


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
