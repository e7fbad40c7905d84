"""Events of a variant: its samples, with its weights. Here, and nowhere else, weights vary."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from omniflow.config.uncertainties import EventWeights
from omniflow.errors import InputError
from omniflow.events import store
from omniflow.events.sample import Events
from omniflow.hdf5 import open_h5, read_dataset
from omniflow.unfolding.coordinates import NOMINAL
from omniflow.unfolding.plan import Plan
from omniflow.unfolding.variants import replica_weights


def events(plan: Plan, role: str, variant: str = NOMINAL) -> Events:
    """Return the sample that has a role in a variant, with its weights there.

    Raises:
        InputError: a weight file does not fit the events.
    """
    found = store.open_store(plan.store(plan.variants.role(role, variant)))
    return replace(found, weight=_weight(plan, role, variant, found, slice(None)))


def weights(plan: Plan, role: str, variant: str = NOMINAL) -> Callable[[slice], np.ndarray]:
    """Return what gives the weights of a slice of `events`, and holds those of no others.

    Args:
        plan: of the study.
        role: data, simulation or another.
        variant: nominal, replica, variation or toy.

    Returns:
        A function of a slice of k events that returns (k,).

    Raises:
        InputError: a weight file does not fit the events.
    """
    found = store.open_store(plan.store(plan.variants.role(role, variant)))
    return lambda rows: _weight(plan, role, variant, found, rows)


def _weight(plan: Plan, role: str, variant: str, found: Events, rows: slice) -> np.ndarray:
    named = _named(plan, role, variant)
    if named is not None and named in found.weights:
        return np.asarray(found.weights[named][rows])
    factor = _factor(plan, role, variant, np.asarray(found.event_id[rows]))
    weight = found.weight[rows]
    return weight if factor is None else np.asarray(weight) * factor


def unfolded(plan: Plan, simulation: Events) -> np.ndarray:
    """Return which events (n,) of a simulation the result is of, bool.

    Args:
        plan: of the study.
        simulation: n events.

    Returns:
        (n,) bool.

    Raises:
        InputError: events in the fiducial region are wanted, and there is no particle level.
    """
    if plan.config.unfolding.particle_level == "pass_gen":
        if simulation.pass_particle is None:
            raise InputError("the simulation has no particle level; give a sample with truth.")
        return simulation.pass_particle
    return np.broadcast_to(np.True_, len(simulation))


def region(plan: Plan, events: Events, level: str) -> np.ndarray:
    """Return which events (n,) a histogram at this level counts.

    Args:
        plan: of the study.
        events: n events.
        level: detector or particle.

    Returns:
        (n,) bool.
    """
    if level == "detector":
        return np.asarray(events.pass_detector)
    unfolded_only = plan.config.unfolding.particle_level == "pass_gen"
    if plan.config.observables.region == "fiducial" or unfolded_only:
        return np.asarray(events.pass_particle)
    return np.ones(len(events), bool)


def _named(plan: Plan, role: str, variant: str) -> str | None:
    """Return the name of the weights that take the place of a sample's weight, if it has such."""
    inputs = plan.variants[variant]
    if inputs.kind == role:
        return f"replica-{inputs.number}"
    named = inputs.weights if role == "simulation" else None
    return named if isinstance(named, str) else None


def _factor(plan: Plan, role: str, variant: str, event_id: np.ndarray) -> np.ndarray | None:
    inputs = plan.variants[variant]
    # What is subtracted is simulated: its statistics are those of the simulation.
    if inputs.kind == ("simulation" if role in plan.backgrounds else role):
        return replica_weights(plan.config.study.seed, inputs, event_id, role)
    if role == "simulation" and isinstance(inputs.weights, EventWeights):
        return _read(inputs.weights, event_id)
    return None


def _read(weights: EventWeights, event_id: np.ndarray) -> np.ndarray:
    """Return the factors (n,) of events from their files."""
    parts = []
    for path in weights.files:
        with open_h5(path) as file:
            parts.append(read_dataset(file, weights.dataset, (None,), "fiu"))
    factors = np.concatenate(parts).astype(np.float64)
    where = f"{', '.join(weights.files)}: {weights.dataset}"
    if len(event_id) and int(event_id.max()) >= len(factors):
        raise InputError(
            f"{where}: has {len(factors)} factors, but the simulation has an event with id "
            f"{event_id.max()}; give one factor per record of its files, in their order"
        )
    found = factors[event_id.astype(np.int64)]
    if not np.isfinite(found).all():
        raise InputError(f"{where}: has factors that are not finite; write the file again")
    return found
