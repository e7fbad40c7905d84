"""The plan: every sample, network, job and file of a study, from its configuration alone.

Snakefile, scripts, report and `omniflow plan` all ask this module for paths, seeds, dependencies
and numbers of networks; nothing else knows them. It loads neither TensorFlow nor event files.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import numpy as np

from omniflow.config.samples import Background, Sample
from omniflow.config.schema import Config
from omniflow.config.unfolding import Method
from omniflow.unfolding import seeds
from omniflow.unfolding.coordinates import (
    FAKES,
    MISSES,
    STEP_NAMES,
    Block,
    Chain,
    Group,
    Network,
    level,
)

NO_COMBINATION = "none"  # in place of a combination for methods of one lane

_STAGE = "training/{chain}/pass-{pass_}/{group}/iteration-{iteration}/step-{step}"

TABLES = (
    "metrics.csv",
    "metrics.parquet",
    "summary.csv",
    "detector.csv",
    "detector_summary.csv",
    "bayes.csv",
    "bayes_summary.csv",
    "timing.csv",
    "histories.csv",
    "cost.csv",
    "weights.csv",
    "steps.csv",
    "study.json",
)

# Every file and folder of a study, relative to its root; Snakemake reads them as wildcards.
PATTERNS = {
    "config": "config.yaml",
    "store": "samples/{role}.h5",
    "scaling": "features/scaling.json",
    "features": "features/{role}-{level}.h5",
    "observables": "observables/{role}",
    "pretrained": "pretraining/model-{model}",
    "logits": _STAGE + "/block-{block}/logits.h5",
    "history": _STAGE + "/block-{block}/history.json",
    "networks": _STAGE + "/block-{block}/networks",
    "weights": _STAGE + "/weights.h5",
    # No rule's output: Snakemake must not remove what a killed job has trained.
    "checkpoint": "checkpoints/{chain}/pass-{pass_}/iteration-{iteration}-step-{step}"
    "-lane-{lane}-member-{member}{fold}-attempt-{attempt}.h5",
    "unfolded": "unfolded/{method}",
    "histograms": "histograms/{method}.h5",
    "log": "logs/{job}.log",
    "benchmark": "benchmarks/{job}.tsv",
}


class Plan:
    """Everything that follows from a configuration."""

    def __init__(self, config: Config) -> None:
        """Derive the plan of `config`; nothing is read or written."""
        self.config = config
        self.root = Path(config.study.output) / config.study.name

    # -- paths -----------------------------------------------------------------------------

    def pattern(self, kind: str) -> str:
        """Return the path of `kind` with its coordinates as wildcards."""
        return str(self.root / PATTERNS[kind])

    def path(self, kind: str, **coordinates: object) -> Path:
        """Return the path of `kind` at `coordinates`."""
        return self.root / PATTERNS[kind].format(**coordinates)

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
            found["pretraining-numerator"] = pair.numerator
            found["pretraining-denominator"] = pair.denominator
        return found

    @cached_property
    def backgrounds(self) -> dict[str, Background]:
        """Backgrounds by role."""
        named = self.config.samples.backgrounds.items()
        return {f"background-{name}": background for name, background in named}

    def background_factor(self, role: str, shift: float = 0.0) -> float:
        """Return the factor on a background's weights; `shift` in units of its uncertainty."""
        background = self.backgrounds[role]
        return background.factor * (1 + shift * background.uncertainty)

    @property
    def roles(self) -> list[str]:
        """Roles that are unfolded: data, what is subtracted from them, simulation."""
        return ["data", *self.backgrounds, "simulation"]

    @property
    def pretraining_roles(self) -> list[str]:
        """Roles of the pre-training pair, class A first."""
        return [role for role in self.samples if role.startswith("pretraining")]

    @property
    def needs_pretraining(self) -> bool:
        """Whether any method starts from a pre-trained network."""
        return any(method.start != "scratch" for method in self.config.methods.values())

    def input_files(self, role: str) -> list[str]:
        """Return the files that the sample of this role is read from."""
        return list(getattr(self.samples[role], "files", ()))

    def store(self, role: str) -> Path:
        """Event store of a sample."""
        return self.path("store", role=role)

    @property
    def scaling(self) -> Path:
        """Means and standard deviations of the features."""
        return self.path("scaling")

    def features(self, role: str, level: str) -> Path:
        """Classifier inputs of a sample at `detector` or `particle` level."""
        return self.path("features", role=role, level=level)

    def observables(self, role: str) -> Path:
        """Folder of cached observables of a sample: detector.h5 and, with truth, particle.h5."""
        return self.path("observables", role=role)

    # -- methods and chains ----------------------------------------------------------------

    @staticmethod
    def chain_slug(method: Method) -> str:
        """Return the chain of a method."""
        parts = [method.start, str(method.members)]
        if method.members > 1:
            parts.append(method.aggregate.replace("_", "-"))
        return "-".join(parts)

    @cached_property
    def chains(self) -> dict[str, Chain]:
        """Chains by slug, in the order in which methods name them."""
        found: dict[str, Chain] = {}
        for method in self.config.methods.values():
            slug = self.chain_slug(method)
            lanes = max(method.lanes, found[slug].lanes if slug in found else 0)
            found[slug] = Chain(slug, method.start, method.members, method.aggregate, lanes)
        return found

    def combinations(self, method: str) -> tuple[str, ...]:
        """Return the combinations of a method's lanes; `none` for a single lane.

        A truncated mean of fewer than three lanes does not exist and is left out (see `notes`).
        """
        lanes = self.config.methods[method].lanes
        if lanes == 1:
            return (NO_COMBINATION,)
        return tuple(c for c in self.config.combine if c != "truncated_mean" or lanes >= 3)

    @cached_property
    def notes(self) -> tuple[str, ...]:
        """What a reader of the results has to know about this configuration."""
        notes = []
        if self.config.unfolding.fakes == "conditional_mean" and FAKES not in self.steps:
            notes.append("With particle_level: all there are no fakes, and fakes changes nothing.")
        for name, method in self.config.methods.items():
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
        return tuple(notes)

    @property
    def passes(self) -> range:
        """Passes, from 1."""
        return range(1, self.config.study.passes + 1)

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

    def groups(self, chain: str, pass_: int) -> list[Group]:
        """Return the groups of lanes of a chain in one pass."""
        return list(self._groups[chain, pass_].values())

    def group(self, chain: str, pass_: int, slug: str) -> Group:
        """Return the group with this slug."""
        return self._groups[chain, pass_][slug]

    @cached_property
    def _groups(self) -> dict[tuple[str, int], dict[str, Group]]:
        """Groups by slug for every chain and pass; rules ask for them once per job."""
        found = {}
        for chain in self.chains.values():
            together = chain.members * len(self.folds)
            size = max(1, self.config.execution.networks_per_job // together)
            lanes = range(chain.lanes)
            parts = [tuple(lanes[first : first + size]) for first in range(0, len(lanes), size)]
            for pass_ in self.passes:
                groups = [Group(chain.slug, pass_, part) for part in parts]
                found[chain.slug, pass_] = {group.slug: group for group in groups}
        return found

    def group_of(self, chain: str, pass_: int, lane: int) -> Group:
        """Return the group that holds a lane."""
        return next(g for g in self.groups(chain, pass_) if lane in g.lanes)

    def blocks(self, group: Group, iteration: int, step: int) -> list[Block]:
        """Return the jobs that train one step of a group of lanes."""
        members = self.chains[group.chain].members
        networks = [
            Network(group.chain, group.pass_, lane, m, iteration, step, lane * members + m, fold)
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
        for chain in self.chains:
            for pass_ in self.passes:
                for group in self.groups(chain, pass_):
                    for iteration in self.iterations:
                        for step in self.steps:
                            yield group, iteration, step

    def all_blocks(self) -> Iterator[Block]:
        """Yield every training job, in an order that respects dependencies."""
        for stage in self.stages():
            yield from self.blocks(*stage)

    @property
    def pretraining_networks(self) -> tuple[Network, ...]:
        """Pre-trained models."""
        return (Network("pretraining", 0, 0, 0, 0, 0, 0),) if self.needs_pretraining else ()

    def seed(self, purpose: str, network: Network, attempt: int = 0) -> np.random.SeedSequence:
        """Return the random numbers of a network for `initial`, `split` or `order`.

        The coordinates are (variation, replica, pass, k, iteration, step, fold, toy, pre-training
        model, attempt); those not in use are 0. A fixed split leaves the iteration out, and a
        network that is trained anew after divergence keeps its split.
        """
        iteration = network.iteration
        if purpose == "split" and self.config.unfolding.restart.split == "fixed":
            iteration = min(iteration, 1)
        model = network.lane if network.step == 0 else 0
        attempt = 0 if purpose == "split" else attempt
        place = (network.pass_, network.k, iteration, network.step)
        coordinates = (0, 0, *place, network.fold, 0, model, attempt)
        return seeds.sequence(self.config.study.seed, purpose, *coordinates)

    # -- files of trainings ----------------------------------------------------------------

    def pretrained(self, model: int = 0) -> Path:
        """Folder of a pre-trained model."""
        return self.path("pretrained", model=model)

    def logits(self, block: Block) -> Path:
        """Logits of a block's networks, (network, event)."""
        return self._block_path("logits", block)

    def history(self, block: Block) -> Path:
        """Histories of a block's networks."""
        return self._block_path("history", block)

    def sibling_histories(self, block: Block) -> list[Path]:
        """Return the histories that exist of the same chain, pass, iteration and step."""
        stage = _stage(block.group, block.iteration, block.step) | {"group": "*", "block": "*"}
        return sorted(self.root.glob(PATTERNS["history"].format(**stage)))

    def networks_folder(self, block: Block) -> Path:
        """Folder of a block's trained networks."""
        return self._block_path("networks", block)

    def _block_path(self, kind: str, block: Block) -> Path:
        stage = _stage(block.group, block.iteration, block.step)
        return self.path(kind, **stage, block=block.index)

    @staticmethod
    def network_file(network: Network) -> str:
        """Return the file name of a trained network."""
        return f"lane-{network.lane}-member-{network.member}{_fold(network)}.weights.h5"

    def checkpoint(self, network: Network, attempt: int = 0) -> Path:
        """State of a training that has not yet become a job's output."""
        place = vars(network) | {"step": STEP_NAMES[network.step], "fold": _fold(network)}
        return self.path("checkpoint", **place, attempt=attempt)

    def weights(self, group: Group, iteration: int, step: int) -> Path:
        """Event weights of the lanes of a group after a step, (lane, event)."""
        return self.path("weights", **_stage(group, iteration, step))

    def previous_weights(self, group: Group, iteration: int, step: int) -> Path | None:
        """Event weights that a step starts from; None at the very first."""
        place = self.steps.index(step)
        if place > 0:
            return self.weights(group, iteration, self.steps[place - 1])
        return self.final_weights(group, iteration - 1) if iteration > 1 else None

    def final_weights(self, group: Group, iteration: int) -> Path:
        """Event weights nu after an iteration."""
        return self.weights(group, iteration, self.steps[-1])

    def _weights_before(self, group: Group, iteration: int, *steps: int) -> list[Path]:
        """Return the event weights that steps of an iteration start from."""
        found = [self.previous_weights(group, iteration, step) for step in steps]
        return list(dict.fromkeys(path for path in found if path is not None))

    def previous_block(self, block: Block) -> Block | None:
        """Return the block that a warm restart continues; None where networks start afresh."""
        if block.iteration == 1 or self.config.unfolding.restart.network == "cold":
            return None
        return self.blocks(block.group, block.iteration - 1, block.step)[block.index]

    def block_inputs(self, block: Block) -> list[Path]:
        """Return the files that a training job waits for.

        Event stores are read too, but features are made from them: naming both would make the plan
        of a large study a third larger.
        """
        roles = self.roles if block.step == 1 else ["simulation"]
        files = [self.features(role, level(block.step)) for role in roles]
        files += self._weights_before(block.group, block.iteration, block.step, 1)
        previous = self.previous_block(block)
        if previous is not None:
            files.append(self.networks_folder(previous))
        elif self.chains[block.group.chain].start != "scratch":
            files.append(self.pretrained())
        return files

    def aggregate_inputs(self, group: Group, iteration: int, step: int) -> list[Path]:
        """Return what the weights of a group of lanes after a step are made from."""
        logits = [self.logits(block) for block in self.blocks(group, iteration, step)]
        # Step 1b learns omega, the quotient of the weights after and before step 1.
        steps = (step, 1) if step == MISSES else (step,)
        return [*logits, *self._weights_before(group, iteration, *steps)]

    # -- results ---------------------------------------------------------------------------

    def unfolded(self, method: str, combine: str, pass_: int) -> Path:
        """Final weights of one pass of a method."""
        return self.path("unfolded", method=method) / combine / f"pass-{pass_}.h5"

    def lane_groups(self, method: str, pass_: int) -> list[Group]:
        """Return the groups that hold the lanes of a method."""
        chain = self.chain_slug(self.config.methods[method])
        lanes = range(self.config.methods[method].lanes)
        groups = [self.group_of(chain, pass_, lane) for lane in lanes]
        return list(dict.fromkeys(groups))

    def combine_inputs(self, method: str) -> list[Path]:
        """Return the files that the combination of a method's lanes needs."""
        return [self.store(role) for role in self.roles] + [
            self.final_weights(group, iteration)
            for pass_ in self.passes
            for group in self.lane_groups(method, pass_)
            for iteration in self.iterations
        ]

    def histograms(self, method: str) -> Path:
        """Histograms of a method: all combinations, passes and iterations."""
        return self.path("histograms", method=method)

    def table_inputs(self) -> list[Path]:
        """Return the files that the tables wait for; weights of all steps come with the results."""
        return [
            *(self.store(role) for role in self.samples),
            *(self.observables(role) for role in self.roles),
            *(self.pretrained(network.lane) for network in self.pretraining_networks),
            *(self.history(block) for block in self.all_blocks()),
            *(self.path("unfolded", method=method) for method in self.config.methods),
            *(self.histograms(method) for method in self.config.methods),
        ]

    @property
    def tables(self) -> list[Path]:
        """Tables of the study, which the report and other tools read."""
        return [self.table(name) for name in TABLES]

    def table(self, name: str) -> Path:
        """Table, or other result for the reader, in the study's folder."""
        return self.root / name

    # -- fingerprints ----------------------------------------------------------------------

    def fingerprint(self, *sections: str) -> str:
        """Return a hash of parts of the configuration (dotted names).

        Rules carry those of what they depend on, so that a change of the report or the binning
        retrains nothing and a change of the training retrains what it must.
        """
        return _hash([_part(self._settings, section) for section in sections])

    @cached_property
    def _settings(self) -> dict:
        return self.config.model_dump(mode="json")

    def store_fingerprint(self, role: str) -> str:
        """Return a hash of what determines an event store."""
        return _hash([self.samples[role].model_dump(mode="json"), self.config.study.seed])

    def training_fingerprint(self, networks: tuple[Network, ...] = ()) -> str:
        """Return a hash of what determines trainings, and of the networks of one job.

        The number of iterations is left out: more of them train only the new ones.
        """
        names = [network.name for network in networks]
        return _hash([self._training_settings, names])

    @cached_property
    def _training_settings(self) -> str:
        whole = self.config.model_dump(mode="json")
        # How often a failed network is tried again changes none that did not fail.
        del whole["unfolding"]["iterations"], whole["training"]["restarts"]
        if whole["training"]["folds"] == 1:
            del whole["training"]["folds"]  # what is there without folds stays as it is
        sections = [whole[name] for name in ("classifier", "training", "unfolding")]
        scaled = whole["training"]["scale_with_ranks"] != "none"
        ranks = whole["execution"]["ranks"] if scaled else 1
        engine = [whole["execution"][name] for name in ("engine", "precision")]
        factors = {role: self.background_factor(role) for role in self.backgrounds}
        subtracted = [factors] if factors else []
        return _hash([whole["study"]["seed"], *sections, engine, ranks, *subtracted])

    def combine_fingerprint(self, method: str) -> str:
        """Return a hash of what determines the final weights, beside the lanes' weights."""
        return _hash([self.combinations(method), len(self.passes), len(self.iterations)])

    def histogram_fingerprint(self, method: str) -> str:
        """Return a hash of what determines a method's histograms, beside its weights."""
        return _hash([self.fingerprint("observables"), self.combine_fingerprint(method)])

    # -- sizes -----------------------------------------------------------------------------

    def networks_per_pass(self, method: str) -> int:
        """Return the number of trainings of one pass of a method."""
        settings = self.config.methods[method]
        networks = len(self.steps) * len(self.iterations) * settings.lanes * settings.members
        return networks * len(self.folds)


def _part(whole: dict, section: str) -> object:
    for key in section.split("."):
        whole = whole[key]
    return whole


def _hash(parts: object) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def _fold(network: Network) -> str:
    return f"-fold-{network.fold}" if network.fold else ""


def _stage(group: Group, iteration: int, step: int) -> dict[str, object]:
    return {
        "chain": group.chain,
        "pass_": group.pass_,
        "group": group.slug,
        "iteration": iteration,
        "step": STEP_NAMES[step],
    }
