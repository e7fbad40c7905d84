"""Reading and validating configuration files."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from omniflow.config.schema import Config
from omniflow.errors import ConfigError


class _UniqueKeyLoader(yaml.SafeLoader):
    """Safe YAML loader that refuses a key given twice (YAML would keep the last, silently)."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, str) and key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"key {key!r} is given twice", key_node.start_mark
                )
            seen.add(str(key))
        return super().construct_mapping(node, deep)


# YAML 1.1 reads 2e-5 as a string; physicists write it, so accept it as a number.
_UniqueKeyLoader.yaml_implicit_resolvers = {
    key: list(value) for key, value in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_UniqueKeyLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"),
    list("-+0123456789"),
)


def load(path: str | Path) -> Config:
    """Read a YAML file and return the validated configuration.

    Raises:
        ConfigError: file missing, not YAML, or not valid; the message lists every problem.
    """
    return validate(read(path), str(path))


def read(path: str | Path) -> object:
    """Return the content of a YAML file, by the safe loader.

    Raises:
        ConfigError: file missing, not YAML, or a key given twice.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{path}: cannot be read ({error}). Give the path of a YAML file."
        ) from error
    try:
        return yaml.load(text, Loader=_UniqueKeyLoader)  # a SafeLoader
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: is not valid YAML: {error}") from error


def validate(raw: object, where: str = "configuration") -> Config:
    """Return the configuration that the mapping `raw` describes.

    Raises:
        ConfigError: with one line per problem: `where`, key, value, and the nearest valid key.
    """
    if not isinstance(raw, Mapping):
        raise ConfigError(f"{where}: must be a mapping of sections, got {type(raw).__name__}")
    try:
        return Config.model_validate(dict(raw))
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
