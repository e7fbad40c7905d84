"""What stands beside an unfolded result: truth, the simulation before unfolding, predictions."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from omniflow.evaluation import covariance
from omniflow.events import store
from omniflow.observables.axes import Axis
from omniflow.stages import evaluation, inputs, predictions
from omniflow.stages.predictions import PRIOR, TRUTH
from omniflow.stages.weights import setup
from omniflow.unfolding.coordinates import NOMINAL
from omniflow.unfolding.plan import Plan


@dataclass(frozen=True)
class Reference:
    """Histograms of a sample at particle level, in the bins and units of the result.

    Attributes:
        content: (T,).
        covariance: (T, T) by the statistics of its events.
        shared: whether its events are those of the result, whose statistics then hold its own.
    """

    content: np.ndarray
    covariance: np.ndarray
    shared: bool = False

    def of(self, rows: np.ndarray) -> Reference:
        """Return some of the bins.

        Args:
            rows: (k,) which.

        Returns:
            Of k bins.
        """
        return Reference(self.content[rows], self.covariance[np.ix_(rows, rows)], self.shared)


def read(plan: Plan, axes: Iterable[Axis]) -> dict[str, Reference]:
    """Return the samples that a result is shown beside, by name.

    Args:
        plan: of a finished study.
        axes: whose bins are counted, in their order.

    Returns:
        `truth`, if the data have one, `simulation`, and predictions.

    Raises:
        InputError: a sample is not there any more.
    """
    axes = list(axes)
    roles = {TRUTH: "data", PRIOR: "simulation"} | plan.variants.predictions
    if inputs.events(plan, "data").particle is None:
        del roles[TRUTH]
    return {name: _reference(plan, name, role, axes) for name, role in roles.items()}


def _reference(plan: Plan, name: str, role: str, axes: list[Axis]) -> Reference:
    """Count a sample, and scale it as predictions are (`stages.predictions`)."""
    weight = inputs.weights(plan, role)
    scale = 1.0 if name == TRUTH else setup(plan, NOMINAL, role).scale
    content, found = _sums(plan, role, axes, weight, scale)
    free = name == TRUTH or plan.config.unfolding.scale != "detector"
    jacobian = _jacobian(plan, axes, content, free)
    content = content[:-1]
    ends = np.cumsum([len(axis.edges) - 1 for axis in axes])
    parts = np.split(content, ends[:-1])
    return Reference(
        np.concatenate([predictions.units(plan, part) for part in parts]),
        jacobian @ found @ jacobian.T,
        name in (TRUTH, PRIOR),
    )


def _sums(
    plan: Plan, role: str, axes: list[Axis], weight: Callable[[slice], np.ndarray], scale: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the contents (T + 1,) of all bins and of the sum at detector level, and covariance."""
    passes = store.open_store(plan.store(role)).pass_detector
    size = sum(len(axis.edges) - 1 for axis in axes) + 1
    content, found = np.zeros(size), np.zeros((size, size))
    for rows, matrices in evaluation.counts(plan, role, "particle"):
        each = scale * weight(rows)
        seen = sparse.csr_matrix(np.asarray(passes[rows], float)[:, None])
        counts = sparse.hstack([*(matrices[axis.name].counts for axis in axes), seen]).tocsr()
        content += counts.T @ each
        found += covariance.statistical(counts, each)
    return content, found


def _jacobian(plan: Plan, axes: list[Axis], content: np.ndarray, free: bool) -> np.ndarray:
    """Return the derivatives (T, T + 1) of what is compared by bins and sum at detector level.

    To first order: of unit sum, or scaled to the data by the sum at detector level, bins fluctuate
    less than their events.
    """
    size = len(content) - 1
    found = np.eye(size, size + 1)
    if plan.config.unfolding.normalization != "shape":
        if not free and content[-1]:
            found[:, -1] = -content[:-1] / content[-1]
        return found
    start = 0
    for axis in axes:
        rows = slice(start, start + len(axis.edges) - 1)
        total = content[rows].sum()
        unit = covariance.unit(content[rows])
        found[rows, rows] = (found[rows, rows] - unit[:, None]) / (total or 1.0)
        start = rows.stop
    return found
