"""Spool: events of a sample in temporary files while it is read, part by part."""

from __future__ import annotations

import os
import shutil
import uuid
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import numpy as np

from omniflow.errors import InputError
from omniflow.events.sample import Events, Level
from omniflow.files import discard_left_over, writable

_LEVELS = ("detector", "particle")


class Spool:
    """A folder of files, one per array, that exists as long as the context.

    Parts must have passed `checks.check_part`, so that their arrays have the right types.
    """

    def __init__(self, path: str | Path) -> None:
        """Take the path of the event store, beside which the files are written."""
        self._path = Path(path)
        # Another name than the temporary file of the store itself has.
        self._name = self._path.with_name(f"{self._path.name}.parts")
        self._folder = self._name.with_name(f".tmp-{uuid.uuid4().hex[:12]}-{self._name.name}")
        self._files: dict[str, BinaryIO] = {}
        self._first: Events | None = None
        self._rows = dict.fromkeys(_LEVELS, 0)  # particles so far
        self.events = 0

    def __enter__(self) -> Self:
        """Make the folder; what a killed writer has left is removed."""
        with writable(self._path, self._folder):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            discard_left_over(self._name)
            self._folder.mkdir()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Remove the files; memory maps of them stay valid."""
        for file in self._files.values():
            with suppress(OSError):  # what is left in its buffer may not fit on the disk either
                file.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def append(self, part: Events, where: str) -> None:
        """Write consecutive events behind those before.

        Args:
            part: the events.
            where: the sample, for messages.

        Raises:
            InputError: they have other columns, or other levels, than those before.
            OutputError: the disk is full.
        """
        if self._first is None:
            self._first = part.take(np.zeros(0, np.int64))
        elif _columns(part) != _columns(self._first):
            raise InputError(
                f"{where}: events from number {self.events} on have the columns "
                f"{_columns(part)} where those before have {_columns(self._first)}; a source must "
                "give the same ones for all of its events"
            )
        with writable(self._path, self._folder):
            for name, array in self._arrays(part).items():
                self._file(name).write(np.ascontiguousarray(array).data)
        self.events += len(part)

    def whole(self) -> Events:
        """Return all events; their arrays are memory maps.

        Nothing can be appended afterwards. There must be one event at least.
        """
        with writable(self._path, self._folder):
            for file in self._files.values():
                file.close()
        first = self._first
        if first is None:
            raise ValueError("nothing was appended")
        inside = None if first.particle is None else first.pass_particle
        return Events(
            self._read("event_id", first.event_id),
            self._read("weight", first.weight),
            self._read("pass_detector", first.pass_detector),
            None if inside is None else self._read("pass_particle", inside),
            self._level("detector", first.detector),
            None if first.particle is None else self._level("particle", first.particle),
            {n: self._read(f"weights-{n}", values) for n, values in first.weights.items()},
        )

    def discard(self, level: str) -> None:
        """Give the disk back that a level takes; its arrays of `whole` must not be read again."""
        for name in [name for name in self._files if name.startswith(f"{level}-")]:
            os.truncate(self._folder / name, 0)

    def _arrays(self, part: Events) -> dict[str, np.ndarray]:
        """Return what is appended, by name of the file."""
        found = {
            "event_id": part.event_id,
            "weight": part.weight,
            "pass_detector": part.pass_detector,
        }
        found |= {f"weights-{name}": values for name, values in part.weights.items()}
        if part.pass_particle is not None:
            found["pass_particle"] = part.pass_particle
        for name in _LEVELS:
            level: Level | None = getattr(part, name)
            if level is not None:
                found[f"{name}-event"] = level.event
                found[f"{name}-particles"] = level.particles
                ends = level.offsets[1:] + self._rows[name]
                begun = f"{name}-offsets" in self._files
                found[f"{name}-offsets"] = ends if begun else np.append(np.int64(0), ends)
                self._rows[name] += len(level.particles)
        return found

    def _file(self, name: str) -> BinaryIO:
        if name not in self._files:
            self._files[name] = open(self._folder / name, "ab")  # noqa: SIM115
        return self._files[name]

    def _read(self, name: str, like: np.ndarray) -> np.ndarray:
        """Return an array of the type and the columns of another one."""
        file = self._folder / name
        if not file.stat().st_size:
            return np.zeros((self._empty(name), *like.shape[1:]), like.dtype)
        return np.memmap(file, like.dtype, "r").reshape(-1, *like.shape[1:])

    def _empty(self, name: str) -> int:
        """Return the number of rows of an array without bytes: without columns, or particles."""
        return 0 if name.endswith("-particles") else self.events

    def _level(self, name: str, like: Level) -> Level:
        return Level(
            self._read(f"{name}-event", like.event),
            self._read(f"{name}-particles", like.particles),
            self._read(f"{name}-offsets", like.offsets),
            like.event_columns,
            like.particle_columns,
        )


def _columns(events: Events) -> dict[str, tuple[tuple[str, ...], tuple[str, ...]]]:
    levels = {name: getattr(events, name) for name in _LEVELS}
    return {
        name: (level.event_columns, level.particle_columns)
        for name, level in levels.items()
        if level is not None
    }
