"""ROOT files: results, errors and responses as TH1D and TH2D."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import hist
import numpy as np
import uproot

from omniflow.api import Study
from omniflow.config.uncertainties import SIDES
from omniflow.evaluation.histograms import Histogram
from omniflow.export import migration
from omniflow.export.binned import Binned, binned, correlation, error
from omniflow.export.migration import Counts, Migration
from omniflow.files import atomic_path
from omniflow.observables.axes import Axis
from omniflow.stages import evaluation
from omniflow.stages.predictions import PRIOR, TRUTH

FILE, JOINT, ABOUT = "histograms.root", "joint", "about"
Named = tuple[str, hist.Hist]


def write(study: Study, method: str | None, combine: str | None, folder: Path) -> list[str]:
    """Write the histograms of a method into a ROOT file, a folder per observable in it.

    Args:
        study: that has been run.
        method: by default the first.
        combine: by default the first.
        folder: where the file is written.

    Returns:
        What was written, and what is absent, by lines.

    Raises:
        InputError: files of the study are missing.
    """
    result = binned(study, method, combine)
    migrations = migration.read(study.plan)
    measured = evaluation.measured(study.plan)
    path = Path(folder) / FILE
    with atomic_path(path) as temporary, uproot.recreate(temporary) as file:
        file[ABOUT] = json.dumps(_about(result), ensure_ascii=False)
        for axis in result.axes:
            one = result.of([axis.name])
            found = [*_particle_level(one), *_covariances(one)]
            if axis.name in measured:
                found.append(("measured", _measured(measured[axis.name], axis)))
            if axis.name in migrations:
                found += _migration(migrations[axis.name], axis)
            for name, histogram in found:
                file[f"{axis.name}/{name}"] = histogram
        for name, histogram in _covariances(result):
            file[f"{JOINT}/{name}"] = histogram
    without = [name for name in result.names if name not in migrations]
    return [
        str(path),
        *(f"absent: {name}: response: at one level alone, or of particles" for name in without),
        *(f"absent: {name}: {text}" for name, text in result.absent.items()),
    ]


def _about(result: Binned) -> dict[str, object]:
    return {
        "study": result.study,
        "method": result.method,
        "combine": result.combine,
        "passes": result.passes,
        "normalization": result.normalization,
        "components": list(result.blocks),
        "absent": dict(result.absent),
        "joint_bins": {name: [rows.start + 1, rows.stop] for name, rows in result.rows.items()},
    }


def _particle_level(result: Binned) -> Iterator[Named]:
    """Yield the result of one observable, with each of its errors, and what stands beside it."""
    (axis,) = result.axes
    content, none = result.content, np.zeros(len(result.content))
    total = none if result.total is None else np.diagonal(result.total)
    yield "unfolded", _filled(axis, content, total)
    for name, block in result.blocks.items():
        yield f"unfolded_{name}", _filled(axis, content, error(block) ** 2)
    for name, sides in result.shifts.items():
        ends = SIDES if len(sides) == 2 else ("",)
        for end, shift in zip(ends, sides, strict=True):
            yield f"varied_{name}{end}", _filled(axis, content + shift, none)
    for name, found in result.references.items():
        called = {TRUTH: "truth", PRIOR: "prior"}.get(name, f"prediction_{name}")
        yield called, _filled(axis, found.content, np.diagonal(found.covariance))


def _covariances(result: Binned) -> Iterator[Named]:
    """Yield covariances by component and the correlations of the total, by numbers of bins."""
    matrices = {f"covariance_{name}": block for name, block in result.blocks.items()}
    if result.total is not None:
        matrices |= {"covariance_total": result.total, "correlation": correlation(result.total)}
    size = len(result.content)
    for name, matrix in matrices.items():
        axes = [hist.axis.Regular(size, 0.5, size + 0.5, name=n, label="bin") for n in "xy"]
        found = hist.Hist(*axes, storage=hist.storage.Double())
        found.view()[:] = matrix
        yield name, found


def _measured(found: Histogram, axis: Axis) -> hist.Hist:
    """Return data at detector level, less backgrounds, in yields."""
    return _filled(axis, found.content, found.variance)


def _migration(found: Migration, axis: Axis) -> Iterator[Named]:
    """Yield what RooUnfoldResponse is made of."""
    for name, counts in (("measured", found.measured), ("truth", found.truth)):
        yield f"response_{name}", _with_flow(counts, axis, name[0])
    yield "response", _with_flow(found.response, axis, "mt")


def _filled(axis: Axis, content: np.ndarray, variance: np.ndarray) -> hist.Hist:
    """Return a histogram (B,) with variances (B,), without under- and overflow."""
    zero = np.zeros(1)
    counts = Counts(*(np.concatenate([zero, each, zero]) for each in (content, variance)))
    return _with_flow(counts, axis, "x")


def _with_flow(counts: Counts, axis: Axis, names: str) -> hist.Hist:
    """Return a histogram of one axis or several alike, with under- and overflow."""
    level = {"m": "detector level: ", "t": "particle level: "}
    unit = f" [{axis.unit}]" if axis.unit else ""
    axes = [
        hist.axis.Variable(axis.edges, name=name, label=f"{level.get(name, '')}{axis.label}{unit}")
        for name in names
    ]
    found = hist.Hist(*axes, storage=hist.storage.Weight())
    view = found.view(flow=True)
    view["value"], view["variance"] = counts.content, counts.variance
    return found
