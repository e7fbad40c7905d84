"""Stage 2: training jobs of OmniFold's steps."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from omniflow.config.transfer import Transfer
from omniflow.events import folds
from omniflow.events.batches import Source
from omniflow.events.features import open_features
from omniflow.events.sample import Events
from omniflow.files import read_json, replace_folder, understood
from omniflow.hdf5 import create_h5, memory_map
from omniflow.stages import held_out, inputs, parts, scores
from omniflow.stages.networks import Networks, Start, Trained
from omniflow.training import interrupt
from omniflow.training.interrupt import Interrupt
from omniflow.unfolding import seeds
from omniflow.unfolding.coordinates import (
    FAKES,
    MISSES,
    NOMINAL,
    RESIDUAL,
    Block,
    Network,
    level,
)
from omniflow.unfolding.plan import Plan


def train_block(plan: Plan, block: Block) -> None:
    """Train the networks of a block and write weights, histories and logits.

    What a killed job has trained is kept in checkpoints and not trained again; `weights.aggregate`
    removes them.
    """
    with interrupt.noted() as interruption:
        job = BlockJob(plan, block, interruption)
        recorder = job.recorder(block)
        trained = job.train(block.networks)
        parameters = [network for network, _ in trained]
        judged = job.held_out(parameters)
        members = job.members(block.networks, parameters)
        # Networks of folds give logits to their own fold alone, and thinned copies have others.
        alike = len(plan.folds) == 1 and members is parameters
        applied = replace(job.strata(block.networks[0])[-1], select=job.wanted)
        logits = job.logits(block.networks, members, applied, recorder if alike else None)
        if recorder:
            strata = job.strata(block.networks[0])
            for stratum, source in enumerate(strata[:-1] if alike else strata):
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
            for network, (found, _) in zip(block.networks, trained, strict=True):
                job.save(found, folder / plan.network_file(network))
            shape = (len(members), len(job.simulation))
            dataset = file.create_dataset("logits", shape, np.float32, fillvalue=np.nan)
            for rows, where, found in logits:
                dataset[rows, where] = found
            for network, arrays in judged.items():
                held_out.write(file, network, arrays)
            if recorder:
                scores.write(folder / scores.NAME, recorder.scores)
        job.write_history([record for _, record in trained], plan.history(block))


class BlockJob(Networks):
    """The inputs of a block."""

    def __init__(self, plan: Plan, block: Block, interruption: Interrupt | None = None) -> None:
        """Open the events, features and weights of earlier steps that the block reads."""
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
        super().__init__(plan, level(block.step), self.features, interruption)
        # The weights nu that the iteration starts from, and those that a later step starts from.
        paths = [plan.previous_weights(block.group, block.iteration, s) for s in (1, block.step)]
        self.push = _lanes(paths[0])
        self.reached = None if block.step == 1 else _lanes(paths[1])
        detector, unfolded = self.simulation.pass_detector, inputs.unfolded(plan, self.simulation)
        matched = detector & unfolded
        self.trained_on, self.wanted = {
            1: (detector, detector),
            MISSES: (matched, unfolded & ~detector),
            2: (unfolded, unfolded),
            FAKES: (matched, detector & ~unfolded),
        }[block.step]

    def sources(self, network: Network) -> tuple[Source, ...]:
        """Return the strata of the training, the simulation last."""
        return tuple(
            replace(s, select=parts.seen(self.plan, network, s.select, s.event_id))
            for s in self.strata(network)
        )

    def strata(self, network: Network) -> tuple[Source, ...]:
        """Return the strata with all events of the step, also those that it must not see."""
        row = self.block.group.lanes.index(network.lane)
        base, ids = (self.simulation.weight,), self.simulation.event_id
        simulation = (self.features, ids, self.trained_on)
        if self.reached is not None:
            target = self.reached[row]
            if self.block.step == MISSES and self.push is not None:
                target = target / self.push[row]  # omega
            return (Source(*simulation, (*base, target), base),)
        pushed = base if self.push is None else (*base, self.push[row])
        measured = [self._measured(*each) for each in self.measured]
        return (*measured, Source(*simulation, (), pushed))

    def _measured(self, role: str, events: Events, factor: float | None) -> Source:
        """Return the detector level of a sample, for class A, with a factor on its weights."""
        role = self.plan.variants.role(role, self.block.group.variant)
        features = open_features(self.plan.features(role, "detector"))
        factors = () if factor is None else (np.broadcast_to(factor, len(events)),)
        weights = (events.weight, *factors)
        return Source(features, events.event_id, events.pass_detector, weights, ())

    def applied_to(self, network: Network) -> Source:
        """Return the events that logits are wanted for: with folds, those of the network's own."""
        ids = self.simulation.event_id
        wanted = folds.within(self.wanted, ids, network.fold, len(self.plan.folds))
        return replace(self.sources(network)[-1], select=wanted)

    def held_out(self, parameters: list[np.ndarray]) -> dict[Network, tuple[np.ndarray, ...]]:
        """Return what decides the weights of stacked members; nothing for other aggregations.

        Args:
            parameters: (d,) of each network of the block.

        Returns:
            By network what `held_out.outputs` returns, (k,) each.
        """
        if self.plan.chains[self.block.group.chain].aggregate != "stacking":
            return {}
        fraction = self.plan.config.training.validation
        return {
            network: held_out.outputs(
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
        strata = [self.strata(network) for network in block.networks]
        parts.require_reserved(self.plan, strata[0], block.networks[0].name)
        judged = [partial(parts.judged, self.plan, network) for network in block.networks]
        return scores.Recorder(strata, judged, self.plan.config.training.logit_clip)

    def event_weights(self, network: Network) -> list[np.ndarray]:
        """Return the lane's weights of earlier steps, and those of a variant's events.

        Args:
            network: that is trained.

        Returns:
            (n,) each.
        """
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
            content = read_json(history)
            with understood(history):
                same = [r for r in content["networks"] if r["fingerprint"] == fingerprint]
            path = history.parent / "networks" / self.plan.network_file(network)
            if same and path.is_file():
                return self.architecture.load(path), same[0]
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
            loaded = self.architecture.load(path)
            if self.block.step in RESIDUAL:
                loaded = self.architecture.layout.neutral(loaded)
            return loaded, {"policy": "warm", "iteration": str(previous.iteration)}
        fresh, origin = super().start(network, attempt)
        policy = self.plan.chains[network.chain].start
        if policy == "scratch":
            return fresh, origin
        model = self.plan.pretrained_model(network)
        path, origin = self.plan.pretrained_weights(model), {"policy": policy, "model": str(model)}
        if self.plan.given_models:
            self.signature.require(path, head=policy == "pretrained")
            origin["file"] = str(path)
        loaded = self.architecture.load(path)
        if policy == "backbone":
            loaded = self.architecture.layout.neutral(loaded)
        return loaded, origin


def _lanes(path: Path | None) -> np.ndarray | None:
    return None if path is None else memory_map(path, "ratio", (None, None), "f")
