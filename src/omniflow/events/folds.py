"""Folds: disjoint parts of every sample, by event id, for cross-fitted prediction."""

from __future__ import annotations

import numpy as np

from omniflow.events.hashing import uniform

# Splits of networks have other seeds (63 random bits), so that they are independent of the folds.
_SEED = 0


def fold_of(event_id: np.ndarray, folds: int) -> np.ndarray:
    """Return the fold, 1 to `folds`, of events with these ids ((n,) uint64): (n,) int64.

    A function of the id alone: the same in every step and iteration, for both roles of an event
    and for any order or rank.

    Args:
        event_id: (n,) uint64.
        folds: how many there are.

    Returns:
        (n,) int64, from 1 to `folds`.

    Examples:
        >>> import numpy as np
        >>> event_id = np.arange(6, dtype=np.uint64)
        >>> fold_of(event_id, 3).tolist() == fold_of(event_id[::-1], 3)[::-1].tolist()
        True
    """
    return 1 + np.floor(folds * uniform(event_id, _SEED)).astype(np.int64)


def without(select: np.ndarray, event_id: np.ndarray, fold: int, folds: int) -> np.ndarray:
    """Return which of the events `select` (n,) bool a network of this fold may see; 0: all.

    Args:
        select: (n,) bool.
        event_id: (n,) uint64.
        fold: of the network, from 1; 0: there are no folds.
        folds: how many there are.

    Returns:
        (n,) bool.
    """
    return select & (fold_of(event_id, folds) != fold) if fold else select


def within(select: np.ndarray, event_id: np.ndarray, fold: int, folds: int) -> np.ndarray:
    """Return which of the events `select` (n,) bool a network of this fold predicts; 0: all.

    Args:
        select: (n,) bool.
        event_id: (n,) uint64.
        fold: of the network, from 1; 0: there are no folds.
        folds: how many there are.

    Returns:
        (n,) bool.
    """
    return select & (fold_of(event_id, folds) == fold) if fold else select


def merge(logits: np.ndarray, event_id: np.ndarray) -> np.ndarray:
    """Return logits (n,) of which each is that of the event's fold, from those of all (k, n).

    Args:
        logits: (k, n), of the networks of k folds in their order.
        event_id: (n,) uint64.

    Returns:
        (n,).

    Examples:
        >>> import numpy as np
        >>> event_id = np.arange(4, dtype=np.uint64)
        >>> logits = np.array([[0.1] * 4, [0.2] * 4])  # of the networks of folds 1 and 2
        >>> merge(logits, event_id).tolist() == (0.1 * fold_of(event_id, 2)).tolist()
        True
    """
    if len(logits) == 1:
        return logits[0]
    fold = fold_of(event_id, len(logits)) - 1
    return np.take_along_axis(logits, fold[None], axis=0)[0]
