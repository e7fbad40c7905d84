"""The oracle: step 2 trained on the truth of pseudo-data, the best that its network can do."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from omniflow.errors import TrainingError
from omniflow.events import store
from omniflow.events.batches import Source
from omniflow.events.features import open_features
from omniflow.files import read_json, replace_folder, understood, write_json
from omniflow.hdf5 import create_h5, memory_map
from omniflow.stages import inputs, parts, second
from omniflow.stages.networks import Networks
from omniflow.stages.weights import setup
from omniflow.training import distributed, interrupt
from omniflow.training.interrupt import Interrupt
from omniflow.unfolding import weights
from omniflow.unfolding.coordinates import ORACLE, Network
from omniflow.unfolding.plan import Plan

NAME = "_oracle"  # in place of a method
_HISTORY, _RATIO = "history.json", "weights.h5"


def train(plan: Plan) -> None:
    """Train one network of step 2 to tell truth from simulation, and write it and its ratios.

    Truth are the data's events at particle level, with their weights, as far as they are unfolded.
    A network that cannot be trained is noted, because the study's result does not depend on it;
    where data have no truth, or not what networks see, there is none.
    """
    with interrupt.noted() as interruption, tempfile.TemporaryDirectory() as folder:
        data = store.open_store(plan.store("data"))
        if not second.comparable(plan, data.particle, "particle"):
            if distributed.start(plan.config.execution.ranks, plan.root).rank == 0:
                with replace_folder(plan.oracle) as target:
                    write_json({"networks": []}, target / _HISTORY)
            return
        job = _Oracle(plan, second.inputs_of(plan, "particle", Path(folder)), interruption)
        try:
            ((trained, record),) = job.train([network()])
        except TrainingError as error:
            record = {"network": vars(network()), "failure": str(error)}
            found = {}
        else:
            found = {"ratio": job.ratio(trained)}
    if not job.writes:
        return
    with replace_folder(plan.oracle) as target:
        job.write_history([record], target / _HISTORY)
        if found:
            job.save(trained, target / "network.weights.h5")
            with create_h5(target / _RATIO) as file:
                file["ratio"] = found["ratio"]


def network() -> Network:
    """Return the coordinates of the oracle."""
    return Network("oracle", 1, 0, 0, 0, ORACLE, 0)


def ratio(plan: Plan) -> np.ndarray | None:
    """Return the oracle's ratios of the simulation.

    Args:
        plan: of the study.

    Returns:
        (n,) float32 in the order of the store; None without an oracle.
    """
    path = plan.oracle / _RATIO
    return memory_map(path, "ratio", (None,), "f") if plan.has_oracle and path.is_file() else None


def notes(plan: Plan) -> list[str]:
    """Say why there is no oracle, where it could not be trained."""
    if not plan.has_oracle:
        return []
    path = plan.oracle / _HISTORY
    content = read_json(path)
    with understood(path):
        failed = [record["failure"] for record in content["networks"] if "failure" in record]
    return [f"The oracle could not be trained: {failure}" for failure in failed]


class _Oracle(Networks):
    """The network, with truth as class A and the simulation as class B."""

    def __init__(self, plan: Plan, truth: Path, interruption: Interrupt | None) -> None:
        """Take the file of what networks see of truth."""
        events = [store.open_store(plan.store(role)) for role in ("data", "simulation")]
        files = [truth, plan.features("simulation", "particle")]
        self._sources = tuple(
            Source(open_features(path), e.event_id, inputs.unfolded(plan, e), *weights)
            for e, path, weights in zip(
                *(events, files, [((events[0].weight,), ()), ((), (events[1].weight,))]),
                strict=True,
            )
        )
        super().__init__(plan, "particle", self._sources[-1].features, interruption)

    def sources(self, network: Network) -> tuple[Source, ...]:
        """Return the strata, without events that no network may see."""
        return tuple(
            replace(s, select=parts.seen(self.plan, network, s.select, s.event_id))
            for s in self._sources
        )

    def ratio(self, parameters: np.ndarray) -> np.ndarray:
        """Return the ratios of truth to simulation.

        Args:
            parameters: (d,).

        Returns:
            (n,) float32; 1 for events that are not unfolded.
        """
        truth, simulation = self._sources
        common, clip = setup(self.plan), self.plan.config.training.logit_clip
        base = common.scale * common.weight[simulation.select]
        total = float(truth.weights(np.flatnonzero(truth.select))[0].sum())
        yields = total / float(base.sum()) if common.absolute else 1.0
        found = np.ones(len(simulation.select), np.float32)
        for where, logits in self.trainer.predict([parameters], simulation):
            rows = np.asarray(simulation.select[where])
            found[where][rows] = weights.ratio(logits[0, rows], clip, yields)[0]
        return found
