"""Paths that a user writes: `~` and environment variables, as in a shell."""

from __future__ import annotations

import os
import re
from typing import Annotated

from pydantic import AfterValidator, PlainSerializer

# `$$` is a dollar sign; one without a name behind it stays, as in a shell.
_VARIABLE = re.compile(r"\$(?:(\$)|([A-Za-z_]\w*)|\{([^}]*)\})", re.ASCII)


def expanded(path: str) -> str:
    """Return a path with `~`, `~user`, `$NAME` and `${NAME}` replaced, and `$` for `$$`.

    Raises:
        ValueError: a variable is not set or empty, or the home folder is not known.
    """
    start, slash, rest = path.partition("/")
    if start.startswith("~"):
        home = os.path.expanduser(start)
        if home == start:
            raise ValueError(f"the home folder of {start} is not known; write the path in full")
        return home + _VARIABLE.sub(_value, slash + rest)
    return _VARIABLE.sub(_value, path)


def escaped(path: str) -> str:
    """Return what `expanded` makes `path` of."""
    return path.replace("$", "$$")


def _value(found: re.Match[str]) -> str:
    dollar, plain, braced = found.groups()
    if dollar:
        return dollar
    name = plain or braced or ""
    value = os.environ.get(name)
    if not value:
        state = "not set" if value is None else "empty"
        raise ValueError(
            f"the environment variable {name} is {state}; set it, or write the path in full "
            "($$ is a dollar sign)"
        )
    return value


# A dumped configuration has paths in full: jobs on other machines must not read them differently.
ExpandedPath = Annotated[str, AfterValidator(expanded), PlainSerializer(escaped, when_used="json")]
