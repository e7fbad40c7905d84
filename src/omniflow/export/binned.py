"""The binned results of a method, in one place for all formats.

Contents, errors by component and their correlations, as a study's tables have them
(docs/formats.md): of the last iteration, yields or distributions of unit sum, never divided by the
width of a bin.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from omniflow.api import Study
from omniflow.api.choices import one_of
from omniflow.evaluation import covariance
from omniflow.evaluation.covariance import TRAINING, Block
from omniflow.evaluation.varied import Varied
from omniflow.export import references
from omniflow.export.references import Reference
from omniflow.observables.axes import Axis
from omniflow.stages import evaluation, predictions
from omniflow.stages.uncertainties import scheme
from omniflow.unfolding.coordinates import prefixed
from omniflow.unfolding.plan import Plan
from omniflow.unfolding.variants import ROLES

SYSTEMATIC = "systematic"
# What a measurement should state, and what a study lacks that does not.
_WANTED = {
    "data": "set uncertainties.data_replicas",
    "simulation": "set uncertainties.simulation_replicas",
    TRAINING: "set study.passes to 2 or more",
}


@dataclass(frozen=True)
class Binned:
    """Binned results of one method; the T bins of all observables stand after one another.

    Attributes:
        study: its name.
        method: of the study.
        combine: combination of lanes.
        passes: that are averaged.
        normalization: `absolute` (yields) or `shape` (unit sum per observable).
        axes: of the observables, in their order.
        content: (T,) unfolded.
        blocks: covariance (T, T) by component: `data`, `simulation`, `training`, systematics;
            without bias, so that one can have eigenvalues below 0 (docs/method/uncertainties.md).
        measured: the same before scatter of training is subtracted, without such eigenvalues: what
            tests and fits take.
        total: (T, T) their sum, positive semi-definite; None without components.
        shifts: shift (T,) of each side of a systematic component, one or two, by its name.
        references: what stands beside the result: `truth` of pseudo-data, `simulation` before
            unfolding, and predictions, by name.
        absent: why a component is not there, and what would give it, by name.
    """

    study: str
    method: str
    combine: str
    passes: int
    normalization: str
    axes: tuple[Axis, ...]
    content: np.ndarray
    blocks: Mapping[str, np.ndarray]
    measured: Mapping[str, np.ndarray]
    total: np.ndarray | None
    shifts: Mapping[str, tuple[np.ndarray, ...]]
    references: Mapping[str, Reference]
    absent: Mapping[str, str]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the observables."""
        return tuple(axis.name for axis in self.axes)

    @cached_property
    def rows(self) -> dict[str, slice]:
        """Where the bins of each observable stand."""
        ends = np.cumsum([0, *(len(axis.edges) - 1 for axis in self.axes)]).tolist()
        return {n: slice(*ends[k : k + 2]) for k, n in enumerate(self.names)}

    @property
    def systematics(self) -> tuple[str, ...]:
        """Names of the systematic components."""
        return tuple(name for name in self.blocks if name not in (*ROLES, TRAINING))

    @cached_property
    def statistical(self) -> np.ndarray | None:
        """Covariance (T, T) by the statistics of data and simulation; None without replicas."""
        found = [self.blocks[role] for role in ROLES if role in self.blocks]
        return positive(np.sum(found, axis=0)) if found else None

    def of(self, names: Iterable[str]) -> Binned:
        """Return the results of some observables, in the order given.

        Args:
            names: of observables, each once.

        Returns:
            Their results; everything else is left out.

        Raises:
            InputError: there is no such observable.
        """
        names = [one_of("observable", name, self.names) for name in names]
        rows = np.concatenate([np.arange(self.content.size)[self.rows[n]] for n in names])
        square = np.ix_(rows, rows)
        by_name = dict(zip(self.names, self.axes, strict=True))
        return replace(
            self,
            axes=tuple(by_name[name] for name in names),
            content=self.content[rows],
            blocks={name: block[square] for name, block in self.blocks.items()},
            measured={name: block[square] for name, block in self.measured.items()},
            total=None if self.total is None else self.total[square],
            shifts={n: tuple(side[rows] for side in sides) for n, sides in self.shifts.items()},
            references={name: found.of(rows) for name, found in self.references.items()},
        )


def error(matrix: np.ndarray) -> np.ndarray:
    """Return the errors (B,) of a covariance (B, B); variances below 0 are 0 within scatter.

    Args:
        matrix: (B, B).

    Returns:
        (B,) at least 0.
    """
    return np.sqrt(np.maximum(np.diagonal(matrix), 0.0))


def correlation(matrix: np.ndarray) -> np.ndarray:
    """Return the correlations (B, B) of a covariance; 0 beside the diagonal in bins without error.

    Args:
        matrix: (B, B) positive semi-definite.

    Returns:
        (B, B) in [-1, 1], 1 on the diagonal.

    Examples:
        >>> import numpy as np
        >>> correlation(np.array([[4.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 0.0]])).tolist()
        [[1.0, 0.5, 0.0], [0.5, 1.0, 0.0], [0.0, 0.0, 1.0]]
    """
    errors = error(matrix)
    scale = np.outer(errors, errors)
    found = np.divide(matrix, scale, out=np.zeros_like(scale), where=scale > 0)
    np.fill_diagonal(found, 1.0)
    return np.clip(found, -1.0, 1.0)


def positive(matrix: np.ndarray) -> np.ndarray:
    """Return a covariance (B, B) without eigenvalues below 0, in units of the errors.

    Blocks can have some, where scatter of training was subtracted from them.

    Args:
        matrix: (B, B) symmetric.

    Returns:
        (B, B) positive semi-definite; the matrix itself if it is one.
    """
    scale = np.where(np.diagonal(matrix) > 0, error(matrix), 1.0)
    values, vectors = np.linalg.eigh(matrix / np.outer(scale, scale))
    if values[0] >= -covariance.RANK * max(values[-1], 0.0):
        return matrix
    return (vectors * np.maximum(values, 0)) @ vectors.T * np.outer(scale, scale)


def binned(study: Study, method: str | None = None, combine: str | None = None) -> Binned:
    """Return the binned results of a method after the last iteration.

    Args:
        study: that has been run.
        method: of the study; by default the first.
        combine: of its lanes; by default the first.

    Returns:
        Contents and covariances of the bins of all observables with a particle level.

    Raises:
        InputError: there is no such method or combination, or files of the study are missing.
    """
    plan = study.plan
    method = one_of("method", method or study.methods[0], study.methods)
    combinations = plan.combinations(method)
    how = one_of(f"combination of {method}", combine or combinations[0], combinations)
    axes = [a for a in evaluation.read_axes(plan).values() if "particle" in a.levels]
    nominal = _passes(plan, method, how, axes)
    blocks, shifts = _uncertainties(plan, method, how, axes, nominal)
    return Binned(
        plan.config.study.name,
        method,
        how,
        len(nominal),
        plan.config.unfolding.normalization,
        tuple(axes),
        nominal.mean(axis=0),
        {name: block.matrix for name, block in blocks.items()},
        {name: block.measured for name, block in blocks.items()},
        covariance.total(blocks.values()) if blocks else None,
        shifts,
        references.read(plan, axes),
        _absent(plan, method, blocks),
    )


def _passes(plan: Plan, result: str, how: str, axes: Iterable[Axis]) -> np.ndarray:
    """Return the contents (N, T) of every pass of a result after the last iteration."""
    (found,) = (
        each
        for each in evaluation.read_histograms(plan, result, "particle")
        if (each.combine, each.iteration) == (how, plan.iterations[-1])
    )
    rows = [predictions.units(plan, found.histograms[axis.name].content) for axis in axes]
    return np.concatenate(rows, axis=1)


def _uncertainties(
    plan: Plan, method: str, how: str, axes: list[Axis], nominal: np.ndarray
) -> tuple[dict[str, Block], dict[str, tuple[np.ndarray, ...]]]:
    """Return the blocks of all bins together, and the shifts (T,) of systematic ones.

    As `joint_covariance.h5` and `shifts.csv` have them of the first combination.
    """
    if method not in plan.variants.methods:
        training = {TRAINING: covariance.scatter(nominal) * (1 / len(nominal))}
        return (training if len(nominal) > 1 else {}), {}
    variants = {v: _passes(plan, prefixed(v, method), how, axes) for v in plan.variants.names}
    result = Varied(scheme(plan), nominal, variants)
    shifts = {
        name: tuple(result.shift(side).mean(axis=0) for side in sides)
        for name, sides in plan.variants.blocks().items()
    }
    return result.blocks(len(nominal)), shifts


def _absent(plan: Plan, method: str, blocks: Mapping[str, object]) -> dict[str, str]:
    """Return what the result lacks, and what would give it."""
    found = {name: remedy for name, remedy in _WANTED.items() if name not in blocks}
    if not set(blocks) - set(_WANTED):
        found[SYSTEMATIC] = "set uncertainties.variations"
    if plan.config.uncertainties.varies and method not in plan.variants.methods:
        remedy = f"name {method} in uncertainties.methods"
        found = {n: text if n == TRAINING else remedy for n, text in found.items()}
    return found
