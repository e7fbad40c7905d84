"""Draft: a sample as `omniflow init` writes it, with what is to be said beside its keys."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from omniflow import registry
from omniflow.expressions import parse

if TYPE_CHECKING:
    from omniflow.sources.source import Source

TODO = "TODO: "
Notes = dict[tuple[str, ...], str]  # sentences by the path of a key


@dataclass
class Column:
    """A column of a level: its expression, and its unit in the files."""

    expression: str
    unit: str = ""

    def config(self) -> Any:
        """Return it as in a configuration."""
        if not self.unit:
            return self.expression
        return {"expression": self.expression, "unit": self.unit}


@dataclass
class Level:
    """A level; attributes as the keys of the configuration.

    Attributes:
        gaps: whether events lack numbers, of what passes or not.
        steep: columns of events whose largest values are far from the others, and positive.
        notes: sentences by key, written beside it. One that begins with TODO asks for something.
    """

    event: dict[str, Column] = field(default_factory=dict)
    particles: dict[str, Column] = field(default_factory=dict)
    keep: str = ""
    selection: str = ""
    files: list[str] = field(default_factory=list)
    table: str = ""
    gaps: bool = False
    steep: list[str] = field(default_factory=list)
    notes: dict[str, str] = field(default_factory=dict)

    def config(self) -> dict[str, Any]:
        """Return it as in a configuration."""
        found: dict[str, Any] = {}
        for key, value in (("files", self.files), ("table", self.table)):
            found |= {key: value} if value else {}
        for name in ("particles", "event"):
            columns: Mapping[str, Column] = getattr(self, name)
            if columns:
                found[name] = {key: column.config() for key, column in columns.items()}
        found |= {"keep": self.keep} if self.keep else {}
        return found | ({"selection": self.selection} if self.selection else {})

    def columns(self) -> Iterator[tuple[str, str, Column]]:
        """Yield part (`event`, `particles`), name and column."""
        for part in ("event", "particles"):
            for name, column in getattr(self, part).items():
                yield part, name, column


@dataclass
class Sample:
    """A sample; attributes as the keys of the configuration.

    Attributes:
        detector: None where the source knows the columns (`h1`).
        truth: whether there is a particle level.
        notes: sentences by key, as of a level.
        remarks: sentences above the sample.
        own: observables that suit the layout, in place of the columns.
        settings: further sections that suit the layout, such as classifier.
        entries: number of records, of all files.
    """

    source: str
    detector: Level | None = None
    particle: Level | None = None
    truth: bool = False
    files: list[str] = field(default_factory=list)
    table: str = ""
    padded: list[str] = field(default_factory=list)
    counts: dict[str, str] = field(default_factory=dict)
    preselection: str = ""
    missing: list[float] = field(default_factory=list)
    weight: str = ""
    weights: dict[str, str] = field(default_factory=dict)
    replicas: list[str] = field(default_factory=list)
    id: list[str] = field(default_factory=list)
    skip: int = 0
    events: int = 0
    notes: dict[str, str] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)
    own: dict[str, dict[str, Any]] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    entries: int = 0

    @property
    def levels(self) -> dict[str, Level]:
        """Levels that are mapped, by name."""
        both = {"detector": self.detector, "particle": self.particle}
        return {name: level for name, level in both.items() if level is not None}

    @property
    def apart(self) -> bool:
        """Whether levels lie in tables of their own."""
        return any(level.files or level.table for level in self.levels.values())

    @property
    def has_particles(self) -> bool:
        """Whether a level has particles."""
        return self.detector is None or any(level.particles for level in self.levels.values())

    def config(self) -> dict[str, Any]:
        """Return it as in a configuration."""
        one = len(self.files) == 1 and self.detector is not None
        files = self.files[0] if one else list(self.files)
        found: dict[str, Any] = {"source": self.source, "files": files}
        used = self._used()
        arrays = {
            "padded": [name for name in self.padded if name in used],
            "counts": {n: counter for n, counter in self.counts.items() if _dotted(n) in used},
        }
        for key in ("table", "skip", "events", "padded", "counts", "preselection"):
            if value := arrays.get(key, getattr(self, key)):
                found[key] = value
        found |= {name: level.config() for name, level in self.levels.items()}
        for key in ("missing", "weight", "weights", "replicas", "id"):
            if value := getattr(self, key):
                found[key] = value[0] if key == "id" and len(value) == 1 else value
        return found

    def _used(self) -> set[str]:
        """Return the arrays that expressions of levels name, without indices."""
        texts = [c.expression for level in self.levels.values() for _, _, c in level.columns()]
        texts += [level.keep for level in self.levels.values() if level.keep]
        found = {name for text in texts for name in parse(text, indices=True).names}
        return found | {re.sub(r"(\[\d+\])+$|_\d+$", "", name) for name in found}

    def comments(self, *path: str) -> Notes:
        """Return the sentences by path, below the path of the sample."""
        found: Notes = {(*path, key): text for key, text in self.notes.items()}
        for name, level in self.levels.items():
            found |= {(*path, name, key): text for key, text in level.notes.items()}
        return found

    def model(self) -> Source:
        """Return the source that it describes."""
        return registry.find("source", self.source).model_validate(self.config())


def _dotted(name: str) -> str:
    return name.strip("/").replace("/", ".")
