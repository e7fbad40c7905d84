"""Deep-inelastic scattering at HERA: conventions, kinematics, fiducial region."""

from __future__ import annotations

import numpy as np

# Columns of events and of their particles, and the units of those that have one.
DIS_EVENT = ("q2", "y", "e_px", "e_py", "e_pz")
DIS_PARTICLE = ("pt", "eta", "phi", "charge")
UNITS = {"pt": "GeV", "phi": "rad", "q2": "GeV^2", "e_px": "GeV", "e_py": "GeV", "e_pz": "GeV"}

# HERA II beams. The proton moves along +z, the lepton along -z; energies in GeV.
PROTON_ENERGY = 920.0
LEPTON_ENERGY = 27.6

# Particles at both levels: transverse momentum in GeV, pseudorapidity.
PARTICLE_PT_MIN = 0.1
PARTICLE_ETA = (-1.5, 2.75)

# Fiducial region of the measurement: Q2 in GeV^2, inelasticity.
FIDUCIAL_Q2_MIN = 150.0
FIDUCIAL_Y = (0.2, 0.7)

# Particles per record, and the share of records that pass the detector's cuts; for estimates.
TYPICAL = (17.0, 0.52)


def electron_kinematics(momentum: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return Q2 and y by the electron method.

    Q2 = 2 E_e E' (1 + cos theta), y = 1 - E' (1 - cos theta) / (2 E_e), with the polar angle
    measured from the proton direction (Bassler and Bernardi, NIM A 361 (1995) 197).

    Args:
        momentum: (..., 3) px, py, pz of the scattered lepton in GeV; its mass is neglected.

    Returns:
        Q2 in GeV^2 and y, each (...).
    """
    momentum = np.asarray(momentum, dtype=np.float64)
    energy = np.linalg.norm(momentum, axis=-1)
    pz = momentum[..., 2]
    return 2 * LEPTON_ENERGY * (energy + pz), 1 - (energy - pz) / (2 * LEPTON_ENERGY)


def electron_momentum(q2: np.ndarray, y: np.ndarray, phi: np.ndarray) -> np.ndarray:
    """Return the scattered lepton's momentum, (..., 3) in GeV: `electron_kinematics` inverted.

    Args:
        q2: (...) Q2 in GeV^2.
        y: (...) inelasticity, below 1.
        phi: (...) azimuth in rad.

    Returns:
        (..., 3) px, py and pz in GeV.

    Examples:
        >>> import numpy as np
        >>> momentum = electron_momentum(np.array(200.0), np.array(0.4), np.array(1.0))
        >>> [float(np.round(value, 6)) for value in electron_kinematics(momentum)]
        [200.0, 0.4]
    """
    q2, y, phi = (np.asarray(value, dtype=np.float64) for value in (q2, y, phi))
    plus = q2 / (2 * LEPTON_ENERGY)  # E' + pz
    minus = 2 * LEPTON_ENERGY * (1 - y)  # E' - pz
    pt = np.sqrt(plus * minus)
    return np.stack([pt * np.cos(phi), pt * np.sin(phi), (plus - minus) / 2], axis=-1)


def fiducial(event: np.ndarray) -> np.ndarray:
    """Return which events lie in the fiducial region Q2 > 150 GeV^2, 0.2 < y < 0.7.

    Args:
        event: (n, E) event columns that begin with q2, y (`DIS_EVENT`).

    Returns:
        (n,) bool.
    """
    q2, y = event[:, 0], event[:, 1]
    return (q2 > FIDUCIAL_Q2_MIN) & (y > FIDUCIAL_Y[0]) & (y < FIDUCIAL_Y[1])
