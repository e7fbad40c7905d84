"""Stage 4: the binned reference, and the acceptance per bin."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from omniflow.evaluation import bayes, efficiency, matching
from omniflow.evaluation.histograms import Histogram
from omniflow.evaluation.matching import NOWHERE
from omniflow.events import store
from omniflow.observables import cache
from omniflow.observables.axes import Axis
from omniflow.observables.entries import Objects
from omniflow.physics.jets import JetDefinition
from omniflow.stages import evaluation, inputs
from omniflow.stages.evaluation import LEVELS
from omniflow.stages.weights import setup
from omniflow.unfolding.coordinates import FAKES
from omniflow.unfolding.plan import Plan
from omniflow.unfolding.steps import Setup


@dataclass(frozen=True)
class Chunk:
    """Consecutive events of the simulation at both levels; indices count from the first of them.

    Attributes:
        weight: (m,) base weights.
        unfolded, passes: (m,) bool, events that are unfolded, and that pass at detector level.
        region: (m,) bool, events that are evaluated at particle level.
        particle, detector: values of the observables by name.
        partners: detector-level partner (k,) of what is at particle level, or NOWHERE, by name;
            none for observables that have no partners.
    """

    weight: np.ndarray
    unfolded: np.ndarray
    passes: np.ndarray
    region: np.ndarray
    particle: dict[str, Objects]
    detector: dict[str, Objects]
    partners: dict[str, np.ndarray]


class Simulation:
    """Events and jets of the simulation at both levels, some events at a time, matched once."""

    def __init__(self, plan: Plan) -> None:
        """Take the plan; files are read when they are needed."""
        self.plan = plan
        # By first event of a chunk; jets are the same in every observable of a definition.
        self._matched: dict[tuple[int, JetDefinition], np.ndarray] = {}

    @cached_property
    def axes(self) -> dict[str, Axis]:
        """Axes of the observables that exist at both levels, by name."""
        found = evaluation.read_axes(self.plan).items()
        return {name: axis for name, axis in found if set(LEVELS) == set(axis.levels)}

    @cached_property
    def common(self) -> Setup:
        """Weights and selections."""
        return setup(self.plan)

    def chunks(self) -> Iterator[Chunk]:
        """Yield all events."""
        common = self.common
        events = store.open_store(self.plan.store("simulation"))
        region = inputs.region(self.plan, events, "particle")
        levels = (read(self.plan, "simulation", level, self.axes) for level in LEVELS)
        for (rows, particle), (_, detector) in zip(*levels, strict=True):
            yield Chunk(
                np.asarray(common.weight[rows]),
                *(common.particle[rows], common.detector[rows], region[rows]),
                *(particle, detector, self._partners(rows, particle, detector)),
            )

    def _partners(
        self, rows: slice, particle: dict[str, Objects], detector: dict[str, Objects]
    ) -> dict[str, np.ndarray]:
        """Match what has partners.

        Events are their own partners. Jets are matched within their radius, in events that are
        unfolded and pass.
        """
        both = self.common.particle[rows] & self.common.detector[rows]
        found = {}
        for name, axis in self.axes.items():
            if axis.kind == "event":
                found[name] = np.where(both, np.arange(len(both)), NOWHERE)
            elif axis.kind == "jet" and axis.jets is not None:
                key = (rows.start, axis.jets)
                if key not in self._matched:
                    pair = (particle[name], detector[name])
                    self._matched[key] = matching.match(*pair, both, axis.jets.radius)
                found[name] = self._matched[key]
        return found


def read(
    plan: Plan, role: str, level: str, names: Iterable[str]
) -> Iterator[tuple[slice, dict[str, Objects]]]:
    """Yield slices of a sample with the values of observables at one level."""
    events = len(store.open_store(plan.store(role)))
    return cache.objects(plan.observables(role) / f"{level}.h5", names, events)


def reference(simulation: Simulation) -> dict[str, Histogram]:
    """Unfold every observable of events and jets in bins: (iteration, bin) of each.

    The events, their weights and the scale are OmniFold's. What is unfolded outside of the
    evaluated region has cells of its own in the same bins. With `shape` the scale is that of
    detector-level sums, because ratios carry no yield; for jets these are sums over jets.
    Fakes keep their yield or follow what is matched in their bin, as they do in OmniFold.
    """
    plan, common = simulation.plan, simulation.common
    absolute = plan.config.unfolding.normalization == "absolute"
    by_sums = plan.config.unfolding.scale == "detector" or not absolute
    found = responses(simulation)
    edges = {name: np.asarray(simulation.axes[name].edges) for name in found}
    measured = _measured(plan, edges)
    result = {}
    for name, edge in edges.items():
        content, covariance = bayes.unfold(
            found[name],
            *measured[name],
            plan.config.unfolding.iterations,
            None if by_sums else common.scale,
            fakes_follow=FAKES in plan.steps,
        )
        bins = slice(1, len(edge))
        block = covariance[:, bins, bins]
        result[name] = Histogram(
            content[:, bins], np.diagonal(block, axis1=1, axis2=2), block.sum(axis=2)
        )
    return result


def responses(simulation: Simulation) -> dict[str, bayes.Response]:
    """Return the response of every observable of events and jets, of base weights.

    Cells are those of `bayes.cells` at both levels; at particle level they come twice, first of
    the evaluated region, then of what is unfolded outside of it.
    """
    edges = {
        name: np.asarray(axis.edges)
        for name, axis in simulation.axes.items()
        if axis.kind in ("event", "jet")  # particles have no partners at the other level
    }
    found: dict[str, bayes.Response] = {}
    for chunk in simulation.chunks():
        for name, edge in edges.items():
            found[name] = _response(chunk, name, edge).plus(found.get(name))
    return found


def _response(chunk: Chunk, name: str, edge: np.ndarray) -> bayes.Response:
    particle, detector = chunk.particle[name], chunk.detector[name]
    size = len(edge) - 1 + bayes.FLOW
    outside = np.where(chunk.region, 0, size)[particle.event]
    true = np.where(
        chunk.unfolded[particle.event], bayes.cells(particle.value, edge) + outside, NOWHERE
    )
    seen = np.where(chunk.passes[detector.event], bayes.cells(detector.value, edge), NOWHERE)
    partner = chunk.partners[name]
    matched = partner != NOWHERE
    there = np.full(len(particle), NOWHERE)
    there[matched] = seen[partner[matched]]
    alone = np.ones(len(detector), bool)
    alone[partner[matched]] = False
    return bayes.response(
        chunk.weight,
        np.concatenate([particle.event, detector.event[alone]]),
        np.concatenate([true, np.full(alone.sum(), NOWHERE)]),
        np.concatenate([there, seen[alone]]),
        (2 * size, size),
    )


def _measured(plan: Plan, edges: dict[str, np.ndarray]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return data less backgrounds in cells (D,), and their covariance (D, D), by observable."""
    found = _cells(plan, "data", edges)
    for role, background in plan.backgrounds.items():
        factor = plan.background_factor(role)
        for name, (lost, variance) in _cells(plan, role, edges).items():
            content, covariance = found[name]
            shift = background.uncertainty * factor * lost
            covariance = covariance + factor**2 * variance + np.outer(shift, shift)
            found[name] = content - factor * lost, covariance
    return found


def _cells(
    plan: Plan, role: str, edges: dict[str, np.ndarray]
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return the content (D,) of cells at detector level, and their covariance (D, D)."""
    events = store.open_store(plan.store(role))
    found: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for rows, objects in read(plan, role, "detector", edges):
        weight, passes = np.asarray(events.weight[rows]), events.pass_detector[rows]
        for name, edge in edges.items():
            each = objects[name]
            cell = np.where(passes[each.event], bayes.cells(each.value, edge), NOWHERE)
            size = len(edge) - 1 + bayes.FLOW
            content, covariance = bayes.histogram(weight, each.event, cell, size)
            before = found.get(name, (0.0, 0.0))
            found[name] = before[0] + content, before[1] + covariance.toarray()
    return found


def acceptance_table(simulation: Simulation) -> pd.DataFrame:
    """Return efficiency and fraction of fakes per bin of every observable.

    Of events and jets; particles are not matched: they count as seen where their event passes, and
    as fakes where it is not unfolded.
    """
    edges = {name: np.asarray(axis.edges) for name, axis in simulation.axes.items()}
    found: dict[str, efficiency.Sums] = {}
    fakes: dict[str, efficiency.Sums] = {}
    for chunk in simulation.chunks():
        for name, edge in edges.items():
            particle, detector = chunk.particle[name], chunk.detector[name]
            if name in chunk.partners:
                partner = chunk.partners[name]
                seen = partner != NOWHERE
                fake = np.ones(len(detector), bool)
                fake[partner[seen]] = False
            else:
                seen = chunk.passes[particle.event]
                fake = ~chunk.unfolded[detector.event]
            region, passes = chunk.region[particle.event], chunk.passes[detector.event]
            sums = efficiency.sums(chunk.weight, particle, seen, region, edge)
            found[name] = sums.plus(found.get(name))
            sums = efficiency.sums(chunk.weight, detector, fake, passes, edge)
            fakes[name] = sums.plus(fakes.get(name))
    seen_of, fakes_of = (
        {name: each.fraction for name, each in sums.items()} for sums in (found, fakes)
    )
    return efficiency.acceptance_table(seen_of, fakes_of, edges)
