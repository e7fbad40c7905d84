"""ROOT files, by uproot: TTrees and RNTuples."""

from __future__ import annotations

import difflib
import fnmatch
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import uproot

from omniflow.errors import InputError
from omniflow.expressions import Values
from omniflow.sources.description import Description, Table
from omniflow.sources.readers import indices
from omniflow.sources.readers.reader import (
    CHUNK_BYTES,
    Reader,
    begins_with,
    of_awkward,
    refuse_missing,
    refuse_unknown,
)

_TABLES = ("TTree", "ROOT::RNTuple")
# ROOT puts lengths of arrays behind the names of members of classes: `Jet.Tau[5]` of Delphes.
_LENGTHS = re.compile(r"(\[\d+\])+$")


def describe(path: str) -> Description | None:
    """Return the trees of a ROOT file; None for other files.

    Raises:
        InputError: the file is damaged.
    """
    if not begins_with(path, b"root"):
        return None
    found = []
    with opened(path) as file:
        for name in trees(file):
            with RootReader(path, name) as reader:
                found.append(Table(name, reader.count(), tuple(reader.types().items())))
    return Description(path, "ROOT", Path(path).stat().st_size, tables=tuple(found))


def opened(path: str) -> uproot.ReadOnlyDirectory:
    """Open a file.

    Raises:
        InputError: it is missing, damaged or no ROOT file.
    """
    refuse_missing(path)
    try:
        return uproot.open(path)
    except Exception as error:  # uproot raises whatever its parsing meets
        raise InputError(
            f"{path}: cannot be opened as a ROOT file ({_brief(error)}); check that it is one, "
            "or copy it again"
        ) from error


class RootReader(Reader):
    """One tree of one file, or several that a pattern (`DF_*/O2jets`) names, one after the other.

    Branches have their own names, in whatever folder of the tree they lie, without lengths of
    arrays. A name that several folders have stands for none of them.
    """

    def __init__(self, path: str, table: str | None) -> None:
        """Open a file.

        Raises:
            InputError: the file is missing, damaged or no ROOT file, or has no such tree, or
                several and none is named.
        """
        self._file = opened(path)
        try:
            names = _chosen(path, self._file, table)
            self.where = f"{path}:{table or names[0]}"
            self._trees: list[Any] = [self._file[name] for name in names]
            self._tree = self._trees[0]
            self._branches = self._found()
        except InputError:
            self._file.close()
            raise
        except Exception as error:
            self._file.close()
            raise InputError(
                f"{path}: {table or 'its tree'} cannot be read ({_brief(error)}); the file is "
                "damaged or not closed: copy it again"
            ) from error

    def _found(self) -> dict[str, str]:
        """Return the full names of branches by the names that they are called by."""
        full: dict[str, str] = {}
        short: dict[str, set[str]] = {}
        for key in self._tree.keys(recursive=True):
            name = _LENGTHS.sub("", key)
            full.setdefault(name, key)
            short.setdefault(name.rpartition("/")[2], set()).add(name)
        once = {name: full[min(keys)] for name, keys in short.items() if len(keys) == 1}
        return {**once, **full}

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def names(self) -> list[str]:
        """Return the names of the branches."""
        return list(self._branches)

    def types(self) -> dict[str, str]:
        """Return the types of the branches, as ROOT calls them, by full name."""
        return {key: self._typename(key) for key in dict.fromkeys(self._branches.values())}

    def _typename(self, key: str) -> str:
        try:
            return str(self._tree[key].typename)
        except Exception:  # of what uproot cannot read, or finds twice
            return "unknown"

    def count(self) -> int:
        """Return the number of entries.

        Raises:
            InputError: the file is damaged.
        """
        try:
            return sum(int(tree.num_entries) for tree in self._trees)
        except Exception as error:
            raise InputError(
                f"{self.where}: the number of entries cannot be read ({_brief(error)}); the file "
                "is damaged or not closed: copy it again"
            ) from error

    def chunks(
        self, names: Collection[str], start: int, stop: int
    ) -> Iterator[tuple[int, dict[str, Values]]]:
        """Yield entries start to stop of branches, by chunks of CHUNK_BYTES.

        Raises:
            InputError: there is no such branch, or it holds no numbers or cannot be read.
        """
        refuse_unknown(self, names)
        if not names:
            yield stop - start, {}
            return
        places = {name: indices.split(name, self._branches) for name in names}
        keys = {name: self._branches[column] for name, (column, _) in places.items()}
        wanted = set(keys.values())
        first = 0
        try:
            for tree in self._trees:
                size = int(tree.num_entries)
                parts = tree.iterate(
                    filter_name=lambda key: key in wanted,
                    entry_start=max(start - first, 0),
                    entry_stop=min(stop - first, size),
                    step_size=f"{CHUNK_BYTES} B",
                )
                first += size
                if start < first and first - size < stop:
                    for part in parts:
                        columns = {n: self._values(part, k, *places[n]) for n, k in keys.items()}
                        yield len(part), columns
        except InputError:
            raise
        except Exception as error:
            raise InputError(
                f"{self.where}: entries {start} to {stop - 1} of {', '.join(sorted(names))} cannot "
                f"be read ({_brief(error)}); the file is damaged or cut off: copy it again, or a "
                "branch is of a type that uproot does not read"
            ) from error

    def _values(self, part: ak.Array, key: str, name: str, given: tuple[int, ...]) -> Values:
        array = _field(part, key)
        layout = array.layout
        if given or layout.parameter("__array__") is not None:  # an index, or text
            return of_awkward(array, self.where, name, given)
        if isinstance(layout, ak.contents.NumpyArray) and layout.purelist_depth == 1:
            found = np.asarray(layout.data)
            if found.dtype.kind in "biuf":
                return Values(found, None, name)
        if isinstance(layout, ak.contents.ListOffsetArray) and isinstance(
            layout.content, ak.contents.NumpyArray
        ):
            offsets = np.asarray(layout.offsets.data, np.int64)
            content = np.asarray(layout.content.data)
            if content.ndim == 1 and content.dtype.kind in "biuf":
                return Values(content[offsets[0] : offsets[-1]], offsets - offsets[0], name)
        return of_awkward(array, self.where, name)


def _field(part: ak.Array, key: str) -> ak.Array:
    """Return a branch of what was read, also a field of a record or of lists of records."""
    for name in (key, key.rpartition("/")[2]):
        if name in part.fields:
            return part[name]
    for at in (at for at, letter in enumerate(key) if letter == "."):
        if key[:at] in part.fields:
            return _field(part[key[:at]], key[at + 1 :])
    raise KeyError(f"no field {key!r} in {part.fields}")


def trees(file: uproot.ReadOnlyDirectory) -> list[str]:
    """Return the names of the trees of a file."""
    kinds = file.classnames(recursive=True, cycle=False)
    return [name for name, kind in kinds.items() if kind in _TABLES]


def _chosen(path: str, file: uproot.ReadOnlyDirectory, table: str | None) -> list[str]:
    """Return the names of the trees that are asked for, or of the only one there is."""
    there = trees(file)
    if table is not None:
        found = [table] if table in there else [n for n in there if fnmatch.fnmatchcase(n, table)]
        if found:
            return found
        near = difflib.get_close_matches(table, there, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise InputError(
            f"{path}: has no tree {table!r}; {hint}it has {', '.join(there) or 'none at all'}"
        )
    if len(there) != 1:
        raise InputError(
            f"{path}: has {', '.join(there) or 'no tree'}; name one by `table`"
            if there
            else f"{path}: has no tree, so there are no events in it"
        )
    return there


def _brief(error: Exception) -> str:
    """Return the first line of an error of uproot, whose messages are long."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0][:200]}" if lines else type(error).__name__
