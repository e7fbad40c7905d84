"""Parametrised detector of H1's kind: tracks, calorimeter clusters, electron, event selection.

All numbers parametrise a tracker and a liquid-argon calorimeter (H1, NIM A 386 (1997) 310), tuned
as a whole to give the migrations of a high-Q2 analysis. Energies in GeV, angles in rad.
"""

from __future__ import annotations

import numpy as np

from omniflow.events.sample import Level
from omniflow.physics.dis.kinematics import (
    DIS_EVENT,
    DIS_PARTICLE,
    LEPTON_ENERGY,
    PARTICLE_ETA,
    PARTICLE_PT_MIN,
    electron_kinematics,
)

# Events that share one random generator; fixed, so that no number depends on available memory.
_CHUNK = 10_000

# Event selection at detector level.
Q2_MIN = 150.0
Y = (0.08, 0.7)
MISSING_PT_MAX = 10.0
E_MINUS_PZ = (45.0, 65.0)

# Scattered electron.
_ELECTRON_EFFICIENCY = 0.985
_ELECTRON_TURN_ON = (10.0, 0.6)  # energy at half height, width
_ELECTRON_ANGLE = 0.002
_RADIATIVE_FRACTION, _RADIATIVE_LOSS = 0.05, 0.06  # mean relative loss, exponential
_CRACK_SPACING, _CRACK_HALF_WIDTH = np.radians(45.0), np.radians(0.7)
_CRACK_EFFICIENCY = 0.45
_EM_STOCHASTIC, _EM_CONSTANT = 0.11, 0.01

# Tracks.
_TRACK_EFFICIENCY = 0.94
_TRACK_PT_TURN_ON = (0.124, 0.025)
_TRACK_ETA_EDGE = (1.87, 0.05)
_TRACK_PT_CONSTANT, _TRACK_PT_LINEAR = 0.015, 0.005  # sigma(pT) / pT and sigma(pT) / pT^2
_TRACK_ETA, _TRACK_PHI, _TRACK_SCATTERING = 0.002, 0.001, 0.002  # the last divided by pT

# Clusters: efficiency, turn-on in energy, resolutions, threshold.
_PHOTON_EFFICIENCY, _PHOTON_TURN_ON = 0.94, (0.19, 0.06)
_HADRON_EFFICIENCY, _HADRON_TURN_ON = 0.85, (0.65, 0.20)
_HADRON_STOCHASTIC, _HADRON_CONSTANT = 0.50, 0.02
_PHOTON_ANGLE, _PHOTON_ANGLE_CONSTANT = 0.0155, 0.008  # the first divided by sqrt(E)
_HADRON_ANGLE, _HADRON_ANGLE_CONSTANT = 0.04, 0.03
_CLUSTER_ENERGY_MIN = 0.15
_CELL = 0.03  # clusters in one cell of this size in eta and phi merge
_NOISE_CLUSTERS, _NOISE_PT = 0.6, 0.25  # mean per event, mean pT above the threshold

# Fraction of photons among particles without charge, at these pT: inside and outside of the
# tracker, where the charge of hadrons is not known at particle level either.
_SPECIES_PT = np.log([0.12, 0.17, 0.25, 0.35, 0.5, 0.7, 0.9, 1.25, 1.75, 2.5, 4.0, 7.0])
_PHOTONS_CENTRAL = (0.99, 0.98, 0.96, 0.93, 0.87, 0.81, 0.76, 0.71, 0.66, 0.61, 0.54, 0.46)
_PHOTONS_FORWARD = (0.69, 0.58, 0.47, 0.36, 0.27, 0.21, 0.20, 0.19, 0.19, 0.19, 0.19, 0.19)
_TRACKER_ETA = 2.0

# Neutral hadrons that decay to two charged particles in the tracker, all taken as K0S -> pi+ pi-.
_V0_FRACTION = 0.34
_V0_MASS, _PION_MASS = 0.4976, 0.1396
_V0_PT_SCALE = 11.0  # tracker radius x mass / c tau, in GeV

# The hadronic final state outside of the acceptance: seen as a whole, or lost in the beam pipe.
_REST_EFFICIENCY = 0.80


def simulate(particle: Level, seed: int) -> tuple[Level, np.ndarray]:
    """Simulate the detector for particle-level DIS events.

    Electron: 11%/sqrt(E) + 1% with a radiative tail, turn-on near 10 GeV, cracks in phi. Charged
    particles become tracks (0.5% pT plus 1.5%) or, without a track, hadron clusters; particles
    without charge become photon (11%/sqrt(E) + 1%) or hadron (50%/sqrt(E)) clusters, a part of
    the neutral hadrons two tracks. Clusters in one cell merge; a little noise is added. Events pass
    with an electron, Q2 > 150 GeV^2, 0.08 < y < 0.7, missing pT < 10 GeV, 45 < E - pz < 65 GeV and
    at least one particle with pT > 0.1 GeV, -1.5 < eta < 2.75.

    Args:
        particle: n events with the columns `DIS_EVENT` and `DIS_PARTICLE`.
        seed: same seed and events, same result.

    Returns:
        Detector level (n events; zeros and no particles where the event fails) and the flag
        `pass_detector`, (n,) bool. Clusters have charge 0; particles are sorted by falling pT.
    """
    n = len(particle)
    event = np.zeros((n, len(particle.event_columns)), dtype=np.float32)
    passed = np.zeros(n, dtype=bool)
    counts = np.zeros(n, dtype=np.int64)
    particles = [np.zeros((0, len(particle.particle_columns)), dtype=np.float32)]
    for number, start in enumerate(range(0, n, _CHUNK)):
        stop = min(start + _CHUNK, n)
        rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(number,)))
        first, last = particle.offsets[start], particle.offsets[stop]
        row, flag, rows, count = _simulate_chunk(
            np.asarray(particle.event[start:stop], dtype=np.float64),
            np.asarray(particle.particles[first:last], dtype=np.float64),
            np.diff(particle.offsets[start : stop + 1]),
            rng,
        )
        event[start:stop], passed[start:stop], counts[start:stop] = row, flag, count
        particles.append(rows)
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    level = Level(event, np.concatenate(particles), offsets, DIS_EVENT, DIS_PARTICLE)
    return level, passed


def _simulate_chunk(
    event: np.ndarray, particles: np.ndarray, counts: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return event rows, pass flags, particle rows and particles per event of a chunk."""
    n = len(event)
    index = np.repeat(np.arange(n), counts)
    pt, eta, phi, charge = particles.T

    electron, found = _electron(event[:, 2:5], rng)
    q2, y = electron_kinematics(electron)
    measured = np.column_stack([q2, y, electron]).astype(np.float32)

    hadrons = _hadronic_final_state(index, pt, eta, phi, charge, n, rng)
    where, pt_seen, eta_seen, phi_seen, _ = hadrons
    balance = _flow(n, where, pt_seen, eta_seen, phi_seen)
    balance += _rest(event[:, 2:5], _flow(n, index, pt, eta, phi), rng)
    balance += _electron_flow(electron)
    missing_pt = np.hypot(balance[:, 0], balance[:, 1])

    rows = np.stack(hadrons[1:], axis=1)
    inside = (rows[:, 0] > PARTICLE_PT_MIN) & (rows[:, 1] > PARTICLE_ETA[0])
    inside &= rows[:, 1] < PARTICLE_ETA[1]
    passed = found & (measured[:, 0] > Q2_MIN) & (measured[:, 1] > Y[0]) & (measured[:, 1] < Y[1])
    passed &= (missing_pt < MISSING_PT_MAX) & (balance[:, 2] > E_MINUS_PZ[0])
    passed &= balance[:, 2] < E_MINUS_PZ[1]
    passed &= np.bincount(where[inside], minlength=n) > 0

    keep = np.flatnonzero(inside & passed[where])
    keep = keep[np.lexsort((-rows[keep, 0], where[keep]))]
    measured[~passed] = 0
    return measured, passed, rows[keep].astype(np.float32), np.bincount(where[keep], minlength=n)


def _electron(momentum: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return the measured electron (n, 3) and whether it is found."""
    n = len(momentum)
    energy = np.linalg.norm(momentum, axis=1)
    theta = np.arccos(momentum[:, 2] / energy)
    phi = np.arctan2(momentum[:, 1], momentum[:, 0])

    loss = np.where(rng.random(n) < _RADIATIVE_FRACTION, rng.exponential(_RADIATIVE_LOSS, n), 0.0)
    measured = energy * (1 - np.minimum(loss, 0.9))
    measured *= _resolution(energy, _EM_STOCHASTIC, _EM_CONSTANT, rng)
    in_crack = np.abs(phi - _CRACK_SPACING * np.round(phi / _CRACK_SPACING)) < _CRACK_HALF_WIDTH
    efficiency = _ELECTRON_EFFICIENCY * _turn_on(measured, *_ELECTRON_TURN_ON)
    found = rng.random(n) < efficiency * np.where(in_crack, _CRACK_EFFICIENCY, 1.0)

    theta = theta + rng.normal(0, _ELECTRON_ANGLE, n)
    phi = phi + rng.normal(0, _ELECTRON_ANGLE, n)
    direction = [np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)]
    return measured[:, None] * np.stack(direction, axis=1), found


def _hadronic_final_state(
    index: np.ndarray,
    pt: np.ndarray,
    eta: np.ndarray,
    phi: np.ndarray,
    charge: np.ndarray,
    n: int,
    rng: np.random.Generator,
) -> tuple[np.ndarray, ...]:
    """Return event number, pT, eta, phi and charge of all tracks and clusters."""
    neutral = charge == 0
    table = np.where(
        np.abs(eta) < _TRACKER_ETA,
        np.interp(np.log(pt), _SPECIES_PT, _PHOTONS_CENTRAL),
        np.interp(np.log(pt), _SPECIES_PT, _PHOTONS_FORWARD),
    )
    photon = neutral & (rng.random(len(pt)) < table)
    in_tracker = _V0_FRACTION * -np.expm1(-_V0_PT_SCALE / pt) * (np.abs(eta) < _TRACKER_ETA)
    v0 = neutral & ~photon & (rng.random(len(pt)) < in_tracker)

    pions = _decay_v0(index[v0], pt[v0], eta[v0], phi[v0], rng)
    charged = tuple(
        np.concatenate([column[~neutral], pion])
        for column, pion in zip((index, pt, eta, phi, charge), pions, strict=True)
    )
    tracks, trackless = _tracks(charged, rng)
    hadron = neutral & ~photon & ~v0
    clusters = _merge(
        n,
        _clusters(tuple(column[photon] for column in (index, pt, eta, phi)), True, rng),
        _clusters(
            tuple(
                np.concatenate([column[hadron], lost])
                for column, lost in zip((index, pt, eta, phi), trackless, strict=True)
            ),
            False,
            rng,
        ),
        _noise(n, rng),
    )
    return tuple(np.concatenate(pair) for pair in zip(tracks, clusters, strict=True))


def _decay_v0(
    index: np.ndarray, pt: np.ndarray, eta: np.ndarray, phi: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, ...]:
    """Return event number, pT, eta, phi and charge of both pions of each K0S."""
    k = len(pt)
    p = np.stack([pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)], axis=1)
    energy = np.sqrt(np.sum(p**2, axis=1) + _V0_MASS**2)
    cosine, angle = rng.uniform(-1, 1, k), rng.uniform(-np.pi, np.pi, k)
    sine = np.sqrt(1 - cosine**2)
    direction = np.stack([sine * np.cos(angle), sine * np.sin(angle), cosine], axis=1)
    rest = np.sqrt(_V0_MASS**2 / 4 - _PION_MASS**2) * direction
    # Lorentz boost of the rest-frame momentum along p, energy M / 2.
    along = np.sum(rest * p, axis=1) / (_V0_MASS * (energy + _V0_MASS))
    pions = np.concatenate([p * (0.5 + sign * along)[:, None] + sign * rest for sign in (1, -1)])
    pion_pt = np.maximum(np.hypot(pions[:, 0], pions[:, 1]), 1e-6)
    pion_phi = np.arctan2(pions[:, 1], pions[:, 0])
    charge = np.repeat([1.0, -1.0], k)
    return np.tile(index, 2), pion_pt, np.arcsinh(pions[:, 2] / pion_pt), pion_phi, charge


def _tracks(
    charged: tuple[np.ndarray, ...], rng: np.random.Generator
) -> tuple[tuple[np.ndarray, ...], tuple[np.ndarray, ...]]:
    """Return the measured tracks, and the charged particles that leave none."""
    index, pt, eta, phi, charge = charged
    edge, slope = _TRACK_ETA_EDGE
    efficiency = _TRACK_EFFICIENCY * _turn_on(pt, *_TRACK_PT_TURN_ON)
    efficiency *= _turn_on(-np.abs(eta), -edge, slope)
    found = rng.random(len(pt)) < efficiency
    lost = tuple(column[~found] for column in (index, pt, eta, phi))
    index, pt, eta, phi, charge = (column[found] for column in (index, pt, eta, phi, charge))
    k = len(pt)
    width = np.hypot(_TRACK_PT_CONSTANT, _TRACK_PT_LINEAR * pt)
    measured = pt * np.maximum(1 + width * rng.standard_normal(k), 0.01)
    eta = eta + np.hypot(_TRACK_ETA, _TRACK_SCATTERING / pt) * rng.standard_normal(k)
    phi = _wrap(phi + np.hypot(_TRACK_PHI, _TRACK_SCATTERING / pt) * rng.standard_normal(k))
    return (index, measured, eta, phi, charge), lost


def _clusters(
    particles: tuple[np.ndarray, ...], electromagnetic: bool, rng: np.random.Generator
) -> tuple[np.ndarray, ...]:
    """Return event number, energy, eta and phi of the clusters of photons or of hadrons."""
    index, pt, eta, phi = particles
    energy = pt * np.cosh(eta)
    k = len(energy)
    if electromagnetic:
        efficiency = _PHOTON_EFFICIENCY * _turn_on(energy, *_PHOTON_TURN_ON)
        response = _resolution(energy, _EM_STOCHASTIC, _EM_CONSTANT, rng)
        spread = np.hypot(_PHOTON_ANGLE_CONSTANT, _PHOTON_ANGLE / np.sqrt(energy))
    else:
        efficiency = _HADRON_EFFICIENCY * _turn_on(energy, *_HADRON_TURN_ON)
        response = _resolution(energy, _HADRON_STOCHASTIC, _HADRON_CONSTANT, rng)
        spread = np.hypot(_HADRON_ANGLE_CONSTANT, _HADRON_ANGLE / np.sqrt(energy))
    measured = energy * response
    theta = 2 * np.arctan(np.exp(-eta)) + spread * rng.standard_normal(k)
    eta = -np.log(np.tan(np.clip(np.abs(theta), 1e-3, np.pi - 1e-3) / 2))
    # Particles outside of the acceptance are not stored; as many migrate in as out.
    eta = np.where(eta > PARTICLE_ETA[1], 2 * PARTICLE_ETA[1] - eta, eta)
    eta = np.where(eta < PARTICLE_ETA[0], 2 * PARTICLE_ETA[0] - eta, eta)
    phi = _wrap(phi + spread * rng.standard_normal(k))
    found = (rng.random(k) < efficiency) & (measured > _CLUSTER_ENERGY_MIN)
    return index[found], measured[found], eta[found], phi[found]


def _noise(n: int, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """Return event number, energy, eta and phi of noise clusters."""
    index = np.repeat(np.arange(n), rng.poisson(_NOISE_CLUSTERS, n))
    k = len(index)
    eta = rng.uniform(*PARTICLE_ETA, k)
    energy = (PARTICLE_PT_MIN + rng.exponential(_NOISE_PT, k)) * np.cosh(eta)
    phi = rng.uniform(-np.pi, np.pi, k)
    found = energy > _CLUSTER_ENERGY_MIN
    return index[found], energy[found], eta[found], phi[found]


def _merge(n: int, *sources: tuple[np.ndarray, ...]) -> tuple[np.ndarray, ...]:
    """Return event number, pT, eta, phi and charge 0 of clusters, summed within cells."""
    index, energy, eta, phi = (np.concatenate(columns) for columns in zip(*sources, strict=True))
    columns = int(2 * np.pi / _CELL) + 1
    rows = int(20 / _CELL)
    cell = ((eta + 10) / _CELL).astype(np.int64).clip(0, rows - 1) * columns
    cell += ((phi + np.pi) / _CELL).astype(np.int64)
    _, first, cell = np.unique(
        index * (rows * columns) + cell, return_index=True, return_inverse=True
    )
    total = np.bincount(cell, energy)
    eta = np.bincount(cell, energy * eta) / total
    phi = np.bincount(cell, energy * phi) / total
    return index[first], total / np.cosh(eta), eta, phi, np.zeros(len(total))


def _rest(electron: np.ndarray, accepted: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return measured px, py, E - pz, (n, 3), of all that is outside of the acceptance.

    It is not stored at particle level, but known from the conservation of pT and E - pz.
    """
    n = len(electron)
    rest = np.array([0.0, 0.0, 2 * LEPTON_ENERGY]) - _electron_flow(electron) - accepted
    rest[:, 2] = np.maximum(rest[:, 2], 0)
    energy = np.maximum(np.maximum(np.hypot(rest[:, 0], rest[:, 1]), rest[:, 2] / 2), 0.5)
    response = _resolution(energy, _HADRON_STOCHASTIC, _HADRON_CONSTANT, rng)
    return rest * (response * (rng.random(n) < _REST_EFFICIENCY))[:, None]


def _flow(
    n: int, index: np.ndarray, pt: np.ndarray, eta: np.ndarray, phi: np.ndarray
) -> np.ndarray:
    """Return the sums of px, py, E - pz per event, (n, 3)."""
    terms = (pt * np.cos(phi), pt * np.sin(phi), pt * np.exp(-eta))
    return np.stack([np.bincount(index, term, minlength=n) for term in terms], axis=1)


def _electron_flow(momentum: np.ndarray) -> np.ndarray:
    """Return px, py, E - pz of the electron, (n, 3)."""
    energy = np.linalg.norm(momentum, axis=1)
    return np.column_stack([momentum[:, :2], energy - momentum[:, 2]])


def _resolution(
    energy: np.ndarray, stochastic: float, constant: float, rng: np.random.Generator
) -> np.ndarray:
    """Return a random calorimeter response, 1 on average, never negative."""
    width = np.hypot(stochastic / np.sqrt(energy), constant)
    return np.maximum(1 + width * rng.standard_normal(len(energy)), 0)


def _turn_on(value: np.ndarray, middle: float, width: float) -> np.ndarray:
    """Return a logistic turn-on."""
    return 0.5 * (1 + np.tanh(0.5 * (value - middle) / width))


def _wrap(phi: np.ndarray) -> np.ndarray:
    """Return angles in [-pi, pi)."""
    return (phi + np.pi) % (2 * np.pi) - np.pi
