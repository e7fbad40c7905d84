"""Tables of event weights: after every step, of results, their tails and distributions."""

from __future__ import annotations

from omniflow.tables.shared import (
    BIN,
    CHAIN,
    COMBINE,
    ITERATION,
    LANE,
    MEMBER,
    METHOD,
    OBSERVABLE,
    PASS,
    STEP,
)
from omniflow.tables.table import Table, When, number, whole

TITLE = "Weights"
NOTES = "[Weights](method/weights.md) says how they are judged."

_ESS = "effective sample size (Σw)² / Σw²"

WEIGHTS = Table(
    "weights.csv",
    "final weights of every result",
    columns=(
        METHOD,
        COMBINE,
        PASS,
        ITERATION,
        number("sum", "sum of the final weights"),
        number("minimum", "of the ratio ν"),
        number("maximum", "of the ratio ν"),
        number("mean", "of the ratio ν"),
        number("ess", _ESS),
        number("scale", "s"),
        whole("events", "number of events"),
        number("largest", "share of the largest weight in Σ\\|w\\|"),
        number("negative", "share of events with a negative weight"),
        number("sum_before", "sum of their weights before unfolding, times s"),
    ),
    key=("method", "combine", "pass", "iteration"),
)
STEPS = Table(
    "steps.csv",
    "weights of every lane after each step",
    columns=(
        CHAIN,
        PASS,
        LANE,
        ITERATION,
        STEP,
        number("sum_before", "sum of weights before the step, of the events that it applies to"),
        number("sum_after", "after it"),
        number("minimum", "of the step's ratio"),
        number("maximum", "of the step's ratio"),
        number("ess", f"{_ESS} after the step"),
        whole("clipped", "clipped logits of all members"),
        whole("events", "number of events"),
        number("largest", "as in `weights.csv`, after the step"),
        number("negative", "as in `weights.csv`, after the step"),
        number("yields", "what the ratio of each member was multiplied with"),
        number("factor", "what their combination was multiplied with"),
    ),
    key=("chain", "pass", "lane", "iteration", "step"),
)
STACKING = Table(
    "stacking.csv",
    "weights of stacked members",
    When.STACKING,
    notes="""\
Two-fold means: on half of the events with what the other half decided; empty where a half has no
events of a class.""",
    columns=(
        CHAIN,
        PASS,
        LANE,
        ITERATION,
        STEP,
        MEMBER,
        number("weight", "of the member in the mean ratio"),
        number("loss", "held-out loss of the member alone"),
        number("loss_stacked", "that of the weighted mean, on the events that decided"),
        number("loss_mean", "that of the mean with equal weights, on the same events"),
        whole("events", "held-out events (of both classes in step 1) that decided the weights"),
        number("crossed_stacked", "two-fold loss of the weighted mean"),
        number("crossed_mean", "two-fold loss of equal weights"),
        number("crossed_best", "two-fold loss of the best member"),
    ),
    key=("chain", "pass", "lane", "iteration", "step", "member"),
)
TAILS = Table(
    "tails.csv",
    "extremes and quantiles of the weights of each method",
    notes="Of each method's first combination; events count alike in quantiles.",
    columns=(
        METHOD,
        PASS,
        ITERATION,
        number("change", "Σ w \\|ν - ν of the iteration before\\| / Σ w ν"),
        number("minimum", "smallest ν"),
        number("maximum", "largest ν"),
        number("quantile_0_001", "0.1% of ν are smaller"),
        number("median", "half of ν are smaller"),
        number("quantile_0_999", "0.1% of ν are larger"),
        number("share_of_largest", "share of the 1% largest weights in Σ w ν"),
        number("ess", "(Σ w ν)² / Σ (w ν)²"),
    ),
    key=("method", "pass", "iteration"),
)
WEIGHT_DISTRIBUTIONS = Table(
    "weight_distributions.csv",
    "distribution of the weights after the last iteration",
    notes="Of each method's first combination.",
    columns=(
        METHOD,
        number("low", "lower edge in log₁₀ ν"),
        number("high", "upper edge in log₁₀ ν"),
        number("fraction", "of the unfolded events, mean over passes"),
    ),
    key=("method", "low"),
)
EFFECTIVE_SIZES = Table(
    "effective_sizes.csv",
    "effective sample size per bin, after the last iteration",
    notes="Of each method's first combination.",
    columns=(
        METHOD,
        OBSERVABLE,
        *BIN,
        number("ess", "(Σw)² / Σw² of the bin, mean over passes"),
        number("ess_prior", "the same before unfolding"),
    ),
    key=("method", "observable", "bin"),
)
