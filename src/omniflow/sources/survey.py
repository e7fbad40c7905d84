"""Survey: whether a mapping fits the columns of files, before their events are read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from omniflow.expressions import Values, parse
from omniflow.sources import assembly, mapping
from omniflow.sources.readers.reader import refuse_unknown
from omniflow.sources.rows import Rows, taken

if TYPE_CHECKING:
    from omniflow.sources.mapped import Mapped

_NONE = np.zeros(0, np.int64)


def survey(source: Mapped) -> None:
    """Refuse a mapping whose names or kinds of columns the first file of each table does not have.

    The first record is read, because it tells the types of columns, and mapped to no event. Where a
    first file is missing, nothing is said.

    Raises:
        InputError: as `assembly.read`, for what does not depend on values.
    """
    friends = [
        (each.files, source.table if each.table is None else each.table) for each in source.friends
    ]
    if not source.apart:
        names = source.names(*source.levels)
        for rows in _without_records(source, (source.files, source.table), *friends, names=names):
            _try(source, rows)
            assembly.events(source, rows)
        return
    for name, level in zip(("detector", "particle"), source.levels, strict=False):
        names = source.names(level)
        for rows in _without_records(source, source.table_of(level), names=names):
            _try(source, rows)
            mapping.level(level, rows, name, fail_is_empty=name == "detector")
            mapping.weight(rows, source.weight, "weight")
            mapping.named_weights(source, rows)
            mapping.ids(source, rows)


def _try(source: Mapped, rows: Rows) -> None:
    if source.preselection is not None:
        rows.condition(source.preselection, "preselection")


def _without_records(
    source: Mapped, *tables: tuple[tuple[str, ...], str | None], names: frozenset[str]
) -> Iterator[Rows]:
    """Yield the columns of tables without records, once; nothing where that cannot be told.

    Columns of the first table come first.
    """
    if not all(Path(files[0]).is_file() for files, _ in tables):
        return
    columns: dict[str, Values] = {}
    with ExitStack() as stack:
        readers = [stack.enter_context(source.reader(files[0], t)) for files, t in tables]
        ids = {name for text in source.id for name in parse(text, indices=True).names}
        for friend in readers[1:]:
            refuse_unknown(friend, sorted(ids))
        left = set(names)
        for reader in readers:
            wanted = left - set(reader.lacking(left))
            left -= wanted
            count = reader.count()
            for _, found in reader.chunks(sorted(wanted), 0, min(1, count)):
                columns |= {name: taken(values, _NONE) for name, values in found.items()}
            if not count:
                return
        refuse_unknown(readers[0], sorted(left))
        yield Rows(readers[0].where, 0, _NONE, columns)
