"""Scores: histograms of a classifier's logits, and what they tell about the classifier.

A histogram has the same size for any number of events. Class A is label 1. Weights may be negative
(subtracted backgrounds): all sums are plain sums, so that fractions and areas are those of the
difference; they may then leave [0, 1] where statistics are poor.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

# Logits of a good reweighting lie near 0: bins are 0.002 wide there, and beyond NEAR as wide as a
# tenth of the logit.
BINS, NEAR = 160, 0.02
PARTS = ("held-out", "trained")
# Sums per bin of: weights a and b in class A and B, their products, and weights times probability.
SUMS = ("a", "b", "aa", "ab", "bb", "ap", "bp")


@functools.cache
def edges(clip: float) -> np.ndarray:
    """Return the edges (BINS + 1,) of logits from -clip to clip.

    Args:
        clip: largest magnitude of a logit.

    Returns:
        (BINS + 1,) increasing, finer about 0.
    """
    reach = np.arcsinh(clip / NEAR)
    return NEAR * np.sinh(np.linspace(-reach, reach, BINS + 1))


@dataclass(frozen=True)
class Scores:
    """Histogram of logits with the weights of both classes.

    Attributes:
        clip: largest magnitude of a logit; beyond it events count in the outermost bins.
        sums: (len(SUMS), BINS), rows in the order of SUMS.
        events: events that were added.
    """

    clip: float
    sums: np.ndarray
    events: int = 0

    @classmethod
    def empty(cls, clip: float) -> Self:
        """Return a histogram without events."""
        return cls(clip, np.zeros((len(SUMS), BINS)))

    def plus(self, logits: np.ndarray, a: np.ndarray, b: np.ndarray) -> Self:
        """Return the histogram with events (n,) of weights a in class A and b in class B added.

        Args:
            logits: (n,); those beyond the clip count at it.
            a: (n,) weights in class A.
            b: (n,) weights in class B.

        Returns:
            A new histogram.
        """
        z = np.clip(logits.astype(np.float64), -self.clip, self.clip)
        place = np.clip(np.searchsorted(edges(self.clip), z, side="right") - 1, 0, BINS - 1)
        p = 1 / (1 + np.exp(-z))
        rows = (a, b, a * a, a * b, b * b, a * p, b * p)
        more = [np.bincount(place, row, BINS) for row in rows]
        return type(self)(self.clip, self.sums + more, self.events + len(z))

    @property
    def balanced(self) -> np.ndarray:
        """Sums with each class normalised to 1, as classifiers are trained; NaN without both."""
        a, b = self.sums[0].sum(), self.sums[1].sum()
        if not (a > 0 and b > 0):
            return np.full_like(self.sums, np.nan)
        return self.sums / np.array([a, b, a * a, a * b, b * b, a, b])[:, None]


def pooled(several: Sequence[Scores]) -> Scores:
    """Return the average of the balanced histograms of the networks that have both classes.

    Networks share their events, so variances are averaged and not reduced. Without any such network
    the histogram is empty.
    """
    found = Scores.empty(several[0].clip)
    used = [scores for scores in several if np.isfinite(scores.balanced).all()]
    if not used:
        return found
    sums = np.mean([scores.balanced for scores in used], axis=0)
    return Scores(found.clip, sums, sum(scores.events for scores in used))


def roc(scores: Scores) -> tuple[np.ndarray, np.ndarray]:
    """Return the fractions of class B and of class A above each edge, (BINS + 1,) from 0 to 1.

    Args:
        scores: of one network, or pooled.

    Returns:
        False and true positive rates, (BINS + 1,) each.
    """
    b, a = (np.concatenate([[0.0], np.cumsum(scores.balanced[row][::-1])]) for row in (1, 0))
    return b, a


def auc(scores: Scores) -> tuple[float, float]:
    """Return the weighted area under the ROC curve and its standard error.

    The area is the probability that an event of class A has the higher logit than one of class B,
    ties (the same bin) counting one half. The error is that of DeLong et al. (Biometrics 44 (1988)
    837) with weights: the variance of the area's first-order change when an event is left out, the
    two roles of one event in step 2 taken together.
    """
    a, b, aa, ab, bb, *_ = scores.balanced
    below_b = np.cumsum(b) - b / 2
    above_a = a.sum() - np.cumsum(a) + a / 2
    area = float(a @ below_b)
    from_a, from_b = below_b - area, above_a - area
    variance = aa @ from_a**2 + 2 * (ab @ (from_a * from_b)) + bb @ from_b**2
    return area, float(np.sqrt(np.maximum(variance, 0)))


def coarse(scores: Scores, bins: int = 12) -> np.ndarray:
    """Return the first fine bin of each of at most `bins` groups with about equal weight.

    One group without both classes.

    Args:
        scores: of one network, or pooled.
        bins: most groups.

    Returns:
        (k,) increasing, from 0.
    """
    balanced = scores.balanced
    if np.isnan(balanced).any():
        return np.array([0])
    weight = np.maximum(balanced[0], 0) + np.maximum(balanced[1], 0)
    share = np.concatenate([[0.0], np.cumsum(weight)[:-1]]) / weight.sum()
    starts = np.searchsorted(share, np.arange(bins) / bins, side="left")
    return np.unique(np.minimum(starts, BINS - 1))


def reliability(scores: Scores, starts: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return predicted probability of class A, observed fraction and its error per group of bins.

    Both are of balanced classes, averaged over the events of a group. The error is first order in
    the weights of single events, which enter the group and, in both classes, the sums that these
    are balanced with. Groups without positive weight are NaN.

    Args:
        scores: of one network, or pooled.
        starts: (k,) first bin of each group, from `coarse`.

    Returns:
        Predicted probabilities, observed fractions and errors of these, (k,) each.
    """
    a, b, aa, ab, bb, ap, bp = np.add.reduceat(scores.balanced, starts, axis=1)
    total = np.where(a + b > 0, a + b, np.nan)
    group = b * b * aa - 2 * a * b * ab + a * a * bb
    mixed = a * b * (b * (aa - ab) + a * (bb - ab))
    sums = (a * b) ** 2 * (np.array([0, 0, 1, -2, 1, 0, 0]) @ scores.balanced.sum(axis=1))
    variance = np.maximum(group - 2 * mixed + sums, 0)
    return (ap + bp) / total, a / total, np.sqrt(variance) / total**2


def chi2(scores: Scores, starts: np.ndarray) -> tuple[float, int]:
    """Return chi2 between predicted and observed fractions, and the number of groups in it.

    Args:
        scores: of one network, or pooled.
        starts: (k,) first bin of each group, from `coarse`.

    Returns:
        Chi-square and its number of groups, which have an error above 0.
    """
    predicted, observed, error = reliability(scores, starts)
    used = error > 0
    return float((((observed - predicted)[used] / error[used]) ** 2).sum()), int(used.sum())
