"""Stage 2: training jobs of OmniFold's steps and of pre-training."""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path

import numpy as np

import omniflow
from omniflow.errors import InputError
from omniflow.events import store
from omniflow.events.batches import Source
from omniflow.events.features import Features, open_features
from omniflow.events.sample import Events
from omniflow.files import create_h5, memory_map, replace_folder, write_json
from omniflow.training import runtime
from omniflow.unfolding import seeds
from omniflow.unfolding.coordinates import Block, Network
from omniflow.unfolding.plan import Plan

_STARTED = time.time()


def train_block(plan: Plan, block: Block) -> None:
    """Train the networks of a block and write weights, histories and logits."""
    runtime.configure(plan.config.execution.threads)
    job = _Job(plan, block)
    records = []
    with (
        replace_folder(plan.networks_folder(block)) as folder,
        create_h5(plan.logits(block)) as file,
    ):
        shape = (len(block.networks), len(job.simulation))
        logits = file.create_dataset("logits", shape, np.float32, fillvalue=np.nan)
        for row, network in enumerate(block.networks):
            sources = job.sources(network)
            start = job.start(network)
            weights, record = job.finished(network, start) or job.fit(network, sources, start)
            records.append(record)
            job.save(weights, folder / plan.network_file(network))
            out = np.full(shape[1], np.nan, np.float32)
            job.trainer.predict(weights, sources[-1], out)
            logits[row] = out
    write_json({"networks": records, "job": _job_record()}, plan.history(block))


def pretrain(plan: Plan, model: int) -> None:
    """Train a classifier of the pre-training pair at detector level and write it."""
    runtime.configure(plan.config.execution.threads)
    network = plan.pretraining_networks[model]
    sources = []
    for role in ("numerator", "denominator"):
        events = store.open_store(plan.store(f"pretraining-{role}"))
        features = open_features(plan.features(f"pretraining-{role}", "detector"))
        weight = (events.weight,)
        pair = (weight, ()) if role == "numerator" else ((), weight)
        sources.append(Source(features, events.event_id, events.pass_detector, *pair))
    job = _Networks(plan, sources[0].features)
    weights, record = job.fit(network, tuple(sources), job.start_fresh(network))
    with replace_folder(plan.pretrained(model)) as folder:
        job.save(weights, folder / "network.weights.h5")
        write_json({"networks": [record], "job": _job_record()}, folder / "history.json")


class _Networks:
    """One architecture, its trainer, and where networks start."""

    def __init__(self, plan: Plan, features: Features) -> None:
        from omniflow.models import registry
        from omniflow.training.engines import engine
        from omniflow.training.trainer import Trainer

        self.plan, self.registry = plan, registry
        self.model = registry.build(
            plan.config.classifier, features.particles.shape[1], features.event.shape[1]
        )
        self.trainer = Trainer(
            self.model, plan.config.training, engine(plan.config, self.model, features)
        )

    def start_fresh(self, network: Network) -> tuple[list[np.ndarray], dict[str, str]]:
        """Return newly drawn weights and a record of where they come from."""
        seed = self.plan.seed("initial", network)
        return self.registry.initial_weights(self.model, seed), {"policy": "scratch"}

    def fit(
        self,
        network: Network,
        sources: tuple[Source, ...],
        start: tuple[list[np.ndarray], dict[str, str]],
    ) -> tuple[list[np.ndarray], dict]:
        """Return the trained weights and the record of the training."""
        from omniflow.training.trainer import Seeds

        initial, origin = start
        restart = self.plan.config.unfolding.restart
        fit = self.trainer.fit(
            sources,
            initial,
            Seeds(
                seeds.integer(self.plan.seed("split", network)),
                self.plan.seed("order", network),
            ),
            restart.rate_factor if network.iteration > 1 else 1.0,
            network.name,
        )
        record = {
            "network": vars(network),
            "fingerprint": self.fingerprint(network, initial),
            "start": {**origin, "digest": digest(initial)},
            "best_epoch": fit.best_epoch,
            "parameters": self.model.count_params(),
            "engine": self.trainer.engine.name,
            "summary": fit.summary,
            "digest": digest(fit.weights),
            "epochs": fit.history,
        }
        return fit.weights, record

    def fingerprint(self, network: Network, initial: list[np.ndarray]) -> str:
        """Return a hash of all that determines a training: settings, events, weights, start."""
        roles = ("data", "simulation") if network.step else self.plan.pretraining_roles
        parts = [
            omniflow.__version__,
            self.plan.training_fingerprint((network,)),
            self.trainer.engine.name,
            *(store.checksum(self.plan.store(role)) for role in roles),
            digest(initial),
            digest(self.event_weights(network)),
        ]
        return digest([np.frombuffer(" ".join(parts).encode(), np.uint8)])

    def event_weights(self, network: Network) -> list[np.ndarray]:
        """Return the weights of earlier steps that the training starts from."""
        return []

    def save(self, weights: list[np.ndarray], path: Path) -> None:
        """Write a network in Keras' format."""
        self.model.set_weights(weights)
        self.model.save_weights(path)

    def load(self, path: Path) -> list[np.ndarray]:
        """Return the weights that `save` wrote.

        Raises:
            InputError: missing, or of another architecture.
        """
        try:
            self.model.load_weights(path)
        except (OSError, ValueError) as error:
            raise InputError(
                f"{path}: does not hold a network of the configured architecture ({error}). "
                "Delete the file and rerun, or use the classifier it was trained with."
            ) from error
        return self.model.get_weights()


class _Job(_Networks):
    """The inputs of a block."""

    def __init__(self, plan: Plan, block: Block) -> None:
        self.block = block
        self.level = "detector" if block.step == 1 else "particle"
        self.simulation = store.open_store(plan.store("simulation"))
        self.features = open_features(plan.features("simulation", self.level))
        super().__init__(plan, self.features)
        group = block.group
        self.push = _lanes(plan.previous_weights(group, block.iteration, 1))
        self.pull = _lanes(plan.weights(group, block.iteration, 1)) if block.step == 2 else None

    def sources(self, network: Network) -> tuple[Source, ...]:
        """Return the strata of the training; the last one is what logits are wanted for."""
        row = self.block.group.lanes.index(network.lane)
        base = (self.simulation.weight,)
        simulation = (self.features, self.simulation.event_id)
        if self.block.step == 2:
            select = _unfolded(self.plan, self.simulation)
            return (Source(*simulation, select, (*base, self.pull[row]), base),)
        data = store.open_store(self.plan.store("data"))
        inputs = open_features(self.plan.features("data", "detector"))
        pushed = base if self.push is None else (*base, self.push[row])
        return (
            Source(inputs, data.event_id, data.pass_detector, (data.weight,), ()),
            Source(*simulation, self.simulation.pass_detector, (), pushed),
        )

    def event_weights(self, network: Network) -> list[np.ndarray]:
        """Return the lane's weights of earlier steps."""
        row = self.block.group.lanes.index(network.lane)
        return [ratio[row] for ratio in (self.push, self.pull) if ratio is not None]

    def finished(
        self, network: Network, start: tuple[list[np.ndarray], dict[str, str]]
    ) -> tuple[list[np.ndarray], dict] | None:
        """Return this network and its record if a job of another size has trained it already.

        More lanes, or another `networks_per_job`, make other groups and blocks; what earlier ones
        trained from the same settings, events and start is the same network, bit by bit.
        """
        fingerprint = self.fingerprint(network, start[0])
        for history in self.plan.sibling_histories(self.block):
            for record in json.loads(history.read_text(encoding="utf-8"))["networks"]:
                path = history.parent / "networks" / self.plan.network_file(network)
                if record["fingerprint"] == fingerprint and path.is_file():
                    return self.load(path), record
        return None

    def start(self, network: Network) -> tuple[list[np.ndarray], dict[str, str]]:
        """Return initial weights by the restart and start policies, and a record of them."""
        previous = self.plan.previous_block(self.block)
        if previous is not None:
            path = self.plan.networks_folder(previous) / self.plan.network_file(network)
            return self.load(path), {"policy": "warm", "iteration": str(previous.iteration)}
        fresh, origin = self.start_fresh(network)
        policy = self.plan.chains[network.chain].start
        if policy == "scratch":
            return fresh, origin
        loaded = self.load(self.plan.pretrained() / "network.weights.h5")
        if policy == "backbone":
            loaded = self.registry.with_new_head(self.model, loaded, fresh)
        return loaded, {"policy": policy, "model": "0"}


def digest(arrays: list[np.ndarray]) -> str:
    """Return a hash of arrays, to compare networks in histories."""
    result = hashlib.sha256()
    for array in arrays:
        result.update(np.ascontiguousarray(array).tobytes())
    return result.hexdigest()[:16]


def _unfolded(plan: Plan, simulation: Events) -> np.ndarray:
    if plan.config.unfolding.particle_level == "pass_gen":
        return simulation.pass_particle
    return np.broadcast_to(np.True_, len(simulation))


def _lanes(path: Path | None) -> np.ndarray | None:
    return None if path is None else memory_map(path, "ratio", (None, None), "f")


def _job_record() -> dict[str, object]:
    return {"seconds": time.time() - _STARTED, "device": runtime.device()}
