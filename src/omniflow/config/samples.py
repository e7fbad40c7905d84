"""Configuration of the input events."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations, product
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from pydantic import Field, model_validator

from omniflow.config.kinds import Kind
from omniflow.config.paths import ExpandedPath
from omniflow.config.section import Name, Section

if TYPE_CHECKING:
    from omniflow.sources.source import Source

    Sample = Source
else:
    Sample = Annotated[Any, Kind("source")]
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
