"""Parametrised detector of the LHC's kind: tracks and what calorimeters hold beyond them.

Written after the ideas of Delphes (JHEP 02 (2014) 057, section 2): each particle is a track or not,
towers measure the energy of all particles that reach them, and a tower's excess over its tracks
becomes a neutral object. Numbers are as coarse as in fast simulations of the LHC's detectors and
are those of no experiment; there is no magnetic field and no pile-up. Energies in GeV.
"""

from __future__ import annotations

import numpy as np

from omniflow.events.sample import Level
from omniflow.physics.zjets.generator import PARTICLE

PHOTON, NEUTRAL_HADRON = 22, 130
_ELECTRON, _MUON = 11, 13
_NEUTRAL = (PHOTON, NEUTRAL_HADRON, 310, 2112, 3122, 3322)

# Tracks: |eta| edge, efficiency below and above 1 GeV, resolution: constant, per GeV.
_TRACKER = ((1.5, 0.70, 0.95, 0.06, 1.3e-3), (2.5, 0.60, 0.85, 0.15, 2.5e-3))
_TRACK_PT_MIN = 0.1
_TRACK_ANGLE = 0.001
# Towers: width in eta and phi, sigma(E) = sqrt((constant E)^2 + stochastic^2 E + noise^2), least
# energy, least energy in units of its resolution, |eta| that they reach.
_ECAL = (0.0174, 0.008, 0.11, 0.40, 0.5, 2.0, 3.0)
_HCAL = (0.087, 0.050, 1.50, 0.0, 1.0, 1.0, 5.0)


def simulate(particle: Level, seed: tuple[int, ...]) -> Level:
    """Simulate the detector for events at particle level.

    Args:
        particle: n events with the particle columns `PARTICLE`.
        seed: numbers; the same ones and the same events give the same result.

    Returns:
        n events with the same columns: tracks with their species, and neutral objects as photons
        (22) or neutral hadrons (130).
    """
    rng = np.random.default_rng(seed)
    event = np.repeat(np.arange(len(particle)), particle.counts)
    rows = np.asarray(particle.particles, dtype=np.float64)
    tracks, found = _tracks(rows, rng)
    species = np.abs(rows[:, 4])
    electromagnetic = (species == PHOTON) | (species == _ELECTRON)
    hadronic = ~electromagnetic & (species != _MUON)
    parts = [(event[found], tracks)]
    for reaching, calorimeter, code in (
        (electromagnetic, _ECAL, PHOTON),
        (hadronic, _HCAL, NEUTRAL_HADRON),
    ):
        measured = np.zeros(len(rows))
        measured[found] = _energy(tracks)
        parts.append(
            _excess(event[reaching], rows[reaching], measured[reaching], *calorimeter, code, rng)
        )
    index, objects = (np.concatenate(each) for each in zip(*parts, strict=True))
    order = np.lexsort((-objects[:, 0], index))
    counts = np.bincount(index, minlength=len(particle))
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    none = np.zeros((len(particle), 0), np.float32)
    return Level(none, objects[order].astype(np.float32), offsets, (), PARTICLE)


def _tracks(rows: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return the measured tracks, and which particles have one."""
    pt, eta = rows[:, 0], np.abs(rows[:, 1])
    efficiency, width = np.zeros((2, len(rows)))
    for edge, soft, hard, constant, linear in reversed(_TRACKER):
        inside = eta < edge
        efficiency[inside] = np.where(pt[inside] < 1, soft, hard)
        width[inside] = np.hypot(constant, linear * pt[inside])
    efficiency[(pt < _TRACK_PT_MIN) | np.isin(np.abs(rows[:, 4]), _NEUTRAL)] = 0
    found = rng.random(len(rows)) < efficiency
    tracks = rows[found]
    k = len(tracks)
    tracks[:, 0] *= np.maximum(1 + width[found] * rng.standard_normal(k), 0.01)
    tracks[:, 1:3] += _TRACK_ANGLE * rng.standard_normal((k, 2))
    return tracks, found


def _excess(
    event: np.ndarray,
    rows: np.ndarray,
    tracks: np.ndarray,
    cell: float,
    constant: float,
    stochastic: float,
    noise: float,
    least: float,
    significance: float,
    reach: float,
    code: int,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Return events and rows of what towers measure beyond their tracks' energy `tracks`."""
    inside = np.abs(rows[:, 1]) < reach
    event, rows, tracks = event[inside], rows[inside], tracks[inside]
    columns = int(2 * np.pi / cell)
    eta = np.floor(rows[:, 1] / cell).astype(np.int64)
    phi = np.floor((rows[:, 2] + np.pi) / (2 * np.pi) * columns).astype(np.int64) % columns
    towers, tower = np.unique(np.stack([event, eta, phi], axis=1), axis=0, return_inverse=True)
    tower = tower.ravel()
    k = len(towers)
    energy = np.bincount(tower, _energy(rows), k)
    sigma = np.sqrt((constant * energy) ** 2 + stochastic**2 * energy + noise**2)
    beyond = energy + sigma * rng.standard_normal(k) - np.bincount(tower, tracks, k)
    seen = (beyond > least) & (beyond > significance * sigma)
    # Somewhere in the tower.
    eta = (towers[:, 1] + rng.random(k)) * cell
    phi = (towers[:, 2] + rng.random(k)) * (2 * np.pi / columns) - np.pi
    fixed = np.zeros(k), np.full(k, float(code))
    objects = np.stack([beyond / np.cosh(eta), eta, phi, *fixed], axis=1)
    return towers[seen, 0], objects[seen]


def _energy(rows: np.ndarray) -> np.ndarray:
    return np.hypot(rows[:, 0] * np.cosh(rows[:, 1]), rows[:, 3])
