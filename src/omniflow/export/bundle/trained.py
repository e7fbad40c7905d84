"""Trained networks of a study, gathered for a bundle."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import numpy as np

from omniflow.api import Study, TrainedNetwork
from omniflow.events import store
from omniflow.export.bundle.networks import DESCRIPTION, NUMBERS
from omniflow.files import atomic_path, write_json
from omniflow.hdf5 import open_h5
from omniflow.models.architecture import Architecture
from omniflow.models.classifiers import architecture, is_built_in
from omniflow.models.signature import Signature
from omniflow.training.dropout import Dropout
from omniflow.training.losses import LOSSES
from omniflow.unfolding import seeds
from omniflow.unfolding.plan import Plan
from omniflow.unfolding.results import NO_COMBINATION


def lacking(study: Study, method: str) -> str | None:
    """Return why the networks of a method cannot be part of a bundle; None if they can."""
    (first, *_) = study.networks(method, step=2)
    settings = first.plan.classifiers["particle"]
    if not first.path.is_file():
        return f"{first.path} is missing: the folder of the study was not kept whole"
    if not is_built_in(settings):
        return f"{settings.kind} is a classifier of your own, which a bundle does not run"
    return None


def write(study: Study, method: str, how: str, folder: Path) -> None:
    """Write the networks of the last step 2 of a method to two files of a folder.

    Args:
        study: finished.
        method: its name.
        how: combination.
        folder: of the bundle.
    """
    networks = study.networks(method, step=2)
    plan, first = networks[0].plan, networks[0]
    signature = Signature.read(first.path)
    chain = plan.chains[first.block.group.chain]
    seen = signature.features
    made = architecture(
        signature.classifier,
        len(seen.particles),
        len(seen.event),
        plan.config.execution.precision,
        LOSSES[signature.loss].neutral,
    )
    level = store.open_store(plan.store("simulation")).particle
    passes = [
        (number, list(group)) for number, group in groupby(networks, lambda n: n.coordinates.pass_)
    ]
    shape = (
        len(passes),
        plan.config.methods[method].lanes,
        chain.members,
        len(plan.folds),
        made.layout.size,
    )
    with atomic_path(folder / NUMBERS) as path:
        numbers = np.lib.format.open_memmap(path, "w+", made.layout.dtype, shape)
        rows = numbers.reshape(-1, shape[-1])
        for at, parameters in enumerate(_parameters(plan, made, networks)):
            rows[at] = parameters
        numbers.flush()
    write_json(
        {
            "version": 1,
            "level": "particle",
            "classifier": signature.classifier.model_dump(mode="json", exclude={"features"}),
            "loss": signature.loss,
            "precision": plan.config.execution.precision,
            "features": dataclasses.asdict(seen),
            "scaling": json.loads(signature.scaling.to_json()),
            "parameters": [(each.name, each.shape) for each in made.layout.parameters],
            "event_columns": level.event_columns if level is not None else (),
            "particle_columns": level.particle_columns if level is not None else (),
            "units": store.units(plan.store("simulation")),
            "unfolded": plan.config.unfolding.particle_level,
            "logit_clip": plan.config.training.logit_clip,
            "aggregate": chain.aggregate,
            "combine": how,
            "members": chain.members,
            "folds": len(plan.folds),
            "passes": [
                {
                    "number": number,
                    "factor": _factor(plan, method, how, number),
                    "lanes": list(_lanes(plan, of_pass)),
                }
                for number, of_pass in passes
            ],
        },
        folder / DESCRIPTION,
    )


def _parameters(
    plan: Plan, made: Architecture, networks: list[TrainedNetwork]
) -> Iterator[np.ndarray]:
    """Yield the parameters (d,) of every member and fold, in the order of logits of a study."""
    rate = plan.config.classifier.dropout
    for network in networks:
        parameters = made.load(network.path)
        chain = plan.chains[network.block.group.chain]
        if chain.diversity != "dropout" or rate == 0:
            yield from [parameters] * (chain.members // chain.networks)
            continue
        seed = seeds.integer(plan.seed("thinned", network.coordinates, 0))
        dropout = Dropout(made.layout.units(), rate, seed)
        yield from (parameters * dropout.mask(draw) for draw in range(chain.members))


def _factor(plan: Plan, method: str, how: str, pass_: int) -> float:
    if how == NO_COMBINATION:
        return 1.0
    with open_h5(plan.unfolded(method, how, pass_)) as file:
        return float(file.attrs["factors"][-1])


def _lanes(plan: Plan, networks: list[TrainedNetwork]) -> Iterator[dict[str, object]]:
    """Yield what made the ratio of each lane of a pass of its members."""
    iteration = plan.iterations[-1]
    for lane, (network, *_) in groupby(networks, lambda n: n.coordinates.lane):
        group = network.block.group
        with open_h5(plan.weights(group, iteration, 2)) as file:
            checks = json.loads(file.attrs["checks"])
            stacks = json.loads(file.attrs.get("stacking", "[]"))
        row = group.lanes.index(lane)
        yield {
            "lane": lane,
            "yields": checks[row]["yields"],
            "factor": checks[row]["factor"],
            "weights": stacks[row]["weights"] if stacks else None,
        }
