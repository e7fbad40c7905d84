"""Presets that suit any sample: its columns as they are, or particles at a collider."""

from __future__ import annotations

from omniflow.features.feature_set import Columns, FeatureSet

# Columns of particles at a collider: momentum in GeV, angles in rad.
MOMENTUM = ("pt", "eta", "phi")


def columns(event: Columns, particles: Columns) -> FeatureSet:
    """Return all columns as they are; neighbours in (eta, phi) where there are both."""
    known = {"eta", "phi"} <= set(particles)
    return FeatureSet(
        {name: f'column("particles.{name}")' for name in particles},
        {name: f'column("event.{name}")' for name in event},
        ("eta", "phi") if known else None,
    )


def particles(event: Columns, particles: Columns) -> FeatureSet:
    """Return what is usual for particles with pt, eta and phi; further columns as they are.

    Particles are seen in logarithms, relative to the event's scalar sum of pt and to the axis of
    their summed momentum; the event by its multiplicity, sums, and its own columns.
    """
    others = [name for name in particles if name not in MOMENTUM]
    return FeatureSet(
        particles={
            "eta": "eta",
            "sin phi": "sin(phi)",
            "cos phi": "cos(phi)",
            "log pt": "log(pt)",
            "log pt/sum pt": "log(pt / sum_pt)",
            "log E": "log(pt * cosh(eta))",
            "eta - axis": "eta - axis_eta",
            "phi - axis": "wrap(phi - axis_phi)",
            **{name: f'column("particles.{name}")' for name in others},
        },
        event={
            "log(1 + n)": "log1p(count(pt))",
            "log sum pt": "log(sum_pt)",
            "axis eta": "axis_eta",
            **{name: f'column("event.{name}")' for name in event},
        },
        neighbours=("eta", "phi"),
        define={
            "sum_pt": "maximum(sum(pt), 0.01)",
            "sum_px": "sum(pt * cos(phi))",
            "sum_py": "sum(pt * sin(phi))",
            "axis_eta": "arcsinh(sum(pt * sinh(eta)) / maximum(hypot(sum_px, sum_py), 0.01))",
            "axis_phi": "arctan2(sum_py, sum_px)",
        },
    )
