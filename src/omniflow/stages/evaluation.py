"""Stage 4: histograms of every method."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from omniflow.evaluation.histograms import CountMatrix, Histogram, Unfolded, subtract
from omniflow.events import store
from omniflow.hdf5 import create_h5, open_h5, read_dataset
from omniflow.observables import axes, cache
from omniflow.observables.axes import Axis
from omniflow.stages import ensembles, final, inputs
from omniflow.stages.weights import setup
from omniflow.unfolding.coordinates import parted
from omniflow.unfolding.plan import Plan

LEVELS = ("particle", "detector")
_PARTS = ("content", "variance", "sum_covariance", "flow")


def read_axes(plan: Plan) -> dict[str, Axis]:
    """Return the axes of the configured observables, by name."""
    return {axis.name: axis for axis in axes.read(plan.axes)}


def edges(plan: Plan, level: str) -> dict[str, np.ndarray]:
    """Return the bin edges of the configured observables that exist at a level.

    Args:
        plan: of the study.
        level: detector or particle.

    Returns:
        (B + 1,) by observable.
    """
    found = read_axes(plan).items()
    return {name: np.asarray(axis.edges) for name, axis in found if level in axis.levels}


def counts(plan: Plan, role: str, level: str) -> Iterator[tuple[slice, dict[str, CountMatrix]]]:
    """Yield slices of a sample, with entries per event and bin of all observables at a level."""
    events = store.open_store(plan.store(role))
    mask, bins = inputs.region(plan, events, level), edges(plan, level)
    for rows, found in cache.entries(plan.observables(role) / f"{level}.h5", bins, len(events)):
        yield (
            rows,
            {
                name: CountMatrix(found[name], edge, mask[rows], rows.start)
                for name, edge in bins.items()
            },
        )


def fill(plan: Plan, role: str, level: str, weight: np.ndarray) -> dict[str, Histogram]:
    """Return the histograms of all observables of a sample at a level, for event weights (n,).

    Args:
        plan: of the study.
        role: of the sample.
        level: detector or particle.
        weight: (n,) of the events, in the order of the store.

    Returns:
        By observable, with contents (B,).

    Raises:
        WeightError: a weight is not finite.
    """
    totals: dict[str, Histogram] = {}
    for rows, matrices in counts(plan, role, level):
        for name, matrix in matrices.items():
            totals[name] = matrix.fill(weight[rows]).plus(totals.get(name))
    return totals


def measured(plan: Plan) -> dict[str, Histogram]:
    """Return the data at detector level, less backgrounds, per observable."""
    found, *lost = (
        fill(plan, role, "detector", store.open_store(plan.store(role)).weight)
        for role in ("data", *plan.backgrounds)
    )
    for (role, background), each in zip(plan.backgrounds.items(), lost, strict=True):
        factor = plan.background_factor(role)
        found = {
            name: subtract(found[name], each[name], factor, background.uncertainty)
            for name in found
        }
    return found


def make_histograms(plan: Plan, method: str) -> None:
    """Write a method's histograms: level / combination / observable / (iteration, pass, bin).

    The same of any other result, with the events and weights of its variant. With several lanes and
    passes also those of smaller ensembles (`stages.ensembles`).
    """
    variant = parted(method)[0]
    common = setup(plan, variant)
    role = plan.variants.role("simulation", variant)
    base = common.scale * common.weight
    smaller = ensembles.Smaller(plan, method, common)
    totals: dict[tuple[str, str, str, int], Histogram] = {}
    with final.spooled(plan, method) as ratios:
        for level in LEVELS:
            for rows, matrices in counts(plan, role, level):
                for (how, pass_), ratio in ratios.items():
                    # Contiguous, or every product would make a copy that is.
                    weights = np.ascontiguousarray(base[rows, None] * ratio[:, rows].T)
                    for name, matrix in matrices.items():
                        key = (level, how, name, pass_)
                        totals[key] = matrix.fill(weights).plus(totals.get(key))
                if level == "particle":
                    smaller.fill(rows, matrices)
    with create_h5(plan.histograms(method)) as file:
        for level, how, name in dict.fromkeys(key[:3] for key in totals):
            found = [totals[level, how, name, pass_] for pass_ in plan.passes_of(method)]
            group = file.create_group(f"{level}/{how}/{name}")
            for part in _PARTS:
                values = np.stack([getattr(h, part) for h in found], axis=1)
                group.create_dataset(part, data=values)
        smaller.write(file)


def read_histograms(plan: Plan, method: str, level: str) -> Iterator[Unfolded]:
    """Yield the histograms of a method at one level, per combination and iteration."""
    names = list(edges(plan, level))
    with open_h5(plan.histograms(method)) as file:
        for how in plan.combinations(method):
            arrays = {
                name: [read_dataset(file, f"{level}/{how}/{name}/{part}") for part in _PARTS]
                for name in names
            }
            for row, iteration in enumerate(plan.iterations):
                yield Unfolded(
                    method,
                    how,
                    iteration,
                    {name: Histogram(*(a[row] for a in parts)) for name, parts in arrays.items()},
                )
