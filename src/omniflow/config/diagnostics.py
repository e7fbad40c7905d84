"""Configuration of diagnostics."""

from __future__ import annotations

from pydantic import Field

from omniflow.config.section import Section


class WeightLimits(Section):
    """Limits beyond which event weights are called poor, in logs of jobs and in the report."""

    effective: float = Field(
        0.1,
        ge=0,
        le=1,
        description="Least effective sample size (Σw)² / Σw², as a fraction of the events.",
    )
    largest: float = Field(
        0.05, gt=0, le=1, description="Largest share of one event in the sum of |w|."
    )
    negative: float = Field(
        0.25, ge=0, le=1, description="Largest share of events with negative weights."
    )
    yield_change: float = Field(
        0.5,
        gt=0,
        description="Largest relative change of the sum of weights, in a step of an iteration and "
        "by all of them.",
    )


class Diagnostics(Section):
    """What tells how far the result can be trusted, beyond what every report has."""

    second_classifier: bool = Field(
        True,
        description="Train a second classifier per method to tell data from reweighted simulation "
        "and, where there is truth, truth from the unfolded result, and one of each before "
        "unfolding. That is two networks per method and two more.",
    )
    oracle: bool = Field(
        True,
        description="Where data have truth: train step 2 on it, one network that tells truth from "
        "simulation, and give its distances beside those of the methods. It is the best that such "
        "a network and these events could do, for the price of one network.",
    )
    response: bool = Field(
        True,
        description="Where data have truth, and for other simulations of systematic variations: "
        "test by small networks whether the detector response is that of the simulation "
        "(method/identifiability.md).",
    )
    weights: WeightLimits = Field(
        WeightLimits(), description="Limits beyond which event weights are called poor."
    )
