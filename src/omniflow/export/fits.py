"""Workspaces of pyhf: fits of a model to unfolded results with correlated errors (docs/fits.md).

HistFactory (CERN-OPEN-2012-016) knows Poisson counts; an unfolded result is a mean with a
covariance. Here the result stands for the observed counts, times a large factor, and the
covariance is a sum of independent shifts of all bins with Gaussian constraints: the eigenvectors of
its components. What the Poisson terms add is taken out of the statistical one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from omniflow.api import Study
from omniflow.errors import InputError
from omniflow.evaluation.covariance import TRAINING
from omniflow.export import components, model
from omniflow.export.binned import Binned, binned
from omniflow.export.components import Component, Scale
from omniflow.export.folders import replace_export
from omniflow.export.model import Model, Template
from omniflow.files import write_json
from omniflow.unfolding.variants import ROLES

JOINT, NOTES = "joint", "notes.json"
STATISTICAL, STATISTICS = "statistical", "statistics"
# Of nuisance parameters, in standard deviations: within the room that Poisson means have.
PULL = 10.0


@dataclass(frozen=True)
class Workspace:
    """A workspace, and what is to be known of it.

    Attributes:
        spec: of pyhf, version 1.0.0 of its schema.
        notes: how contents were scaled, and what was left out.
    """

    spec: dict[str, Any]
    notes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Fit:
    """A result as it is fitted: bins with an error, in the order of the observables.

    Attributes:
        binned: the result.
        kept: (T,) which bins.
        covariance: (B, B) of these, of all components as measured.
        exact: number of directions that are known exactly: sums of 1.
    """

    binned: Binned
    kept: np.ndarray
    covariance: np.ndarray
    exact: int

    @classmethod
    def of(cls, result: Binned) -> Fit:
        """Return a result without the bins that have no error.

        Raises:
            InputError: it has no covariance.
        """
        if not result.measured:
            lacking = "; ".join(f"{name}: {text}" for name, text in result.absent.items())
            raise InputError(f"{result.study}: {result.method} has no covariance to fit: {lacking}")
        total = components.total(result.measured)
        kept = np.diagonal(total) > 0
        shape = result.normalization == "shape"
        there = [name for name, rows in result.rows.items() if kept[rows].any()]
        return cls(result, kept, total[np.ix_(kept, kept)], len(there) if shape else 0)

    @property
    def content(self) -> np.ndarray:
        """(B,) of the result."""
        return self.binned.content[self.kept]

    @property
    def channels(self) -> dict[str, np.ndarray]:
        """Which of the B bins each observable has, (k,)."""
        places = np.cumsum(self.kept) - 1
        rows = {name: np.arange(len(self.kept))[rows] for name, rows in self.binned.rows.items()}
        found = {name: places[each[self.kept[each]]] for name, each in rows.items()}
        return {name: each for name, each in found.items() if len(each)}

    @cached_property
    def statistical(self) -> np.ndarray | None:
        """Covariance (B, B) by the statistics of data and simulation; None without."""
        found = [self.binned.measured[role] for role in ROLES if role in self.binned.measured]
        return np.sum(found, axis=0)[np.ix_(self.kept, self.kept)] if found else None

    @cached_property
    def scale(self) -> Scale:
        """How contents become Poisson means."""
        unit = list(self.channels.values()) if self.exact else []
        return components.scale(self.content, self.covariance, self.statistical, unit)

    def components(self) -> dict[str, Component]:
        """Return statistics, training and systematics as vectors over the B bins.

        Statistics are without what the Poisson terms stand for.
        """
        parts = {}
        if self.statistical is not None:
            carried = self.scale.variance if self.scale.carried else 0.0
            parts[STATISTICAL] = self.statistical - carried
        blocks, square = self.binned.measured, np.ix_(self.kept, self.kept)
        names = [TRAINING, *self.binned.systematics]
        parts |= {name: blocks[name][square] for name in names if name in blocks}
        return {name: components.component(each) for name, each in parts.items()}

    def chi2(self, prediction: np.ndarray) -> float:
        """Return the chi-square of a prediction with the full covariance.

        Args:
            prediction: (T,) contents.

        Returns:
            d^T V^-1 d over the B bins; for `shape` the prediction is scaled to unit sums.

        Raises:
            InputError: V cannot be inverted.
        """
        expected = prediction[self.kept]
        if self.exact:
            expected = expected.copy()
            for rows in self.channels.values():
                expected[rows] *= self.content[rows].sum() / expected[rows].sum()
        return components.chi2(self.content - expected, self.covariance, self.exact)


def workspace(result: Binned, wanted: Model) -> Workspace:
    """Return the workspace that fits a model to a result, one channel per observable.

    Args:
        result: of the observables that are fitted.
        wanted: the model.

    Returns:
        The workspace, with notes.

    Raises:
        InputError: the result has no covariance, or one that cannot be inverted; or a template
            does not fit it.
    """
    fit = Fit.of(result)
    scale = fit.scale
    found = fit.components()
    templates = {s.name: model.template(s, result) for s in wanted.samples}
    statistics = _statistics(fit, templates)
    channels = [
        {
            "name": name,
            "samples": [
                *_samples(fit, wanted, templates, statistics, scale.factor, name, rows),
                *_errors(found, scale, rows),
            ],
        }
        for name, rows in fit.channels.items()
    ]
    observed = scale.factor * (fit.content + scale.offset)
    shifts = {**found, **{f"{STATISTICS}_{n}": each for n, each in statistics.items()}}
    spec = {
        "channels": channels,
        "observations": [
            {"name": name, "data": observed[rows].tolist()} for name, rows in fit.channels.items()
        ],
        "measurements": [
            {
                "name": result.method,
                "config": {"poi": wanted.interest, "parameters": _parameters(fit, wanted, shifts)},
            }
        ],
        "version": "1.0.0",
    }
    return Workspace(spec, _notes(fit, scale, shifts))


def _statistics(fit: Fit, templates: Mapping[str, Template]) -> dict[str, Component]:
    """Return the statistics of predictions as vectors, which all samples of one share."""
    names = dict.fromkeys(name for found in templates.values() for name in found.statistics)
    square = np.ix_(fit.kept, fit.kept)
    return {
        name: components.component(fit.binned.references[name].covariance[square]) for name in names
    }


def _samples(
    fit: Fit,
    wanted: Model,
    templates: Mapping[str, Template],
    statistics: Mapping[str, Component],
    factor: float,
    channel: str,
    rows: np.ndarray,
) -> Iterator[dict[str, Any]]:
    """Yield the samples of a model in a channel."""
    for sample in wanted.samples:
        template = templates[sample.name]
        content = factor * template.content[fit.kept][rows]
        modifiers = [
            modifier
            for name, times in template.statistics.items()
            for modifier in _shifts(
                f"{STATISTICS}_{name}", factor * times * statistics[name].vectors[:, rows], content
            )
        ]
        free = [sample.parameter] if sample.parameter is not None else []
        if fit.exact:  # the result has unit sum, whatever the sum of the model
            free.append(_normalisation(channel))
        modifiers += [{"name": name, "type": "normfactor", "data": None} for name in free]
        yield {"name": sample.name, "data": content.tolist(), "modifiers": modifiers}


def _errors(
    found: Mapping[str, Component], scale: Scale, rows: np.ndarray
) -> Iterator[dict[str, Any]]:
    """Yield the errors of the result in a channel, as a sample that no parameter multiplies."""
    offset = scale.factor * scale.offset[rows]
    modifiers = [
        modifier
        for name, each in found.items()
        for modifier in _shifts(name, scale.factor * each.vectors[:, rows], offset)
    ]
    yield {"name": "errors", "data": offset.tolist(), "modifiers": modifiers}


def _shifts(name: str, vectors: np.ndarray, content: np.ndarray) -> Iterator[dict[str, Any]]:
    """Yield a modifier per vector (B,): linear, and the same in all samples and channels."""
    for number, vector in enumerate(vectors, 1):
        data = {"hi_data": (content + vector).tolist(), "lo_data": (content - vector).tolist()}
        yield {"name": f"{name}_{number}", "type": "histosys", "data": data}


def _normalisation(channel: str) -> str:
    return f"normalisation_{channel}"


def _parameters(fit: Fit, wanted: Model, shifts: Mapping[str, Component]) -> list[dict[str, Any]]:
    """Return where parameters start, and their bounds."""
    free = {n: (s.start, s.bounds) for n, s in wanted.parameters.items()}
    if fit.exact:
        free |= {_normalisation(channel): (1.0, (0.0, 10.0)) for channel in fit.channels}
    constrained = [
        f"{name}_{number}"
        for name, each in shifts.items()
        for number in range(1, len(each.vectors) + 1)
    ]
    return [
        {"name": name, "inits": [start], "bounds": [list(bounds)]}
        for name, (start, bounds) in free.items()
    ] + [{"name": name, "bounds": [[-PULL, PULL]]} for name in constrained]


def _notes(fit: Fit, scale: Scale, shifts: Mapping[str, Component]) -> dict[str, Any]:
    """Return what is to be known of a workspace."""
    result = fit.binned
    edges = {axis.name: list(axis.edges) for axis in result.axes}
    without = [
        f"{name} bin {b}"
        for name, rows in result.rows.items()
        for b in np.flatnonzero(~fit.kept[rows]).tolist()
    ]
    return {
        "scale": scale.factor,
        "offset": {name: scale.offset[rows].tolist() for name, rows in fit.channels.items()},
        "poisson": "part of statistical" if scale.carried else "added: at most 1% of the variance",
        "parameters": {name: len(each.vectors) for name, each in shifts.items()},
        "eigenvalues_removed": {n: c.removed for n, c in shifts.items() if c.removed},
        "bins_without_error": without,
        "edges": edges,
        "normalization": result.normalization,
        "absent": dict(result.absent),
    }


def write(
    study: Study, method: str | None, combine: str | None, folder: Path, wanted: Model | None = None
) -> list[str]:
    """Write workspaces of a method into a folder, and what is to be known of them.

    One per observable and a joint one, or the one that the model names observables for.

    Args:
        study: that has been run.
        method: by default the first.
        combine: by default the first.
        folder: new, or replaced.
        wanted: the model; by default a prediction times `mu`.

    Returns:
        What was written, and what was not and why, by lines.

    Raises:
        InputError: there is no covariance, or none of an observable can be inverted.
    """
    result = binned(study, method, combine)
    chosen = wanted or model.default(result)
    found, refused = _workspaces(result, chosen)
    if not found:
        first, *others = refused.items()
        more = f" (and {len(others)} more are refused: {', '.join(n for n, _ in others)})"
        raise InputError(f"{first[0]}: {first[1]}{more if others else ''}")
    with replace_export(folder, NOTES) as temporary:
        for name, each in found.items():
            write_json(each.spec, temporary / f"{name}.json")
        notes = {
            "model": chosen.model_dump(mode="json"),
            "workspaces": {name: each.notes for name, each in found.items()},
            "not_written": refused,
        }
        write_json(notes, temporary / NOTES)
    return [
        *(f"{folder / name}.json" for name in found),
        *(f"not written: {name}: {text}" for name, text in refused.items()),
        *(f"absent: {name}: {text}" for name, text in result.absent.items()),
    ]


def _workspaces(result: Binned, wanted: Model) -> tuple[dict[str, Workspace], dict[str, str]]:
    """Return the workspaces by name, and why others cannot be."""
    sets: dict[str, Sequence[str]] = {name: [name] for name in result.names}
    if len(result.names) > 1:
        sets[JOINT] = result.names
    if wanted.observables:
        name = wanted.observables[0] if len(wanted.observables) == 1 else JOINT
        sets = {name: wanted.observables}
    found, refused = {}, {}
    for name, names in sets.items():
        try:
            found[name] = workspace(result.of(names), wanted)
        except InputError as error:
            if not result.measured:
                raise
            refused[name] = str(error)
    return found, refused
