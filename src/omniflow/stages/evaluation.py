"""Stage 4: histograms of every method."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from omniflow.errors import InputError
from omniflow.evaluation.histograms import CountMatrix, Histogram, subtract
from omniflow.evaluation.tables import Unfolded
from omniflow.events import store
from omniflow.events.sample import Events
from omniflow.files import create_h5, open_h5, read_dataset
from omniflow.observables import axes, cache
from omniflow.observables.axes import Axis
from omniflow.stages import ensembles, inputs
from omniflow.stages.weights import setup
from omniflow.unfolding.coordinates import FAKES, parted
from omniflow.unfolding.plan import Plan

LEVELS = ("particle", "detector")
_PARTS = ("content", "variance", "sum_covariance", "flow")


def read_axes(plan: Plan) -> dict[str, Axis]:
    """Return the axes of the configured observables, by name."""
    return {axis.name: axis for axis in axes.read(plan.axes)}


def edges(plan: Plan, level: str) -> dict[str, np.ndarray]:
    """Return the bin edges of the configured observables that exist at a level."""
    found = read_axes(plan).items()
    return {name: np.asarray(axis.edges) for name, axis in found if level in axis.levels}


def region(plan: Plan, events: Events, level: str) -> np.ndarray:
    """Return which events (n,) a histogram at this level counts."""
    if level == "detector":
        return np.asarray(events.pass_detector)
    unfolded_only = plan.config.unfolding.particle_level == "pass_gen"
    if plan.config.observables.region == "fiducial" or unfolded_only:
        return np.asarray(events.pass_particle)
    return np.ones(len(events), bool)


def counts(plan: Plan, role: str, level: str) -> dict[str, CountMatrix]:
    """Return the entries per event and bin of all observables of a sample at one level."""
    events, found = store.open_store(plan.store(role)), edges(plan, level)
    entries = cache.read(plan.observables(role) / f"{level}.h5", found, len(events))
    mask = region(plan, events, level)
    return {name: CountMatrix(entries[name], edge, mask) for name, edge in found.items()}


def measured(plan: Plan) -> dict[str, Histogram]:
    """Return the data at detector level, less backgrounds, per observable."""

    def fill(role: str) -> dict[str, Histogram]:
        weight = np.asarray(store.open_store(plan.store(role)).weight)
        return {name: m.fill(weight) for name, m in counts(plan, role, "detector").items()}

    found = fill("data")
    for role, background in plan.backgrounds.items():
        factor = plan.background_factor(role)
        found = {
            name: subtract(found[name], each, factor, background.uncertainty)
            for name, each in fill(role).items()
        }
    return found


def make_histograms(plan: Plan, method: str) -> None:
    """Write a method's histograms: level / combination / observable / (iteration, pass, bin).

    The same of any other result, with the events and weights of its variant. With several lanes and
    passes also those of smaller ensembles (`stages.ensembles`).
    """
    variant = parted(method)[0]
    common = setup(plan, variant)
    event_id = np.asarray(inputs.events(plan, "simulation", variant).event_id)
    position = np.argsort(event_id)
    role = plan.variants.role("simulation", variant)
    simulation = {level: counts(plan, role, level) for level in LEVELS}
    base = common.scale * common.weight
    with create_h5(plan.histograms(method)) as file:
        for how in plan.combinations(method):
            pieces: dict[tuple[str, str], list[Histogram]] = {}
            for pass_ in plan.passes_of(method):
                ratio = ratios(plan, method, how, pass_, event_id, position)
                weights = base[:, None] * ratio.T
                for level in LEVELS:
                    for name, matrix in simulation[level].items():
                        pieces.setdefault((level, name), []).append(matrix.fill(weights))
            for (level, name), histograms in pieces.items():
                group = file.create_group(f"{level}/{how}/{name}")
                for part in _PARTS:
                    values = np.stack([getattr(h, part) for h in histograms], axis=1)
                    group.create_dataset(part, data=values)
        ensembles.write_ensembles(plan, method, common, simulation["particle"], file)


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


def ratios(
    plan: Plan, method: str, how: str, pass_: int, event_id: np.ndarray, position: np.ndarray
) -> np.ndarray:
    """Return nu (iterations, n) in the order of the store, 1 for events without learned weights."""
    path = plan.unfolded(method, how, pass_)
    result = np.ones((len(plan.iterations), len(event_id)))
    with open_h5(path) as file:
        for kind in ("", "fakes/") if FAKES in plan.steps else ("",):
            ids = read_dataset(file, f"{kind}event_id", (None,), "u")
            values = read_dataset(file, f"{kind}ratio", (len(result), len(ids)), "f")
            where = np.searchsorted(event_id, ids, sorter=position)
            rows = position[np.minimum(where, len(position) - 1)]
            if not np.array_equal(event_id[rows], ids):
                raise InputError(
                    f"{path}: {kind}event_id: has events that the simulation does not have; it was "
                    "made from another sample. Delete it and rerun."
                )
            result[:, rows] = values
    return result
