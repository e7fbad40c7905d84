"""What networks see of DIS events: the features of arXiv:2503.20753 (section 2), and sums."""

from __future__ import annotations

from omniflow.features.feature_set import FeatureSet

# Events without a reconstructed electron (rows of zeros) have no features.
_ELECTRON = {
    "valid": "q2 > 0",
    "q": "sqrt(where(valid, q2, 1))",
    "pt_e": "where(valid, hypot(e_px, e_py), 1)",
    "eta_e": "arcsinh(e_pz / pt_e)",
    "phi_e": "arctan2(e_py, e_px)",
    "energy": "pt * cosh(eta)",
    "delta_eta": "eta - eta_e",
    "turned": "wrap(phi - phi_e - pi)",
}
# |delta phi| to the point opposite the electron is pi - |phi - phi_e|.
_PARTICLES = {
    "eta - eta_e": "delta_eta",
    "phi - phi_e - pi": "delta_phi",
    "log pt": "log(pt)",
    "log pt/Q": "log(pt / q)",
    "log E/Q": "log(energy / q)",
    "log E": "log(energy)",
    "distance to electron": "hypot(delta_eta, delta_phi)",
}
_EVENT = {
    "log q2": "where(valid, 2 * log(q), 0)",
    "y": "where(valid, y, 0)",
    "pt_e/Q": "where(valid, pt_e / q, 0)",
    "eta_e": "where(valid, eta_e, 0)",
}
_NEIGHBOURS = ("eta", "wrap(phi)")

DIS = FeatureSet(
    _PARTICLES,
    {**_EVENT, "phi_e": "where(valid, phi_e, 0)"},
    _NEIGHBOURS,
    {**_ELECTRON, "delta_phi": "turned"},
)

# Sums over all particles of the event, which attention (a mean) cannot form by itself, in place of
# phi_e; delta phi has the sign that the summed momentum's has, so that rotations about the beam and
# mirror images change nothing.
DIS_SUMS = FeatureSet(
    _PARTICLES,
    {
        **_EVENT,
        "log(1 + n)": "where(valid, log1p(count(pt)), 0)",
        "log pt_h/pt_e": "where(valid, log(pt_h / pt_e), 0)",
        "|phi_h - phi_e - pi|": "where(valid, phi_h * side, 0)",
        "eta_h": "where(valid, arcsinh(pz_h / pt_h), 0)",
        "log (E - pz)_h": "where(valid, log(maximum(e_h - pz_h, 0.01)), 0)",
    },
    _NEIGHBOURS,
    {
        **_ELECTRON,
        "px_h": "sum(pt * cos(phi))",
        "py_h": "sum(pt * sin(phi))",
        "pz_h": "sum(pt * sinh(eta))",
        "e_h": "sum(pt * cosh(eta))",
        "pt_h": "maximum(hypot(px_h, py_h), 0.01)",
        "phi_h": "wrap(arctan2(py_h, px_h) - phi_e - pi)",
        "side": "where(phi_h < 0, -1, 1)",
        "delta_phi": "side * turned",
    },
)
