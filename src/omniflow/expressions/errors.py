"""The error of expressions, with the place marked, and suggestions for misspelt names."""

from __future__ import annotations

import difflib
import keyword
import math
import unicodedata
from collections.abc import Iterable

from omniflow.errors import ConfigError

PAGE = "docs/expressions.md"
_BEFORE, _AFTER = 40, 60  # what is shown of a long text, around the place
_LISTED = 30
CONSTANTS = {"pi": math.pi, "nan": math.nan, "inf": math.inf}


class ExpressionError(ConfigError):
    """An expression is not valid, or does not fit the columns that it is evaluated on."""


def marked(message: str, text: str, start: int, stop: int) -> ExpressionError:
    """Return an error that shows `text` with the characters start:stop marked below it."""
    start = min(max(start, 0), len(text))
    stop = min(max(stop, start + 1), max(len(text), start + 1))
    first, last = max(start - _BEFORE, 0), start + _AFTER
    lead = "…" if first else ""
    shown = lead + text[first:last] + ("…" if last < len(text) else "")
    # What cannot be printed must not break a terminal, and takes one place like everything else.
    shown = "".join(
        letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in shown
    )
    marks = " " * (len(lead) + start - first) + "^" * (min(stop, last) - start)
    return ExpressionError(f"{message}\n    {shown}\n    {marks}")


def nearest(name: str, known: Iterable[str], count: int = 3) -> list[str]:
    """Return up to `count` names of `known` that `name` may stand for, best first.

    Upper and lower case count as the same letter: names that differ by it alone are all there is.

    Examples:
        >>> nearest("jet_pT", ["Jet_pt", "Jet_eta", "MET"], 1)
        ['Jet_pt']
    """
    spellings: dict[str, list[str]] = {}
    for other in known:
        spellings.setdefault(other.lower(), []).append(other)
    lower = name.lower()
    near = [lower] if lower in spellings else difflib.get_close_matches(lower, spellings, count)
    return [other for key in near for other in spellings[key]][:count]


def listing(names: Iterable[str]) -> str:
    """Return the names on one line: at most 30 of them, then how many more there are."""
    names = list(names)
    more = f" and {len(names) - _LISTED:,} more" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + more


def written(name: str) -> str:
    """Return how an expression has to write a column.

    Examples:
        >>> written("Jet.pt"), written("b-tag")
        ('Jet.pt', "column('b-tag')")
    """
    plain = all(
        part.isidentifier() and not part.startswith("_") and not keyword.iskeyword(part)
        for part in name.split(".")
    )
    # Python reads identifiers in this normal form, so that others would never be found.
    if plain and name not in CONSTANTS and unicodedata.normalize("NFKC", name) == name:
        return name
    return f"column({name!r})"
