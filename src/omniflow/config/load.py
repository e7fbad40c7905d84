"""Loading, validating and dumping configurations."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from omniflow.config.schema import Config
from omniflow.config.text import combined, mapping
from omniflow.errors import ConfigError


def load(*paths: str | Path, settings: Iterable[str] = ()) -> Config:
    """Return the validated configuration of YAML files, each on top of those before.

    Args:
        paths: YAML files.
        settings: on top of the files, `key=value` each (`text.combined`).

    Raises:
        ConfigError: file missing, not YAML, or not valid; the message lists every problem.
    """
    given = tuple(settings)
    where = ", ".join([*map(str, paths), *(["--config"] if given else [])])
    roots = dict.fromkeys(Path(path).absolute().parent for path in reversed(paths))
    return validate(combined(paths, given), where, tuple(roots))


def validate(raw: object, where: str = "configuration", roots: Sequence[Path] = ()) -> Config:
    """Return the configuration that the mapping `raw` describes.

    Args:
        raw: the mapping.
        where: names it in messages.
        roots: folders in which modules are looked for, the first one first; none: the current one.

    Raises:
        ConfigError: with one line per problem: `where`, key, value, and the nearest valid key.
    """
    given = mapping(raw, where)
    try:
        return Config.model_validate(given, context={"roots": roots})
    except ValidationError as error:
        lines = [_describe(item) for item in error.errors(include_url=False)]
        raise ConfigError(f"{where}: {len(lines)} problem(s)\n  " + "\n  ".join(lines)) from error


def dump(config: Config) -> str:
    """Return the resolved configuration, defaults included, as YAML."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, width=100)


def _describe(item: dict[str, Any]) -> str:
    location = [str(part) for part in item["loc"]]
    # Union tags ("pythia") stand in pydantic's location although no user wrote them as keys.
    written = [part for part in location if part not in ("pythia", "h1")]
    key = ".".join(written) or "(top level)"
    if item["type"] == "extra_forbidden":
        names = _field_names(location[:-1])
        near = difflib.get_close_matches(location[-1], names, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"valid keys: {', '.join(names)}"
        return f"{key}: unknown key; {hint}"
    if item["type"] == "missing":
        return f"{key}: is required but missing"
    message = item["msg"].removeprefix("Value error, ")
    value = item.get("input")
    shown = "" if isinstance(value, Mapping | BaseModel) else f" (got {value!r})"
    return f"{key}: {message}{shown}"


def _field_names(location: list[str]) -> list[str]:
    """Return the keys valid at `location`, following models, dicts and unions."""
    models: list[type[BaseModel]] = [Config]
    for part in location:
        found: list[type[BaseModel]] = []
        for model in models:
            if part in model.model_fields:
                found += _models_in(model.model_fields[part].annotation)
        if found:
            models = found
            continue
        tagged = [
            model
            for model in models
            if "source" in model.model_fields
            and part in get_args(model.model_fields["source"].annotation)
        ]
        models = tagged or models
    return sorted({name for model in models for name in model.model_fields})


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models_in(part)]
