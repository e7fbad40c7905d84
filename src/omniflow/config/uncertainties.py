"""Configuration of statistical uncertainties, systematic variations and toys."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import Field, field_validator, model_validator

from omniflow.config.paths import ExpandedPath
from omniflow.config.samples import Sample
from omniflow.config.section import Name, Positive, Section

# Names of blocks of a covariance, and of the variants that numbers of replicas and toys make.
RESERVED = re.compile(r"(nominal|truth|training|prediction|total|(data|simulation|toy)(-\d+)?)")
# Sides of a two-sided variation, at the end of its name.
SIDES = ("_up", "_down")
Replicas = Annotated[int, Field(ge=0)]


class EventWeights(Section):
    """One factor per simulated event, which multiplies its weight."""

    files: tuple[ExpandedPath, ...] = Field(
        min_length=1,
        description="HDF5 files, read in this order as one array; entry k belongs to the event "
        "with event id k (record k of the sample's files in their order).",
    )
    dataset: str = Field(min_length=1, description="Dataset (n,) of the factors in every file.")


class Variation(Section):
    """A systematic variation: what takes the place of the nominal inputs."""

    simulation: Sample | None = Field(
        None, description="Simulation that takes the place of samples.simulation."
    )
    simulation_weights: Name | EventWeights | None = Field(
        None,
        description="Weights of the nominal simulation, at both levels: the name of one of "
        "`samples.simulation.weights`, which takes the place of its weight, or factors from files.",
    )
    data: Sample | None = Field(None, description="Data that take the place of samples.data.")
    backgrounds: dict[Name, float] = Field(
        {},
        description="Shifts of the normalisation of samples.backgrounds, in units of their "
        "uncertainty: 1 in a variation `x_up` and -1 in `x_down`.",
    )

    @model_validator(mode="after")
    def _something_varies(self) -> Variation:
        if self.simulation is not None and self.simulation_weights is not None:
            raise ValueError("give simulation or simulation_weights, not both")
        if not (self.simulation or self.simulation_weights or self.data or self.backgrounds):
            raise ValueError("give simulation, simulation_weights, data or backgrounds")
        return self


class Uncertainties(Section):
    """Replicas, variations and toys: each is one more unfolding of the methods named here."""

    methods: tuple[Name, ...] = Field(
        (), description="Methods that get uncertainties; none named: the first of `methods`."
    )
    passes: Positive = Field(
        1,
        description="Passes of each replica, variation and toy, the first so many; averaged.",
    )
    data_replicas: Replicas = Field(
        0, description="Poisson bootstrap replicas of the data: the block `data`."
    )
    simulation_replicas: Replicas = Field(
        0, description="Poisson bootstrap replicas of the simulation: the block `simulation`."
    )
    variations: dict[Name, Variation] = Field(
        {},
        description="Systematic variations: one block each; `x_up` and `x_down` make the block x. "
        "Every background with an uncertainty that no variation names gets both sides by itself, "
        "where there are replicas, variations or toys.",
    )
    toys: Replicas = Field(
        0,
        description="Further sets of pseudo-data of the same kind (next seeds of a generator, or "
        "next records of files), on which pulls and coverage are measured.",
    )
    toy_simulations: bool = Field(
        False,
        description="Whether each toy takes further simulated events, too. Pulls are then divided "
        "by the error of data, simulation and training, whose coverage they measure.",
    )
    predictions: dict[Name, Sample] = Field(
        {},
        description="Samples with particle level that the result is tested against beside truth "
        "and simulation. They train nothing and are no systematic variation.",
    )

    @field_validator("data_replicas", "simulation_replicas")
    @classmethod
    def _a_scatter_takes_two(cls, value: int) -> int:
        if value == 1:
            raise ValueError("a covariance takes at least 2 replicas")
        return value

    @field_validator("variations", "predictions")
    @classmethod
    def _names_are_free(cls, value: dict[str, object]) -> dict[str, object]:
        for name in value:
            stem = name.removesuffix(SIDES[0])
            block = stem if stem + SIDES[1] in value else name
            if RESERVED.fullmatch(name) or RESERVED.fullmatch(block):
                raise ValueError(f"{name!r} is the name of something else; choose another")
        return value

    @model_validator(mode="after")
    def _simulations_are_those_of_toys(self) -> Uncertainties:
        if self.toy_simulations and not self.toys:
            raise ValueError("toy_simulations: there are no toys; set toys, or leave it out")
        return self

    @property
    def drawn_in_toys(self) -> tuple[str, ...]:
        """Samples that each toy has of its own."""
        return ("data", "simulation") if self.toy_simulations else ("data",)

    @property
    def varies(self) -> bool:
        """Whether anything is unfolded more than once."""
        return bool(self.data_replicas or self.simulation_replicas or self.variations or self.toys)
