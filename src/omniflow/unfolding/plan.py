"""The plan: every sample, network, job and file of a study, from its configuration alone.

Snakefile, scripts, report and `omniflow plan` all ask this module for paths, seeds, dependencies
and numbers of networks; nothing else knows them. It loads neither TensorFlow nor event files.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from itertools import product
from pathlib import Path

import numpy as np

from omniflow.config.samples import Background, Sample
from omniflow.config.schema import Config
from omniflow.config.training import Classifier
from omniflow.config.unfolding import Method
from omniflow.unfolding import observed, seeds, seen
from omniflow.unfolding.coordinates import (
    FAKES,
    LEVELS,
    MISSES,
    NOMINAL,
    Block,
    Chain,
    Group,
    Network,
    parted,
)
from omniflow.unfolding.fingerprints import Fingerprints
from omniflow.unfolding.inputs import Inputs
from omniflow.unfolding.notes import of_pretraining, of_scale, of_uncertainties
from omniflow.unfolding.observed import Observed
from omniflow.unfolding.paths import TABLES, UNCERTAINTY_TABLES, Paths
from omniflow.unfolding.seen import Seen
from omniflow.unfolding.subsets import subsets
from omniflow.unfolding.variants import TOY, Variants

NO_COMBINATION = "none"  # in place of a combination for methods of one lane
PRIOR = "_prior"  # in place of a method: the simulation before unfolding
# Second classifiers take at most so many simulated events per event of data: more would cost much
# and tell little, because the data limit what can be told.
SECOND_SIMULATION = 2


class Plan(Paths):
    """Everything that follows from a configuration."""

    def __init__(self, config: Config, root: Path | None = None) -> None:
        """Derive the plan of `config`; nothing is read or written.

        Args:
            config: of the study.
            root: its folder, where it is not that of the configuration.
        """
        self.config = config
        self.variants = Variants(config)
        self.fingerprints = Fingerprints(self)
        self.inputs = Inputs(self)
        super().__init__(root or Path(config.study.output) / config.study.name)

    @cached_property
    def features_seen(self) -> Seen:
        """What networks see of events by level, `classifier.features`."""
        return seen.features(self.config)

    @cached_property
    def observed(self) -> Observed:
        """Levels at which the observables exist, by name in their order."""
        return observed.levels(self.config)

    def observed_at(self, role: str) -> tuple[str, ...]:
        """Return the levels at which observables of a sample are computed, if it has them."""
        if role in self.backgrounds:
            return ("detector",)
        return ("particle",) if role in self.variants.predictions.values() else LEVELS

    @cached_property
    def classifiers(self) -> dict[str, Classifier]:
        """Settings of the networks by level."""
        return seen.classifiers(self.config)

    def scaling(self, level: str) -> Path:
        """Means and standard deviations of the features of a level; one file if they are alike."""
        apart = level == "particle" and not seen.alike(self.features_seen)
        return self.path("particle_scaling" if apart else "scaling")

    @property
    def scalings(self) -> dict[Path, str]:
        """Files of means and standard deviations, with the level that each is measured at."""
        return {self.scaling(level): level for level in reversed(LEVELS)}

    # -- samples ---------------------------------------------------------------------------

    @cached_property
    def samples(self) -> dict[str, Sample]:
        """Samples by role."""
        found: dict[str, Sample] = {
            "data": self.config.samples.data,
            "simulation": self.config.samples.simulation,
        }
        found |= {role: background.sample for role, background in self.backgrounds.items()}
        pair = self.config.samples.pretraining
        if pair is not None and self.needs_pretraining:
            found |= {f"pretraining-{key}": sample for key, sample in pair.samples.items()}
        return found | self.variants.samples

    @cached_property
    def backgrounds(self) -> dict[str, Background]:
        """Backgrounds by role."""
        named = self.config.samples.backgrounds.items()
        return {f"background-{name}": background for name, background in named}

    def background_factor(self, role: str, variant: str = NOMINAL) -> float:
        """Return the factor on a background's weights in a variant."""
        background = self.backgrounds[role]
        shift = self.variants[variant].shifts.get(role, 0.0)
        return background.factor * (1 + shift * background.uncertainty)

    @property
    def roles(self) -> list[str]:
        """Roles that are unfolded: data, what is subtracted from them, simulation."""
        return ["data", *self.backgrounds, "simulation"]

    @property
    def pretraining_roles(self) -> list[str]:
        """Roles of the samples of pre-training, class A first."""
        nominal = [role for role in self.samples if parted(role)[0] == NOMINAL]
        return [role for role in nominal if role.startswith("pretraining-")]

    @property
    def pretraining_classes(self) -> list[tuple[str, str]]:
        """Role and level of the events in either class of pre-training, class A first."""
        roles = self.pretraining_roles
        if len(roles) == 1:
            return [(roles[0], level) for level in ("detector", "particle")]
        return [(role, "detector") for role in roles]

    @property
    def classifier_inputs(self) -> list[tuple[str, str]]:
        """Role and level of all samples that networks read."""
        compared = self.variants.predictions.values()
        found = [(role, "detector") for role in self.samples if role not in compared]
        found += [(role, "particle") for role in self.simulations]
        return list(dict.fromkeys([*found, *self.pretraining_classes]))

    @property
    def needs_pretraining(self) -> bool:
        """Whether any method starts from a pre-trained network."""
        return any(method.start != "scratch" for method in self.config.methods.values())

    @property
    def evaluated(self) -> list[str]:
        """Roles of the samples that observables are computed of: all data and simulations."""
        return [role for role in self.samples if role not in self.pretraining_roles]

    @property
    def simulations(self) -> list[str]:
        """Roles of the samples that are unfolded: the simulation, and those of variations."""
        return [role for role in self.samples if parted(role)[1] == "simulation"]

    # -- methods and chains ----------------------------------------------------------------

    @staticmethod
    def chain_slug(method: Method) -> str:
        """Return the chain of a method."""
        parts = [method.start, str(method.members)]
        if method.members > 1:
            parts.append(method.aggregate.replace("_", "-"))
        if method.transfer.slug:
            parts.append(method.transfer.slug)
        if method.diversity != "seeds":
            parts.append(method.diversity)
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

    def combinations(self, method: str) -> tuple[str, ...]:
        """Return the combinations of a method's lanes; `none` for a single lane.

        A truncated mean of fewer than three lanes does not exist and is left out (see `notes`).
        """
        lanes = self.variants.method(method).lanes
        if lanes == 1:
            return (NO_COMBINATION,)
        return tuple(c for c in self.config.combine if c != "truncated_mean" or lanes >= 3)

    def subsets(self, method: str) -> list[tuple[int, ...]]:
        """Return the subsets of a method's lanes whose spread over passes is compared."""
        if parted(method)[0] != NOMINAL:
            return []
        lanes = self.config.methods[method].lanes
        several = lanes > 1 and len(self.passes) > 1
        return subsets(lanes, self.combinations(method)[0]) if several else []

    def member_subsets(self, method: str) -> list[tuple[int, ...]]:
        """Return the subsets of the members of a method's last step 2 whose spread is compared."""
        if parted(method)[0] != NOMINAL or len(self.passes) == 1:
            return []
        chain = self.chains[self.chain_slug(self.config.methods[method])]
        return subsets(chain.members, chain.aggregate) if chain.exchangeable else []

    def keeps_members(self, group: Group, iteration: int, step: int) -> bool:
        """Return whether the push weights of each member are kept beside those of all."""
        last = (iteration, step) == (self.iterations[-1], 2)
        return last and group.variant == NOMINAL and self.chains[group.chain].exchangeable

    @cached_property
    def notes(self) -> tuple[str, ...]:
        """What a reader of the results has to know about this configuration."""
        notes = []
        if self.config.unfolding.fakes == "conditional_mean" and FAKES not in self.steps:
            notes.append("With particle_level: all there are no fakes, and fakes changes nothing.")
        notes += [
            f"samples.backgrounds.{name}.uncertainty enters errors at detector level and those of "
            "the binned reference, but not the unfolded result: it takes uncertainties (replicas, "
            "variations or toys)."
            for name, background in self.config.samples.backgrounds.items()
            if background.uncertainty > 0 and not self.config.uncertainties.varies
        ]
        if self.variants.predictions and not self.config.uncertainties.data_replicas:
            notes.append(
                "Tests against uncertainties.predictions do not hold the statistics of the data: "
                "ask for data_replicas."
            )
        for name, method in self.config.methods.items():
            used = len(self.pretrained_models(name))
            if method.start != "scratch" and used < method.transfer.models:
                notes.append(
                    f"{name}: {method.transfer.models} pre-trained models for {used} network(s) "
                    f"per step{' in all passes' if method.transfer.per_pass else ''}; {used} are "
                    "used."
                )
            if method.aggregate == "truncated_mean" and method.members in (3, 4):
                notes.append(
                    f"{name}: the truncated mean of {method.members} members is their median."
                )
            if "truncated_mean" not in self.config.combine or method.lanes == 1:
                continue
            if method.lanes < 3:
                notes.append(f"{name}: no truncated mean of {method.lanes} lanes; left out.")
            elif method.lanes < 5:
                notes.append(f"{name}: the truncated mean of {method.lanes} lanes is their median.")
        if self.needs_pretraining:
            notes += of_pretraining(self.config)
        notes += observed.notes(self.config, self.observed)
        return (*notes, *of_scale(self.config), *of_uncertainties(self.config, self.variants))

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
            together = chain.networks * len(self.folds)
            size = max(1, self.config.execution.networks_per_job // together)
            lanes = range(self._lanes(chain, variant))
            parts = [tuple(lanes[first : first + size]) for first in range(0, len(lanes), size)]
            for pass_ in self.variants.passes(variant):
                groups = [Group(chain.slug, pass_, part, variant) for part in parts]
                found[chain.slug, pass_, variant] = {group.slug: group for group in groups}
        return found

    def _lanes(self, chain: Chain, variant: str) -> int:
        """Return the lanes of a chain that a variant runs."""
        if variant == NOMINAL:
            return chain.lanes
        methods = [self.variants.method(name) for name in self.variants.methods]
        return max((m.lanes for m in methods if self.chain_slug(m) == chain.slug), default=0)

    def group_of(self, chain: str, pass_: int, lane: int, variant: str = NOMINAL) -> Group:
        """Return the group that holds a lane."""
        return next(g for g in self.groups(chain, pass_, variant) if lane in g.lanes)

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
        and a network that is trained anew after divergence keeps its split. Iteration and step are
        left out of `resample`, so that a network sees the same drawn events in all of them.
        """
        iteration = network.iteration
        if purpose == "split" and self.config.unfolding.restart.split == "fixed":
            iteration = min(iteration, 1)
        chain, k = self.chains.get(network.chain), network.k
        if purpose == "split" and chain is not None and chain.aggregate == "stacking":
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

    def pretrained_weights(self, model: int) -> Path:
        """File of a pre-trained model."""
        files = self.config.samples.pretraining.weights
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

    # -- results ---------------------------------------------------------------------------

    def lane_groups(self, method: str, pass_: int) -> list[Group]:
        """Return the groups that hold the lanes of a method, or of another result."""
        chain, variant = self.chain_slug(self.variants.method(method)), parted(method)[0]
        lanes = range(self.variants.method(method).lanes)
        groups = [self.group_of(chain, pass_, lane, variant) for lane in lanes]
        return list(dict.fromkeys(groups))

    @property
    def uncertainty_tables(self) -> list[Path]:
        """Tables of uncertainties; none where there are neither variants nor predictions."""
        return [self.table(name) for name in UNCERTAINTY_TABLES if self.variants.methods]

    @property
    def second_subjects(self) -> tuple[str, ...]:
        """What second classifiers judge: every method, and the simulation before unfolding."""
        wanted = self.config.diagnostics.second_classifier
        return (PRIOR, *self.config.methods) if wanted else ()

    @property
    def tables(self) -> list[Path]:
        """Tables of the study, which the report and other tools read."""
        stacked = any(chain.aggregate == "stacking" for chain in self.chains.values())
        return [self.table(name) for name in (*TABLES, *(["stacking.csv"] if stacked else []))]

    # -- sizes -----------------------------------------------------------------------------

    def networks_per_pass(self, method: str) -> int:
        """Return the number of trainings of one pass of a method."""
        settings = self.config.methods[method]
        trained = self.chains[self.chain_slug(settings)].networks * len(self.folds)
        return len(self.steps) * len(self.iterations) * settings.lanes * trained
