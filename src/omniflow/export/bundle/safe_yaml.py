"""Safe YAML: that of a bundle, read so that no text can run code, and none can grow."""

from __future__ import annotations

from typing import Any

import yaml

from omniflow.errors import InputError

# Ten thousand columns are one megabyte.
LARGEST = 4 * 2**20
DEEPEST = 30
_Parser: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_Dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


class _Loader(_Parser):
    """A safe loader that refuses a key given twice: YAML would keep the last one, silently."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[tuple[str, str]] = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if (key.tag, key.value) in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"key {key.value!r} is given twice", key.start_mark
                )
            seen.add((key.tag, key.value))
        return super().construct_mapping(node, deep)


def dump(content: Any) -> str:
    """Return content as YAML, in the order of its keys and without anchors."""

    class Plain(_Dumper):
        def ignore_aliases(self, data: Any) -> bool:
            return True

    return yaml.dump(content, Dumper=Plain, sort_keys=False, allow_unicode=True, width=100)


def load(raw: bytes, where: str) -> dict[str, Any]:
    """Return the mapping in a text.

    Args:
        raw: the text, as bytes.
        where: names the file in messages.

    Raises:
        InputError: too large, too deep, with anchors, no YAML or no mapping.
    """
    if len(raw) > LARGEST:
        raise InputError(
            f"{where}: has {len(raw):,} bytes, and metadata at most {LARGEST:,}; it is none"
        )
    try:
        text = raw.decode("utf-8")
        _refuse_growth(text, where)
        found = yaml.load(text, Loader=_Loader)  # a safe loader
    except (yaml.YAMLError, RecursionError, ValueError, LookupError, TypeError) as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"{where}: is not valid YAML ({reason}); copy or write the bundle again"
        ) from error
    if not isinstance(found, dict):
        raise InputError(f"{where}: must be a mapping of sections; copy or write the bundle again")
    return found


def _refuse_growth(text: str, where: str) -> None:
    """Refuse anchors, by which a short text becomes a huge one, and deep nesting."""
    depth = 0
    for event in yaml.parse(text, Loader=_Parser):
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            raise InputError(f"{where}: has anchors (& and *), which metadata does not need")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > DEEPEST:
            raise InputError(f"{where}: is nested more than {DEEPEST} times; it is no metadata")
