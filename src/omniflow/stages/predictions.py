"""Predictions that unfolded observables are compared with: truth, simulations, further samples."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from omniflow.evaluation import covariance
from omniflow.evaluation.covariance import Block
from omniflow.evaluation.varied import Prediction
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
        drawn = plan.variants.of_kind(_SHARED[name]) if name in _SHARED else []
        for observable, filled in _filled(plan, name, role, [NOMINAL, *drawn]).items():
            content, *others = filled.contents
            moved = {v: (1.0 if name == TRUTH else scales[v]) * content for v in scales}
            moved |= dict(zip(drawn, others, strict=True))
            blocks = {}
            if filled.statistical is not None:
                blocks["prediction"] = Block(filled.statistical)
            found[observable][name] = Prediction(
                units(plan, content),
                {v: units(plan, values) for v, values in moved.items()},
                blocks,
                origins(plan, role),
            )
    return found


@dataclass(frozen=True)
class _Filled:
    """An observable of a prediction's events.

    Attributes:
        contents: (k, B) for k weights of every event.
        statistical: covariance (B, B) for the first of them; None where events are shared.
    """

    contents: np.ndarray
    statistical: np.ndarray | None


def _filled(plan: Plan, name: str, role: str, variants: list[str]) -> dict[str, _Filled]:
    """Return the observables of a prediction in every variant, filled slice by slice of events."""
    weights = [_weights(plan, name, role, variant) for variant in variants]
    alone = name not in _SHARED
    contents: dict[str, np.ndarray] = {}
    sums: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    detector = inputs.events(plan, role).pass_detector if alone else np.empty(0, bool)
    for rows, matrices in evaluation.counts(plan, role, "particle"):
        for place, weight in enumerate(weights):
            each = weight(rows)
            for observable, matrix in matrices.items():
                content = matrix.fill(each).content
                start = np.zeros((len(weights), len(content)))
                contents.setdefault(observable, start)[place] += content
        if alone:
            each = weights[0](rows)
            seen = np.where(detector[rows], each, 0.0) ** 2
            for observable, matrix in matrices.items():
                own = (covariance.statistical(matrix.counts, each), matrix.counts.T @ seen)
                before = sums.get(observable, (0.0, 0.0))
                sums[observable] = own[0] + before[0], own[1] + before[1]
    if not alone:
        return {observable: _Filled(found, None) for observable, found in contents.items()}
    common = _setup(plan, name, role)
    return {
        observable: _Filled(found, _statistical(plan, common, found[0], *sums[observable]))
        for observable, found in contents.items()
    }


def units(plan: Plan, content: np.ndarray) -> np.ndarray:
    """Return contents (..., B) as they are compared: yields, or of unit sum.

    Args:
        plan: of the study.
        content: (..., B).

    Returns:
        (..., B).
    """
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


def _weights(plan: Plan, name: str, role: str, variant: str) -> Callable[[slice], np.ndarray]:
    """Return what gives the weights of a prediction's events, scaled to the data, in a variant."""
    if name == TRUTH:
        return inputs.weights(plan, role, variant)
    scale = _setup(plan, name, role, variant).scale
    own = name in plan.variants.names
    weight = inputs.weights(plan, *(("simulation", name) if own else (role, variant)))
    return lambda rows: scale * weight(rows)


def _statistical(
    plan: Plan, common: Setup, content: np.ndarray, found: np.ndarray, seen: np.ndarray
) -> np.ndarray:
    """Return the statistical covariance (B, B) of a prediction, to first order.

    Scaled to the data by its own sum at detector level, a prediction fluctuates less than its
    events: what bins and sum have in common cancels.

    Args:
        plan: of the study.
        common: the prediction's events against the data.
        content: (B,) of its histogram.
        found: (B, B) covariance of that, of the events alone.
        seen: (B,) squares of the weights of events that pass at detector level.
    """
    if plan.config.unfolding.normalization == "shape":
        return covariance.of_unit(content, found)
    if plan.config.unfolding.scale != "detector":
        return found
    weights = common.scale * common.weight
    share = content / weights[common.detector].sum()
    squares = np.where(common.detector, weights, 0.0) ** 2
    cross = np.outer(share, seen)
    return found - cross - cross.T + squares.sum() * np.outer(share, share)
