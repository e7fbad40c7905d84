"""Kinds: sections whose model the configuration names by one of their keys.

The names stand in `omniflow.registry`; a model is loaded when a configuration names it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationError
from pydantic_core import core_schema

from omniflow import outside, registry
from omniflow.errors import ConfigError

# In the context of a validation: the folder of the configuration, and models by room that stand for
# those of the kinds, which are not loaded then.
ROOT, STAND_IN = "root", "stand_in"
ROOM = "x-room"  # in JSON schemas: stands for the models of a room


def recorded(context: Mapping[str, Any] | None) -> bool:
    """Return whether the section is of a study that has been run, whose results are read.

    What it names has been there, and need not be there now.
    """
    return bool((context or {}).get(STAND_IN))


def must_exist(context: Mapping[str, Any] | None) -> bool:
    """Return whether what a section names has to be there.

    Not where results are read, nor where a section is read alone.
    """
    return context is not None and not recorded(context)


class Refused(ValueError):
    """A section that its own model refuses."""

    def __init__(self, model: type[BaseModel], error: ValidationError) -> None:
        """Take the model and what it says."""
        super().__init__(str(error))
        self.model = model
        self.error = error


class Kind:
    """Annotation of a field whose model is named by the key `room` of its value."""

    def __init__(self, room: str) -> None:
        """Take the room of the registry, which is the name of the key too."""
        self.room = room

    def __get_pydantic_core_schema__(
        self, annotation: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        """Return a schema that validates by the named model."""
        return core_schema.with_info_plain_validator_function(self._validated)

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Return the room, in whose place `config.document` puts the schemas of its models."""
        return {ROOM: self.room}

    def _validated(self, value: Any, info: core_schema.ValidationInfo) -> BaseModel:
        if isinstance(value, BaseModel):
            return value
        if not isinstance(value, Mapping):
            raise ValueError(f"must be a section with the key {self.room!r}")
        name = value.get(self.room)
        if not isinstance(name, str):
            known = ", ".join(registry.names(self.room))
            raise ValueError(f"needs the key {self.room!r}: {known}, or `module:object`")
        context = info.context or {}
        if stand_in := context.get(STAND_IN, {}).get(self.room):
            return stand_in.model_validate(value)
        root = context.get(ROOT)
        located = registry.located(self.room, name, None if root is None else Path(root))
        try:
            model = registry.find(self.room, located)
        except ConfigError as error:
            raise ValueError(str(error)) from error
        if not (isinstance(model, type) and issubclass(model, BaseModel)):
            raise ValueError(f"{name!r} is not a class of a {self.room}")
        if missing := sorted(getattr(model, "__abstractmethods__", ())):
            raise ValueError(f"{name!r} lacks the method(s) {', '.join(missing)} of a {self.room}")
        try:
            # Without copies the models of sections of sections see the folder too.
            return model.model_validate({**value, self.room: located}, context=info.context)
        except ValidationError as error:
            raise Refused(model, error) from error


def reference(name: str, context: Mapping[str, Any] | None) -> str:
    """Return a `module:object` with its file, where that lies beside the configuration.

    Raises:
        ValueError: it is not of this form.
    """
    if not outside.is_reference(name):
        raise ValueError(f"{name!r} is not of the form `module:object`")
    root = (context or {}).get(ROOT)
    return outside.located(name, None if root is None else Path(root))
