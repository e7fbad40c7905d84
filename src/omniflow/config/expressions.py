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
    return _checked(text, indices=False)


def _parsed_of_files(text: str) -> str:
    return _checked(text, indices=True)


def _checked(text: str, *, indices: bool) -> str:
    try:
        expressions.parse(text, indices=indices)
    except ConfigError as error:
        raise ValueError(str(error)) from error
    return text


# An expression over columns of a sample (docs/expressions.md).
Expression = Annotated[str, BeforeValidator(_text), AfterValidator(_parsed)]
# An expression over columns of files, whose names may have indices.
FileExpression = Annotated[str, BeforeValidator(_text), AfterValidator(_parsed_of_files)]
