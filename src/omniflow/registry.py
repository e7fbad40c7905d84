"""Registry: where the kinds of things lie that a configuration names, loaded when they are named.

Layers below name what lies above them by these strings alone. Kinds of other packages come by
entry points of the group `omniflow.<room>`, those of a user by `module:object`.
"""

from __future__ import annotations

import difflib
import sys
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from omniflow import outside
from omniflow.errors import ConfigError

BUILT_IN: dict[str, dict[str, str]] = {
    "source": {
        "root": "omniflow.sources.root:Root",
        "parquet": "omniflow.sources.parquet:Parquet",
        # Files of this layout are HDF5 as well: `inspect` asks in this order.
        "h1": "omniflow.physics.dis.h1:H1",
        "hdf5": "omniflow.sources.hdf5:Hdf5",
        "npz": "omniflow.sources.npz:Npz",
        "pythia": "omniflow.physics.dis.pythia:Pythia",
        "memory": "omniflow.sources.memory:Memory",
    },
    # Sets of observables, which one name stands for.
    "observable": {
        "dis": "omniflow.physics.dis.observables:DIS",
    },
    "features": {
        "columns": "omniflow.features.presets:columns",
        "particles": "omniflow.features.presets:particles",
        "dis": "omniflow.physics.dis.features:DIS",
        "dis_sums": "omniflow.physics.dis.features:DIS_SUMS",
    },
    "classifier": {
        "pet": "omniflow.models.pet:PET",
        "deepsets": "omniflow.models.sets:DeepSets",
        "mlp": "omniflow.models.sets:MLP",
    },
}


# Names that no user writes.
_UNWRITTEN = {("source", "memory")}


def offered(room: str) -> list[str]:
    """Return the built-in names that a configuration may give."""
    return [name for name in BUILT_IN[room] if (room, name) not in _UNWRITTEN]


def names(room: str) -> list[str]:
    """Return the names in a room: built-in ones, then those of installed packages."""
    return [*offered(room), *sorted(_entries(room))]


def located(room: str, name: str, root: Path | None = None) -> str:
    """Return the name as a configuration keeps it: a user's own with the file of its module."""
    known = name in BUILT_IN[room] or name in _entries(room)
    return name if known or not outside.is_reference(name) else outside.located(name, root)


def find(room: str, name: str) -> Any:
    """Return what a name stands for: built in, of an installed package, or `module:object`.

    Raises:
        ConfigError: there is no such name, or its module cannot be loaded.
    """
    return outside.load(_reference(room, name))


def require(room: str, name: str) -> None:
    """Refuse a name that stands for nothing, or whose module is not there; nothing is loaded.

    Raises:
        ConfigError: as `find`, but that a module that is there fails or lacks the object.
    """
    if name not in BUILT_IN[room]:
        outside.digest(_reference(room, name))


def _reference(room: str, name: str) -> str:
    """Return the `module:object` that a name stands for."""
    if reference := BUILT_IN[room].get(name) or _entries(room).get(name):
        return reference
    if outside.is_reference(name):
        return name
    known = names(room)
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}"
    raise ConfigError(f"there is no {room} {name!r}; {hint} (one of your own: `module:object`)")


def digest(room: str, name: str) -> str | None:
    """Return a hash of the text of what lies outside the package; None for what is built in."""
    if name in BUILT_IN[room]:
        return None
    return outside.digest(_entries(room).get(name, name))


def _entries(room: str) -> dict[str, str]:
    found = _installed(tuple(sys.path)).select(group=f"omniflow.{room}")
    return {entry.name: entry.value for entry in found}


@cache
def _installed(path: tuple[str, ...]) -> Any:
    """Return what all packages on Python's path offer; finding that takes hundreds of files."""
    return entry_points()
