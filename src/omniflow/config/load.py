"""Loading, validating and dumping configurations."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from omniflow.config.kinds import ROOT, STAND_IN, Refused
from omniflow.config.schema import Config
from omniflow.config.text import combined, mapping
from omniflow.errors import ConfigError

M = TypeVar("M", bound=BaseModel)


def load(
    *paths: str | Path,
    settings: Iterable[str] = (),
    stand_in: Mapping[str, type[BaseModel]] | None = None,
) -> Config:
    """Return the validated configuration of YAML files, each on top of those before.

    Args:
        paths: YAML files.
        settings: on top of the files, `key=value` each (`text.combined`).
        stand_in: as in `validate`.

    Raises:
        ConfigError: file missing, not YAML, or not valid; the message lists every problem.
    """
    given = tuple(settings)
    where = ", ".join([*map(str, paths), *(["--config"] if given else [])])
    root = Path(paths[0]).parent if paths else None
    return validate(combined(paths, given), where, root, stand_in)


def validate(
    raw: object,
    where: str = "configuration",
    root: str | Path | None = None,
    stand_in: Mapping[str, type[BaseModel]] | None = None,
) -> Config:
    """Return the configuration that the mapping `raw` describes.

    Args:
        raw: the sections.
        where: names the configuration in messages.
        root: the folder that modules of the user (`module:object`) are looked for in first.
        stand_in: models by room of the registry in place of those of the kinds, which then are
            not loaded: of a study that has been run results are read, and no code.

    Raises:
        ConfigError: with one line per problem: `where`, key, value, and the nearest valid key.
    """
    return validate_section(Config, raw, where, {ROOT: root, STAND_IN: stand_in or {}})


def validate_section(
    model: type[M], raw: object, where: str, context: Mapping[str, Any] | None = None
) -> M:
    """Return the section that the mapping `raw` describes.

    Args:
        model: of the section.
        raw: its keys and values.
        where: names it in messages.
        context: what its validators are told.

    Raises:
        ConfigError: as of `validate`.
    """
    given = mapping(raw, where)
    try:
        return model.model_validate(given, context=context)
    except ValidationError as error:
        lines = list(_problems(error, model, []))
        raise ConfigError(f"{where}: {len(lines)} problem(s)\n  " + "\n  ".join(lines)) from error


def dump(config: Config) -> str:
    """Return the resolved configuration, defaults included, as YAML."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, width=100)


def _problems(error: ValidationError, model: type[BaseModel], at: list[str]) -> Iterator[str]:
    """Yield a line per problem; `at` is where the section of `model` stands."""
    for item in error.errors(include_url=False):
        location = [str(part) for part in item["loc"]]
        refused = item.get("ctx", {}).get("error")
        if isinstance(refused, Refused):
            yield from _problems(refused.error, refused.model, [*at, *location])
        else:
            yield _describe(item, model, location, at)


def _describe(
    item: ErrorDetails, model: type[BaseModel], location: list[str], at: list[str]
) -> str:
    key = ".".join([*at, *location]) or "(top level)"
    if item["type"] == "extra_forbidden":
        names = _field_names(model, location[:-1])
        near = difflib.get_close_matches(location[-1], names, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"valid keys: {', '.join(names)}"
        return f"{key}: unknown key; {hint}"
    if item["type"] == "missing":
        return f"{key}: is required but missing"
    message = item["msg"].removeprefix("Value error, ")
    value = item.get("input")
    return f"{key}: {message}{_shown(value)}"


def _shown(value: object) -> str:
    """Return what was given, as far as it fits into a line."""
    if isinstance(value, Mapping | BaseModel):
        return ""
    text = " ".join(repr(value).split())
    return f" (got {text if len(text) <= 200 else text[:200] + '...'})"


def _field_names(model: type[BaseModel], location: list[str]) -> list[str]:
    """Return the keys valid at `location` below `model`, following models, dicts and unions."""
    models: list[type[BaseModel]] = [model]
    for part in location:
        found: list[type[BaseModel]] = []
        for each in models:
            if part in each.model_fields:
                found += _models_in(each.model_fields[part].annotation)
        models = found or models
    return sorted({name for each in models for name in each.model_fields})


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models_in(part)]
