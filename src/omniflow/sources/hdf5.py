"""Events in HDF5 files of any layout."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from omniflow.sources.arrays import ArrayFiles

if TYPE_CHECKING:
    from omniflow.sources.description import Description
    from omniflow.sources.readers.reader import Reader


class Hdf5(ArrayFiles):
    """Events in HDF5 files (h5py): datasets are columns by their path, `a/b` is `a.b`.

    `table` is a group, a structured dataset, or what `to_hdf` of pandas calls the key.
    """

    source: Literal["hdf5"]

    @classmethod
    def describe(cls, path: str) -> Description | None:
        """Return the tables of a file (`readers.hdf5.describe`)."""
        from omniflow.sources.readers import hdf5

        return hdf5.describe(path)

    def reader(self, path: str, table: str | None) -> Reader:
        """Return a reader of one file's datasets."""
        from omniflow.sources.readers.hdf5 import Hdf5Reader

        return Hdf5Reader(path, table, self.layout())
