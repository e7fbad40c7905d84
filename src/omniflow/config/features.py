"""Configuration of what networks see."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    ValidationError,
    ValidationInfo,
    model_validator,
)

from omniflow import registry
from omniflow.config.expressions import Expression
from omniflow.config.kinds import ROOT, Refused, recorded
from omniflow.config.section import Section
from omniflow.errors import ConfigError


def _by_name(value: Any) -> Any:
    """Return features by name: those of a list are called by their expressions."""
    return {text: text for text in value} if isinstance(value, list | tuple) else value


Expressions = Annotated[dict[str, Expression], BeforeValidator(_by_name)]


class FeatureSection(Section):
    """What networks see, by expressions over the columns of a level (docs/features.md)."""

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
    if isinstance(value, Mapping):
        return _section(FeatureSection, value, info)
    if isinstance(value, Section):
        return value
    raise ValueError("give the name of a preset, `module:object`, or a section of expressions")


def _section(model: type[Section], value: Mapping[str, Any], info: ValidationInfo) -> Section:
    """Return a section of a model, whose own complaints tell more than those of a union."""
    try:
        return model.model_validate(value, context=info.context)
    except ValidationError as error:
        raise Refused(model, error) from error


def _known(value: str | Section, info: ValidationInfo) -> str | Section:
    if isinstance(value, str) and value != "auto" and not recorded(info.context):
        try:
            registry.require("features", value)
        except ConfigError as error:
            raise ValueError(str(error)) from error
    return value


OneLevel = Annotated[str | FeatureSection, BeforeValidator(_located), AfterValidator(_known)]


class LevelFeatures(Section):
    """What networks see at either level, where that differs (docs/features.md)."""

    detector: OneLevel = Field(
        "auto", description="Of steps 1 and 2b: a preset, `module:object`, or expressions."
    )
    particle: OneLevel = Field("auto", description="Of steps 2 and 1b, in the same form.")


def _by_level(value: Any, info: ValidationInfo) -> Any:
    if isinstance(value, Mapping) and set(value) & set(LevelFeatures.model_fields):
        return _section(LevelFeatures, value, info)
    return _located(value, info)


Features = Annotated[
    str | FeatureSection | LevelFeatures, BeforeValidator(_by_level), AfterValidator(_known)
]


def of_level(features: str | FeatureSection | LevelFeatures, level: str) -> str | FeatureSection:
    """Return what networks see at `detector` or `particle` level."""
    return getattr(features, level) if isinstance(features, LevelFeatures) else features
