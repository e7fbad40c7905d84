"""Events in ROOT files: TTrees and RNTuples, flat and jagged branches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from omniflow.sources.mapped import Mapped

if TYPE_CHECKING:
    from omniflow.sources.description import Description
    from omniflow.sources.readers.reader import Reader


class Root(Mapped):
    """Events in ROOT files (uproot): a TTree or RNTuple with branches of numbers or lists."""

    source: Literal["root"]

    @classmethod
    def describe(cls, path: str) -> Description | None:
        """Return the tables of a file (`readers.root.describe`)."""
        from omniflow.sources.readers import root

        return root.describe(path)

    def reader(self, path: str, table: str | None) -> Reader:
        """Return a reader of one file's tree."""
        from omniflow.sources.readers.root import RootReader

        return RootReader(path, table)
