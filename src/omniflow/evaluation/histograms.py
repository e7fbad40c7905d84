"""Weighted histograms whose variances count the entries of one event together."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import hist
import numpy as np
from scipy import sparse

from omniflow.errors import InputError, WeightError
from omniflow.observables.entries import Entries


@dataclass(frozen=True)
class Histogram:
    """Histograms over B bins; leading axes (passes, for instance) are free.

    With n_eb the entries of event e in bin b, and w_e the event's weight:

    Attributes:
        content: (..., B), sum_e w_e n_eb.
        variance: (..., B), sum_e (w_e n_eb)^2: events are independent, their entries are not.
        sum_covariance: (..., B), covariance of a bin with the sum of all bins,
            sum_e w_e^2 n_eb n_e with n_e = sum_b n_eb. Equals `variance` for observables with one
            entry per event; `normalise` needs it for the others.
        flow: (..., 2), weights of the entries below the first bin and above the last; None where
            they are not counted. They are part of nothing else.
    """

    content: np.ndarray
    variance: np.ndarray
    sum_covariance: np.ndarray
    flow: np.ndarray | None = None

    @property
    def bins(self) -> int:
        """Number of bins."""
        return self.content.shape[-1]

    @property
    def filled(self) -> np.ndarray:
        """Whether a bin has entries, (..., B): weights of both signs may add up to any content."""
        return (self.content != 0) | (self.variance > 0)

    @property
    def error(self) -> np.ndarray:
        """Statistical standard error per bin, (..., B)."""
        return np.sqrt(self.variance)

    def of_one_pass(self) -> Histogram:
        """Return the same with a leading axis of one pass, (1, B)."""
        flow = None if self.flow is None else self.flow[None]
        return Histogram(self.content[None], self.variance[None], self.sum_covariance[None], flow)

    def plus(self, other: Histogram | None) -> Histogram:
        """Return the histogram of these events and of others, if there are any."""
        if other is None:
            return self
        return Histogram(
            self.content + other.content,
            self.variance + other.variance,
            self.sum_covariance + other.sum_covariance,
            None if self.flow is None or other.flow is None else self.flow + other.flow,
        )

    def row(self, index: int) -> Histogram:
        """Return one of several histograms, (B,) of (k, B)."""
        flow = None if self.flow is None else self.flow[index]
        return Histogram(
            self.content[index], self.variance[index], self.sum_covariance[index], flow
        )


class CountMatrix:
    """Entries of each event in each bin: fills histograms for any event weights."""

    def __init__(
        self, entries: Entries, edges: np.ndarray, mask: np.ndarray, first: int = 0
    ) -> None:
        """Count entries.

        Args:
            entries: an observable of n events, a sample or a slice of one.
            edges: (B + 1,) increasing; bins are [low, high), under- and overflow are beside them.
            mask: (n,) bool, events that are counted.
            first: position of the first event in its sample, for messages.

        Raises:
            InputError: entries of events that the sample does not have.
        """
        mask = np.asarray(mask, dtype=bool)
        self.edges = np.asarray(edges, dtype=np.float64)
        self.events, self._first = len(mask), first
        index = entries.event_index
        if len(index) and (index[0] < 0 or index[-1] >= self.events):
            raise InputError(
                f"an observable has entries of events {index[0]} to {index[-1]} but the sample "
                f"has {self.events} events: the cache belongs to another sample, write it again"
            )
        bins = len(self.edges) - 1
        column = np.searchsorted(self.edges, entries.value.astype(np.float64), side="right") - 1
        counted = mask[index]
        inside = (column >= 0) & (column < bins) & counted
        outside = ~inside & counted
        #: (n, B) sparse matrix of counts.
        self.counts = matrix = self._matrix(index[inside], column[inside], bins)
        #: (n, 2) the same, below the first and above the last bin.
        self.flow = self._matrix(index[outside], column[outside] >= bins, 2)
        rows = np.bincount(index[inside], minlength=self.events)
        self._single = not len(rows) or rows.max(initial=0) <= 1
        if not self._single:
            entries_of_event = np.repeat(rows, np.diff(matrix.indptr))
            self._squares = self._like(matrix.data**2)
            self._cross = self._like(matrix.data * entries_of_event)

    def _matrix(self, event: np.ndarray, column: np.ndarray, columns: int) -> sparse.csr_matrix:
        """Return how many entries (n, columns) events have, which are sorted."""
        rows = np.bincount(event, minlength=self.events)
        matrix = sparse.csr_matrix(
            (
                np.ones(len(event)),
                column.astype(np.int32),
                np.concatenate([[0], np.cumsum(rows)]),
            ),
            shape=(self.events, columns),
        )
        if rows.max(initial=0) > 1:
            matrix.sum_duplicates()
        return matrix

    def _like(self, data: np.ndarray) -> sparse.csr_matrix:
        # shares indices with the counts: three matrices for little more than the memory of one
        return sparse.csr_matrix(
            (data, self.counts.indices, self.counts.indptr), shape=self.counts.shape
        )

    def fill(self, weights: np.ndarray) -> Histogram:
        """Return the histogram for event weights (n,), or k of them, (k, B), for (n, k).

        Args:
            weights: (n,), or (n, k) for k histograms.

        Returns:
            Of contents (B,), or (k, B).

        Raises:
            WeightError: weights that are not finite.
            ValueError: the wrong number of weights.
        """
        weights = np.asarray(weights, dtype=np.float64)
        if len(weights) != self.events:
            raise ValueError(f"{len(weights)} weights for {self.events} events")
        if not np.isfinite(weights).all():
            bad = int(np.flatnonzero(~np.isfinite(weights.reshape(len(weights), -1)).all(1))[0])
            raise WeightError(
                f"the weight of event {self._first + bad} is not finite: histograms refuse it"
            )
        squared = weights**2
        content, flow = (self.counts.T @ weights).T, (self.flow.T @ weights).T
        if self._single:
            variance = (self.counts.T @ squared).T
            return Histogram(content, variance, variance, flow)
        variance, covariance = (self._squares.T @ squared).T, (self._cross.T @ squared).T
        return Histogram(content, variance, covariance, flow)


def stack(histograms: Iterable[Histogram]) -> Histogram:
    """Stack histograms of one binning, (B,) each, to (k, B)."""
    histograms = list(histograms)
    flows = [h.flow for h in histograms if h.flow is not None]
    return Histogram(
        np.stack([h.content for h in histograms]),
        np.stack([h.variance for h in histograms]),
        np.stack([h.sum_covariance for h in histograms]),
        np.stack(flows) if len(flows) == len(histograms) else None,
    )


def subtract(
    histogram: Histogram, background: Histogram, factor: float, uncertainty: float
) -> Histogram:
    """Return `histogram` less `factor` times `background`.

    Events are independent. The factor's relative `uncertainty` u moves all bins b_b together: it
    adds (u f b_b)^2 to the variance of a bin, and u^2 f^2 b_b sum_b b_b to its covariance with
    the sum of all bins.
    """
    shift = uncertainty * factor * background.content
    flow = None
    if histogram.flow is not None and background.flow is not None:
        flow = histogram.flow - factor * background.flow
    return Histogram(
        histogram.content - factor * background.content,
        histogram.variance + factor**2 * background.variance + shift**2,
        histogram.sum_covariance
        + factor**2 * background.sum_covariance
        + shift * shift.sum(axis=-1, keepdims=True),
        flow,
    )


def normalise(histogram: Histogram) -> Histogram:
    """Scale to unit sum over the bins, p_b = c_b / S, and propagate the variance.

    To first order in the fluctuation of the events' contributions w_e n_eb,

        var p_b = sum_e w_e^2 (n_eb - p_b n_e)^2 / S^2
                = (var c_b - 2 p_b cov(c_b, S) + p_b^2 var S) / S^2,

    where cov(c_b, S) is `sum_covariance` and var S its sum over bins. For unit weights and one
    entry per event it is the multinomial p_b (1 - p_b) / S. Leaving the covariance between bins
    out would overestimate the variance up to twofold where one event has many entries.
    A histogram without content stays 0. What lies outside of the bins is not counted any more.

    Args:
        histogram: of contents (..., B).

    Returns:
        Of sum 1, (..., B).

    Examples:
        >>> import numpy as np
        >>> counts = np.array([30.0, 10.0])  # of events of weight 1, one entry each
        >>> found = normalise(Histogram(counts, counts, counts))
        >>> found.content.tolist(), found.variance.round(5).tolist()  # p and p (1 - p) / 40
        ([0.75, 0.25], [0.00469, 0.00469])
    """
    total = histogram.content.sum(axis=-1, keepdims=True)
    empty = total == 0
    scale = np.where(empty, 1.0, total)
    p = histogram.content / scale
    cov = histogram.sum_covariance
    var_total = cov.sum(axis=-1, keepdims=True)
    # rounding may leave -1e-20 where all content lies in one bin
    variance = np.maximum(histogram.variance - 2 * p * cov + p**2 * var_total, 0.0) / scale**2
    # cov(p_b, sum of p) = 0: a normalised sum does not fluctuate
    return Histogram(p, variance, np.zeros_like(p))


def to_hist(histogram: Histogram, axis: hist.axis.Variable) -> hist.Hist:
    """Return one histogram, (B,), as `hist.Hist` with Weight storage (value and variance)."""
    result = hist.Hist(axis, storage=hist.storage.Weight())
    view = result.view(flow=False)
    view["value"] = histogram.content
    view["variance"] = histogram.variance
    return result
