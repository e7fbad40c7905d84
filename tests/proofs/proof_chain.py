"""Studies of samples that a proof makes itself, run by `omniflow.api.run`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from omniflow import Events
from omniflow.api import run
from omniflow.config import validate
from omniflow.sources.memory import Memory
from omniflow.unfolding import seeds
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


def make_plan(folder: Path, samples: Mapping[str, Any], **sections: Any) -> Plan:
    """Return the plan of a study; sections as in the YAML, with events where it has samples."""
    study = {"name": "proof", "passes": 1, "output": str(folder), **sections.get("study", {})}
    raw = {
        "methods": {"none": {}},
        **sections,
        "samples": _as_sources(samples, "", study.get("seed", 1)),
        "training": {"min_updates": 1, **sections.get("training", {})},
        "study": study,
    }
    return Plan(validate(raw))


def _as_sources(given: Any, role: str, seed: int) -> Any:
    if isinstance(given, Events):
        return Memory.of(_arranged(given, role, seed))
    if "source" in given:
        return given
    if "sample" in given:
        return given | {"sample": _as_sources(given["sample"], f"background-{role}", seed)}
    return {name: _as_sources(each, name, seed) for name, each in given.items()}


def _arranged(events: Events, role: str, seed: int) -> Events:
    """Return events in an order that the store of a role turns into that of the seed 1.

    What proofs ask of their results was chosen in this order of the events.
    """
    store = seeds.integer(seeds.sequence(seed, f"store {role}"))
    made, wanted = (np.random.default_rng(s).permutation(len(events)) for s in (store, 1))
    order = np.empty(len(events), int)
    order[made] = wanted
    return events.take(order)


def plain_events(z: np.ndarray | None, x: np.ndarray, **given: Any) -> Events:
    """Return events with one number per level, z at particle level (None: data) and x.

    Others as of `Events.from_arrays`.
    """
    return Events.from_arrays({"value": x}, None if z is None else {"value": z}, **given)


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
        {
            "data": plain_events(None, data[1], pass_detector=data[2]),
            "simulation": plain_events(z, x, pass_detector=passes, pass_particle=inside),
        },
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
    run(plan)
    return read(plan.unfolded("step", "none", 1))


def read(path: Path) -> Unfolded:
    """Return the final weights in a file of `unfolded/`."""
    with h5py.File(path, "r") as file:
        return Unfolded(
            *(file[name][()] for name in ("event_id", "weight", "ratio")),
            float(file.attrs["scale"]),
        )
