"""JSON schema and reference page of the configuration, generated from its models.

`python -m omniflow.config.document`, run in the project's root, writes config/schema.json and
docs/configuration.md; a test compares both with the models.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from omniflow import registry
from omniflow.config.kinds import ROOM
from omniflow.config.schema import Config
from omniflow.errors import ConfigError
from omniflow.files import write_text

DIALECT = "https://json-schema.org/draft/2020-12/schema"
SCHEMA_FILE = Path("config", "schema.json")
PAGE_FILE = Path("docs", "configuration.md")

_HEAD = """\
# Configuration

<!-- Generated from src/omniflow/config/ by `python -m omniflow.config.document`; do not
edit. -->

One YAML file describes a study. Keys without a default are required; unknown keys are errors that
name the nearest valid key. `omniflow check CONFIG` prints the file with all defaults filled in.
With this first line editors complete keys and show these descriptions:

    # yaml-language-server: $schema=schema.json

The path is relative to the YAML file. How the settings act is told in
[the method's pages](method.md).

Of several files each is put on top of those before, key by key, and `--config` on top of all:
`omniflow check my.yaml other.yaml --config training='{epochs: 1e1}'` prints what
`snakemake --configfile my.yaml other.yaml --config training='{epochs: 1e1}'` runs. Anchors and
merge keys (`<<`) work. In paths `~`, `$NAME` and `${NAME}` stand for the home folder and
environment variables, which must be set, and `$$` for a dollar sign.
"""


def schema() -> dict[str, Any]:
    """Return the JSON schema of the configuration, in the order of the models."""
    generated = Config.model_json_schema()
    definitions = generated["$defs"]
    _fill_rooms(generated, definitions)
    generated["$defs"] = dict(sorted(definitions.items()))
    return {"$schema": DIALECT, **generated, "title": "Configuration of an omniflow study"}


def _fill_rooms(part: Any, definitions: dict[str, Any]) -> None:
    """Put references to the models of a room where `part` names it, and the models among them."""
    if isinstance(part, list):
        for item in part:
            _fill_rooms(item, definitions)
    elif isinstance(part, dict):
        for item in list(part.values()):
            _fill_rooms(item, definitions)
        if room := part.pop(ROOM, None):
            models = [registry.find(room, name) for name in registry.offered(room)]
            for model in models:
                found = model.model_json_schema()
                definitions |= found.pop("$defs", {}) | {model.__name__: found}
            own = f"Own{room.title()}"
            definitions[own] = _own(room)
            names = [*(model.__name__ for model in models), own]
            part["anyOf"] = [{"$ref": f"#/$defs/{name}"} for name in names]


def _own(room: str) -> dict[str, Any]:
    """Return the schema of a kind that lies outside the package."""
    name = {"type": "string", "pattern": ":", "description": "`module:object` (docs/outside.md)."}
    return {
        "title": f"Own{room.title()}",
        "description": f"A {room} of your own, with the keys that its class has.",
        "type": "object",
        "properties": {room: name},
        "required": [room],
    }


def schema_text() -> str:
    """Return the content of config/schema.json; keys are sorted, so that it changes little."""
    return json.dumps(schema(), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def page() -> str:
    """Return the content of docs/configuration.md: one table per section, in the models' order."""
    whole = schema()
    parts = [_HEAD]
    for title, keys, model in _sections(whole):
        parts.append(f"## {title}\n\n{_prose(model['description'])}\n")
        if keys:
            parts.append(f"Used as {', '.join(f'`{key}`' for key in keys)}.\n")
        parts.append(_table(model, whole))
    return "\n".join(parts)


def write(root: str | Path = ".") -> None:
    """Write both files under the project's root, atomically.

    Raises:
        ConfigError: `root` is not the root of the project.
    """
    root = Path(root)
    if not (root / "pyproject.toml").is_file():
        raise ConfigError(
            f"{root.resolve()}: has no pyproject.toml; run this in the project's root"
        )
    write_text(schema_text(), root / SCHEMA_FILE)
    write_text(page(), root / PAGE_FILE)


# -- sections ------------------------------------------------------------------------------


def _sections(whole: dict[str, Any]) -> Iterator[tuple[str, list[str], dict[str, Any]]]:
    """Yield title, keys and schema of every section, each once, the top level first."""
    places: dict[str, list[str]] = {}
    _place(whole, "", whole["$defs"], places)
    yield "Top level", [], whole
    for name, keys in places.items():
        yield _title(name), keys, whole["$defs"][name]


def _place(
    model: dict[str, Any], prefix: str, models: dict[str, Any], places: dict[str, list[str]]
) -> None:
    """Record at which dotted keys each model stands, in the order of the file."""
    for key, field in model["properties"].items():
        dotted = f"{prefix}{key}"
        if field.get("type") == "object" and "properties" not in field:
            dotted, field = f"{dotted}.<name>", _values(field)
        for name in _references(field):
            places.setdefault(name, []).append(dotted)
            _place(models[name], f"{dotted}.", models, places)


def _values(field: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of the values of a mapping."""
    if "patternProperties" in field:
        (values,) = field["patternProperties"].values()
        return values
    return field.get("additionalProperties", {})


def _references(field: dict[str, Any]) -> list[str]:
    """Return the names of the models that a field may be."""
    if options := field.get("anyOf") or field.get("oneOf"):
        return [name for option in options for name in _references(option)]
    if field.get("type") == "array":
        return _references(field.get("items", {}))
    return [field["$ref"].rpartition("/")[2]] if "$ref" in field else []


def _title(name: str) -> str:
    """Return the heading of a model: its class name as words."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name)
    return words[0] + words[1:].lower()


# -- tables --------------------------------------------------------------------------------


def _table(model: dict[str, Any], whole: dict[str, Any]) -> str:
    required = set(model.get("required", ()))
    rows = ["| key | type | default | description |", "|---|---|---|---|"]
    for key, field in model["properties"].items():
        default = "required" if key in required else _default(field)
        description = _prose(field.get("description", "Kind of the sample."))
        rows.append(f"| `{key}` | {_type(field, whole['$defs'])} | {default} | {description} |")
    return "\n".join(rows) + "\n"


def _default(field: dict[str, Any]) -> str:
    value = field["default"]
    if value is None:
        return "none"
    if isinstance(value, dict) and value:
        return "its defaults"
    text = json.dumps(value, ensure_ascii=False)
    return f"`{text if isinstance(value, dict | list) else str(value)}`"


def _type(field: dict[str, Any], models: dict[str, Any]) -> str:
    """Return a field's type and limits in words."""
    if "$ref" in field:
        title = _title(field["$ref"].rpartition("/")[2])
        return f"[{title}](#{title.lower().replace(' ', '-')})"
    options = field.get("anyOf") or field.get("oneOf")
    if options:
        return " or ".join(_type(option, models) for option in options)
    if "const" in field:
        return f"`{field['const']}`"
    if "enum" in field:
        return "one of " + ", ".join(f"`{value}`" for value in field["enum"])
    if field["type"] == "null":
        return "null"
    if "prefixItems" in field:
        return f"list of {', '.join(_type(item, models) for item in field['prefixItems'])}"
    if field["type"] == "array":
        if items := field.get("prefixItems"):
            return "list of " + ", ".join(_type(item, models) for item in items)
        least = f" of at least {field['minItems']}" if "minItems" in field else ""
        return f"list{least}, each {_type(field['items'], models)}"
    if field["type"] == "object":
        keys = field.get("propertyNames", {})
        names = _type(keys, models) if "enum" in keys else "a name"
        values = _values(field)
        return f"mapping from {names} to {_type(values, models) if values else 'any value'}"
    return _scalar(field)


def _scalar(field: dict[str, Any]) -> str:
    words = {"string": "text", "integer": "whole number", "number": "number", "boolean": "flag"}
    limits = [
        f"{sign} {field[key]}"
        for key, sign in (
            ("minimum", "≥"),
            ("exclusiveMinimum", ">"),
            ("maximum", "≤"),
            ("exclusiveMaximum", "<"),
        )
        if key in field
    ]
    if "pattern" in field:
        limits.append(f"matching `{field['pattern']}`")
    return _prose(" ".join([words[field["type"]], ", ".join(limits)]).strip())


def _prose(text: str) -> str:
    """Escape text for a Markdown table; code between backticks is left as it is."""
    parts = text.replace("|", "\\|").split("`")
    parts[::2] = [part.replace("<", "&lt;").replace("*", "\\*") for part in parts[::2]]
    return "`".join(parts)


def command(
    description: str, write: Callable[[str], None], arguments: list[str] | None = None
) -> None:
    """Write generated files in the project's root, from the command line."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--root", default=".", help="root of the project (default: here)")
    try:
        write(parser.parse_args(arguments).root)
    except ConfigError as error:
        parser.exit(1, f"{error}\n")


def main(arguments: list[str] | None = None) -> None:
    """Write both files, from the command line."""
    command("Write config/schema.json and its page in docs/.", write, arguments)


if __name__ == "__main__":
    main()
