"""The stages of a study in one process, on samples that a proof makes itself."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from omniflow.config import validate
from omniflow.events import store
from omniflow.events.sample import Events, Level
from omniflow.stages import pretraining, samples, training, weights
from omniflow.training.engines import shared
from omniflow.unfolding.plan import Plan

# Particle level, detector level, pass_detector and pass_particle of events.
Sample = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Unfolded:
    """Content of a file of final weights; events are ordered by event id."""

    event_id: np.ndarray
    weight: np.ndarray
    ratio: np.ndarray
    scale: float


def make_plan(folder: Path, **sections: object) -> Plan:
    """Return the plan of a study; `sections` as in the YAML.

    Without the section `samples` the test hands over both samples to `unfold`.
    """
    made = {role: {"source": "h1", "files": [role]} for role in ("data", "simulation")}
    raw = {
        "samples": made,
        "methods": {"none": {}},
        **sections,
    }
    raw["training"] = {"min_updates": 1, **raw.get("training", {})}
    raw["study"] = {"name": "proof", "passes": 1, "output": str(folder), **raw.get("study", {})}
    return Plan(validate(raw))


def column(values: np.ndarray, present: np.ndarray | None = None) -> Level:
    """Return a level with the one event column `value` and no particles; 0 where not `present`."""
    values = np.asarray(values, np.float32)
    if present is not None:
        values = np.where(present, values, np.float32(0))
    none = np.zeros((0, 0), np.float32)
    return Level(values[:, None], none, np.zeros(len(values) + 1, np.int64), ("value",), ())


def plain_events(
    z: np.ndarray | None,
    x: np.ndarray,
    weight: np.ndarray | float = 1.0,
    pass_detector: np.ndarray | None = None,
    pass_particle: np.ndarray | None = None,
) -> Events:
    """Return events with one number per level: z at particle level (None: data) and x."""
    n = len(x)
    everything = np.ones(n, bool)
    detector = everything if pass_detector is None else pass_detector
    particle = everything if pass_particle is None else pass_particle
    return Events(
        np.arange(n, dtype=np.uint64),
        np.broadcast_to(np.asarray(weight, float), n),
        detector,
        None if z is None else particle,
        column(x, detector),
        None if z is None else column(z),
    )


def unfold(plan: Plan, *, jobs_apart: bool = False, **events: Events) -> None:
    """Run every stage up to the final weights; samples not given here are read as configured.

    `jobs_apart`: each job traces its own functions, as in a process of its own.
    """
    for role in plan.samples:
        if role in events:
            store.write(events[role], plan.store(role), {"source": "test"}, seed=1)
        else:
            samples.make_store(plan, role)
    samples.make_scaling(plan)
    for role, level in plan.classifier_inputs:
        samples.make_features(plan, role, level)
    for network in plan.pretraining_networks:
        pretraining.pretrain(plan, network.lane)
    with nullcontext() if jobs_apart else shared():
        for group, iteration, step in plan.stages():
            for block in plan.blocks(group, iteration, step):
                training.train_block(plan, block)
            weights.aggregate(plan, group, iteration, step)
    for result in plan.variants.results:
        weights.combine(plan, result)


def unfold_accepted(
    folder: Path,
    seed: int,
    simulation: Sample,
    data: Sample,
    unfolding: dict,
    training: dict | None = None,
) -> Unfolded:
    """Return the result of two small networks per step, on samples with misses and fakes.

    Ratios carry the yield; `unfolding` and `training` as in the YAML.
    """
    z, x, passes, inside = simulation
    plan = make_plan(
        folder,
        study={"seed": seed},
        classifier={"kind": "mlp", "features": "columns", "width": 32, "blocks": 2},
        training={
            "optimizer": "adam",
            "learning_rate": 5e-3,
            "beta_1": 0.9,
            "beta_2": 0.999,
            "warmup_epochs": 0.2,
            "batch_size": 200,
            "micro_batches": 1,
            "epochs": 2,
            **(training or {}),
        },
        unfolding={"particle_level": "pass_gen", "normalization": "absolute", **unfolding},
        methods={"step": {"members": 2}},
    )
    unfold(
        plan,
        data=plain_events(None, data[1], pass_detector=data[2]),
        simulation=plain_events(z, x, pass_detector=passes, pass_particle=inside),
    )
    return read(plan.unfolded("step", "none", 1))


def read(path: Path) -> Unfolded:
    """Return the final weights in a file of `unfolded/`."""
    with h5py.File(path, "r") as file:
        return Unfolded(
            *(file[name][()] for name in ("event_id", "weight", "ratio")),
            float(file.attrs["scale"]),
        )
