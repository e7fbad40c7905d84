"""Predictions that unfolded observables are compared with: truth, simulations, further samples."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from omniflow.evaluation import covariance
from omniflow.evaluation.covariance import Block
from omniflow.evaluation.histograms import CountMatrix
from omniflow.stages import evaluation, inputs
from omniflow.stages.origins import origins
from omniflow.stages.weights import setup
from omniflow.unfolding.coordinates import NOMINAL
from omniflow.unfolding.plan import Plan
from omniflow.unfolding.steps import Setup
from omniflow.unfolding.variants import TOY, VARIATION

TRUTH, PRIOR = "truth", "simulation"
# What these share events with: replicas of it act on the prediction.
_SHARED = {TRUTH: "data", PRIOR: "simulation"}


@dataclass(frozen=True)
class Prediction:
    """What an unfolded observable is compared with.

    Attributes:
        content: (B,).
        variants: content (B,) in each replica and variation. A prediction that shares events with
            the result, or is scaled to the data, moves with them.
        blocks: its own statistical covariance, where it shares no events with the result.
        origins: what its sample was made by.
    """

    content: np.ndarray
    variants: dict[str, np.ndarray]
    blocks: dict[str, Block]
    origins: frozenset[str]


def make(plan: Plan) -> dict[str, dict[str, Prediction]]:
    """Return predictions by observable and name: truth, simulations, what is only compared."""
    samples = [(PRIOR, PRIOR)]
    if inputs.events(plan, "data").particle is not None:
        samples.insert(0, (TRUTH, "data"))
    for name in plan.variants.of_kind(VARIATION):
        role = plan.variants.role("simulation", name)
        if role != "simulation":
            samples.append((name, role))
    samples += plan.variants.predictions.items()
    scales = _scales(plan)
    names = evaluation.edges(plan, "particle")
    found: dict[str, dict[str, Prediction]] = {name: {} for name in names}
    for name, role in samples:
        matrices = evaluation.counts(plan, role, "particle")
        drawn = plan.variants.of_kind(_SHARED[name]) if name in _SHARED else []
        rows = contents(matrices, _weights(plan, name, role, [NOMINAL, *drawn]))
        for observable, matrix in matrices.items():
            content = rows[observable][0]
            moved = {v: (1.0 if name == TRUTH else scales[v]) * content for v in scales}
            moved |= dict(zip(drawn, rows[observable][1:], strict=True))
            blocks = {}
            if name not in _SHARED:
                blocks["prediction"] = Block(_statistical(plan, matrix, _setup(plan, name, role)))
            found[observable][name] = Prediction(
                units(plan, content),
                {v: units(plan, values) for v, values in moved.items()},
                blocks,
                origins(plan, role),
            )
    return found


def contents(
    matrices: dict[str, CountMatrix], weights: Iterable[np.ndarray]
) -> dict[str, np.ndarray]:
    """Return contents (k, B) by observable for k weights of every event, taken one by one."""
    rows = [{name: m.fill(each).content for name, m in matrices.items()} for each in weights]
    return {name: np.stack([row[name] for row in rows]) for name in matrices}


def units(plan: Plan, content: np.ndarray) -> np.ndarray:
    """Return contents (..., B) as they are compared: yields, or of unit sum."""
    shape = plan.config.unfolding.normalization == "shape"
    return covariance.unit(content) if shape else content


def _scales(plan: Plan) -> dict[str, float]:
    """Return by variant what a sample that is scaled to the nominal data is multiplied by."""

    def moves(name: str) -> bool:
        variant = plan.variants[name]
        drawn = variant.kind == "data" or "data" in variant.roles
        return drawn or bool(plan.backgrounds and (variant.shifts or variant.kind == "simulation"))

    names = [v for v in plan.variants.names if plan.variants[v].kind not in (NOMINAL, TOY)]
    if plan.config.unfolding.scale != "detector":
        return dict.fromkeys(names, 1.0)
    nominal = setup(plan).sum_data
    return {v: setup(plan, v).sum_data / nominal if moves(v) else 1.0 for v in names}


def _setup(plan: Plan, name: str, role: str, variant: str = NOMINAL) -> Setup:
    """Return a prediction's sample against the data: a variation's own, or in place of nominal."""
    if name in plan.variants.names:
        return setup(plan, name)
    return setup(plan, variant, role)


def _weights(plan: Plan, name: str, role: str, variants: list[str]) -> Iterator[np.ndarray]:
    """Yield the weights (n,) of a prediction's events, scaled to the data, in every variant."""
    for variant in variants:
        if name == TRUTH:
            yield np.asarray(inputs.events(plan, role, variant).weight)
        else:
            common = _setup(plan, name, role, variant)
            yield common.scale * common.weight


def _statistical(plan: Plan, matrix: CountMatrix, common: Setup) -> np.ndarray:
    """Return the statistical covariance (B, B) of a prediction, to first order.

    Scaled to the data by its own sum at detector level, a prediction fluctuates less than its
    events: what bins and sum have in common cancels.
    """
    weights = common.scale * common.weight
    content = matrix.fill(weights).content
    found = covariance.statistical(matrix.counts, weights)
    if plan.config.unfolding.normalization == "shape":
        return covariance.of_unit(content, found)
    if plan.config.unfolding.scale != "detector":
        return found
    squares = np.where(common.detector, weights, 0.0) ** 2
    share = content / weights[common.detector].sum()
    cross = np.outer(share, matrix.counts.T @ squares)
    return found - cross - cross.T + squares.sum() * np.outer(share, share)
