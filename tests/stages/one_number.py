"""A source whose events tests write themselves: one number x; all else as of generated events."""

from __future__ import annotations

from omniflow.physics.dis.pythia import Pythia
from omniflow.sources.source import Source


class OneNumber(Pythia):
    """Events with one number x at both levels and no particles."""

    source: str

    def columns(self, level: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return x."""
        return ("x",), ()

    units, features, observables = Source.units, Source.features, Source.observables


class WithParticles(OneNumber):
    """Events with a number x and particles."""

    def columns(self, level: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return x, and momenta."""
        return ("x",), ("pt", "eta", "phi")
