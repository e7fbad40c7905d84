"""Configuration of what networks see."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, model_validator

from omniflow import registry
from omniflow.config.expressions import Expression
from omniflow.config.kinds import ROOT, recorded
from omniflow.config.section import Section
from omniflow.errors import ConfigError


def _by_name(value: Any) -> Any:
    """Return features by name: those of a list are called by their expressions."""
    return {text: text for text in value} if isinstance(value, list | tuple) else value


Expressions = Annotated[dict[str, Expression], BeforeValidator(_by_name)]


class FeatureSection(Section):
    """What networks see, by expressions over the columns of a sample (docs/features.md)."""

    particles: Expressions = Field(
        {}, description="Features of particles: a list of expressions, or name: expression."
    )
    event: Expressions = Field({}, description="Features of events, in the same form.")
    neighbours: tuple[Expression, Expression] | None = Field(
        None,
        description="Coordinates of particles, the second an angle in rad, in which the nearest "
        "ones are the neighbours of a PET.",
    )
    define: Expressions = Field(
        {}, description="Columns that the other expressions may use, each after those it needs."
    )

    @model_validator(mode="after")
    def _something_to_see(self) -> Self:
        if not self.particles and not self.event:
            raise ValueError("give features: particles, event or both")
        return self


def _located(value: Any, info: ValidationInfo) -> Any:
    """Return a preset's name, a user's own with the file of its module."""
    if isinstance(value, str):
        return registry.located("features", value, (info.context or {}).get(ROOT))
    if isinstance(value, Mapping | FeatureSection):
        return value
    raise ValueError("give the name of a preset, `module:object`, or a section of expressions")


def _known(value: str | FeatureSection, info: ValidationInfo) -> str | FeatureSection:
    if isinstance(value, str) and value != "auto" and not recorded(info.context):
        try:
            registry.require("features", value)
        except ConfigError as error:
            raise ValueError(str(error)) from error
    return value


Features = Annotated[str | FeatureSection, BeforeValidator(_located), AfterValidator(_known)]
