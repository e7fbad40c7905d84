"""What all sections of the configuration share."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from omniflow.config.choice import Choice

LEVELS = ("detector", "particle")
Combination = Annotated[str, Choice("omniflow.unfolding.combine:FUNCTIONS")]
Aggregation = Annotated[str, Choice("omniflow.unfolding.combine:FUNCTIONS", "stacking")]
NAME = r"^[a-z0-9][a-z0-9_-]*$"
Name = Annotated[str, Field(pattern=NAME, max_length=60)]
Positive = Annotated[int, Field(ge=1)]
Rate = Annotated[float, Field(gt=0, le=1)]


_PERCENT = r"^\s*([0-9]*\.?[0-9]+)\s*%\s*$"


def _percent(given: object) -> object:
    """Return the number that a text such as `1%` stands for; anything else as it is."""
    found = re.match(_PERCENT, given) if isinstance(given, str) else None
    return float(found[1]) / 100 if found else given


# 0.01, or the same as `1%`.
Fraction = Annotated[
    float,
    BeforeValidator(_percent),
    Field(gt=0),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "exclusiveMinimum": 0},
                {"type": "string", "pattern": _PERCENT},
            ]
        }
    ),
]


class Section(BaseModel):
    """Base of all sections: unknown keys are errors, values are immutable."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
