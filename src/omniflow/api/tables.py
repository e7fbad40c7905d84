"""Tables of a study."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from omniflow.errors import InputError
from omniflow.tables.catalogue import TABLES
from omniflow.unfolding.plan import Plan

if TYPE_CHECKING:
    import pandas as pd


class Tables(Mapping[str, "pd.DataFrame"]):
    """Tables of a study by name, such as `metrics` and `summary`, read when they are asked for.

    `omniflow.tables` declares their columns, by which files are checked; docs/formats.md lists
    them. An empty text is "", an empty number NaN.
    """

    def __init__(self, plan: Plan) -> None:
        """Take the plan."""
        self._plan = plan

    def __getitem__(self, name: str) -> pd.DataFrame:
        """Return a table.

        Raises:
            InputError: there is none, or its file does not hold what it should.
        """
        if name not in list(self):
            known = ", ".join(self) or "none"
            raise InputError(f"{self._plan.root}: there is no table {name!r}; there are {known}")
        table = TABLES[name]
        return table.read(self._plan.table(table.name))

    def __iter__(self) -> Iterator[str]:
        """Yield the names of the tables that are there."""
        for path in (*self._plan.tables, *self._plan.uncertainty_tables):
            if path.stem in TABLES and path.suffix == ".csv" and path.is_file():
                yield path.stem

    def __len__(self) -> int:
        """Return the number of tables."""
        return sum(1 for _ in self)
