"""Response: is the detector level of two samples the same at equal particle level?

Two samples A and B with particle level p and detector level d have the same response, p(d | p),
exactly if the class of an event tells nothing of d that p does not tell: if it is independent of d
given p. With weights w_i of sum 1 in either class, y_i = 1 in A and 0 in B, and e = P(y = 1 | p),

    R_i = w_i (y_i - e(p_i)) (t(p_i, d_i) - q(p_i)),   q(p) = E[t | p],

has then the mean 0 for any function t. It takes errors of e and of q at the same time to move it,
and then by their product alone: z = sum R / sqrt(sum R^2) is normal where both are known to better
than the fourth root of the number of events (the generalised covariance measure; Shah and Peters,
Ann. Statist. 48 (2020) 1514, with a learned t: Lundborg et al., Ann. Statist. 52 (2024) 2851). With
t = P(y = 1 | p, d), learned from other events, the mean is the variance of t at equal p, so that
large z alone speak against the same response.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import special  # not scipy.stats, which takes half a second to load

from omniflow.evaluation.scores import Scores, auc

# A test this far out is called a difference, of the whole family that a study makes.
LEVEL = 0.01


@dataclass(frozen=True)
class Compared:
    """What the events of two samples say of their responses.

    Attributes:
        events: judged.
        auc_alone, auc_alone_error: area under the ROC curve of particle level alone.
        auc, auc_error: of what detector level adds, with both samples at equal particle level; 1/2
            for the same response.
        z: normal with width 1 for the same response; large ones speak against it.
        p_value: of z, one-sided.
    """

    events: int
    auc_alone: float
    auc_alone_error: float
    auc: float
    auc_error: float
    z: float
    p_value: float


def balanced(weight: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Return weights (n,) of sum 1 in either class.

    Args:
        weight: (n,) of events.
        first: (n,) bool, which are in class A.

    Returns:
        (n,); NaN in a class whose weights do not add up to more than 0.
    """
    sums = np.array([weight[~first].sum(), weight[first].sum()])
    return weight / np.where(sums > 0, sums, np.nan)[first.astype(int)]


def compare(
    weight: np.ndarray,
    first: np.ndarray,
    alone: np.ndarray,
    joint: np.ndarray,
    expected: np.ndarray,
    clip: float,
) -> Compared:
    """Return whether events that no network was trained on show the same response.

    Args:
        weight: (n,) weights of the events, of either sign.
        first: (n,) bool, which are in class A.
        alone: (n,) logits of e, from particle level.
        joint: (n,) logits of t, from both levels.
        expected: (n,) logits of q, from particle level.
        clip: largest magnitude of a logit.

    Returns:
        Areas, z and its p-value; z is 0 where t is q everywhere: nothing was found.
    """
    weight = balanced(weight, first)
    alone, joint, expected = (np.clip(each, -clip, clip) for each in (alone, joint, expected))
    e, t, q = (1 / (1 + np.exp(-each)) for each in (alone, joint, expected))
    terms = weight * (first - e) * (t - q)
    squares = np.sqrt(np.square(terms).sum())
    z = float(terms.sum() / squares) if squares > 0 else 0.0
    none = np.zeros(len(weight))
    a, b = np.where(first, weight, none), np.where(first, none, weight)
    spectra = auc(Scores.empty(clip).plus(alone, a, b))
    # (1 - e) in A and e in B give both the same particle level.
    response = auc(Scores.empty(clip).plus(joint - expected, a * (1 - e), b * e))
    return Compared(len(weight), *spectra, *response, z, float(special.ndtr(-z)))


def judged(p_value: float, control: float, tests: int = 1) -> Literal["differs", "same", "unknown"]:
    """Return what a test and its control say together.

    Args:
        p_value: of the test; NaN where it could not be made.
        control: of the same test with equal responses.
        tests: how many samples are tested, each of which may be a false alarm.

    Returns:
        `unknown` where there is no test, or where it finds a difference and the control does, too.
    """
    if np.isnan(p_value) or np.isnan(control):
        return "unknown"
    if p_value * tests >= LEVEL:
        return "same"
    return "differs" if control >= LEVEL else "unknown"
