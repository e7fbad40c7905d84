"""Pydantic models of the configuration; they also generate its JSON schema and its docs page."""

from __future__ import annotations

from pydantic import Field, field_validator, model_validator

from omniflow.config.diagnostics import Diagnostics
from omniflow.config.execution import Execution
from omniflow.config.features import of_level
from omniflow.config.observables import Observables
from omniflow.config.others import Other, others
from omniflow.config.paths import ExpandedPath
from omniflow.config.samples import Sample, Samples, independent
from omniflow.config.section import LEVELS, Combination, Name, Positive, Section
from omniflow.config.training import ACTS_ON, Classifier, Training
from omniflow.config.uncertainties import RESERVED, SIDES, Uncertainties, Variation
from omniflow.config.unfolding import Method, Unfolding


class Study(Section):
    """What is run: name, seed, repetitions and where results go."""

    name: Name = Field(description="Name of the study; results go to <output>/<name>/.")
    seed: int = Field(
        1, ge=0, description="Seed from which every random number of training derives."
    )
    passes: Positive = Field(
        3, description="Independent repetitions of each method; their scatter is sigma_rel."
    )
    output: ExpandedPath = Field("results", min_length=1, description="Folder of all results.")


# Presets of features that see every column there is.
ALL_COLUMNS = ("auto", "columns", "particles")


def _same_columns(where: str, sample: Sample, simulation: Sample, level: str) -> None:
    """Refuse a sample with other columns than the simulation: networks see all of them."""
    for kind, ours, theirs in zip(
        ("event", "particle"), sample.columns(level), simulation.columns(level), strict=True
    ):
        if set(ours) != set(theirs):
            raise ValueError(
                f"{where} has the {kind} columns {', '.join(ours) or 'none'} at {level} level and "
                f"samples.simulation {', '.join(theirs) or 'none'}; give the same to all samples, "
                f"or say by classifier.features (or .features.{level}) what networks see"
            )


def _same_units(where: str, sample: Sample, simulation: Sample) -> None:
    """Refuse a sample with another unit of a column than the simulation."""
    ours, theirs = sample.units(), simulation.units()
    for name in ours.keys() & theirs.keys():
        if ours[name] != theirs[name]:
            raise ValueError(
                f"{where}: {name} is in {ours[name] or 'no unit'}, and in "
                f"{theirs[name] or 'no unit'} in samples.simulation; give both the unit that their "
                "numbers have in the files"
            )


class Config(Section):
    """A study: everything that a user can set."""

    study: Study = Field(description="Name, seed and repetitions.")
    samples: Samples = Field(description="Input events.")
    classifier: Classifier = Field(Classifier(), description="The networks.")
    training: Training = Field(Training(), description="Their training.")
    unfolding: Unfolding = Field(Unfolding(), description="OmniFold.")
    methods: dict[Name, Method] = Field(min_length=1, description="Strategies to compare.")
    combine: tuple[Combination, ...] = Field(
        ("mean", "median", "truncated_mean", "log_mean"),
        min_length=1,
        description="Combinations of lanes; the first is the headline. Changing it trains "
        "nothing but second classifiers.",
    )
    observables: Observables = Field(Observables(), description="What is compared.")
    uncertainties: Uncertainties = Field(
        Uncertainties(), description="Statistical uncertainties, systematic variations and toys."
    )
    diagnostics: Diagnostics = Field(Diagnostics(), description="How far results can be trusted.")
    execution: Execution = Field(Execution(), description="Jobs.")

    @property
    def others(self) -> list[Other]:
        """All samples but the simulation."""
        return others(self.samples, self.uncertainties)

    @model_validator(mode="after")
    def _samples_fit_together(self) -> Config:
        simulation = self.samples.simulation
        for other in self.others:
            for level in other.seen:
                if of_level(self.classifier.features, level) in ALL_COLUMNS:
                    _same_columns(other.where, other.sample, simulation, level)
            _same_units(other.where, other.sample, simulation)
        return self

    @model_validator(mode="after")
    def _observables_suit_the_source(self) -> Config:
        if not self.observables.names:
            given = self.observables.model_dump(exclude_unset=True)
            compared = {
                level: [other.sample for other in self.others if level in other.compared]
                for level in LEVELS
            }
            suited = self.samples.simulation.observables(compared)
            if suited.get("names") == []:
                raise ValueError(
                    "observables: the samples have no column in common; say by observables.define "
                    "what is compared"
                )
            found = Observables.model_validate(given | suited)
            self.__dict__["observables"] = found  # the only change of a section after it was read
        return self

    @model_validator(mode="after")
    def _pretraining_is_there(self) -> Config:
        for name, method in self.methods.items():
            if method.start != "scratch" and self.samples.pretraining is None:
                raise ValueError(
                    f"methods.{name}.start is {method.start!r} but samples.pretraining is missing"
                )
            files = self.samples.pretraining.weights if self.samples.pretraining else ()
            if files and method.transfer.models > len(files):
                raise ValueError(
                    f"methods.{name}.transfer.models is {method.transfer.models} but "
                    f"samples.pretraining.weights has {len(files)} file(s)"
                )
        return self

    @model_validator(mode="after")
    def _members_differ(self) -> Config:
        for name, method in self.methods.items():
            if method.diversity == "dropout" and self.classifier.dropout == 0:
                raise ValueError(
                    f"methods.{name}.diversity is 'dropout' but classifier.dropout is 0: all "
                    "members would be the same"
                )
        return self

    @model_validator(mode="after")
    def _targets_are_of_observables(self) -> Config:
        for name, method in self.methods.items():
            for observable in method.until.observables if method.until else ():
                if observable not in self.observables.names:
                    raise ValueError(
                        f"methods.{name}.until.observables: there is no observable "
                        f"{observable!r}; there are {', '.join(self.observables.names)}"
                    )
        return self

    @model_validator(mode="after")
    def _folds_of_whole_networks(self) -> Config:
        for name, method in self.methods.items():
            if self.training.folds > 1 and method.aggregate == "stacking":
                raise ValueError(
                    f"methods.{name}: stacking needs events that all members hold out, which there "
                    "are not with training.folds above 1"
                )
            if self.training.folds > 1 and method.diversity == "dropout":
                raise ValueError(
                    f"methods.{name}: diversity: dropout has one network per member, which "
                    "training.folds above 1 makes several; use one of the two"
                )
        return self

    @model_validator(mode="after")
    def _folds_hide_events_from_pretraining(self) -> Config:
        if self.training.folds > 1:
            self._refuse_known_events("training.folds above 1", "the events that they predict")
        return self

    def _refuse_known_events(self, key: str, events: str) -> None:
        """Refuse pre-trained networks that may have seen the events of the study."""
        pair = self.samples.pretraining
        why = f"networks must not start from one that has seen {events}"
        if pair is not None and pair.allow_overlap:
            raise ValueError(f"{key} needs samples.pretraining.allow_overlap: false: {why}")
        if pair is not None and pair.known == "unknown":
            raise ValueError(
                f"{key} does not go with samples.pretraining.weights: {why}, and files do not tell "
                "what they were trained on. If it was other events than this study's, declare it "
                "by samples.pretraining.other_events: true"
            )

    @model_validator(mode="after")
    def _reserved_events_stay_unseen(self) -> Config:
        if self.training.reserved and self.training.folds > 1:
            raise ValueError(
                "training.reserved does not go with training.folds above 1, whose networks are "
                "judged on the events of their fold; use one of the two"
            )
        if self.training.reserved:
            self._refuse_known_events("training.reserved", "the reserved events")
        return self

    @model_validator(mode="after")
    def _options_act(self) -> Config:
        training, optimizer = self.training, self.training.optimizer
        for key, optimizers in ACTS_ON.items():
            default = type(training).model_fields[key].default
            if getattr(training, key) != default and optimizer not in optimizers:
                raise ValueError(
                    f"training.{key} does not act on training.optimizer: {optimizer} (but on "
                    f"{', '.join(optimizers)}); leave it out"
                )
        for name, method in self.methods.items():
            if method.members == 1 and method.aggregate != "mean":
                raise ValueError(
                    f"methods.{name}.aggregate combines members, of which there is one; set "
                    "members, or leave aggregate out (lanes are combined by combine)"
                )
        return self

    @model_validator(mode="after")
    def _rate_factor_of_the_optimizer(self) -> Config:
        if self.training.optimizer == "ecd" and self.unfolding.restart.rate_factor != 1:
            raise ValueError(
                "unfolding.restart.rate_factor does not act on training.optimizer: ecd; leave it "
                "out"
            )
        return self

    @model_validator(mode="after")
    def _transfer_of_the_optimizer(self) -> Config:
        for name, method in self.methods.items():
            if self.training.optimizer == "ecd" and method.transfer.acts:
                raise ValueError(
                    f"methods.{name}.transfer does not go with training.optimizer: ecd, which "
                    "moves all parameters along one direction; choose another optimizer, or leave "
                    "transfer out"
                )
        return self

    @model_validator(mode="after")
    def _samples_are_disjoint(self) -> Config:
        samples, pair = self.samples, self.samples.pretraining
        nominal = {"samples.data": samples.data, "samples.simulation": samples.simulation}
        for name, background in samples.backgrounds.items():
            nominal[f"samples.backgrounds.{name}"] = background.sample
        given = {} if pair is None or pair.allow_overlap else pair.samples
        pretraining = {f"samples.pretraining.{key}": sample for key, sample in given.items()}
        varied = {
            f"uncertainties.variations.{name}.{role}": getattr(variation, role)
            for name, variation in self.uncertainties.variations.items()
            for role in ("data", "simulation")
            if getattr(variation, role) is not None
        }
        predictions = {
            f"uncertainties.predictions.{name}": sample
            for name, sample in self.uncertainties.predictions.items()
        }
        kinds = (nominal, pretraining, varied, predictions)
        toys = [self._toys(role) for role in ("data", "simulation")]
        pairs = independent(*(tuple(kind.items()) for kind in kinds), *toys)
        for (one, a), (two, b) in pairs:
            if not a.shares(b):
                continue
            mend = "give another seed, other files, or other records (skip, events)"
            if two.startswith("uncertainties.toys"):
                mend = (
                    "toys follow the sample that they replace: "
                    f"for {one} {mend}, or lower uncertainties.toys"
                )
            elif one in predictions:
                mend = "they are compared anyway: give others, or leave the prediction out"
            raise ValueError(
                f"{one} and {two} hold the same events ({a.extent()}; {b.extent()}); {mend}"
            )
        return self

    def _toys(self, role: str) -> list[tuple[str, Sample]]:
        """Return the samples of toys of a role."""
        sample, toys = getattr(self.samples, role), self.uncertainties.toys
        if not toys or role not in self.uncertainties.drawn_in_toys:
            return []
        if sample.events is None:
            raise ValueError(
                f"uncertainties.toys: needs samples.{role}.events, to take those after"
            )
        name = "uncertainties.toys" if role == "data" else f"uncertainties.toys ({role})"
        return [(name, each) for each in sample.following(toys)]

    @model_validator(mode="after")
    def _uncertainties_fit(self) -> Config:
        settings, data = self.uncertainties, self.samples.data
        for name in settings.methods:
            if name not in self.methods:
                raise ValueError(f"uncertainties.methods: there is no method {name!r}")
        if settings.passes > self.study.passes:
            raise ValueError("uncertainties.passes is more than study.passes")
        for role in ("data", "simulation"):
            given = getattr(self.samples, role).given_replicas()
            asked = getattr(settings, f"{role}_replicas")
            if given and asked > given:
                raise ValueError(
                    f"uncertainties.{role}_replicas is {asked}, but samples.{role}.replicas has "
                    f"{given} weights; lower it, or leave replicas out to have them drawn"
                )
        named = self.samples.simulation.named_weights()
        for name, variation in settings.variations.items():
            weights = variation.simulation_weights
            if isinstance(weights, str) and named is not None and weights not in named:
                raise ValueError(
                    f"uncertainties.variations.{name}.simulation_weights: samples.simulation has "
                    f"no weights {weights!r}; it has {', '.join(named) or 'none by name'}"
                )
            for key in variation.backgrounds:
                known = self.samples.backgrounds.get(key)
                if known is None or known.uncertainty == 0:
                    raise ValueError(
                        f"uncertainties.variations.{name}.backgrounds: samples.backgrounds has no "
                        f"{key!r} with an uncertainty"
                    )
            simulation = variation.simulation or self.samples.simulation
            if simulation.shares(variation.data or data):
                raise ValueError(
                    f"uncertainties.variations.{name}: data and simulation hold the same events"
                )
        return self

    @property
    def variations(self) -> dict[str, Variation]:
        """Systematic variations: those written down, then both sides of uncertain backgrounds.

        A background that a variation names has what the user wrote and nothing more.
        """
        found = dict(self.uncertainties.variations)
        for key in self._varied_backgrounds():
            for side, shift in zip(SIDES, (1.0, -1.0), strict=True):
                found[key + side] = Variation(backgrounds={key: shift})
        return found

    def _varied_backgrounds(self) -> list[str]:
        """Return the backgrounds whose variations nobody wrote down."""
        settings = self.uncertainties
        named = {key for v in settings.variations.values() for key in v.backgrounds}
        uncertain = (k for k, b in self.samples.backgrounds.items() if b.uncertainty > 0)
        return [key for key in uncertain if key not in named] if settings.varies else []

    @model_validator(mode="after")
    def _variations_of_backgrounds_have_names(self) -> Config:
        for key in self._varied_backgrounds():
            taken = {key, *(key + side for side in SIDES)} & set(self.uncertainties.variations)
            if taken or RESERVED.fullmatch(key):
                name = min(taken, default=key)
                raise ValueError(
                    f"samples.backgrounds.{key}: gets the variations {key}_up and {key}_down, the "
                    f"block {key!r}, but {name!r} is the name of something else; rename one of "
                    "the two, or write variations of the background under "
                    "uncertainties.variations"
                )
        return self

    @model_validator(mode="after")
    def _predictions_are_something_else(self) -> Config:
        for name in self.uncertainties.predictions:
            where = f"uncertainties.predictions.{name}"
            if name in self.variations:
                raise ValueError(
                    f"{where}: there is a variation of this name, whose simulation is a prediction "
                    "already; choose another name, or leave it out"
                )
        return self

    @field_validator("combine")
    @classmethod
    def _combinations_are_unique(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(value)) != len(value):
            raise ValueError("each combination may be named once")
        return value
