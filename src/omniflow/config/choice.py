"""Choice: a name out of a table that a layer above keeps, looked up when a value is validated."""

from __future__ import annotations

import difflib
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import core_schema

from omniflow import outside


class Choice:
    """Annotation of text that is a key of a table, or one of some further words.

    What is added to the table may be named in a configuration: nothing else lists its keys.
    """

    def __init__(self, table: str, *others: str) -> None:
        """Take the table, `module:object`, and further words that are permitted."""
        self.table = table
        self.others = others

    def names(self) -> list[str]:
        """Return all that may be chosen."""
        return [*outside.load(self.table), *self.others]

    def __get_pydantic_core_schema__(
        self, annotation: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        """Return a schema of text that is one of the names."""
        return core_schema.no_info_after_validator_function(self._known, core_schema.str_schema())

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Return the names as an enumeration."""
        return {"type": "string", "enum": self.names()}

    def _known(self, value: str) -> str:
        names = self.names()
        if value not in names:
            near = difflib.get_close_matches(value, names, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ValueError(f"there are {', '.join(names)}{hint}")
        return value
