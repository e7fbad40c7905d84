"""Stage 4: the binned reference, and the acceptance per bin."""

from __future__ import annotations

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
from omniflow.stages import evaluation
from omniflow.stages.weights import setup
from omniflow.unfolding.coordinates import FAKES, LEVELS
from omniflow.unfolding.plan import Plan
from omniflow.unfolding.steps import Setup


class Simulation:
    """Events and jets of the simulation at both levels, matched once."""

    def __init__(self, plan: Plan) -> None:
        """Take the plan; files are read when they are needed."""
        self.plan = plan
        self._partners: dict[JetDefinition, np.ndarray] = {}

    @cached_property
    def axes(self) -> dict[str, Axis]:
        """Axes of the observables that exist at both levels, by name."""
        found = evaluation.read_axes(self.plan).items()
        return {name: axis for name, axis in found if set(LEVELS) == set(axis.levels)}

    @cached_property
    def common(self) -> Setup:
        """Weights and selections."""
        return setup(self.plan)

    @cached_property
    def region(self) -> np.ndarray:
        """(n,) bool, events that are evaluated at particle level."""
        events = store.open_store(self.plan.store("simulation"))
        return evaluation.region(self.plan, events, "particle")

    def objects(self, name: str, level: str) -> Objects:
        """Return the values of an observable at one level."""
        return read(self.plan, "simulation", level, name, len(self.common.weight))

    def partners(self, name: str, particle: Objects, detector: Objects) -> np.ndarray:
        """Return the detector-level partner (k,) of what is at particle level, or NOWHERE.

        Events are their own partners. Jets are matched within their radius, in events that are
        unfolded and pass.
        """
        both = self.common.particle & self.common.detector
        if self.axes[name].kind == "event":
            return np.where(both, np.arange(len(both)), NOWHERE)
        jets = self.axes[name].jets
        if jets not in self._partners:  # the same jets in every observable of this definition
            self._partners[jets] = matching.match(particle, detector, both, jets.radius)
        return self._partners[jets]


def read(plan: Plan, role: str, level: str, name: str, events: int) -> Objects:
    """Return the values of an observable of a sample at one level."""
    return cache.read_objects(plan.observables(role) / f"{level}.h5", name, events)


def _matched(axis: Axis) -> bool:
    """Return whether what the observable has values of has a partner at the other level."""
    return axis.kind in ("event", "jet")


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
    result = {}
    for name, axis in simulation.axes.items():
        if not _matched(axis):
            continue
        edge = np.asarray(axis.edges)
        size = len(edge) - 1 + bayes.FLOW
        content, covariance = bayes.unfold(
            _response(simulation, name, edge, size),
            *_measured(plan, common, name, edge, size),
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


def _response(simulation: Simulation, name: str, edge: np.ndarray, size: int) -> bayes.Response:
    common = simulation.common
    particle, detector = (simulation.objects(name, level) for level in ("particle", "detector"))
    outside = np.where(simulation.region, 0, size)[particle.event]
    true = np.where(
        common.particle[particle.event], bayes.cells(particle.value, edge) + outside, NOWHERE
    )
    seen = np.where(common.detector[detector.event], bayes.cells(detector.value, edge), NOWHERE)
    partner = simulation.partners(name, particle, detector)
    matched = partner != NOWHERE
    there = np.full(len(particle), NOWHERE)
    there[matched] = seen[partner[matched]]
    alone = np.ones(len(detector), bool)
    alone[partner[matched]] = False
    return bayes.response(
        common.weight,
        np.concatenate([particle.event, detector.event[alone]]),
        np.concatenate([true, np.full(alone.sum(), NOWHERE)]),
        np.concatenate([there, seen[alone]]),
        (2 * size, size),
    )


def _measured(
    plan: Plan, common: Setup, name: str, edge: np.ndarray, size: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return data less backgrounds in cells (D,), and their covariance (D, D)."""

    def fill(role: str, weight: np.ndarray, passes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        objects = read(plan, role, "detector", name, len(weight))
        cell = np.where(passes[objects.event], bayes.cells(objects.value, edge), NOWHERE)
        content, covariance = bayes.histogram(weight, objects.event, cell, size)
        return content, covariance.toarray()

    content, covariance = fill("data", common.data_weight, common.data)
    for role, background in plan.backgrounds.items():
        events = store.open_store(plan.store(role))
        factor = plan.background_factor(role)
        lost, variance = fill(role, np.asarray(events.weight), np.asarray(events.pass_detector))
        shift = background.uncertainty * factor * lost
        content = content - factor * lost
        covariance = covariance + factor**2 * variance + np.outer(shift, shift)
    return content, covariance


def acceptance_table(simulation: Simulation) -> pd.DataFrame:
    """Return efficiency and fraction of fakes per bin of every observable.

    Of events and jets; particles are not matched: they count as seen where their event passes, and
    as fakes where it is not unfolded.
    """
    common = simulation.common
    edges = {name: np.asarray(axis.edges) for name, axis in simulation.axes.items()}
    found, fakes = {}, {}
    for name, edge in edges.items():
        particle, detector = (simulation.objects(name, level) for level in ("particle", "detector"))
        if not _matched(simulation.axes[name]):
            seen = common.detector[particle.event]
            fake = ~common.particle[detector.event]
        else:
            partner = simulation.partners(name, particle, detector)
            seen = partner != NOWHERE
            fake = np.ones(len(detector), bool)
            fake[partner[seen]] = False
        region, passes = simulation.region[particle.event], common.detector[detector.event]
        found[name] = efficiency.fraction(common.weight, particle, seen, region, edge)
        fakes[name] = efficiency.fraction(common.weight, detector, fake, passes, edge)
    return efficiency.acceptance_table(found, fakes, edges)
