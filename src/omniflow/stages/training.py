"""Stage 2: training jobs of OmniFold's steps and of pre-training."""

from __future__ import annotations

import hashlib
import json
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import omniflow
from omniflow.config.transfer import PLAIN, Transfer
from omniflow.errors import InputError, TrainingError
from omniflow.events import folds, store
from omniflow.events.batches import Source
from omniflow.events.features import Features, Scaling, open_features
from omniflow.events.sample import Events
from omniflow.files import create_h5, memory_map, replace_folder, write_json
from omniflow.models.signature import Signature
from omniflow.stages import inputs, scores, stacking
from omniflow.training import checkpoint, distributed, interrupt, runtime
from omniflow.training.checkpoint import Checkpoint
from omniflow.training.interrupt import Interrupt
from omniflow.training.losses import LOSSES
from omniflow.unfolding import seeds
from omniflow.unfolding.coordinates import FAKES, MISSES, NOMINAL, Block, Network, level
from omniflow.unfolding.plan import Plan

if TYPE_CHECKING:
    from omniflow.training.dropout import Dropout
    from omniflow.training.progress import Fit, Task

_STARTED = time.time()

# Initial weights and where they come from; trained weights and the record of the training.
Start = tuple[list[np.ndarray], dict[str, str]]
Trained = tuple[list[np.ndarray], dict[str, object]]


def train_block(plan: Plan, block: Block) -> None:
    """Train the networks of a block and write weights, histories and logits.

    What a killed job has trained is kept in checkpoints and not trained again.
    """
    with interrupt.noted() as interruption:
        job = _Job(plan, block, interruption)
        trained = job.train(block.networks)
        parameters = [job.registry.flatten(weights) for weights, _ in trained]
        held_out = job.held_out(parameters)
        members = job.members(parameters)
        recorder = job.recorder(block)
        logits = job.logits(members, recorder)
        if recorder:
            for stratum, source in enumerate(job.sources(block.networks[0])[:-1]):
                for _ in recorder.follow(job.trainer.predict(parameters, source), stratum):
                    pass
        if not job.writes:
            for _ in logits:
                pass  # this rank's share of the work
            return
        with (
            replace_folder(plan.networks_folder(block)) as folder,
            create_h5(plan.logits(block)) as file,
        ):
            for network, (weights, _) in zip(block.networks, trained, strict=True):
                job.save(weights, folder / plan.network_file(network))
            shape = (len(members), len(job.simulation))
            dataset = file.create_dataset("logits", shape, np.float32, fillvalue=np.nan)
            for rows, where, found in logits:
                dataset[rows, where] = found
            for network, arrays in held_out.items():
                stacking.write(file, network, arrays)
            if recorder:
                scores.write(folder / scores.NAME, recorder.scores)
        job.write_history([record for _, record in trained], plan.history(block))


def pretrain(plan: Plan, model: int) -> None:
    """Train a classifier of the pre-training pair at detector level and write it."""
    with interrupt.noted() as interruption:
        job = _Pretraining(plan, interruption)
        ((weights, record),) = job.train([plan.pretraining_networks[model]])
        if job.writes:
            with replace_folder(plan.pretrained(model)) as folder:
                job.save(weights, folder / "network.weights.h5")
                job.write_history([record], folder / "history.json")


class Networks(ABC):
    """One architecture, its trainer, and where networks start."""

    def __init__(self, plan: Plan, features: Features, interruption: Interrupt | None) -> None:
        """Build the network for `features` and its trainer, which heeds the interruption."""
        execution, self.plan = plan.config.execution, plan
        self.ranks = distributed.start(execution.ranks, plan.root)
        runtime.configure(execution.threads, self.ranks.local)
        from omniflow.models import registry
        from omniflow.training.engines import engine
        from omniflow.training.trainer import Trainer

        self.registry = registry
        self.model = registry.build(
            plan.config.classifier,
            features.particles.shape[1],
            features.event.shape[1],
            execution.precision,
            LOSSES[plan.config.training.loss].neutral,
        )
        self.trainer = Trainer(
            self.model,
            plan.config.training,
            engine(plan.config, self.model, features),
            self.ranks,
            interruption,
            60 * execution.checkpoint,
        )

    @property
    def writes(self) -> bool:
        """Whether this process is the one that writes."""
        return self.ranks.rank == 0

    @property
    def transfer(self) -> Transfer:
        """How backbone and head are trained."""
        return PLAIN

    @abstractmethod
    def sources(self, network: Network) -> tuple[Source, ...]:
        """Return the strata of the training."""

    def start(self, network: Network, attempt: int = 0) -> Start:
        """Return newly drawn weights and a record of where they come from."""
        seed = self.plan.seed("initial", network, attempt)
        return self.registry.initial_weights(self.model, seed), {"policy": "scratch"}

    def finished(self, network: Network) -> Trained | None:
        """Return the network and its record if it is there already."""
        return None

    def train(self, networks: Sequence[Network]) -> list[Trained]:
        """Return the trained weights of each network and the record of its training.

        Raises:
            TrainingError: a network failed more often than `training.restarts` allows.
        """
        found = {network: self.finished(network) for network in networks}
        failures: dict[Network, list[str]] = {network: [] for network in networks}
        while waiting := [network for network in networks if found[network] is None]:
            attempts = {network: len(failures[network]) for network in waiting}
            starts = {network: self.start(network, n) for network, n in attempts.items()}
            outcomes = self.trainer.fit([self.task(n, starts[n], attempts[n]) for n in waiting])
            for network, outcome in zip(waiting, outcomes, strict=True):
                if not isinstance(outcome, TrainingError):
                    weights = self.registry.unflatten(self.model, outcome.parameters)
                    record = self.record(network, starts[network], outcome, failures[network])
                    found[network] = weights, record
                    continue
                failures[network].append(str(outcome))
                print(f"Attempt {attempts[network] + 1} failed: {outcome}", file=sys.stderr)
                if len(failures[network]) > self.plan.config.training.restarts:
                    raise TrainingError(
                        f"{outcome} (Attempt {len(failures[network])}, and training.restarts "
                        "allows no more. Raise it, or delete the study's folder `checkpoints` to "
                        "try the same again.)"
                    )
        return [found[network] for network in networks]

    def task(self, network: Network, start: Start, attempt: int) -> Task:
        """Return what the trainer has to do."""
        from omniflow.training.progress import Seeds, Task

        restart = self.plan.config.unfolding.restart
        return Task(
            network.name,
            self.sources(network),
            self.registry.flatten(start[0]),
            Seeds(
                seeds.integer(self.plan.seed("split", network)),
                self.plan.seed("order", network, attempt),
                self._resample(network),
            ),
            restart.rate_factor if network.iteration > 1 else 1.0,
            Checkpoint(self.plan.checkpoint(network, attempt), self.fingerprint(network, start[0])),
            self.transfer,
            self._dropout("dropout", network, attempt),
        )

    def _dropout(self, purpose: str, network: Network, attempt: int = 0) -> Dropout | None:
        rate = self.plan.config.classifier.dropout
        if rate == 0:
            return None
        from omniflow.training.dropout import Dropout, units

        seed = seeds.integer(self.plan.seed(purpose, network, attempt))
        return Dropout(units(self.model), rate, seed)

    def _resample(self, network: Network) -> int | None:
        chain = self.plan.chains.get(network.chain)
        if chain is None or chain.diversity != "bootstrap":
            return None
        return seeds.integer(self.plan.seed("resample", network))

    def record(
        self, network: Network, start: Start, fit: Fit, failures: list[str]
    ) -> dict[str, object]:
        """Return what the history tells of a network."""
        initial, origin = start
        return {
            "network": vars(network),
            # Of the first attempt: what led to the others follows from it.
            "fingerprint": self.fingerprint(
                network, self.start(network)[0] if failures else initial
            ),
            "start": {**origin, "digest": digest(initial)},
            "attempt": len(failures),
            "failures": failures,
            "best_epoch": fit.best_epoch,
            "parameters": self.model.count_params(),
            "engine": self.trainer.engine.name,
            "ranks": self.ranks.size,
            "summary": fit.summary,
            "digest": digest([fit.parameters]),
            "epochs": fit.history,
        }

    def write_history(self, records: list[dict], path: Path) -> None:
        """Write the records of a job, and remove the checkpoints that led to them."""
        write_json({"networks": records, "job": _job_record()}, path)
        checkpoint.remove(
            self.plan.checkpoint(Network(**record["network"]), attempt)
            for record in records
            for attempt in range(record["attempt"] + 1)
        )

    def fingerprint(self, network: Network, initial: list[np.ndarray]) -> str:
        """Return a hash of all that determines a training: settings, events, weights, start."""
        roles = self.plan.roles
        if network.step == 0:
            roles = list(dict.fromkeys(role for role, _ in self.plan.pretraining_classes))
        roles = [self.plan.variants.role(role, network.variant) for role in roles]
        parts = [
            omniflow.__version__,
            self.plan.fingerprints.training((network,)),
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
        """Write a network in Keras' format, with its signature."""
        self.model.set_weights(weights)
        self.model.save_weights(path)
        self.signature.write(path)

    @cached_property
    def signature(self) -> Signature:
        """What networks of this study read and mean."""
        scaling = Scaling.from_json(self.plan.scaling.read_text(encoding="utf-8"))
        return Signature(self.plan.config.classifier, self.plan.config.training.loss, scaling)

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


class _Job(Networks):
    """The inputs of a block."""

    def __init__(self, plan: Plan, block: Block, interruption: Interrupt | None = None) -> None:
        self.block = block
        variant = block.group.variant
        self.simulation = inputs.events(plan, "simulation", variant)
        # Class A of step 1: data, and backgrounds with what their weights are multiplied with.
        factors = {role: -plan.background_factor(role, variant) for role in plan.backgrounds}
        self.measured = [
            (role, inputs.events(plan, role, variant), factors.get(role))
            for role in ("data", *plan.backgrounds)
        ]
        role = plan.variants.role("simulation", variant)
        self.features = open_features(plan.features(role, level(block.step)))
        super().__init__(plan, self.features, interruption)
        # The weights nu that the iteration starts from, and those that a later step starts from.
        paths = [plan.previous_weights(block.group, block.iteration, s) for s in (1, block.step)]
        self.push = _lanes(paths[0])
        self.reached = None if block.step == 1 else _lanes(paths[1])
        detector, unfolded = self.simulation.pass_detector, _unfolded(plan, self.simulation)
        matched = detector & unfolded
        self.trained_on, self.wanted = {
            1: (detector, detector),
            MISSES: (matched, unfolded & ~detector),
            2: (unfolded, unfolded),
            FAKES: (matched, detector & ~unfolded),
        }[block.step]

    def sources(self, network: Network) -> tuple[Source, ...]:
        """Return the strata of the training, the simulation last."""
        row = self.block.group.lanes.index(network.lane)
        base, ids = (self.simulation.weight,), self.simulation.event_id
        simulation = (self.features, ids, self._seen(self.trained_on, ids, network))
        if self.block.step != 1:
            target = self.reached[row]
            if self.block.step == MISSES and self.push is not None:
                target = target / self.push[row]  # omega
            return (Source(*simulation, (*base, target), base),)
        pushed = base if self.push is None else (*base, self.push[row])
        measured = [self._measured(network, *each) for each in self.measured]
        return (*measured, Source(*simulation, (), pushed))

    def _measured(
        self, network: Network, role: str, events: Events, factor: float | None
    ) -> Source:
        """Return the detector level of a sample, for class A, with a factor on its weights."""
        role = self.plan.variants.role(role, self.block.group.variant)
        features = open_features(self.plan.features(role, "detector"))
        factors = () if factor is None else (np.broadcast_to(factor, len(events)),)
        seen = self._seen(events.pass_detector, events.event_id, network)
        return Source(features, events.event_id, seen, (events.weight, *factors), ())

    def _seen(self, select: np.ndarray, event_id: np.ndarray, network: Network) -> np.ndarray:
        """Return which of the events `select` are not of the network's fold."""
        return folds.without(select, event_id, network.fold, len(self.plan.folds))

    def applied_to(self, network: Network) -> Source:
        """Return the events that logits are wanted for: with folds, those of the network's own."""
        ids = self.simulation.event_id
        wanted = folds.within(self.wanted, ids, network.fold, len(self.plan.folds))
        return replace(self.sources(network)[-1], select=wanted)

    def logits(
        self, parameters: Sequence[np.ndarray], recorder: scores.Recorder | None
    ) -> Iterator[tuple[list[int], slice, np.ndarray]]:
        """Yield logits (rows, events) of members, their rows in the block and the events.

        With folds a network predicts its own alone.
        """
        by_fold: dict[int, list[int]] = {}
        for row in range(len(parameters)):
            fold = self.block.networks[row].fold if len(self.plan.folds) > 1 else 0
            by_fold.setdefault(fold, []).append(row)
        for rows in by_fold.values():
            source = self.applied_to(self.block.networks[rows[0]])
            found = self.trainer.predict([parameters[row] for row in rows], source)
            for where, logits in recorder.follow(found, -1) if recorder else found:
                yield rows, where, logits

    def members(self, parameters: list[np.ndarray]) -> list[np.ndarray]:
        """Return the parameters of all members: those of every network, or its thinned copies."""
        chain = self.plan.chains[self.block.group.chain]
        if chain.diversity != "dropout":
            return parameters
        return [
            trained * self._dropout("thinned", network).mask(draw)
            for network, trained in zip(self.block.networks, parameters, strict=True)
            for draw in range(chain.members)
        ]

    def held_out(self, parameters: list[np.ndarray]) -> dict[Network, tuple[np.ndarray, ...]]:
        """Return what decides the weights of stacked members; nothing for other aggregations."""
        if self.plan.chains[self.block.group.chain].aggregate != "stacking":
            return {}
        fraction = self.plan.config.training.validation
        return {
            network: stacking.held_out(
                self.trainer,
                trained,
                self.sources(network),
                seeds.integer(self.plan.seed("split", network)),
                fraction,
            )
            for network, trained in zip(self.block.networks, parameters, strict=True)
        }

    def recorder(self, block: Block) -> scores.Recorder | None:
        """Return what records scores; None where there are none."""
        if not self.plan.scored(block.group, block.step):
            return None
        return scores.Recorder(
            [self.sources(network) for network in block.networks],
            [seeds.integer(self.plan.seed("split", network)) for network in block.networks],
            self.plan.config.training.validation,
            self.plan.config.training.logit_clip,
        )

    def event_weights(self, network: Network) -> list[np.ndarray]:
        """Return the lane's weights of earlier steps, and those of a variant's events."""
        row = self.block.group.lanes.index(network.lane)
        earlier = [ratio[row] for ratio in (self.push, self.reached) if ratio is not None]
        if network.variant == NOMINAL:  # stores' checksums tell
            return earlier
        measured = [events.weight for _, events, _ in self.measured]
        factors = np.array([factor for _, _, factor in self.measured[1:]])
        return [*earlier, *measured, factors, self.simulation.weight]

    def finished(self, network: Network) -> Trained | None:
        """Return this network and its record if a job of another size has trained it already.

        More lanes, or another `networks_per_job`, make other groups and blocks; what earlier ones
        trained from the same settings, events and start is the same network, bit by bit.
        """
        siblings = self.plan.sibling_histories(self.block)
        fingerprint = self.fingerprint(network, self.start(network)[0]) if siblings else ""
        for history in siblings:
            for record in json.loads(history.read_text(encoding="utf-8"))["networks"]:
                path = history.parent / "networks" / self.plan.network_file(network)
                if record["fingerprint"] == fingerprint and path.is_file():
                    return self.load(path), record
        return None

    @property
    def transfer(self) -> Transfer:
        """The policy of the chain, less what ends with the pre-trained network's first training."""
        policy = self.plan.chains[self.block.group.chain].transfer
        return policy if self.plan.previous_block(self.block) is None else policy.continued()

    def start(self, network: Network, attempt: int = 0) -> Start:
        """Return initial weights by the restart and start policies, and a record of them."""
        previous = self.plan.previous_block(self.block)
        if previous is not None:
            path = self.plan.networks_folder(previous) / self.plan.network_file(network)
            return self.load(path), {"policy": "warm", "iteration": str(previous.iteration)}
        fresh, origin = super().start(network, attempt)
        policy = self.plan.chains[network.chain].start
        if policy == "scratch":
            return fresh, origin
        model = self.plan.pretrained_model(network)
        path, origin = self.plan.pretrained_weights(model), {"policy": policy, "model": str(model)}
        if self.plan.config.samples.pretraining.weights:
            self.signature.require(path, head=policy == "pretrained")
            origin["file"] = str(path)
        loaded = self.load(path)
        if policy == "backbone":
            loaded = self.registry.with_new_head(self.model, loaded, fresh)
        return loaded, origin


class _Pretraining(Networks):
    """The inputs of pre-training."""

    def __init__(self, plan: Plan, interruption: Interrupt | None) -> None:
        self._sources = tuple(
            _pretraining_source(plan, role, level, name)
            for name, (role, level) in zip(_CLASSES, plan.pretraining_classes, strict=True)
        )
        super().__init__(plan, self._sources[0].features, interruption)

    def sources(self, network: Network) -> tuple[Source, ...]:
        """Return the strata of the training."""
        return self._sources


_CLASSES = ("numerator", "denominator")


def _pretraining_source(plan: Plan, role: str, level: str, name: str) -> Source:
    """Return the events of one class."""
    events = store.open_store(plan.store(role))
    features = open_features(plan.features(role, level))
    select = events.pass_detector
    if role == "pretraining-simulation":
        select = select & _unfolded(plan, events)  # the same events at both levels
    weights = {known: (events.weight,) if known == name else () for known in _CLASSES}
    return Source(features, events.event_id, select, **weights)


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
