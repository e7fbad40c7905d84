"""Quality of weights over a study: notes on samples, steps and results with poor ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from omniflow.events import store
from omniflow.events.quality import Quality, judge, measure, of_sample
from omniflow.stages import inputs
from omniflow.unfolding.plan import Plan

if TYPE_CHECKING:
    import pandas as pd


def notes(plan: Plan, steps: pd.DataFrame, weights: pd.DataFrame) -> list[str]:
    """Return a note on every sample, chain and result whose weights are beyond the limits.

    Args:
        plan: of the study.
        steps: the table of this name.
        weights: the table of this name.
    """
    last = weights[weights["iteration"] == plan.iterations[-1]]
    return [*_samples(plan), *_steps(plan, steps), *_results(plan, last)]


def implausible(plan: Plan) -> list[str]:
    """Return what was doubtful of samples when they were read."""
    return [
        f"{role}: {warning}"
        for role in plan.samples
        for warning in store.warnings(plan.store(role))
    ]


def negative(plan: Plan) -> list[str]:
    """Return a note on every sample in which some weights are negative."""
    found = {role: measure(store.open_store(plan.store(role)).weight) for role in plan.roles}
    return [
        f"{role}: {quality.negative:.2%} of the events have negative weights."
        for role, quality in found.items()
        if quality.negative
    ]


def _samples(plan: Plan) -> list[str]:
    limits = plan.config.diagnostics.weights
    found = []
    for role in plan.samples:
        found += of_sample(store.open_store(plan.store(role)), role, limits)
    for variant in plan.variants.names:
        if plan.variants[variant].weights is not None:
            events = inputs.events(plan, "simulation", variant)
            found += of_sample(events, f"simulation with the factors of {variant}", limits)
    return found


def _steps(plan: Plan, steps: pd.DataFrame) -> list[str]:
    found = []
    for chain, rows in steps.groupby("chain", sort=False):
        places = [
            f"pass {row.pass_} lane {row.lane} iteration {row.iteration} step {row.step}"
            for row in rows.rename(columns={"pass": "pass_"}).itertuples()
        ]
        found += _worst(plan, f"steps of {chain}", rows, places, "sum_after", "sum_before")
    return found


def _results(plan: Plan, last: pd.DataFrame) -> list[str]:
    found = []
    for (method, how), rows in last.groupby(["method", "combine"], sort=False):
        places = [f"pass {pass_}" for pass_ in rows["pass"]]
        found += _worst(plan, f"result of {method} ({how})", rows, places, "sum", "sum_before")
    return found


def _worst(
    plan: Plan, what: str, rows: pd.DataFrame, places: list[str], total: str, before: str
) -> list[str]:
    """Return how many rows have poor weights and what is wrong with the worst of them."""
    limits, poor = plan.config.diagnostics.weights, []
    for place, row in zip(places, rows.to_dict("records"), strict=True):
        numbers = (row["events"], row[total], row["ess"], row["largest"], row["negative"])
        if fault := judge(Quality(*numbers), limits, row[before]):
            poor.append((row["ess"] / row["events"], f"{place}: {fault}"))
    if not poor:
        return []
    number = f"{len(poor)} of {len(rows)}"
    return [f"{what}: {number}; the worst is {min(poor)[1]}"]


def say(name: str, weight: np.ndarray, plan: Plan, before: float | None = None) -> None:
    """Print in a job's log what is wrong with weights that it has made.

    Args:
        name: of the weights, for the message.
        weight: (n,).
        plan: of the study, whose limits count.
        before: their sum before the step; None: it is not compared.
    """
    if fault := judge(measure(weight), plan.config.diagnostics.weights, before):
        print(f"Note: {name}: {fault}")
