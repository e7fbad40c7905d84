"""Stage 1: event stores, classifier inputs and cached observables."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from omniflow.errors import InputError, OmniflowError
from omniflow.events import quality, store
from omniflow.events.ingest import ingest
from omniflow.events.sample import Events, Level
from omniflow.features import build
from omniflow.features.scaling import Scaling
from omniflow.files import replace_folder, write_text
from omniflow.observables import axes, cache, find
from omniflow.stages.inputs import unfolded
from omniflow.unfolding import seeds
from omniflow.unfolding.plan import Plan


def make_store(
    plan: Plan,
    role: str,
    recorded: Mapping[str, Any] | None = None,
    progress: Callable[[int], None] = lambda events: None,
) -> None:
    """Write the event store of a sample; further arguments as of `ingest`."""
    seed = seeds.integer(seeds.sequence(plan.config.study.seed, f"store {role}"))
    ingest(plan.samples[role], plan.store(role), seed, recorded, progress)
    events = store.open_store(plan.store(role))
    if role in plan.simulations and plan.config.unfolding.particle_level == "all":
        try:
            _refuse_without_truth(events, plan.samples[role].place)
        except InputError:
            plan.store(role).unlink()
            raise
    print(f"{role}: {quality.words(quality.measure(events.weight))}.")
    for note in quality.of_sample(
        events, role, plan.config.diagnostics.weights, plan.samples[role].place
    ):
        print(f"Note: {note}")
    for warning in store.warnings(plan.store(role)):
        print(f"Warning: {role}: {warning}")


def make_scaling(plan: Plan) -> None:
    """Write means and standard deviations of the features of the simulation.

    Of detector level, of events that pass; and of particle level, of events that are unfolded,
    where networks have other inputs there.
    """
    simulation = store.open_store(plan.store("simulation"))
    chosen = {"detector": simulation.pass_detector, "particle": unfolded(plan, simulation)}
    for path, level in plan.scalings.items():
        events = _level(plan, simulation, "simulation", level)
        try:
            scaling = build.fit_scaling(events, chosen[level], plan.features_seen[level])
        except OmniflowError as error:
            raise type(error)(f"simulation at {level} level: {error}") from error
        write_text(scaling.to_json(), path)


def make_features(plan: Plan, role: str, level: str) -> None:
    """Write the classifier inputs of a sample at one level.

    Raises:
        InputError: the sample does not have this level.
    """
    events = _level(plan, store.open_store(plan.store(role)), role, level)
    try:
        write_features(plan, events, level, plan.features(role, level))
    except OmniflowError as error:
        raise type(error)(f"{role} at {level} level: {error}") from error


def _level(plan: Plan, events: Events, role: str, level: str) -> Level:
    found = getattr(events, level)
    if found is None:
        raise InputError(f"{plan.store(role)}: {role} has no {level} level, which is needed here")
    return found


def write_features(plan: Plan, events: Level, level: str, path: Path) -> None:
    """Write what classifiers of the study read of a level, also of events that are not its own."""
    scaling = Scaling.read(plan.scaling(level))
    neighbours = plan.config.classifier.neighbours
    build.write(path, events, scaling, plan.features_seen[level], neighbours)


def make_observables(plan: Plan, role: str) -> None:
    """Write the observables of a sample at every level that it has, as far as they exist there.

    Raises:
        ConfigError, InputError: an observable cannot be computed, or a prediction has no particle
            level.
    """
    events = store.open_store(plan.store(role))
    if events.particle is None and role in plan.variants.predictions.values():
        raise InputError(
            f"{plan.store(role)}: {role} has no particle level, where results are compared; give a "
            "sample with truth (uncertainties.predictions)"
        )
    with replace_folder(plan.observables(role)) as folder:
        for level in plan.observed_at(role):
            if getattr(events, level) is None:
                continue
            found = find.resolve(plan.config.observables, level)
            wanted = [each for each in found if level in plan.observed[each.name]]
            try:
                cache.write(folder / f"{level}.h5", getattr(events, level), wanted)
            except OmniflowError as error:
                raise type(error)(f"{role} at {level} level: {error}") from error


def make_axes(plan: Plan) -> None:
    """Write the axes of all histograms; those of quantiles are made of the simulation."""
    simulation = store.open_store(plan.store("simulation"))
    found = axes.make(
        find.resolve(plan.config.observables),
        plan.observed,
        plan.observables("simulation"),
        {
            "detector": np.asarray(simulation.pass_detector),
            "particle": np.asarray(unfolded(plan, simulation)),
        },
        np.asarray(simulation.weight),
    )
    axes.write(found, plan.axes)


def _refuse_without_truth(simulation: Events, place: Callable[[int], str]) -> None:
    """Refuse fakes whose truth is missing (rows of zeros) where all events are unfolded."""
    truth = simulation.particle
    if truth is None or not truth.event_columns:
        return
    outside = np.flatnonzero(~np.asarray(simulation.pass_particle))
    empty = ~(np.asarray(truth.event)[outside] != 0).any(axis=1)
    empty &= np.asarray(truth.counts)[outside] == 0
    if empty.any():
        raise InputError(
            f"{int(empty.sum())} simulated events have no particle level, such as "
            f"{place(int(simulation.event_id[outside[empty][0]]))}: they are fakes, and cannot be "
            "unfolded. "
            "Set unfolding.particle_level: pass_gen."
        )
