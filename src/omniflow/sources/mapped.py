"""Mapped sources: files of any layout, whose columns the configuration names by expressions."""

from __future__ import annotations

import glob
import os
import re
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator

from omniflow.config.expressions import FileExpression
from omniflow.config.paths import ExpandedPath
from omniflow.config.section import Name, Section
from omniflow.expressions import parse
from omniflow.sources.source import ColumnNames, FileSource
from omniflow.units import FACTORS

if TYPE_CHECKING:
    from omniflow.events.sample import Events
    from omniflow.sources.readers.reader import Reader
    from omniflow.sources.source import Source


def _found(files: tuple[str, ...]) -> tuple[str, ...]:
    """Return files, patterns replaced by what is there, in the order of names."""
    found: list[str] = []
    for file in files:
        if not glob.has_magic(file):
            found.append(file)
            continue
        # What matches nothing stays: as with other files, the job that reads it needs it first.
        found += sorted(glob.glob(file, recursive=True)) or [file]
    return tuple(found)


def _names(value: Any) -> Any:
    """Return names of files as a list of texts: of one of them, or of paths."""
    if isinstance(value, str | Path):
        value = [value]
    if not isinstance(value, list | tuple):
        return value
    return [str(each) if isinstance(each, Path) else each for each in value]


Files = Annotated[
    tuple[ExpandedPath, ...],
    BeforeValidator(_names),
    AfterValidator(_found),
]


class Column(Section):
    """A column: an expression, or this section."""

    expression: FileExpression = Field(description="How it is computed (docs/expressions.md).")
    unit: str = Field(
        "",
        max_length=30,
        description="Unit of the expression's values. MeV, TeV and keV become GeV, degrees (`deg`) "
        "radians, other units stay.",
    )

    @field_validator("unit")
    @classmethod
    def _unit_is_spelled_right(cls, value: str) -> str:
        known = {name.lower(): name for name in (*FACTORS, "GeV", "GeV^2", "rad")}
        if value not in known.values() and value.lower() in known:
            raise ValueError(f"{value!r} is no unit; did you mean {known[value.lower()]!r}?")
        return value

    @property
    def factor(self) -> tuple[float, str]:
        """Factor on the values, and the unit that they then have."""
        return FACTORS.get(self.unit, (1.0, self.unit))


def _columns(value: Any) -> Any:
    """Return columns as a mapping of sections: of a list of names, or of expressions."""
    if isinstance(value, list | tuple):
        value = {name: name for name in value}
    if not isinstance(value, Mapping):
        return value
    return {
        key: column if isinstance(column, Mapping | Column) else {"expression": column}
        for key, column in value.items()
    }


ColumnName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*$", max_length=60)]
Columns = Annotated[dict[ColumnName, Column], BeforeValidator(_columns)]


class LevelMap(Section):
    """Which columns of the files are which columns of one level."""

    event: Columns = Field(
        {}, description="Columns of the event: a list of names, or name: expression, or a section."
    )
    particles: Columns = Field(
        {}, description="Columns of its particles, all of one collection (such as Jet_pt, Jet_eta)."
    )
    keep: FileExpression | None = Field(
        None, description="Condition on particles; those that fail are left out."
    )
    selection: FileExpression | None = Field(
        None,
        description="Condition on events: which pass at this level. Without one, those pass that "
        "have no missing value in `event`.",
    )
    files: Files = Field(
        (), description="Files of this level alone, joined to the other level by `id`."
    )
    table: str | None = Field(
        None, description="Tree or table of this level alone, joined to the other one by `id`."
    )

    @model_validator(mode="after")
    def _has_columns(self) -> Self:
        if not self.event and not self.particles:
            raise ValueError("give columns: event, particles or both")
        if self.keep is not None and not self.particles:
            raise ValueError("keep is a condition on particles, of which there are no columns")
        return self

    def texts(self) -> Iterator[str]:
        """Yield its expressions."""
        for column in (*self.event.values(), *self.particles.values()):
            yield column.expression
        yield from (text for text in (self.keep, self.selection) if text is not None)

    @property
    def apart(self) -> bool:
        """Whether it is read from a table of its own."""
        return bool(self.files) or self.table is not None

    @property
    def units(self) -> dict[str, str]:
        """Units of its columns as they are stored."""
        columns = {**self.particles, **self.event}
        return {name: column.factor[1] for name, column in columns.items()}


class Friend(Section):
    """A further table with columns of the same events, found by `id`."""

    files: Files = Field(min_length=1, description="Its files.")
    table: str | None = Field(None, description="Its tree or table; none given: as the sample's.")


class Mapped(FileSource):
    """Files of any layout; a subclass says by `reader` how a file is read."""

    files: Files = Field(
        min_length=1, description="Files or patterns (`*`), read in this order as one sample."
    )
    table: str | None = Field(None, description="Tree or table; may be left out if there is one.")
    detector: LevelMap = Field(description="Detector level.")
    particle: LevelMap | None = Field(None, description="Particle level; real data have none.")
    weight: FileExpression = Field("1", description="Weight of the event.")
    weights: dict[Name, FileExpression] = Field(
        {},
        description="Further weights by name, each in place of `weight`, for "
        "`uncertainties.variations.<name>.simulation_weights`.",
    )
    replicas: tuple[FileExpression, ...] = Field(
        (),
        description="Weights of bootstrap replicas, each in place of `weight`, in the order of "
        "their numbers; for `uncertainties.data_replicas` and `.simulation_replicas`. None given: "
        "drawn by omniflow.",
    )
    id: Annotated[
        tuple[FileExpression, ...],
        BeforeValidator(lambda value: [value] if isinstance(value, str) else value),
    ] = Field(
        (),
        description="What tells events apart, such as [run, event]; none given: the number of the "
        "record over all files, by which tables of one length are joined too.",
    )
    preselection: FileExpression | None = Field(
        None, description="Condition on records; those that fail are left out of the sample."
    )
    missing: tuple[float, ...] = Field(
        (), description="Values that stand for a missing number, such as -999; NaN always does."
    )
    friends: tuple[Friend, ...] = Field(
        (), description="Further tables of the same events, joined by `id`."
    )

    @field_validator("files")
    @classmethod
    def _files_once(cls, files: tuple[str, ...]) -> tuple[str, ...]:
        twice = {name for name in files if files.count(name) > 1}
        if twice:
            raise ValueError(f"{min(twice)} is given twice; name every file once")
        return files

    @model_validator(mode="after")
    def _joined_by_id(self) -> Self:
        if self.friends and self.apart:
            raise ValueError(
                "friends are joined to one table of both levels; leave them out where levels have "
                "tables of their own, or put their columns into these"
            )
        return self

    @model_validator(mode="after")
    def _units_agree(self) -> Self:
        if self.particle is not None:
            for name, unit in self.detector.units.items():
                other = self.particle.units.get(name, unit)
                if unit != other:
                    raise ValueError(
                        f"{name} is in {unit or 'no unit'} at detector level and in "
                        f"{other or 'no unit'} at particle level; give both levels the unit that "
                        "their numbers have in the files"
                    )
        return self

    @property
    def levels(self) -> tuple[LevelMap, ...]:
        """Its levels."""
        return (self.detector,) if self.particle is None else (self.detector, self.particle)

    @property
    def apart(self) -> bool:
        """Whether its levels lie in different tables."""
        return any(level.apart for level in self.levels)

    def table_of(self, level: LevelMap) -> tuple[tuple[str, ...], str | None]:
        """Return the files and the table of a level."""
        return level.files or self.files, self.table if level.table is None else level.table

    def names(self, *levels: LevelMap, weights: bool = True) -> frozenset[str]:
        """Return the columns that ids, the preselection, levels and weights are made of."""
        weighted = (self.weight, *self.weights.values(), *self.replicas)
        texts = [*self.id, *(weighted if weights else ())]
        texts += [self.preselection] if self.preselection is not None else []
        texts += [text for level in levels for text in level.texts()]
        return frozenset(name for text in texts for name in parse(text, indices=True).names)

    @property
    def joined(self) -> bool:
        """Whether levels or friends lie in tables of their own."""
        return self.apart or bool(self.friends)

    @abstractmethod
    def reader(self, path: str, table: str | None) -> Reader:
        """Return what reads one file, as a context manager.

        Raises:
            InputError: the file is missing, damaged or of another kind, or has no such table.
        """

    def inputs(self) -> tuple[str, ...]:
        """Return the files, those of single levels and of friends included."""
        levels, friends = (level.files for level in self.levels), (f.files for f in self.friends)
        parts = (self.files, *levels, *friends)
        return tuple(dict.fromkeys(name for part in parts for name in part))

    def columns(self, level: str) -> ColumnNames:
        """Return the names of the columns of events and particles of a level."""
        found = getattr(self, level) or self.detector
        return tuple(found.event), tuple(found.particles)

    def units(self) -> dict[str, str]:
        """Return the units of the columns as they are stored."""
        return {**(self.particle.units if self.particle else {}), **self.detector.units}

    def converted(self) -> dict[str, dict[str, tuple[float, str]]]:
        """Return factors and units of the columns that are converted, by level."""
        return {
            name: {
                key: (column.factor[0], column.unit)
                for key, column in {**level.particles, **level.event}.items()
                if column.factor[0] != 1
            }
            for name, level in zip(("detector", "particle"), self.levels, strict=False)
        }

    def named_weights(self) -> tuple[str, ...]:
        """Return the names of the further weights."""
        return tuple(self.weights)

    def given_replicas(self) -> int:
        """Return the number of weights of replicas."""
        return len(self.replicas)

    @field_validator("weights")
    @classmethod
    def _names_are_free(cls, value: dict[str, str]) -> dict[str, str]:
        for name in value:
            if re.fullmatch(r"replica-\d+", name):
                raise ValueError(f"{name} is what weights of `replicas` are called; rename it")
        return value

    def has_truth(self) -> bool:
        """Return whether there is a particle level."""
        return self.particle is not None

    def count(self, path: str) -> int:
        """Return the number of records in a file, before `preselection`."""
        return self._count(path, self.table)

    def _count(self, path: str, table: str | None) -> int:
        with self.reader(path, table) as reader:
            return reader.count()

    def records(self) -> int | None:
        """Return the number of records, where tables are separate those of the particle level."""
        from omniflow.errors import InputError

        if not self.apart or self.events is not None:
            return super().records()
        files, table = self.table_of(self.levels[-1])
        try:
            return max(sum(self._count(path, table) for path in files) - self.skip, 0)
        except InputError:
            return None

    def shares(self, other: Source) -> bool:
        """Return whether records of a file are in both, also of files of one level."""
        if isinstance(other, Mapped) and not (self._tables_meet(other) and self._chosen(other)):
            return False
        if super().shares(other):
            return True
        if not isinstance(other, Mapped) or not (self.apart or other.apart):
            return False
        one, two = (
            {os.path.realpath(name) for level in each.levels for name in each.table_of(level)[0]}
            for each in (self, other)
        )
        return bool(one & two)

    def _tables_meet(self, other: Mapped) -> bool:
        """Return whether tables of both may be one: False where all are named, and differ."""
        one, two = ({each.table_of(level)[1] for level in each.levels} for each in (self, other))
        return None in one | two or bool(one & two)

    def _chosen(self, other: Mapped) -> bool:
        """Return whether preselections may choose the same events: False where both differ.

        What they have in common all the same is found by content (`stages.origins`).
        """
        both = {self.preselection, other.preselection}
        return None in both or len(both) == 1

    def place(self, event_id: int) -> str:
        """Return the file and record of an event."""
        if not self.id:
            return super().place(event_id)
        from omniflow.sources import mapping

        return mapping.place(self, event_id)

    def places(self, event_id: int) -> str:
        """Return the files and records of events that have one id."""
        from omniflow.sources import mapping

        return mapping.place(self, event_id, 2)

    def provenance(self) -> dict[str, Any]:
        """Return the files with their sizes and checksums."""
        from omniflow.sources.given import described

        return {"files": described(self.inputs())}

    def survey(self) -> None:
        """Refuse a mapping that does not fit the columns of its first files (`survey.survey`)."""
        from omniflow.sources import survey

        survey.survey(self)

    def read(self) -> Iterator[Events]:
        """Yield the events by blocks (`assembly.read`)."""
        from omniflow.sources import assembly

        return assembly.read(self)
