"""Expressions in a configuration: text that is parsed when it is read."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator

from omniflow import expressions
from omniflow.errors import ConfigError


def _text(value: Any) -> Any:
    """Return numbers and names that YAML reads as such (1, true) as text."""
    return str(value) if isinstance(value, bool | int | float) else value


def _parsed(text: str) -> str:
    try:
        expressions.parse(text)
    except ConfigError as error:
        raise ValueError(str(error)) from error
    return text


# An expression over columns (docs/expressions.md).
Expression = Annotated[str, BeforeValidator(_text), AfterValidator(_parsed)]
