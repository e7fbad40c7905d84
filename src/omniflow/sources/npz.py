"""Events in NumPy's .npz files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from omniflow.sources.arrays import ArrayFiles

if TYPE_CHECKING:
    from omniflow.sources.description import Description
    from omniflow.sources.readers.reader import Reader


class Npz(ArrayFiles):
    """Events in .npz files (numpy.savez): arrays of numbers, without pickled objects."""

    source: Literal["npz"]

    @classmethod
    def describe(cls, path: str) -> Description | None:
        """Return the tables of a file (`readers.npz.describe`)."""
        from omniflow.sources.readers import npz

        return npz.describe(path)

    def reader(self, path: str, table: str | None) -> Reader:
        """Return a reader of one file's arrays; npz files hold no tables."""
        from omniflow.sources.readers.npz import NpzReader

        return NpzReader(path, table, self.layout())
