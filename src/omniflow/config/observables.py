"""Configuration of what is histogrammed and compared."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

from pydantic import Field, field_validator

from omniflow.config.section import Section

ObservableName = Literal[
    "eta_p_minus_eta_e",
    "log10_pt",
    "log10_pt_over_q",
    "jet_pt",
    "jet_eta",
    "jet_tau21",
    "q2",
    "eta_e",
    "dphi_jet_e",
    "y",
    "multiplicity",
]
DEFAULT_OBSERVABLES: tuple[ObservableName, ...] = (
    "eta_p_minus_eta_e",
    "log10_pt",
    "log10_pt_over_q",
    "jet_pt",
    "jet_eta",
    "jet_tau21",
    "q2",
    "eta_e",
    "dphi_jet_e",
)


class Observables(Section):
    """What is histogrammed and compared."""

    names: tuple[ObservableName, ...] = Field(
        DEFAULT_OBSERVABLES, description="Observables, in the order of the report."
    )
    binning: dict[ObservableName, tuple[float, ...]] = Field(
        {}, description="Bin edges that replace the defaults, per observable."
    )
    region: Literal["fiducial", "all"] = Field(
        "fiducial", description="Events at particle level that metrics are evaluated on."
    )

    @field_validator("names")
    @classmethod
    def _names_are_unique(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value or len(set(value)) != len(value):
            raise ValueError("observables must be named once each, and at least one")
        return value

    @field_validator("binning")
    @classmethod
    def _edges_increase(cls, value: dict[str, tuple[float, ...]]) -> dict[str, tuple[float, ...]]:
        for name, edges in value.items():
            if len(edges) < 2 or any(b <= a for a, b in pairwise(edges)):
                raise ValueError(f"{name}: at least two bin edges, strictly increasing")
        return value
