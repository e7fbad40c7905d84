"""Events in Parquet files, flat and jagged columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from omniflow.sources.mapped import Mapped

if TYPE_CHECKING:
    from omniflow.sources.description import Description
    from omniflow.sources.readers.reader import Reader


class Parquet(Mapped):
    """Events in Parquet files (pyarrow): columns of numbers, lists, or records of them."""

    source: Literal["parquet"]

    @classmethod
    def describe(cls, path: str) -> Description | None:
        """Return the tables of a file (`readers.parquet.describe`)."""
        from omniflow.sources.readers import parquet

        return parquet.describe(path)

    def reader(self, path: str, table: str | None) -> Reader:
        """Return a reader of one file; Parquet files hold one table."""
        from omniflow.sources.readers.parquet import ParquetReader

        return ParquetReader(path, table)
