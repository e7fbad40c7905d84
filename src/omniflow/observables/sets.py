"""Sets of observables that come with a package, which a configuration names by one name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class ObservableSet:
    """Observables that are declared together.

    Attributes:
        definitions: entries of the form of `observables.define`, by name.
        names: those that the name of the set stands for; the others are named one by one.
    """

    definitions: Mapping[str, Mapping[str, Any]]
    names: tuple[str, ...]
