"""Units: what the package converts to GeV and radians when events are read."""

from __future__ import annotations

import math

# Factor, and the unit that values have then.
FACTORS: dict[str, tuple[float, str]] = {
    "eV": (1e-9, "GeV"),
    "keV": (1e-6, "GeV"),
    "MeV": (1e-3, "GeV"),
    "TeV": (1e3, "GeV"),
    "MeV^2": (1e-6, "GeV^2"),
    "TeV^2": (1e6, "GeV^2"),
    "deg": (math.pi / 180, "rad"),
    "degree": (math.pi / 180, "rad"),
    "degrees": (math.pi / 180, "rad"),
    "°": (math.pi / 180, "rad"),
    "mrad": (1e-3, "rad"),
    "GeV/c": (1.0, "GeV"),
    "GeV/c^2": (1.0, "GeV"),
    "MeV/c": (1e-3, "GeV"),
    "MeV/c^2": (1e-3, "GeV"),
}
