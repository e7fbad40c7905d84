"""Source: what every source of events tells and does; the interface that others implement."""

from __future__ import annotations

import itertools
import json
import math
import os
import re
from abc import abstractmethod
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import Field

from omniflow.config.paths import ExpandedPath
from omniflow.config.section import LEVELS, Positive, Section

if TYPE_CHECKING:
    from omniflow.events.plausibility import Rule
    from omniflow.events.sample import Events
    from omniflow.sources.description import Description


# Names of the columns of events, and of particles.
ColumnNames = tuple[tuple[str, ...], tuple[str, ...]]


class Source(Section):
    """Where the events of a sample come from: a section `source: <name>` of the configuration.

    A subclass adds its own keys as pydantic fields, and the methods that are abstract here.
    What stands above `read` is asked while a study is planned, so that modules of sources load no
    reader at their top.
    """

    generated: ClassVar[bool] = False  # whether its events are computed, which takes longer

    source: str
    events: Positive | None = Field(None, description="Number of records.")
    strict: bool = Field(
        False, description="Refuse implausible values (degrees, MeV) instead of a warning."
    )

    @classmethod
    def describe(cls, path: str) -> Description | None:
        """Return what is in a file of the kind that it reads, for `omniflow inspect`.

        Args:
            path: of the file.

        Returns:
            None for files of other kinds, which are told by their first bytes.

        Raises:
            InputError: the file is of this kind, and damaged.
        """
        return None

    def inputs(self) -> tuple[str, ...]:
        """Return the files that it reads."""
        return ()

    @abstractmethod
    def extent(self) -> str:
        """Return which of its source's events it takes, for messages."""

    def shares(self, other: Source) -> bool:
        """Return whether two samples share events as far as their configuration tells.

        Args:
            other: another sample.

        Returns:
            True where they do, or may.
        """
        return self == other

    @abstractmethod
    def next(self, number: int) -> Self:
        """Return a sample of the same kind without the events of this one.

        Args:
            number: how many samples farther on, from 1.

        Returns:
            The sample.
        """

    def following(self, count: int) -> list[Self]:
        """Return samples that hold the events of `next(1)` to `next(count)`.

        Args:
            count: how many.

        Returns:
            One sample or several.
        """
        return [self.next(number) for number in range(1, count + 1)]

    def origins(self) -> frozenset[str]:
        """Return what it is made by: samples with nothing in common can be independent."""
        return frozenset([self.model_dump_json()])

    @abstractmethod
    def columns(self, level: str) -> ColumnNames:
        """Return the names of the columns of events and of particles.

        Args:
            level: `detector` or `particle`. Real data say of the latter what they like.

        Returns:
            Names of the columns of events, and of those of particles.
        """

    def declared(self, level: str) -> ColumnNames | None:
        """Return `columns` of a level; None where the source declares none at all.

        Names are taken as they are then, and compared when events are there.

        Args:
            level: `detector` or `particle`.

        Returns:
            Names of the columns of events, and of those of particles; or None.
        """
        return self.columns(level) if any(any(self.columns(each)) for each in LEVELS) else None

    def units(self) -> dict[str, str]:
        """Return the units of the columns as they are stored, by name; none: not known."""
        return {}

    def converted(self) -> dict[str, dict[str, tuple[float, str]]]:
        """Return what units are converted when it is read, by level and column.

        It is the factor on the values, and the unit that they have in the files.
        """
        return {}

    def features(self, level: str) -> str:
        """Return the preset of features that suits its events.

        Args:
            level: `detector` or `particle`.

        Returns:
            Name of the preset.
        """
        known = {"pt", "eta", "phi"} <= set(self.columns(level)[1])
        return "particles" if known else "columns"

    def observables(self, others: Mapping[str, Sequence[Source]]) -> dict[str, Any]:
        """Return what is compared where nothing is named, as in `observables`: every column.

        At the levels at which all samples have it that are compared there.

        Args:
            others: those samples, by level.

        Returns:
            Section `observables`, with definitions and names.
        """
        columns = {
            level: [each.columns(level) for each in (self, *others[level])] for level in LEVELS
        }
        units = self.units()
        define: dict[str, Any] = {}
        for at, part in enumerate(("event", "particles")):
            shared = {level: _shared([each[at] for each in columns[level]]) for level in LEVELS}
            for name in dict.fromkeys(itertools.chain(*shared.values())):
                key = _as_observable(name, part, define)
                # The text of a string is that of JSON in Python too.
                column = json.dumps(f"{part}.{name}", ensure_ascii=False)
                how = {"expression": f"column({column})", "unit": units.get(name, "")}
                define[key] = how | {"label": name}
                there = [level for level in LEVELS if name in shared[level]]
                if len(there) == 1:
                    define[key]["level"] = there[0]
        return {"define": define, "names": list(define)}

    def named_weights(self) -> tuple[str, ...] | None:
        """Return the names of its events' further weights; None where that cannot be told."""
        return ()

    def given_replicas(self) -> int:
        """Return how many weights of bootstrap replicas its events have, `replica-<n>` by name."""
        return 0

    def records(self) -> int | None:
        """Return the number of its events; None where that cannot be told."""
        return self.events

    def has_truth(self) -> bool | None:
        """Return whether there is a particle level; None where that cannot be told."""
        return None

    @property
    def joined(self) -> bool:
        """Whether tables are joined, which are read as a whole for that."""
        return False

    def typical(self) -> tuple[float, float] | None:
        """Return particles per event and the share of events that pass, for estimates."""
        return None

    def title(self) -> str:
        """Return what messages call the sample."""
        return f"{self.source} sample ({self.extent()})"

    def place(self, event_id: int) -> str:
        """Return where an event stands, for messages.

        Args:
            event_id: its id.

        Returns:
            What a message can say, such as file and record.
        """
        return f"event {event_id}"

    def places(self, event_id: int) -> str:
        """Return where several events with one id stand, for messages.

        Args:
            event_id: their id.

        Returns:
            As `place`, of more than one.
        """
        return f"{self.title()}: several events with id {event_id}"

    def provenance(self) -> dict[str, Any]:
        """Return what the event store records of where the events come from, as JSON."""
        return {}

    def check(self, events: Events, first: int) -> None:
        """Refuse what this kind of events cannot be, beyond `events.checks`.

        Args:
            events: consecutive events that it has read.
            first: number of the first of them.

        Raises:
            InputError: an event is refused.
        """

    def rules(self) -> Sequence[Rule]:
        """Return what is doubtful of values of its columns."""
        from omniflow.events.plausibility import RULES

        return RULES

    def survey(self) -> None:
        """Refuse what can be told before the events are read; files that are missing are left out.

        Raises:
            InputError: a file does not hold what is asked of it.
        """

    @abstractmethod
    def read(self) -> Iterator[Events]:
        """Yield the events, in parts of any size and always in the same order.

        Raises:
            InputError: they are refused; the message says where they are and what to do.
        """


def _shared(columns: Sequence[tuple[str, ...]]) -> list[str]:
    """Return the names of the first sample's columns that all others have too."""
    return [name for name in columns[0] if all(name in each for each in columns)]


def _as_observable(column: str, part: str, taken: Collection[str]) -> str:
    """Return a name of an observable for a column of a part, which is not taken yet."""
    name = re.sub(r"[^A-Za-z0-9_-]+", "_", column).strip("_-")[:40] or "x"
    if name in taken and part == "particles":
        name = f"particle_{name}"
    numbers = (f"{name}_{number}" for number in itertools.count(2))
    return name if name not in taken else next(each for each in numbers if each not in taken)


class FileSource(Source):
    """Events in files, of which some records may be left out.

    A subclass implements `count`, `read` and `has_truth`. Ids are record numbers over all files
    in their order, unless the source says otherwise.
    """

    files: tuple[ExpandedPath, ...] = Field(
        min_length=1, description="Files, read in this order as one sample."
    )
    events: Positive | None = Field(None, description="Use only the first so many records.")
    skip: int = Field(0, ge=0, description="Leave out the first so many records.")

    def inputs(self) -> tuple[str, ...]:
        """Return the files."""
        return self.files

    @abstractmethod
    def count(self, path: str) -> int:
        """Return the number of records in a file.

        Raises:
            InputError: the file cannot be read.
        """

    def extent(self) -> str:
        """Return which records of its files it takes."""
        more = " and others" if len(self.files) > 1 else ""
        last = f"{self.skip} to {self.skip + self.events - 1}" if self.events else ""
        return f"records {last or f'from {self.skip}'} of {self.files[0]}{more}"

    def shares(self, other: Source) -> bool:
        """Return whether records of a file are in both; links lead to the same file."""
        if not isinstance(other, FileSource):
            return False
        one, two = ([os.path.realpath(name) for name in each.files] for each in (self, other))
        if one == two:  # records are counted over the files in order
            ends = [s.skip + s.events if s.events else math.inf for s in (self, other)]
            return self.skip < ends[1] and other.skip < ends[0]
        return bool(set(one) & set(two))

    def next(self, number: int) -> Self:
        """Return a sample of records farther on."""
        return self.model_copy(update={"skip": self.skip + number * (self.events or 0)})

    def following(self, count: int) -> list[Self]:
        """Return all records farther on as one sample."""
        return [self.next(1).model_copy(update={"events": count * (self.events or 0)})]

    def origins(self) -> frozenset[str]:
        """Return the files, links resolved."""
        return frozenset(str(Path(name).resolve()) for name in self.files)

    def with_files(self, files: Sequence[str]) -> Self:
        """Return the sample with other names of its files."""
        return self.model_copy(update={"files": tuple(files)})

    def records(self) -> int | None:
        """Return the number of records; None where files are not there to be asked."""
        from omniflow.errors import InputError

        if self.events is not None:
            return self.events
        try:
            return max(sum(map(self.count, self.files)) - self.skip, 0)
        except InputError:
            return None  # the job that reads the sample says what is wrong with it

    def title(self) -> str:
        """Return the names of the files."""
        return ", ".join(self.files)

    def place(self, event_id: int) -> str:
        """Return the file and record of an event whose id counts the records."""
        first = 0
        for path in self.files:
            count = self.count(path)
            if event_id < first + count:
                number = "" if not first else f" (id {event_id})"
                return f"{path}: event {event_id - first}{number}"
            first += count
        raise ValueError(f"{first} records have no event with id {event_id}")

    def provenance(self) -> dict[str, Any]:
        """Return the files with their sizes and checksums, and what HDF5 files link to.

        Raises:
            InputError: one is a copy of another.
        """
        from omniflow.sources.given import described

        return {"files": described(self.files)}
