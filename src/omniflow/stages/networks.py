"""Networks: one architecture, its trainer, where networks start, and the records they leave."""

from __future__ import annotations

import hashlib
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
from omniflow import registry
from omniflow.config.training import Classifier
from omniflow.config.transfer import PLAIN, Transfer
from omniflow.errors import TrainingError
from omniflow.events import folds, store
from omniflow.events.batches import Source
from omniflow.events.features import Features
from omniflow.features.scaling import Scaling
from omniflow.files import write_json
from omniflow.models.classifiers import architecture, is_built_in
from omniflow.models.signature import Signature
from omniflow.training import distributed, runtime
from omniflow.training.checkpoint import Checkpoint
from omniflow.training.dropout import Dropout
from omniflow.training.engines import engine
from omniflow.training.interrupt import Interrupt
from omniflow.training.losses import LOSSES
from omniflow.training.progress import Fit, Seeds, Task
from omniflow.training.trainer import Trainer
from omniflow.unfolding import seeds
from omniflow.unfolding.coordinates import RESIDUAL, Network
from omniflow.unfolding.plan import Plan

if TYPE_CHECKING:
    from omniflow.stages.scores import Recorder

_STARTED = time.time()
_CHUNK = 100_000  # rows of an array that are hashed at a time

# Initial parameters (d,) and where they come from; trained ones and the record of the training.
Start = tuple[np.ndarray, dict[str, str]]
Trained = tuple[np.ndarray, dict[str, object]]


class Networks(ABC):
    """One architecture, its trainer, and where networks start."""

    def __init__(
        self, plan: Plan, level: str, features: Features, interruption: Interrupt | None
    ) -> None:
        """Build the network for `features` of a level and its trainer, which heeds interruption."""
        execution, self.plan, self.level = plan.config.execution, plan, level
        self._checksums: dict[str, str] = {}  # of event stores, which stay as they are
        self.ranks = distributed.start(execution.ranks, plan.root)
        settings = self.settings
        if self.ranks.size > 1 or not is_built_in(settings):  # Horovod and Keras load TensorFlow
            what = f"classifier.kind is {settings.kind}, a Keras model of your own"
            runtime.configure(execution.threads, self.ranks.local, what)
        self.architecture = architecture(
            settings,
            features.particles.shape[1],
            features.event.shape[1],
            execution.precision,
            LOSSES[plan.config.training.loss].neutral,
        )
        config = plan.config.model_copy(update={"classifier": settings})
        chosen = engine(config, self.architecture, features, self.ranks.local)
        self.ranks.agree(
            "The engine",
            f"{chosen.name}, {chosen.stack} network(s) at a time",
            "Nodes differ in compilers or GPUs: set execution.engine and execution.stack to what "
            "all have, or give the job nodes that are alike.",
        )
        self.trainer = Trainer(
            self.architecture.layout,
            plan.config.training,
            chosen,
            self.ranks,
            interruption,
            60 * execution.checkpoint,
        )

    @property
    def settings(self) -> Classifier:
        """What the network is built from."""
        return self.plan.classifiers[self.level]

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
        """Return newly drawn parameters that give every event a ratio of 1, and their origin.

        A network that training does not improve then leaves the weights of events as they are.
        """
        seed = self.plan.seed("initial", network, attempt)
        layout = self.architecture.layout
        return layout.neutral(layout.initial(seed)), {"policy": "scratch"}

    def finished(self, network: Network) -> Trained | None:
        """Return the network and its record if it is there already."""
        return None

    def train(self, networks: Sequence[Network]) -> list[Trained]:
        """Return the trained parameters of each network and the record of its training.

        Raises:
            TrainingError: a network failed more often than `training.restarts` allows.
        """
        found = {n: done for n in networks if (done := self.finished(n)) is not None}
        failures: dict[Network, list[str]] = {network: [] for network in networks}
        while waiting := [network for network in networks if network not in found]:
            attempts = {network: len(failures[network]) for network in waiting}
            starts = {network: self.start(network, n) for network, n in attempts.items()}
            outcomes = self.trainer.fit([self.task(n, starts[n], attempts[n]) for n in waiting])
            for network, outcome in zip(waiting, outcomes, strict=True):
                if not isinstance(outcome, TrainingError):
                    record = self.record(network, starts[network], outcome, failures[network])
                    found[network] = outcome.parameters, record
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
        restart = self.plan.config.unfolding.restart
        return Task(
            network.name,
            self.sources(network),
            start[0],
            Seeds(
                seeds.integer(self.plan.seed("split", network)),
                self.plan.seed("order", network, attempt),
                self._resample(network),
            ),
            restart.rate_factor if network.iteration > 1 else 1.0,
            Checkpoint(self.plan.checkpoint(network, attempt), self.fingerprint(network, start[0])),
            self.transfer,
            self.dropout("dropout", network, attempt),
            shrink=restart.shrink and network.iteration > 1 and network.step in RESIDUAL,
        )

    def dropout(self, purpose: str, network: Network, attempt: int = 0) -> Dropout | None:
        """Return what thins a network, by random numbers of their own; None without dropout."""
        rate = self.plan.config.classifier.dropout
        if rate == 0:
            return None
        seed = seeds.integer(self.plan.seed(purpose, network, attempt))
        return Dropout(self.architecture.layout.units(), rate, seed)

    def members(
        self, networks: Sequence[Network], parameters: list[np.ndarray]
    ) -> list[np.ndarray]:
        """Return the parameters of all members: those of every network, or its thinned copies.

        Args:
            networks: that were trained.
            parameters: (d,) of each of them.

        Returns:
            (d,) of each member.
        """
        chain = self.plan.chains[networks[0].chain]
        if chain.diversity != "dropout":
            return parameters
        thinned = []
        for network, trained in zip(networks, parameters, strict=True):
            dropout = self.dropout("thinned", network)
            thinned += [
                trained if dropout is None else trained * dropout.mask(draw)
                for draw in range(chain.members)
            ]
        return thinned

    def logits(
        self,
        networks: Sequence[Network],
        members: Sequence[np.ndarray],
        source: Source,
        recorder: Recorder | None = None,
    ) -> Iterator[tuple[list[int], slice, np.ndarray]]:
        """Yield logits (rows, events) of members, their rows, and the events of `source`.

        Those that are not selected get NaN. With folds a network predicts its own events alone.

        Args:
            networks: that were trained.
            members: (d,) of each member.
            source: n events.
            recorder: of scores, if they are wanted.

        Yields:
            Rows of members, a slice of the events, and logits (rows, k) float32.
        """
        count = len(self.plan.folds)
        by_fold: dict[int, list[int]] = {}
        for row in range(len(members)):
            by_fold.setdefault(networks[row].fold if count > 1 else 0, []).append(row)
        for fold, rows in by_fold.items():
            select = folds.within(source.select, source.event_id, fold, count)
            chosen = replace(source, select=select)
            found = self.trainer.predict([members[row] for row in rows], chosen)
            for where, logits in recorder.follow(found, -1) if recorder else found:
                yield rows, where, logits

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
            "start": {**origin, "digest": digest([initial])},
            "attempt": len(failures),
            "failures": failures,
            "best_epoch": fit.best_epoch,
            "factor": fit.factor,
            "val_loss": fit.loss,
            "parameters": self.architecture.layout.size,
            "engine": self.trainer.engine.name,
            "ranks": self.ranks.size,
            "summary": fit.summary,
            "digest": digest([fit.parameters]),
            "epochs": fit.history,
        }

    def write_history(self, records: list[dict], path: Path) -> None:
        """Write the records of a job."""
        job = {
            "seconds": time.time() - _STARTED,
            "device": self.trainer.engine.device,
            "threads": self.plan.config.execution.threads,
        }
        write_json({"networks": records, "job": job}, path)

    def fingerprint(self, network: Network, initial: np.ndarray) -> str:
        """Return a hash of all that determines a training: settings, events, weights, start.

        Args:
            network: that is trained.
            initial: (d,) parameters that it starts from.

        Returns:
            Sixteen hexadecimal digits.
        """
        roles = self.plan.roles
        if network.step == 0:
            roles = list(dict.fromkeys(role for role, _ in self.plan.pretraining_classes))
        roles = [self.plan.variants.role(role, network.variant) for role in roles]
        for role in roles:
            if role not in self._checksums:
                self._checksums[role] = store.checksum(self.plan.store(role))
        parts = [
            omniflow.__version__,
            self.plan.fingerprints.training((network,)),
            self.trainer.engine.name,
            *(self._checksums[role] for role in roles),
            digest([initial]),
            digest(self.event_weights(network)),
        ]
        return digest([np.frombuffer(" ".join(parts).encode(), np.uint8)])

    def event_weights(self, network: Network) -> list[np.ndarray]:
        """Return the weights of earlier steps that the training starts from.

        Args:
            network: that is trained.

        Returns:
            (n,) each; none by default.
        """
        return []

    def save(self, parameters: np.ndarray, path: Path) -> None:
        """Write a network with its signature.

        Args:
            parameters: (d,).
            path: of the file.
        """
        self.architecture.save(parameters, path)
        self.signature.write(path)

    @cached_property
    def signature(self) -> Signature:
        """What networks of this study read at their level, and mean."""
        scaling = Scaling.read(self.plan.scaling(self.level))
        text = registry.digest("classifier", self.settings.kind)
        seen, loss = self.plan.features_seen[self.level], self.plan.config.training.loss
        return Signature(self.settings, seen, loss, scaling, text)


def digest(arrays: list[np.ndarray]) -> str:
    """Return a hash of arrays, to compare networks in histories.

    Args:
        arrays: of any shapes, () or (n, ...).

    Returns:
        Sixteen hexadecimal digits.
    """
    result = hashlib.sha256()
    for array in map(np.atleast_1d, arrays):
        for start in range(0, len(array), _CHUNK):  # event weights stay in their files
            result.update(array[start : start + _CHUNK].tobytes())
    return result.hexdigest()[:16]
