"""Fingerprints: hashes of what results depend on, which Snakemake's rules carry."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from functools import cached_property
from typing import Any

from omniflow import registry
from omniflow.config.observables import PER_LEVEL
from omniflow.observables import find
from omniflow.unfolding.coordinates import LEVELS, Network, parted
from omniflow.unfolding.results import Results

# Of files of observables (`observables.cache.SCHEMA_VERSION`, which the plan does not load) and of
# histograms: studies with older ones write them again.
OBSERVABLES_VERSION = 3
HISTOGRAMS_VERSION = 2


class Fingerprints:
    """Hashes of parts of a plan."""

    def __init__(self, plan: Results) -> None:
        """Take the plan."""
        self.plan = plan

    def sections(self, *sections: str) -> str:
        """Return a hash of parts of the configuration (dotted names).

        Rules carry those of what they depend on, so that a change of the report or the binning
        retrains nothing and a change of the training retrains what it must.
        """
        return _hash([_part(self._settings, section) for section in sections])

    @cached_property
    def _settings(self) -> dict:
        return self.plan.config.model_dump(mode="json")

    def store(self, role: str) -> str:
        """Return a hash of what determines an event store."""
        sample = self.plan.samples[role]
        parts: list[Any] = [sample.model_dump(mode="json"), self.plan.config.study.seed]
        own = registry.digest("source", sample.source)
        if own is not None:  # where its module lies is no part of it
            parts[0]["source"] = sample.source.rpartition(":")[2]
            parts.append(own)
        return _hash(parts)

    @cached_property
    def observables(self) -> str:
        """Return a hash of what determines the files of observables, text of modules included."""
        found = find.computations(self.plan.config.observables)
        apart = {n: there for n, there in self.plan.observed.items() if len(there) < len(LEVELS)}
        return _hash([list(found.items()), OBSERVABLES_VERSION, *([apart] if apart else [])])

    @cached_property
    def axes(self) -> str:
        """Return a hash of what determines the axes of histograms, beside values."""
        section = self.plan.config.observables
        found = {
            name: definition.model_dump(mode="json", exclude={*definition.computation, *PER_LEVEL})
            for name, definition in find.definitions(section).items()
        }
        return _hash([self.observables, found, self.sections("observables.binning")])

    def training(self, networks: tuple[Network, ...] = ()) -> str:
        """Return a hash of what determines trainings, and of the networks of one job.

        The number of iterations is left out: more of them train only the new ones.
        """
        names = [network.name for network in networks]
        weights = {n.variant: self.plan.variants[n.variant].weights for n in networks}
        names += [
            w if isinstance(w, str) else w.model_dump_json()
            for w in weights.values()
            if w is not None
        ]
        names += [
            f"{role} {self.plan.background_factor(role, variant)}"
            for variant in weights
            for role in self.plan.variants[variant].shifts
        ]
        return _hash([self._training_settings, names])

    @property
    def features(self) -> str:
        """Return a hash of what networks see at both levels, beside the number of neighbours."""
        one, other = (dataclasses.asdict(self.plan.features_seen[level]) for level in LEVELS)
        return _hash(one if one == other else [one, other])

    @cached_property
    def _training_settings(self) -> str:
        whole = self.plan.config.model_dump(mode="json")
        # How often a failed network is tried again changes none that did not fail.
        del whole["unfolding"]["iterations"], whole["training"]["restarts"]
        whole["classifier"]["features"] = self.features
        # Studies without them are older than the keys.
        classifier = whole["classifier"]
        for key in ("dropout", "options"):
            if not classifier[key]:
                del classifier[key]
        if whole["training"]["folds"] == 1:
            del whole["training"]["folds"]
        if not whole["training"]["reserved"]:
            del whole["training"]["reserved"]
        own = registry.digest("classifier", classifier["kind"])
        if own is not None:  # where its module lies is no part of it
            classifier |= {"kind": classifier["kind"].rpartition(":")[2], "text": own}
        sections = [whole[name] for name in ("classifier", "training", "unfolding")]
        scaled = whole["training"]["scale_with_ranks"] != "none"
        ranks = whole["execution"]["ranks"] if scaled else 1
        engine = [whole["execution"][name] for name in ("engine", "precision")]
        factors = {role: self.plan.background_factor(role) for role in self.plan.backgrounds}
        subtracted = [factors] if factors else []
        return _hash([whole["study"]["seed"], *sections, engine, ranks, *subtracted])

    def response(self, role: str) -> str:
        """Return a hash of what determines the test of a detector response, beside its files."""
        engine = self.sections("execution.engine", "unfolding.particle_level", "study.seed")
        return _hash([role, engine, self.observables])

    def rounds(self, method: str) -> str:
        """Return a hash of what determines how many lanes a method gets, beside their weights."""
        settings = self.plan.config.methods[method]
        target = settings.until.model_dump(mode="json") if settings.until else None
        how = self.plan.combinations(method)[0]
        return _hash([target, how, len(self.plan.passes), len(self.plan.iterations)])

    def combine(self, method: str) -> str:
        """Return a hash of what determines the final weights, beside the lanes' weights."""
        return _hash(
            [
                self.plan.combinations(method),
                # Inputs do not tell it: another lane may lie in the same group.
                self.plan.config.methods[parted(method)[1]].lanes,
                len(self.plan.passes_of(method)),
                len(self.plan.iterations),
            ]
        )

    def histograms(self, method: str) -> str:
        """Return a hash of what determines a method's histograms, beside its weights."""
        region = self.sections("observables.region")
        return _hash([self.axes, region, self.combine(method), HISTOGRAMS_VERSION])


def _part(whole: dict, section: str) -> object:
    for key in section.split("."):
        whole = whole[key]
    return whole


def _hash(parts: object) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]
