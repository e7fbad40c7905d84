"""Inputs: the files that every job of a plan waits for."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from omniflow.unfolding.coordinates import MISSES, Block, Group, level, parted
from omniflow.unfolding.results import Results


class Inputs:
    """What jobs wait for, by kind of job."""

    def __init__(self, plan: Results) -> None:
        """Take the plan."""
        self.plan = plan
        self._factors: dict[str, list[Path]] = {}

    def files(self, role: str) -> list[str]:
        """Return the files that the sample of this role is read from, with their sources."""
        return _with_sources(self.plan.samples[role].inputs())

    @property
    def given(self) -> list[Path]:
        """Return the files that jobs read and no job makes."""
        plan = self.plan
        files = [Path(file) for role in plan.samples for file in self.files(role)]
        files += [file for name in plan.variants.names for file in self._weight_files(name)]
        pair = plan.config.samples.pretraining
        if pair is not None and plan.needs_pretraining:
            files += map(Path, pair.weights)
        return list(dict.fromkeys(files))

    @property
    def pretraining(self) -> list[Path]:
        """Files that pre-training waits for."""
        classes = self.plan.pretraining_classes
        stores = dict.fromkeys(self.plan.store(role) for role, _ in classes)
        return [*stores, *(self.plan.features(role, level) for role, level in classes)]

    def block(self, block: Block) -> list[Path]:
        """Return the files that a training job waits for.

        Event stores are read too, but features are made from them: naming both would make the plan
        of a large study a third larger.
        """
        variant = block.group.variant
        roles = self.plan.roles if block.step == 1 else ["simulation"]
        samples = [self.plan.variants.role(role, variant) for role in roles]
        files = [self.plan.features(sample, level(block.step)) for sample in samples]
        files += self._weight_files(variant)
        files += self._weights_before(block.group, block.iteration, block.step, 1)
        previous = self.plan.previous_block(block)
        if previous is not None:
            files.append(self.plan.networks_folder(previous))
        elif self.plan.chains[block.group.chain].start != "scratch":
            models = sorted({self.plan.pretrained_model(network) for network in block.networks})
            given = self.plan.given_models
            files += [
                self.plan.pretrained_weights(m) if given else self.plan.pretrained(m)
                for m in models
            ]
        return files

    def weights(self, group: Group, iteration: int, step: int) -> list[Path]:
        """Return what the weights of a group of lanes after a step are made from."""
        logits = [self.plan.logits(block) for block in self.plan.blocks(group, iteration, step)]
        # Step 1b learns omega, the quotient of the weights after and before step 1.
        steps = (step, 1) if step == MISSES else (step,)
        return [*logits, *self._weights_before(group, iteration, *steps)]

    def round(self, method: str, number: int, lanes: int) -> list[Path]:
        """Return the files that a round of a method waits for, which measures so many lanes."""
        until = self.plan.config.methods[method].until
        statistical = until is not None and until.quantity == "statistical"
        chain = self.plan.chain_slug(self.plan.config.methods[method])
        roles = self.plan.roles if statistical else ["simulation"]
        return [
            *self._stores(method),
            *(self.plan.observables(role) for role in roles),
            self.plan.axes,
            *([self.plan.round(method, number - 1)] if number > 1 else []),
            *(
                self.plan.final_weights(group, self.plan.iterations[-1])
                for pass_ in self.plan.passes
                for group in self.plan.groups(chain, pass_)
                if group.lanes[0] < lanes
            ),
        ]

    def combine(self, method: str) -> list[Path]:
        """Return the files that the combination of the lanes of a method or result needs."""
        return self._stores(method) + [
            self.plan.final_weights(group, iteration)
            for pass_ in self.plan.passes_of(method)
            for group in self.plan.lane_groups(method, pass_)
            for iteration in self.plan.iterations
        ]

    def subsets(self, method: str, *passes: int) -> list[Path]:
        """Return the lanes' final weights that subsets are combined from; of all passes if none."""
        if not self.plan.subsets(method):
            return []
        groups = [g for p in passes or self.plan.passes for g in self.plan.lane_groups(method, p)]
        return [self.plan.final_weights(group, self.plan.iterations[-1]) for group in groups]

    def members(self, method: str, *passes: int) -> list[Path]:
        """Return the weights of the last step 2, with those of its members, as `subsets`."""
        if not self.plan.member_subsets(method):
            return []
        groups = [g for p in passes or self.plan.passes for g in self.plan.lane_groups(method, p)]
        return [self.plan.weights(group, self.plan.iterations[-1], 2) for group in groups]

    @property
    def axes(self) -> list[Path]:
        """Files that the axes of histograms are made from."""
        return [self.plan.store("simulation"), self.plan.observables("simulation")]

    def histograms(self, result: str) -> list[Path]:
        """Return the files that the histograms of a result are made from."""
        observables = self.plan.observables(
            self.plan.variants.role("simulation", parted(result)[0])
        )
        unfolded = self.plan.path("unfolded", method=result)
        ensembles = dict.fromkeys([*self.subsets(result), *self.members(result)])
        return [*self._stores(result), observables, self.plan.axes, unfolded, *ensembles]

    def second(self, subject: str) -> list[Path]:
        """Return the files that the second classifiers of a subject wait for."""
        inputs = [self.plan.features(role, "detector") for role in self.plan.roles]
        inputs.append(self.plan.features("simulation", "particle"))
        if subject in self.plan.config.methods:
            inputs.append(self.plan.path("unfolded", method=subject))
        return inputs

    @property
    def oracle(self) -> list[Path]:
        """Files that the oracle waits for; features are made of the event stores."""
        stores = [self.plan.store(role) for role in self.plan.roles]
        return [*stores, self.plan.features("simulation", "particle")]

    def response(self, role: str) -> list[Path]:
        """Return the files that the test of a sample's detector response waits for."""
        roles = (role, "simulation")
        stores, observables = (
            [path(each) for each in roles] for path in (self.plan.store, self.plan.observables)
        )
        return [*stores, *observables]

    def tables(self) -> list[Path]:
        """Return the files that the tables wait for; weights of all steps come with the results."""
        return [
            *(self.plan.store(role) for role in self.plan.samples),
            *(self.plan.observables(role) for role in self.plan.roles),
            self.plan.axes,
            *(self.plan.pretrained(network.lane) for network in self.plan.pretraining_networks),
            *(self.plan.history(block) for block in self.plan.all_blocks()),
            *(self.plan.path("unfolded", method=method) for method in self.plan.config.methods),
            *(self.plan.histograms(method) for method in self.plan.config.methods),
            *(self.plan.second(subject) for subject in self.plan.second_subjects),
            *([self.plan.oracle] if self.plan.has_oracle else []),
            *(self.plan.response(role) for role in self.plan.response_roles),
        ]

    def uncertainties(self) -> list[Path]:
        """Return the files that covariances, tests and pulls wait for."""
        results, methods = self.plan.variants.results, self.plan.variants.methods
        return [
            *(self.plan.store(role) for role in self.plan.evaluated),
            *(self.plan.observables(role) for role in self.plan.evaluated),
            self.plan.axes,
            *(path for name in self.plan.variants.names for path in self._weight_files(name)),
            *(self.plan.histograms(result) for result in results if parted(result)[1] in methods),
        ]

    def _weights_before(self, group: Group, iteration: int, *steps: int) -> list[Path]:
        """Return the event weights that steps of an iteration start from."""
        found = [self.plan.previous_weights(group, iteration, step) for step in steps]
        return list(dict.fromkeys(path for path in found if path is not None))

    def _stores(self, result: str) -> list[Path]:
        """Return the event stores of a result, and what else its events' weights are made from."""
        variant = parted(result)[0]
        stores = [
            self.plan.store(self.plan.variants.role(role, variant)) for role in self.plan.roles
        ]
        return [*stores, *self._weight_files(variant)]

    def _weight_files(self, variant: str) -> list[Path]:
        """Return the files of factors on a variant's weights, with their sources."""
        if variant not in self._factors:
            files = _with_sources(self.plan.variants.weight_files(variant))
            self._factors[variant] = [Path(file) for file in files]
        return self._factors[variant]


def _with_sources(files: Iterable[str | Path]) -> list[str]:
    """Return files with their sources; h5py is loaded here, because a plan needs none."""
    files = list(files)
    if not files:
        return []
    from omniflow.linked import with_sources

    return with_sources(files)
