"""What is known of clustered jets: the properties that observables have built in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from omniflow.errors import ConfigError
from omniflow.expressions import Values
from omniflow.expressions.errors import nearest
from omniflow.observables.chunk import Chunk, Columns
from omniflow.physics.jets import JetDefinition, Jets

PREFIX = "jets."  # of columns in expressions


@dataclass(frozen=True)
class SoftDrop:
    """Grooming: branches stay where min(pT1, pT2) / (pT1 + pT2) > z_cut (dR / R)^beta."""

    z_cut: float = 0.1
    beta: float = 0.0


SOFT_DROP = SoftDrop()

Property = Callable[[Jets, SoftDrop], np.ndarray]
PROPERTIES: dict[str, Property] = {
    "pt": lambda jets, _: jets.pt,
    "eta": lambda jets, _: jets.eta,
    "phi": lambda jets, _: jets.phi,
    "mass": lambda jets, _: jets.mass,
    "multiplicity": lambda jets, _: jets.multiplicity,
    "width": lambda jets, _: jets.width,
    "tau1": lambda jets, _: jets.tau(1),
    "tau2": lambda jets, _: jets.tau(2),
    "tau3": lambda jets, _: jets.tau(3),
    "tau21": lambda jets, _: jets.tau_ratio(2),
    "tau32": lambda jets, _: jets.tau_ratio(3),
    "groomed_mass": lambda jets, drop: jets.groomed(drop.z_cut, drop.beta).mass,
    "zg": lambda jets, drop: jets.groomed(drop.z_cut, drop.beta).zg,
}
GROOMED = ("groomed_mass", "zg")  # those that soft drop acts on


def find(name: str) -> Property:
    """Return the property called `name`; ConfigError with the nearest name if there is none."""
    if name not in PROPERTIES:
        near = nearest(name, PROPERTIES, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(PROPERTIES)}"
        raise ConfigError(f"jets have no {name!r}: {hint}")
    return PROPERTIES[name]


def columns(chunk: Chunk, definition: JetDefinition, soft_drop: SoftDrop) -> Columns:
    """Return the properties of jets as columns `jets.<property>`, float64, one value per jet."""

    def maker(of: Property) -> Callable[[], Values]:
        def make() -> Values:
            jets = chunk.jets(definition)
            return Values(np.asarray(of(jets, soft_drop), dtype=np.float64), jets.offsets)

        return make

    return Columns({PREFIX + name: maker(of) for name, of in PROPERTIES.items()})
