"""What all sections of the configuration share."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from omniflow.config.choice import Choice

LEVELS = ("detector", "particle")
Combination = Annotated[str, Choice("omniflow.unfolding.combine:FUNCTIONS")]
Aggregation = Annotated[str, Choice("omniflow.unfolding.combine:FUNCTIONS", "stacking")]
NAME = r"^[a-z0-9][a-z0-9_-]*$"
Name = Annotated[str, Field(pattern=NAME, max_length=60)]
Positive = Annotated[int, Field(ge=1)]
Rate = Annotated[float, Field(gt=0, le=1)]


class Section(BaseModel):
    """Base of all sections: unknown keys are errors, values are immutable."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
