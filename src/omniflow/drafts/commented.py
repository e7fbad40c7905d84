"""Commented: a configuration as YAML with comments, to be read by people."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

from omniflow.drafts.configuration import Study
from omniflow.drafts.draft import TODO

_WIDTH = 110
# Texts that YAML reads as they are, in brackets too.
_PLAIN = re.compile(r"[A-Za-z_][\w.() /<>=+*-]*")
_WORDS = {"true", "false", "null", "yes", "no", "on", "off"}
_ROLES = ("data", "simulation")
_ANCHORS = {"detector": "measured", "particle": "true"}


def written(study: Study, head: list[str]) -> str:
    """Return a configuration as text.

    Levels that data and simulation have alike are written once (an anchor), and so is what is said.

    Args:
        study: the configuration.
        head: sentences at the top.
    """
    data, simulation = (study.config["samples"][role] for role in _ROLES)
    shared = {key for key in _ANCHORS if key in data and data[key] == simulation.get(key)}
    lines = [line for text in head for line in _comment(text, 0)]
    lines += _mapping(study.config, (), 0, study, shared)
    return "\n".join(lines) + "\n"


def _mapping(
    section: Mapping[str, Any],
    path: tuple[str, ...],
    indent: int,
    study: Study,
    shared: set[str],
) -> Iterator[str]:
    """Yield the lines of a section."""
    space = " " * indent
    for key, value in section.items():
        here = (*path, key)
        if not path:
            yield ""
        for text in study.above.get(here, ()):
            yield from _comment(text, indent)
        note = _note(here, study)
        name, mark = scalar(key), ""
        if len(here) == 3 and key in shared:
            if here[1] == "simulation":
                yield f"{space}{name}: *{_ANCHORS[key]} # as of the data"
                continue
            mark = f" &{_ANCHORS[key]}"
        flat = f"{space}{name}:{mark} {flow(value)}"
        deep = isinstance(value, Mapping) and value and (len(path) < 1 or len(flat) > _WIDTH)
        deep = deep or (isinstance(value, Mapping) and _has_notes(here, study))
        deep = deep or path == ("samples",) or key in _ANCHORS
        if deep:
            yield from _behind(f"{space}{name}:{mark}", note, indent)
            yield from _mapping(value, here, indent + 2, study, shared)
        elif isinstance(value, list) and len(flat) > _WIDTH:
            yield from _behind(f"{space}{name}:{mark}", note, indent)
            yield from (f"{space}  - {flow(each)}" for each in value)
        else:
            yield from _behind(flat, note, indent)


def _note(path: tuple[str, ...], study: Study) -> str:
    """Return what is said of a key; nothing where the same has been said of the data."""
    note = study.notes.get(path, "")
    if path[:2] == ("samples", "simulation"):
        said = study.notes.get(("samples", "data", *path[2:]))
        return "" if said == note else note
    return note


def _has_notes(path: tuple[str, ...], study: Study) -> bool:
    """Return whether something is said of a key below."""
    return any(k[: len(path)] == path and len(k) > len(path) for k in (*study.notes, *study.above))


def _behind(line: str, note: str, indent: int) -> Iterator[str]:
    """Yield a line with a comment behind it, or above it where it is long."""
    if note and len(line) + len(note) + 3 <= _WIDTH:
        yield f"{line} # {note}"
        return
    if note:
        yield from _comment(note, indent)
    yield line


def _comment(text: str, indent: int) -> Iterator[str]:
    space = " " * indent
    for line in textwrap.wrap(
        text, _WIDTH - indent - 2, break_long_words=False, break_on_hyphens=False
    ) or [""]:
        yield f"{space}# {line}".rstrip()


def flow(value: Any) -> str:
    """Return a value on one line."""
    if isinstance(value, Mapping):
        inside = ", ".join(f"{scalar(key)}: {flow(each)}" for key, each in value.items())
        return f"{{ {inside} }}" if inside else "{}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(flow, value))}]"
    return scalar(value)


def scalar(value: Any) -> str:
    """Return a number or text as YAML."""
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return f"{value:g}" if float(f"{value:g}") == value else repr(value)
    text = str(value)
    plain = _PLAIN.fullmatch(text) and text.lower() not in _WORDS and text == text.strip()
    return text if plain else json.dumps(text, ensure_ascii=False)


def todos(text: str) -> int:
    """Return how many places of a text ask the user for something."""
    return text.count(TODO)
