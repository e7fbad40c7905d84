"""Stacking: the weighted mean of members' ratios that has the lowest loss on held-out events.

D. H. Wolpert, Neural Networks 5 (1992) 241; L. Breiman, Machine Learning 24 (1996) 49 for weights
that are not negative.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Stack:
    """Weights of M members and held-out losses.

    Attributes:
        weights: (M,) not negative, of sum 1.
        loss: of the mean with these weights.
        loss_mean: of the mean with equal weights.
        losses: (M,) of each member alone.
    """

    weights: np.ndarray
    loss: float
    loss_mean: float
    losses: np.ndarray


@dataclass(frozen=True)
class Crossed:
    """Losses on events that decided nothing; NaN where a half of the events has too few of them.

    Attributes:
        stacked: of the mean with the weights that the other half decided.
        mean: of the mean with equal weights.
        best: of the member that was the best on the other half.
    """

    stacked: float
    mean: float
    best: float


def stack(
    ratios: np.ndarray, numerator: np.ndarray, denominator: np.ndarray, likelihood: bool
) -> Stack:
    """Return the weights of members whose mean ratio r has the lowest loss on held-out events.

    The loss is that of training with both classes normalised (`training.losses`), as a function of
    r: binary cross-entropy 1/2 (<ln(1 + 1/r)>_A + <ln(1 + r)>_B), or that of the maximum-likelihood
    classifier 1/2 (<-ln r>_A + <r - 1>_B). Sequential quadratic programming from equal weights and
    from the best member, because the first is not convex everywhere; the result is never worse than
    either.

    Args:
        ratios: (M, k) ratios p_A / p_B of events that no member was trained on.
        numerator: (k,) weights of the events in class A, 0 for those that are not in it.
        denominator: (k,) weights in class B.
        likelihood: whether the loss is that of the maximum-likelihood classifier.

    Returns:
        Weights (M,) of sum 1, none below 0; their loss, that of equal weights, and those of members
        (M,).
    """
    from scipy.optimize import minimize  # slow to load, and few studies stack

    members, loss = len(ratios), _loss(ratios, numerator, denominator, likelihood)
    equal, single = np.full(members, 1 / members), np.eye(members)
    losses = np.array([loss(one)[0] for one in single])
    starts = [equal, 0.9 * single[losses.argmin()] + 0.1 * equal]
    candidates = [equal, *single]
    for start in starts:
        with warnings.catch_warnings():
            # Of steps that leave the bounds, which it then cuts off.
            warnings.simplefilter("ignore", RuntimeWarning)
            found = minimize(
                loss,
                start,
                jac=True,
                method="SLSQP",
                bounds=[(0, 1)] * members,
                constraints={
                    "type": "eq",
                    "fun": lambda w: w.sum() - 1,
                    "jac": lambda w: np.ones(members),
                },
                options={"ftol": 1e-12, "maxiter": 200},
            )
        weights = np.clip(found.x, 0, None)
        candidates.append(weights / weights.sum())
    best = min(candidates, key=lambda weights: loss(weights)[0])
    return Stack(best, loss(best)[0], loss(equal)[0], losses)


def cross(
    ratios: np.ndarray,
    numerator: np.ndarray,
    denominator: np.ndarray,
    likelihood: bool,
    half: np.ndarray,
) -> Crossed:
    """Return losses on events that did not decide the weights: two-fold, the mean of both halves.

    Weights that events decide fit their fluctuations, so that their loss on the same events is too
    low. Here each half of the events is judged with what `stack` finds on the other.

    Args:
        ratios: (M, k), as of `stack`.
        numerator: (k,), as of `stack`.
        denominator: (k,), as of `stack`.
        likelihood: as of `stack`.
        half: (k,) bool, which half an event belongs to, by its id.

    Returns:
        Losses of stacked members, of their mean and of the best one; NaN where a half lacks a
        class.
    """
    parts = [(ratios[:, part], numerator[part], denominator[part]) for part in (half, ~half)]
    if any(not a.sum() > 0 or not b.sum() > 0 for _, a, b in parts):
        return Crossed(np.nan, np.nan, np.nan)
    found = []
    for decides, judged in (parts, parts[::-1]):
        loss, members = _loss(*judged, likelihood), len(ratios)
        fitted = stack(*decides, likelihood)
        best = np.eye(members)[fitted.losses.argmin()]
        weights = (fitted.weights, np.full(members, 1 / members), best)
        found.append([loss(each)[0] for each in weights])
    return Crossed(*np.mean(found, axis=0).tolist())


def _loss(
    ratios: np.ndarray, numerator: np.ndarray, denominator: np.ndarray, likelihood: bool
) -> Callable[[np.ndarray], tuple[float, np.ndarray]]:
    """Return the loss, with its gradient (M,), as a function of the weights (M,)."""
    a, b = numerator / (2 * numerator.sum()), denominator / (2 * denominator.sum())

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        r = weights @ ratios
        if likelihood:
            return float(b @ (r - 1) - a @ np.log(r)), ratios @ (b - a / r)
        value = float(a @ np.log1p(1 / r) + b @ np.log1p(r))
        return value, ratios @ ((b - a / r) / (1 + r))

    return loss
