"""Observables of DIS events, of the same form as those of a configuration (`observables.define`).

The nine of arXiv:2503.20753 (sec. 3), which are the set `dis`, plus y and the multiplicity.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from omniflow.errors import InputError
from omniflow.events.sample import Level
from omniflow.observables.sets import ObservableSet

_JETS = {"algorithm": "kt", "radius": 1.0, "pt_min": 5.0}
_JET_PT_EDGES = (5, 6, 7, 8, 9, 10, 11, 12, 13.5, 15, 17, 19, 22, 26, 31, 38, 48, 65)


def _seen(value: str) -> str:
    """Return an expression that is NaN without an electron, as in events that fail (all zero)."""
    return f"where((hypot(e_px, e_py) > 0) & (q2 > 0), {value}, nan)"


_ETA_E = _seen("arcsinh(e_pz / hypot(e_px, e_py))")
_PHI_E = _seen("arctan2(e_py, e_px)")


def multiplicity(level: Level) -> np.ndarray:
    """Return the number of particles of every event, (n,), of any sample with particles.

    Args:
        level: of n events.

    Returns:
        (n,) whole numbers.

    Raises:
        InputError: the level has no particles.
    """
    if not level.particle_columns:
        raise InputError(
            "counts particles, of which this level has none: choose other observables, or define "
            "one with `level`"
        )
    return level.counts


DEFINITIONS: dict[str, dict[str, Any]] = {
    "eta_p_minus_eta_e": {
        "expression": f"eta - {_ETA_E}",
        "kind": "particle",
        "label": "η_p − η_e",
        "latex": r"$\eta_p - \eta_e$",
        "bins": {"count": 22, "range": (-1.0, 4.5)},
    },
    "log10_pt": {
        "expression": "log10(pt)",
        "kind": "particle",
        "label": "log₁₀(p_T / GeV)",
        "latex": r"$\log_{10}(p_T / \mathrm{GeV})$",
        "bins": {"count": 22, "range": (-1.0, 1.75)},
        "log_y": True,
    },
    "log10_pt_over_q": {
        "expression": f"log10(pt / sqrt({_seen('q2')}))",
        "kind": "particle",
        "label": "log₁₀(p_T / Q)",
        "latex": r"$\log_{10}(p_T / Q)$",
        "bins": {"count": 24, "range": (-2.75, 0.25)},
        "log_y": True,
    },
    "jet_pt": {
        "jets": "pt",
        **_JETS,
        "label": "jet p_T",
        "latex": r"$p_T^\mathrm{jet}$",
        "unit": "GeV",
        "edges": _JET_PT_EDGES,
        "log_x": True,
        "log_y": True,
    },
    "jet_eta": {
        "jets": "eta",
        **_JETS,
        "label": "jet η",
        "latex": r"$\eta^\mathrm{jet}$",
        "bins": {"count": 17, "range": (-1.5, 2.75)},
    },
    "jet_tau21": {
        "jets": "tau21",
        **_JETS,
        "label": "jet τ₂₁",
        "latex": r"$\tau_{21}^\mathrm{jet}$",
        "bins": {"count": 20, "range": (0.0, 1.0)},
    },
    "q2": {
        "expression": _seen("q2"),
        "kind": "event",
        "label": "Q²",
        "latex": r"$Q^2$",
        "unit": "GeV²",
        "bins": {"count": 15, "range": (150.0, 5000.0), "log": True},
        "log_x": True,
        "log_y": True,
    },
    "eta_e": {
        "expression": _ETA_E,
        "kind": "event",
        "label": "η_e",
        "latex": r"$\eta_e$",
        "bins": {"count": 16, "range": (-1.6, 1.6)},
    },
    "dphi_jet_e": {
        # The remainder wraps to [-π, π).
        "expression": f"pi - abs((first(jets.phi) - {_PHI_E} + pi) % (2 * pi) - pi)",
        **_JETS,
        "kind": "event",
        "label": "π − |Δφ(jet, e)|",
        "latex": r"$\pi - |\Delta\phi(\mathrm{jet}, e)|$",
        "unit": "rad",
        "bins": {"count": 16, "range": (0.0, 1.2)},
        "log_y": True,
    },
    "y": {
        "expression": _seen("y"),
        "kind": "event",
        "label": "y",
        "latex": "$y$",
        "bins": {"count": 15, "range": (0.2, 0.7)},
    },
    "multiplicity": {
        "object": "omniflow.physics.dis.observables:multiplicity",
        "kind": "event",
        "label": "number of particles",
        "latex": r"$N_\mathrm{particles}$",
        # Edges between the integers, three values a bin.
        "bins": {"count": 20, "range": (0.5, 60.5)},
        "log_y": True,
    },
}

DIS = ObservableSet(
    DEFINITIONS, tuple(name for name in DEFINITIONS if name not in ("y", "multiplicity"))
)
