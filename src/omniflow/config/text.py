"""Text of configurations: YAML files, one on top of the other, and settings on top of them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import reduce
from pathlib import Path
from typing import Any

import yaml

from omniflow import outside, registry
from omniflow.errors import ConfigError

# Values of a configuration, with those that aliases repeat.
_MOST = 200_000
# Values inside values; the loader in C would take any number, until the stack ends.
_DEEP = 50
# Tabs, tags and marks of byte order: PyYAML's loader in C reads some of them otherwise.
_READ_OTHERWISE = re.compile("[\t!\ufeff]")


class _Strict:
    """What a safe loader of YAML refuses here: a key given twice (YAML keeps the last, silently).

    And aliases that repeat each other until no memory holds them.
    """

    def get_single_node(self) -> yaml.Node | None:
        node: yaml.Node | None = super().get_single_node()  # type: ignore[misc]
        if node is not None and _size(node, {}) > _MOST:
            raise yaml.composer.ComposerError(
                *(None, None, f"there are more than {_MOST:,} values, or one that holds itself"),
                node.start_mark,
            )
        return node

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        # PyYAML leaves it to Python to fail on values that are not what their tag or form says.
        try:
            found = super().construct_object(node, deep)  # type: ignore[misc]
            if isinstance(found, int) and found.bit_length() > 256:
                raise ValueError("no setting is as large")
            return found
        except (ValueError, LookupError, AttributeError) as error:
            kind = node.tag.rpartition(":")[2]
            raise yaml.constructor.ConstructorError(
                None, None, f"{node.value!r} is not of type {kind}", node.start_mark
            ) from error


def _size(node: yaml.Node, known: dict[int, int]) -> int:
    """Return how many values a node stands for; aliases, merged ones too, are the same node."""
    if isinstance(node, yaml.ScalarNode):
        return 1
    if id(node) not in known:
        known[id(node)] = _MOST + 1  # where it holds itself
        inner = node.value
        if isinstance(node, yaml.MappingNode):
            _refuse_repeated(node)
            inner = [each for pair in node.value for each in pair]
        known[id(node)] = 1 + sum(_size(each, known) for each in inner)
    return known[id(node)]


def _refuse_repeated(node: yaml.MappingNode) -> None:
    """Refuse a key given twice, before merges put their keys beside the mapping's own."""
    lines: dict[tuple[str, str], int] = {}
    for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
        if (key.tag, key.value) in lines:
            hint = "; merge several by a list, <<: [*a, *b]" if key.value == "<<" else ""
            raise yaml.composer.ComposerError(
                f"first in line {lines[key.tag, key.value]}",
                None,
                f"key {key.value!r} is given twice{hint}",
                key.start_mark,
            )
        lines[key.tag, key.value] = key.start_mark.line + 1


class _Loader(_Strict, yaml.SafeLoader):
    """A safe loader whose errors show the line."""


class _Fast(_Strict, getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """The same in C, where PyYAML has it, 15 times as fast; deep nesting ends the process."""


# YAML 1.1 reads 2e-5 as text; physicists write it, so accept it as a number. It reads 2026-01-31 as
# a date; no setting is one, but a name can be.
for _loader in (_Loader, _Fast):
    _loader.yaml_implicit_resolvers = {
        key: [(tag, form) for tag, form in forms if not tag.endswith(":timestamp")]
        for key, forms in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    _loader.add_implicit_resolver(
        "tag:yaml.org,2002:float",
        re.compile(r"^[-+]?([0-9][0-9_]*(\.[0-9_]*)?|\.[0-9][0-9_]*)[eE][-+]?[0-9]+$"),
        list("-+.0123456789"),
    )


def combined(paths: Iterable[str | Path], settings: Iterable[str] = ()) -> dict[str, Any]:
    """Return the mapping that YAML files and settings give.

    Mappings are merged key by key; anything else that comes later replaces what came before, and so
    does a sample of another `source`, whose keys mean something else.

    Args:
        paths: YAML files.
        settings: `key=value` each, the value as it would stand in a file (`--config`).

    Raises:
        ConfigError: a file is missing, or something is not YAML, gives a key twice, or is no
            mapping.
    """
    return reduce(on_top, [*map(read, paths), *map(_setting, settings)], {})


def read(path: str | Path) -> dict[str, Any]:
    """Return the mapping in a YAML file, by the safe loader.

    Raises:
        ConfigError: file missing, not YAML, a key given twice, or no mapping.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{path}: cannot be read ({error}). Give the path of a YAML file."
        ) from error
    return mapping(_parse(text, str(path)), str(path))


def mapping(raw: object, where: str) -> dict[str, Any]:
    """Return `raw`, which must be a mapping.

    Raises:
        ConfigError: it is something else.
    """
    if not isinstance(raw, Mapping):
        raise ConfigError(f"{where}: must be a mapping of sections, got {type(raw).__name__}")
    return dict(raw)


def _setting(text: str) -> dict[str, Any]:
    key, equals, value = text.partition("=")
    if not equals:
        raise ConfigError(f"--config {text}: give KEY=VALUE, such as training='{{epochs: 3}}'")
    return {key: _parse(value, f"--config {key}")}


def _parse(text: str, where: str) -> object:
    try:
        # What it refuses is told by the other loader.
        with suppress(yaml.YAMLError, UnicodeEncodeError):
            if not (_READ_OTHERWISE.search(text) or _is_deep(text)):
                return yaml.load(text, Loader=_Fast)  # a SafeLoader
        return yaml.load(text, Loader=_Loader)  # a SafeLoader
    except (yaml.YAMLError, RecursionError) as error:
        raise ConfigError(f"{where}: is not valid YAML: {error}") from error


def _is_deep(text: str) -> bool:
    """Return whether values stand in more levels of others than those of a configuration do."""
    depth = 0
    for event in yaml.parse(text, Loader=_Fast):
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEEP:
            return True
    return False


def _another_source(old: object, new: object) -> bool:
    """Return whether two values are kinds of sources, not columns or observables of that name."""
    kinds = registry.names("source")
    known = [
        isinstance(each, str) and (each in kinds or outside.is_reference(each))
        for each in (old, new)
    ]
    return all(known) and old != new


def on_top(base: object, more: object) -> Any:
    """Return `more` on top of `base`: mappings key by key, anything else replaced."""
    if not isinstance(base, Mapping) or not isinstance(more, Mapping):
        return more
    if _another_source(base.get("source"), more.get("source")):
        return dict(more)
    return {**base, **{key: on_top(base.get(key), value) for key, value in more.items()}}
