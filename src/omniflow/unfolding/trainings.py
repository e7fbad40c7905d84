"""Trainings: chains, lanes, passes, iterations, steps and networks of a study, and their seeds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from itertools import pairwise, product
from pathlib import Path

import numpy as np

from omniflow.config.unfolding import Method
from omniflow.unfolding import seeds
from omniflow.unfolding.coordinates import (
    FAKES,
    MISSES,
    NOMINAL,
    Block,
    Chain,
    Group,
    Network,
    parted,
)
from omniflow.unfolding.roles import Roles
from omniflow.unfolding.variants import TOY


class Trainings(Roles):
    """What is trained, in which order, and with which random numbers."""

    # -- chains and coordinates ------------------------------------------------------------

    @staticmethod
    def chain_slug(method: Method) -> str:
        """Return the chain of a method."""
        parts = [method.start, str(method.members)]
        if method.members > 1:
            parts.append(method.aggregate.replace("_", "-"))
        if method.transfer.slug:
            parts.append(method.transfer.slug)
        if method.diversity != "seeds":
            parts.append(method.diversity.replace("_", "-"))
        return "-".join(parts)

    @cached_property
    def chains(self) -> dict[str, Chain]:
        """Chains by slug, in the order in which methods name them."""
        found: dict[str, Chain] = {}
        for method in self.config.methods.values():
            slug = self.chain_slug(method)
            lanes = max(method.lanes, found[slug].lanes if slug in found else 0)
            found[slug] = Chain(
                *(slug, method.start, method.members, method.aggregate, lanes),
                *(method.transfer, method.diversity),
            )
        return found

    @property
    def passes(self) -> range:
        """Passes, from 1."""
        return range(1, self.config.study.passes + 1)

    def passes_of(self, result: str) -> range:
        """Return the passes of a result, from 1."""
        return self.variants.passes(parted(result)[0])

    @property
    def iterations(self) -> range:
        """Iterations, from 1."""
        return range(1, self.config.unfolding.iterations + 1)

    @cached_property
    def steps(self) -> tuple[int, ...]:
        """Steps of one iteration in their order; each starts from the weights of the one before."""
        unfolding = self.config.unfolding
        fakes = unfolding.fakes == "conditional_mean" and unfolding.particle_level == "pass_gen"
        misses = unfolding.misses == "conditional_mean"
        return (1, *((MISSES,) if misses else ()), 2, *((FAKES,) if fakes else ()))

    @property
    def folds(self) -> tuple[int, ...]:
        """Folds that a network is trained without, one after the other; (0,): without none."""
        count = self.config.training.folds
        return tuple(range(1, count + 1)) if count > 1 else (0,)

    # -- trainings -------------------------------------------------------------------------

    def groups(self, chain: str, pass_: int, variant: str = NOMINAL) -> list[Group]:
        """Return the groups of lanes of a chain in one pass of a variant."""
        return list(self._groups.get((chain, pass_, variant), {}).values())

    def group(self, chain: str, pass_: int, slug: str) -> Group:
        """Return the group with this slug."""
        return self._groups[chain, pass_, parted(slug)[0]][slug]

    @cached_property
    def _groups(self) -> dict[tuple[str, int, str], dict[str, Group]]:
        """Groups by slug for every chain, pass and variant; rules ask for them once per job."""
        found = {}
        for variant, chain in product(self.variants.names, self.chains.values()):
            parts = self._parts(chain, self._lanes(chain, variant))
            for pass_ in self.variants.passes(variant):
                groups = [Group(chain.slug, pass_, part, variant) for part in parts]
                found[chain.slug, pass_, variant] = {group.slug: group for group in groups}
        return found

    def _parts(self, chain: Chain, count: int) -> list[tuple[int, ...]]:
        """Return the first lanes of a chain, cut into groups of at most one job's networks.

        Groups end at every number of lanes that any of its methods may come to have, so that they
        stay when lanes are added.
        """
        together = chain.networks * len(self.folds)
        size = max(1, self.config.execution.networks_per_job // together)
        ends = {end for end in self._ends(chain, count) if end < count} | {0, count}
        return [
            tuple(range(first, min(first + size, last)))
            for begin, last in pairwise(sorted(ends))
            for first in range(begin, last, size)
        ]

    def _ends(self, chain: Chain, count: int) -> Iterator[int]:
        """Yield numbers of lanes that methods of a chain may have, if those of any are added."""
        methods = [m for m in self.config.methods.values() if self.chain_slug(m) == chain.slug]
        added = [method.until for method in methods if method.until]
        for until in added:
            yield from range(until.start, count, until.step)
        if added:
            fixed = (method.lanes for method in methods if method.until is None)
            yield from (lanes for lanes in fixed if lanes > min(u.start for u in added))

    def _lanes(self, chain: Chain, variant: str) -> int:
        """Return the lanes of a chain that a variant runs."""
        if variant == NOMINAL:
            return chain.lanes
        methods = [self.variants.method(name) for name in self.variants.methods]
        return max((m.lanes for m in methods if self.chain_slug(m) == chain.slug), default=0)

    def group_of(self, chain: str, pass_: int, lane: int, variant: str = NOMINAL) -> Group:
        """Return the group that holds a lane."""
        return next(g for g in self.groups(chain, pass_, variant) if lane in g.lanes)

    @property
    def adaptive(self) -> tuple[str, ...]:
        """Methods that get lanes until a target is met; `lanes` is the most that they may get."""
        return tuple(name for name, method in self.config.methods.items() if method.until)

    def blocks(self, group: Group, iteration: int, step: int) -> list[Block]:
        """Return the jobs that train one step of a group of lanes."""
        members = self.chains[group.chain].networks
        networks = [
            Network(
                *(group.chain, group.pass_, lane, m, iteration, step, lane * members + m),
                *(group.variant, fold),
            )
            for lane in group.lanes
            for m in range(members)
            for fold in self.folds
        ]
        size = self.config.execution.networks_per_job
        return [
            Block(group, iteration, step, index, tuple(networks[first : first + size]))
            for index, first in enumerate(range(0, len(networks), size))
        ]

    def stages(self) -> Iterator[tuple[Group, int, int]]:
        """Yield every group, iteration and step, in an order that respects dependencies."""
        for groups in self._groups.values():
            for group in groups.values():
                for iteration in self.iterations:
                    for step in self.steps:
                        yield group, iteration, step

    def scored(self, group: Group, step: int) -> bool:
        """Return whether networks leave scores: those of steps 1 and 2 of the nominal inputs."""
        return step in (1, 2) and group.variant == NOMINAL

    def all_blocks(self) -> Iterator[Block]:
        """Yield every training job, in an order that respects dependencies."""
        for stage in self.stages():
            yield from self.blocks(*stage)

    @property
    def pretraining_networks(self) -> tuple[Network, ...]:
        """Pre-trained models that the study trains: those that its methods start from."""
        if not self.pretraining_classes:
            return ()
        models = set().union(*map(self.pretrained_models, self.config.methods))
        return tuple(Network("pretraining", 0, model, 0, 0, 0, 0) for model in sorted(models))

    def pretrained_models(self, method: str) -> list[int]:
        """Return the numbers of the pre-trained models that the networks of a method start from."""
        settings = self.config.methods[method]
        if settings.start == "scratch":
            return []
        chain = self.chains[self.chain_slug(settings)]
        networks = range(settings.lanes * chain.networks)
        return sorted({self._model(chain, pass_, k) for pass_ in self.passes for k in networks})

    def pretrained_model(self, network: Network) -> int:
        """Return the number of the pre-trained model that a network starts from."""
        return self._model(self.chains[network.chain], network.pass_, network.k)

    @staticmethod
    def _model(chain: Chain, pass_: int, k: int) -> int:
        if chain.transfer.per_pass:
            k += (pass_ - 1) * chain.lanes * chain.networks
        return k % chain.transfer.models

    def seed(self, purpose: str, network: Network, attempt: int = 0) -> np.random.SeedSequence:
        """Return the random numbers of a network for `initial`, `split`, `order` and so on.

        The coordinates are (variation, replica, pass, k, iteration, step, fold, toy, pre-training
        model, attempt); those not in use are 0, and variation and replica always, so that they
        share the random numbers of the nominal result. A fixed split leaves the iteration out,
        stacked members of a lane have the split of the first, so that all hold the same events out,
        those with identical starts its initial weights, and a network that is trained anew after
        divergence keeps its split. Iteration and step are
        left out of `resample`, so that a network sees the same drawn events in all of them.
        """
        iteration = network.iteration
        if purpose == "split" and self.config.unfolding.restart.split == "fixed":
            iteration = min(iteration, 1)
        chain, k = self.chains.get(network.chain), network.k
        if chain is not None and chain.shares(purpose):
            k -= network.member
        model = network.lane if network.step == 0 else 0
        attempt = 0 if purpose in ("split", "resample") else attempt
        place = (network.pass_, k, iteration, network.step)
        if purpose == "resample":
            place = (network.pass_, k, 0, 0)
        variant = self.variants[network.variant]
        toy = variant.number if variant.kind == TOY else 0
        coordinates = (0, 0, *place, network.fold, toy, model, attempt)
        return seeds.sequence(self.config.study.seed, purpose, *coordinates)

    # -- inputs of trainings ---------------------------------------------------------------

    def checkpoints(self, networks: Iterable[Network]) -> list[Path]:
        """Return where the states of networks lie, of all attempts that they may have had."""
        attempts = range(self.config.training.restarts + 1)
        return [self.checkpoint(network, n) for network in networks for n in attempts]

    @property
    def given_models(self) -> tuple[str, ...]:
        """Files of pre-trained models that the configuration gives."""
        pretraining = self.config.samples.pretraining
        return () if pretraining is None else pretraining.weights

    def pretrained_weights(self, model: int) -> Path:
        """File of a pre-trained model."""
        files = self.given_models
        return Path(files[model]) if files else self.pretrained(model) / "network.weights.h5"

    def previous_weights(self, group: Group, iteration: int, step: int) -> Path | None:
        """Event weights that a step starts from; None at the very first."""
        place = self.steps.index(step)
        if place > 0:
            return self.weights(group, iteration, self.steps[place - 1])
        return self.final_weights(group, iteration - 1) if iteration > 1 else None

    def final_weights(self, group: Group, iteration: int) -> Path:
        """Event weights nu after an iteration."""
        return self.weights(group, iteration, self.steps[-1])

    def previous_block(self, block: Block) -> Block | None:
        """Return the block that a warm restart continues; None where networks start afresh."""
        if block.iteration == 1 or self.config.unfolding.restart.network == "cold":
            return None
        return self.blocks(block.group, block.iteration - 1, block.step)[block.index]

    def keeps_members(self, group: Group, iteration: int, step: int) -> bool:
        """Return whether the push weights of each member are kept beside those of all."""
        last = (iteration, step) == (self.iterations[-1], 2)
        return last and group.variant == NOMINAL and self.chains[group.chain].exchangeable

    def networks_per_pass(self, method: str) -> int:
        """Return the number of trainings of one pass of a method."""
        settings = self.config.methods[method]
        trained = self.chains[self.chain_slug(settings)].networks * len(self.folds)
        return len(self.steps) * len(self.iterations) * settings.lanes * trained
