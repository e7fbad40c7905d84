"""Variants of the inputs: the nominal ones, bootstrap replicas, systematic variations and toys.

Each variant goes through the same steps as the nominal study. All but toys share its random numbers
of training, so that differences to the nominal result hold little of the scatter of training.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from pathlib import Path

import numpy as np

from omniflow.config.samples import Sample
from omniflow.config.schema import Config
from omniflow.config.uncertainties import SIDES, EventWeights
from omniflow.config.unfolding import Method
from omniflow.events.hashing import poisson
from omniflow.unfolding import seeds
from omniflow.unfolding.coordinates import NOMINAL, parted, prefixed

ROLES = ("data", "simulation")
VARIATION, TOY = "variation", "toy"


@dataclass(frozen=True)
class Variant:
    """Inputs that may differ from the nominal ones.

    Attributes:
        name: name in paths, such as `data-3`.
        kind: `nominal`, `data` or `simulation` (a bootstrap replica of it), `variation`, `toy`.
        number: of a replica or toy, from 1.
        roles: role of another sample by what it takes the place of, `data` or `simulation`.
        weights: factors on the weights of the simulation, or the name of those that take their
            place, if any.
        shifts: normalisations of backgrounds by role, in units of their uncertainty from nominal.
    """

    name: str
    kind: str
    number: int = 0
    roles: Mapping[str, str] = field(default_factory=dict)
    weights: EventWeights | str | None = None
    shifts: Mapping[str, float] = field(default_factory=dict)


class Variants:
    """The variants of a study, the results that they lead to, and the samples that they need."""

    def __init__(self, config: Config) -> None:
        """Enumerate the variants of `config`."""
        self.config = config
        settings = config.uncertainties
        found = [Variant(NOMINAL, NOMINAL)]
        numbers = (settings.data_replicas, settings.simulation_replicas)
        for kind, count in zip(ROLES, numbers, strict=True):
            found += [Variant(f"{kind}-{n}", kind, n) for n in range(1, count + 1)]
        for name, variation in config.variations.items():
            roles = {r: f"{name}.{r}" for r in ROLES if getattr(variation, r) is not None}
            shifts = {f"background-{key}": shift for key, shift in variation.backgrounds.items()}
            found.append(Variant(name, VARIATION, 0, roles, variation.simulation_weights, shifts))
        for n in range(1, settings.toys + 1):
            roles = {role: f"{TOY}-{n}.{role}" for role in settings.drawn_in_toys}
            found.append(Variant(f"{TOY}-{n}", TOY, n, roles))
        self._by_name = {variant.name: variant for variant in found}

    def __getitem__(self, name: str) -> Variant:
        """Return the variant with this name."""
        return self._by_name[name]

    @property
    def names(self) -> list[str]:
        """Names of all variants, the nominal one first."""
        return list(self._by_name)

    def of_kind(self, kind: str) -> list[str]:
        """Return the names of the variants of a kind."""
        return [name for name, variant in self._by_name.items() if variant.kind == kind]

    @cached_property
    def samples(self) -> dict[str, Sample]:
        """Samples that are needed beside the nominal ones, by role."""
        settings = self.config.uncertainties
        found = {
            f"{name}.{role}": getattr(variation, role)
            for (name, variation), role in product(self.config.variations.items(), ROLES)
            if getattr(variation, role) is not None
        }
        for n, role in product(range(1, settings.toys + 1), settings.drawn_in_toys):
            found[f"{TOY}-{n}.{role}"] = getattr(self.config.samples, role).next(n)
        predictions = settings.predictions
        return found | {role: predictions[name] for name, role in self.predictions.items()}

    @property
    def predictions(self) -> dict[str, str]:
        """Roles of the samples that results are only compared with, by name."""
        return {name: f"prediction-{name}" for name in self.config.uncertainties.predictions}

    def role(self, role: str, variant: str = NOMINAL) -> str:
        """Return the role of the sample that is `data` or `simulation` in a variant."""
        return self[variant].roles.get(role, role)

    def weight_files(self, variant: str) -> list[Path]:
        """Return the files of factors on the weights of a variant's simulation."""
        weights = self[variant].weights
        files = weights.files if isinstance(weights, EventWeights) else ()
        return [Path(file) for file in files]

    @cached_property
    def methods(self) -> tuple[str, ...]:
        """Methods with uncertainties; none where there are neither variants nor predictions."""
        named = self.config.uncertainties.methods or tuple(self.config.methods)[:1]
        return named if len(self._by_name) > 1 or self.predictions else ()

    @property
    def results(self) -> list[str]:
        """Names of all results: methods, then methods with uncertainties in every variant."""
        others = [name for name in self._by_name if name != NOMINAL]
        return [*self.config.methods, *(prefixed(v, m) for v in others for m in self.methods)]

    def method(self, result: str) -> Method:
        """Return the settings of the method of a result."""
        return self.config.methods[parted(result)[1]]

    def passes(self, variant: str) -> range:
        """Return the passes that a variant runs, from 1."""
        nominal = variant == NOMINAL
        passes = self.config.study.passes if nominal else self.config.uncertainties.passes
        return range(1, passes + 1)

    def blocks(self) -> dict[str, tuple[str, ...]]:
        """Return the variations of each systematic block: one, or the two sides of a pair."""
        names = self.config.variations
        pairs = {}
        for name in names:
            stem = name.removesuffix(SIDES[0])
            pair = (name, stem + SIDES[1])
            if stem != name and stem not in names and pair[1] in names:
                pairs[stem] = pair
        paired = {name for pair in pairs.values() for name in pair}
        return pairs | {name: (name,) for name in names if name not in paired}


def replica_weights(
    study_seed: int, variant: Variant, event_id: np.ndarray, role: str | None = None
) -> np.ndarray:
    """Return the Poisson(1) weights (n,) of events in a bootstrap replica.

    A function of study seed, sample, number of the replica, and event id (n,) alone: the same for
    any order of events, number of ranks, level or file. Samples other than the one that the
    replica is named after have numbers of their own by `role`: ids count the events of a sample.

    Args:
        study_seed: `study.seed`.
        variant: the replica.
        event_id: (n,) uint64.
        role: of a sample that the replica is not named after.

    Returns:
        (n,) float64 whole numbers, 0 for events that are not drawn.
    """
    sequence = seeds.sequence(study_seed, f"replica {role or variant.kind}", variant.number)
    return poisson(event_id, seeds.integer(sequence)).astype(np.float64)
