"""Roles: the samples of a study, and what networks and observables see of them."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

from omniflow.config.samples import Background, Sample
from omniflow.config.schema import Config
from omniflow.config.training import Classifier
from omniflow.unfolding import observed, occupancy, seen
from omniflow.unfolding.coordinates import LEVELS, NOMINAL, parted
from omniflow.unfolding.observed import Observed
from omniflow.unfolding.occupancy import Occupancy
from omniflow.unfolding.paths import Paths
from omniflow.unfolding.seen import Seen
from omniflow.unfolding.variants import Variants


class Roles(Paths):
    """The samples of a study by role; a role is what a sample is there for."""

    def __init__(self, config: Config, root: Path | None = None) -> None:
        """Take a configuration; nothing is read or written.

        Args:
            config: of the study.
            root: its folder, where it is not that of the configuration.
        """
        self.config = config
        self.variants = Variants(config)
        self._occupancies: dict[str, Occupancy] = {}
        super().__init__(root or Path(config.study.output) / config.study.name)

    # -- what is seen and compared ---------------------------------------------------------

    @cached_property
    def features_seen(self) -> Seen:
        """What networks see of events by level, `classifier.features`."""
        return seen.features(self.config)

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

    @cached_property
    def observed(self) -> Observed:
        """Levels at which the observables exist, by name in their order."""
        return observed.levels(self.config)

    def observed_at(self, role: str) -> tuple[str, ...]:
        """Return the levels at which observables of a sample are computed, if it has them."""
        if role in self.backgrounds:
            return ("detector",)
        return ("particle",) if role in self.variants.predictions.values() else LEVELS

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

    def occupancy(self, role: str) -> Occupancy:
        """Return what an average record of a sample holds; its files are read once for that.

        Samples of variations and toys count as those that they stand for.
        """
        nominal = parted(role)[1]
        role = nominal if nominal in self.samples else role
        if role not in self._occupancies:
            self._occupancies[role] = occupancy.of(self.samples[role])
        return self._occupancies[role]

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
            return [(roles[0], level) for level in LEVELS]
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
