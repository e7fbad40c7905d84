"""Configuration of the input events."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator, Sequence
from itertools import combinations, product
from typing import Annotated, Literal, TypeVar

from pydantic import Field, field_validator, model_validator

from omniflow.config.paths import ExpandedPath
from omniflow.config.section import Name, Positive, Section


class PythiaSample(Section):
    """High-Q2 DIS events generated with Pythia 8 and a parametrised detector."""

    source: Literal["pythia"]
    events: Positive = Field(description="Generated records (about half pass the detector cuts).")
    seed: int = Field(ge=1, le=900_000_000, description="Seed of the generator and the detector.")
    shower: Literal["simple", "vincia"] = Field("simple", description="Parton shower model.")
    pdf: int = Field(13, ge=1, le=22, description="Pythia's PDF:pSet of the proton.")
    factorisation_scale: float = Field(
        1.0, gt=0, description="Pythia's SigmaProcess:factorMultFac, factor on the squared scale."
    )
    lepton: Literal["positron", "electron"] = Field("positron", description="Beam lepton.")
    settings: tuple[str, ...] = Field(
        (), description="Further Pythia settings, one `Key:name = value` each, applied last."
    )

    @field_validator("settings")
    @classmethod
    def _settings_are_assignments(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for line in value:
            if not re.fullmatch(r"[A-Za-z0-9:()]+ *= *\S.*", line):
                raise ValueError(f"{line!r} is not of the form 'Key:name = value'")
        return value


class H1Sample(Section):
    """Events in the padded HDF5 layout of the public H1 code (docs/formats.md)."""

    source: Literal["h1"]
    files: tuple[ExpandedPath, ...] = Field(
        min_length=1, description="HDF5 files, read in this order as one sample."
    )
    events: Positive | None = Field(None, description="Use only the first so many records.")
    skip: int = Field(0, ge=0, description="Leave out the first so many records.")


Sample = Annotated[PythiaSample | H1Sample, Field(discriminator="source")]
T = TypeVar("T")
# Keras knows its files by this ending.
_WEIGHTS = r"\.weights\.h5$"
WeightsFile = Annotated[
    ExpandedPath, Field(pattern=_WEIGHTS, json_schema_extra={"pattern": _WEIGHTS})
]


class Pretraining(Section):
    """Where pre-trained networks come from: two simulations, one simulation, or files.

    Two (`numerator` and `denominator`) are separated at detector level; of one (`simulation`) the
    detector level is separated from the particle level; `weights` are trained already.
    """

    numerator: Sample | None = Field(None, description="Class A (label 1), with `denominator`.")
    denominator: Sample | None = Field(None, description="Class B (label 0), with `numerator`.")
    simulation: Sample | None = Field(
        None,
        description="Simulation alone: class A are its events as measured, class B the same "
        "events before the detector, both of those that pass at both levels.",
    )
    weights: tuple[WeightsFile, ...] = Field(
        (),
        description="Networks of an earlier study, one file of its `pretraining` or `networks` "
        "folders each. Classifier, features and their scaling must fit.",
    )
    allow_overlap: bool = Field(
        False,
        description="Permit events that also stand in data or simulation, as in the paper; "
        "pre-trained networks have then seen what they are trained on later.",
    )
    other_events: bool = Field(
        False,
        description="Declares that the networks of `weights` were trained on none of the events of "
        "this study, which the files do not tell. `training.reserved` and `training.folds` above 1 "
        "need it.",
    )

    @model_validator(mode="after")
    def _is_of_one_kind(self) -> Pretraining:
        pair = self.numerator is not None, self.denominator is not None
        if pair[0] != pair[1]:
            missing = "denominator" if pair[0] else "numerator"
            raise ValueError(f"{missing} is missing: the two samples come together")
        if sum((all(pair), self.simulation is not None, bool(self.weights))) != 1:
            raise ValueError(
                "give one of: numerator and denominator (two simulations), simulation (one), "
                "weights (files of networks)"
            )
        return self

    @model_validator(mode="after")
    def _declares_what_cannot_be_seen(self) -> Pretraining:
        if self.other_events and not self.weights:
            raise ValueError("other_events is for weights: samples are compared; leave it out")
        if self.other_events and self.allow_overlap:
            raise ValueError("other_events and allow_overlap contradict each other; give one")
        return self

    @property
    def known(self) -> Literal["others", "declared", "overlap", "unknown"]:
        """What is known of the events that pre-trained networks have seen.

        They are others than the study's, are declared to be, may be the same, or are not known.
        """
        if self.other_events:
            return "declared"
        if self.weights:
            return "unknown"
        return "overlap" if self.allow_overlap else "others"

    @property
    def samples(self) -> dict[str, Sample]:
        """Samples by key."""
        keys = ("numerator", "denominator", "simulation")
        return {key: getattr(self, key) for key in keys if getattr(self, key) is not None}


class Background(Section):
    """A process that the data contain and that is not unfolded: subtracted at detector level."""

    sample: Sample = Field(description="Its events; only their detector level is used.")
    factor: float = Field(
        1.0, gt=0, description="Factor on their weights: normalises them to the data's luminosity."
    )
    uncertainty: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Relative uncertainty of that factor. It enters the errors of the data at "
        "detector level and, through its covariance, those of the binned reference, and, with "
        "`uncertainties`, the covariance of the result: variations `<name>_up` and `<name>_down`.",
    )


class Samples(Section):
    """Input events: data (or pseudo-data), simulation, and those of pre-training."""

    data: Sample = Field(description="Data to unfold; pseudo-data keep their truth for the report.")
    simulation: Sample = Field(description="Simulated events with both levels.")
    backgrounds: dict[Name, Background] = Field(
        {}, description="What is subtracted from the data, by negative weights in class A."
    )
    pretraining: Pretraining | None = Field(
        None, description="Needed by methods that start from a pre-trained network."
    )


def share_events(a: PythiaSample | H1Sample, b: PythiaSample | H1Sample) -> bool:
    """Return whether two samples share events as far as their configuration tells."""
    if isinstance(a, PythiaSample) and isinstance(b, PythiaSample):
        return a.model_dump(exclude={"events"}) == b.model_dump(exclude={"events"})
    if isinstance(a, H1Sample) and isinstance(b, H1Sample):
        # Links and other spellings of a path lead to the same file.
        files = [[os.path.realpath(name) for name in sample.files] for sample in (a, b)]
        if files[0] == files[1]:  # records are counted over the files in order
            ends = [s.skip + s.events if s.events else math.inf for s in (a, b)]
            return a.skip < ends[1] and b.skip < ends[0]
        return bool(set(files[0]) & set(files[1]))
    return False


def independent(
    nominal: Sequence[T],
    pretraining: Sequence[T],
    varied: Sequence[T],
    predictions: Sequence[T],
    toys: Sequence[T],
    toy_simulations: Sequence[T] = (),
) -> Iterator[tuple[T, T]]:
    """Yield the pairs of samples (or of their names) that must not share events.

    Args:
        nominal: data, simulation, then backgrounds.
        pretraining: those of pre-training, unless they may overlap.
        varied: data and simulations of systematic variations.
        predictions: what the result is only compared with.
        toys: further records of the data.
        toy_simulations: further records of the simulation, where toys take them.
    """
    data, simulation, *backgrounds = nominal
    yield from combinations([*nominal, *pretraining], 2)
    yield from product(varied, [*backgrounds, *pretraining])
    yield from product(predictions, (data, simulation))
    others = [simulation, *backgrounds, *pretraining, *varied, *predictions]
    yield from product(others, toys)
    yield from product([*nominal, *pretraining, *toys], toy_simulations)


def extent(sample: PythiaSample | H1Sample) -> str:
    """Return which events a sample takes from its source, for messages."""
    if isinstance(sample, PythiaSample):
        return f"seed {sample.seed}"
    more = " and others" if len(sample.files) > 1 else ""
    last = f"{sample.skip} to {sample.skip + sample.events - 1}" if sample.events else ""
    return f"records {last or f'from {sample.skip}'} of {sample.files[0]}{more}"


def next_sample(sample: PythiaSample | H1Sample, number: int) -> PythiaSample | H1Sample:
    """Return a sample of the same kind as this one without its events.

    A generator gets another seed, files are read farther on; `number` counts from 1.
    """
    if isinstance(sample, PythiaSample):
        seed = 1 + (sample.seed - 1 + 100_003 * number) % 900_000_000
        return sample.model_copy(update={"seed": seed})
    return sample.model_copy(update={"skip": sample.skip + number * (sample.events or 0)})
