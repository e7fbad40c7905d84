"""Efficiency: what the detector level sees of each particle-level bin, and fakes among it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple, dataclass

import numpy as np
import pandas as pd
from scipy import sparse

from omniflow.observables.entries import Objects
from omniflow.tables.reference import ACCEPTANCE

# What is below the binomial limits by rounding alone is no sign of negative weights.
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Fraction:
    """A weighted fraction per bin with its statistical error, (B,); both NaN for empty bins.

    With negative weights it may lie outside [0, 1]. Where the weights of a bin that is not empty
    add up to 0 there is no fraction, and its error is infinite.
    """

    value: np.ndarray
    error: np.ndarray


@dataclass(frozen=True)
class Sums:
    """What a fraction is made of, (B,) each.

    With a_e and c_e the numbers of an event's entries in a bin that are part of what is counted and
    that are not, and w_e its weight:

    Attributes:
        part, whole: sum_e w_e a_e and sum_e w_e (a_e + c_e).
        part_square, rest_square, mixed: sums over w_e^2 of a_e^2, c_e^2 and a_e c_e.
    """

    part: np.ndarray
    whole: np.ndarray
    part_square: np.ndarray
    rest_square: np.ndarray
    mixed: np.ndarray

    def plus(self, other: Sums | None) -> Sums:
        """Return the sums over these events and others, if there are any."""
        if other is None:
            return self
        pairs = zip(astuple(self), astuple(other), strict=True)
        return Sums(*(one + two for one, two in pairs))

    @property
    def fraction(self) -> Fraction:
        """The share f = sum w a / sum w (a + c) of the part in the whole.

        Entries of one event move together: to first order f has the variance
        sum_e w_e^2 (a_e - f (a_e + c_e))^2 / (sum w (a + c))^2. For unit weights and one entry per
        event it is the binomial f (1 - f) / N.
        """
        known = self.whole != 0
        safe = np.where(known, self.whole, 1.0)
        value = self.part / safe
        variance = (
            (1 - value) ** 2 * self.part_square
            - 2 * value * (1 - value) * self.mixed
            + value**2 * self.rest_square
        )
        error = np.sqrt(np.maximum(variance, 0.0)) / np.abs(safe)  # rounding may leave -1e-20
        filled = self.part_square + 2 * self.mixed + self.rest_square > 0
        empty = np.where(filled, np.inf, np.nan)
        return Fraction(np.where(known, value, np.nan), np.where(known, error, empty))


def outside(value: np.ndarray, error: np.ndarray) -> np.ndarray:
    """Return whether fractions with their errors (B,) are no probabilities, (B,) bool.

    They are below 0 or above 1, or do not exist although the bin has entries.

    Args:
        value: (B,) fractions.
        error: (B,) their errors; infinite relative to weights that add up to 0.

    Returns:
        (B,) bool.

    Examples:
        >>> import numpy as np
        >>> outside(np.array([0.5, 1.2, np.nan]), np.array([0.1, 0.1, np.inf])).tolist()
        [False, True, True]
    """
    return (value < -_ROUNDING) | (value > 1 + _ROUNDING) | np.isinf(error)


def sums(
    weight: np.ndarray, objects: Objects, part: np.ndarray, whole: np.ndarray, edges: np.ndarray
) -> Sums:
    """Return what the share of `part` in the weight of `whole` is made of, per bin.

    Args:
        weight: (n,) weights of the events.
        objects: k events, jets or particles.
        part: (k,) bool; what is not in `whole` does not count.
        whole: (k,) bool.
        edges: (B + 1,) increasing; bins are [low, high), under- and overflow are left out.

    Returns:
        Sums (B,) of the weights of both, and of their squares.
    """
    bins = len(edges) - 1
    index = np.searchsorted(edges, objects.value.astype(np.float64), side="right") - 1
    whole = whole & (index >= 0) & (index < bins)  # NaN is sorted behind the last edge

    def weighted(chosen: np.ndarray) -> sparse.csr_array:
        event, column = objects.event[chosen], index[chosen]
        return sparse.csr_array((weight[event], (event, column)), (len(weight), bins))

    some, rest, every = (weighted(whole & chosen) for chosen in (part, ~part, whole))
    products = ((some, some), (rest, rest), (some, rest))
    squares = (one.multiply(other).sum(axis=0) for one, other in products)
    return Sums(some.sum(axis=0), every.sum(axis=0), *squares)


def acceptance_table(
    efficiency: Mapping[str, Fraction],
    fakes: Mapping[str, Fraction],
    edges: Mapping[str, np.ndarray],
) -> pd.DataFrame:
    """Build acceptance.csv from fractions by observable.

    Bins that are empty at both levels are absent. `outside` is 1 where one of both is no
    probability: below 0, above 1, or relative to weights that add up to 0. Without observables it
    has no rows.

    Args:
        efficiency: by observable, share of what is unfolded that is seen, (B,).
        fakes: by observable, share of what is seen that is not unfolded, (B,).
        edges: by observable, (B + 1,).

    Returns:
        One row per bin.
    """
    frames = []
    for name, edge in edges.items():
        frame = pd.DataFrame(
            {
                "observable": name,
                "bin": np.arange(len(edge) - 1),
                "low": edge[:-1],
                "high": edge[1:],
                "efficiency": efficiency[name].value,
                "efficiency_error": efficiency[name].error,
                "fake_fraction": fakes[name].value,
                "fake_fraction_error": fakes[name].error,
            }
        )
        both = efficiency[name], fakes[name]
        frame["outside"] = np.any([outside(f.value, f.error) for f in both], axis=0).astype(int)
        frames.append(frame[~np.all([np.isnan(f.error) for f in both], axis=0)])
    return ACCEPTANCE.build(pd.concat(frames) if frames else [])
