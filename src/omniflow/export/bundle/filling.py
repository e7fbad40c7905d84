"""Filling: bins of several observables of the same events, for any columns of weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from scipy import sparse

from omniflow.evaluation import covariance
from omniflow.evaluation.histograms import CountMatrix
from omniflow.export.bundle.events import EventTable
from omniflow.observables.entries import Entries

_TOGETHER = 64  # columns that are read at a time


class Filled:
    """Entries of n events in the bins of several observables, one after the other."""

    def __init__(
        self,
        table: EventTable,
        entries: Sequence[Entries],
        edges: Sequence[np.ndarray],
        counted: np.ndarray,
        factor: Callable[[str], str | None],
        normalise: bool = False,
    ) -> None:
        """Count entries.

        Args:
            table: the events.
            entries: of each observable.
            edges: (B + 1,) of each observable.
            counted: (n,) bool.
            factor: names the column that a column is to be multiplied with, if any.
            normalise: every observable has unit sum.
        """
        self._table, self._factor, self._normalise = table, factor, normalise
        matrices = [
            CountMatrix(found, edge, counted) for found, edge in zip(entries, edges, strict=True)
        ]
        self.sizes = [len(edge) - 1 for edge in edges]
        self._counts = sparse.hstack([matrix.counts for matrix in matrices], format="csr")
        self._flow = sparse.hstack([matrix.flow for matrix in matrices], format="csr")

    def contents(self, columns: Sequence[str]) -> np.ndarray:
        """Return the contents (K, B) of all bins for K columns of weights.

        Args:
            columns: names of them.

        Returns:
            (K, B), of unit sum over each observable if that is wanted.
        """
        found = np.concatenate(
            [
                self._sums(self._counts, columns[first : first + _TOGETHER])
                for first in range(0, len(columns), _TOGETHER)
            ]
        )
        if self._normalise:
            parts = [covariance.unit(part) for part in self._apart(found)]
            found = np.concatenate(parts, axis=-1)
        return found

    def flow(self, column: str) -> np.ndarray:
        """Return the weight below the first and above the last bin of each of k observables.

        Args:
            column: of weights.

        Returns:
            (k, 2).
        """
        return self._sums(self._flow, [column])[0].reshape(-1, 2)

    def squares(self, column: str) -> np.ndarray:
        """Return the sums (B,) over events of the squares of what they add to a bin.

        Args:
            column: of weights.

        Returns:
            (B,), of weights as they are.
        """
        return np.diagonal(self._statistical(column))

    def sample(self, column: str) -> np.ndarray:
        """Return the covariance (B, B) of the contents by the statistics of the events themselves.

        Args:
            column: of weights.

        Returns:
            (B, B), of contents of unit sum if that is wanted.
        """
        found = self._statistical(column)
        if not self._normalise:
            return found
        content = self._sums(self._counts, [column])[0]
        parts = []
        for part in self._apart(content):
            total = part.sum()
            shape = np.eye(len(part)) - covariance.unit(part)[:, None]
            parts.append(shape / total if total else np.zeros_like(shape))
        jacobian = sparse.block_diag(parts).toarray()
        return np.asarray(jacobian @ found @ jacobian.T)

    def _statistical(self, column: str) -> np.ndarray:
        weights = np.concatenate([part[:, 0] for _, part in self._weights([column])])
        return covariance.statistical(self._counts, weights)

    def _apart(self, found: np.ndarray) -> list[np.ndarray]:
        return np.split(found, np.cumsum(self.sizes)[:-1], axis=-1)

    def _sums(self, counts: sparse.csr_matrix, columns: Sequence[str]) -> np.ndarray:
        total = np.zeros((len(columns), counts.shape[1]))
        for rows, weights in self._weights(columns):
            total += (counts[rows].T @ weights).T
        return total

    def _weights(self, columns: Sequence[str]) -> Iterator[tuple[slice, np.ndarray]]:
        """Yield rows, and the weights (m, K) that they are filled with."""
        factors = [self._factor(column) for column in columns]
        wanted = list(dict.fromkeys([*columns, *(each for each in factors if each is not None)]))
        place = {name: at for at, name in enumerate(wanted)}
        start = 0
        for part in self._table.parts(wanted):
            weights = part[[place[name] for name in columns]].astype(np.float64)
            for row, factor in enumerate(factors):
                if factor is not None:
                    weights[row] *= part[place[factor]]
            yield slice(start, start + part.shape[1]), weights.T
            start += part.shape[1]
