"""Observables: what is histogrammed, one object each."""

from __future__ import annotations

import re
from collections import ChainMap
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np

from omniflow.errors import ConfigError
from omniflow.events.sample import Level
from omniflow.expressions import Values, parse
from omniflow.observables import jets as of_jets
from omniflow.observables.chunk import Chunk
from omniflow.observables.jets import SOFT_DROP, SoftDrop
from omniflow.physics.jets import JetDefinition

Kind = Literal["event", "particle", "jet", "entry"]
# One value per event (n,); values and the events that they are of, (k,) each; or what an
# expression gives.
Found = np.ndarray | tuple[np.ndarray, np.ndarray] | Values
NAME = r"^[A-Za-z0-9][A-Za-z0-9_-]*$"  # names are parts of paths in files
_ESCAPED, _NEITHER = re.compile(r"[{}$&#_%]"), re.compile(r"[\\^~]")


@dataclass(frozen=True)
class Quantiles:
    """Bins with equal parts of the simulation at detector level, fewer where values repeat.

    Attributes:
        bins: number of bins, at least 1.
    """

    bins: int

    def __post_init__(self) -> None:
        """Refuse numbers below 1."""
        if self.bins < 1:
            raise ConfigError(f"quantiles make at least one bin, not {self.bins}")


@dataclass(frozen=True)
class Observable:
    """What is histogrammed.

    Attributes:
        name: in configurations, tables and files.
        compute: takes a chunk of n events and returns one value per event, (n,); or (event_index,
            values), (k,) each, where events have any number of entries: indices into the chunk,
            non-decreasing; or `Values` of an expression. NaN and infinite values have no entry.
        edges: bin edges in `unit`, increasing, bins are [low, high); or `Quantiles`.
        label: plain text (Unicode) for HTML and tables; default: the name.
        latex: label for figures, with math between dollar signs; default: the label.
        unit: of the values, empty where there is none.
        kind: what has a value: every event, every particle, every jet of `jets` (which are matched
            between the levels), or anything else (`entry`). None: what `compute` gives tells.
        jets: definition of the jets; needed for the kind `jet`.
        log_x: whether the axis is drawn logarithmically.
        log_y: whether the distribution is drawn on a logarithmic scale.

    Raises:
        ConfigError: a name that is none, edges that do not increase, or jets without definition.

    Examples:
        >>> from omniflow.observables import from_expression
        >>> ht = from_expression("ht", "sum(pt)", edges=[0, 20, 50], unit="GeV")
        >>> ht.edges, ht.label, ht.unit
        ((0.0, 20.0, 50.0), 'ht', 'GeV')
        >>> Observable("ht", ht.compute, edges=(20, 0))
        Traceback (most recent call last):
        omniflow.errors.ConfigError: observable ht: ...
    """

    name: str
    compute: Callable[[Chunk], Found]
    edges: tuple[float, ...] | Quantiles = Quantiles(20)
    label: str = ""
    latex: str = ""
    unit: str = ""
    kind: Kind | None = None
    jets: JetDefinition | None = None
    log_x: bool = False
    log_y: bool = False

    def __post_init__(self) -> None:
        """Check what is given, and fill in labels."""
        if not re.match(NAME, self.name):
            raise ConfigError(
                f"observable {self.name!r}: names are letters, digits, _ and -, with a letter or "
                "digit in front"
            )
        if self.kind == "jet" and self.jets is None:
            raise ConfigError(
                f"observable {self.name}: kind `jet` needs `jets`, the definition of the jets"
            )
        if not isinstance(self.edges, Quantiles):
            edges = tuple(float(edge) for edge in self.edges)
            if problem := faulty(edges):
                raise ConfigError(f"observable {self.name}: {problem}")
            object.__setattr__(self, "edges", edges)
        label = self.label or self.name
        object.__setattr__(self, "label", label)
        object.__setattr__(self, "latex", self.latex or in_latex(label))


def from_expression(
    name: str, text: str, *, soft_drop: SoftDrop = SOFT_DROP, **options: Any
) -> Observable:
    """Return an observable that an expression gives (docs/expressions.md).

    Args:
        name: its name.
        text: one number per event, or per particle. With a definition of jets among the options
            `jets.pt`, `jets.eta` and so on (`jets.PROPERTIES`) are columns, too.
        soft_drop: of `jets.groomed_mass` and `jets.zg`.
        options: further attributes of `Observable`.

    Returns:
        The observable, with one value per event, or per particle.

    Raises:
        ConfigError: as `parse` and `Observable`.
    """
    expression = parse(text)
    definition: JetDefinition | None = options.get("jets")

    def compute(chunk: Chunk) -> Values:
        columns: Mapping[str, Values] = chunk.columns
        if definition is not None:
            of_jet = of_jets.columns(chunk, definition, soft_drop)
            # Nothing is written to it, so that mappings need not be mutable.
            columns = ChainMap[str, Values](of_jet, columns)  # type: ignore[arg-type]
        return expression.evaluate(columns, chunk.events)

    return Observable(name, compute, **options)


def from_jets(
    name: str,
    what: str,
    jets: JetDefinition,
    *,
    leading: bool = False,
    soft_drop: SoftDrop = SOFT_DROP,
    **options: Any,
) -> Observable:
    """Return an observable of clustered jets.

    Args:
        name: its name.
        what: one of `jets.PROPERTIES`.
        jets: how particles are clustered.
        leading: of the jet of highest pT only, one value per event; else of every jet.
        soft_drop: of groomed_mass and zg.
        options: further attributes of `Observable`.

    Returns:
        The observable, with one value per event, or per jet.

    Raises:
        ConfigError: an unknown property, or as `Observable`.
    """
    of_jets.find(what)

    def compute(chunk: Chunk) -> Found:
        found = chunk.jets(jets)
        values = of_jets.find(what)(found, soft_drop)
        if not leading:
            return found.event_index, values
        with_jets = np.flatnonzero(found.counts)
        return with_jets, values[found.offsets[with_jets]]

    return Observable(name, compute, kind="event" if leading else "jet", jets=jets, **options)


def from_function(name: str, function: Callable[[Level], Found], **options: Any) -> Observable:
    """Return an observable that a function of a level gives.

    Args:
        name: its name.
        function: takes a `Level` of n events and returns what `Observable.compute` returns.
        options: further attributes of `Observable`.

    Returns:
        The observable.
    """
    return Observable(name, lambda chunk: function(chunk.level), **options)


def faulty(edges: tuple[float, ...]) -> str:
    """Return what is wrong with bin edges, or nothing."""
    if len(edges) < 2:
        return f"at least two bin edges are needed, not {len(edges)}"
    if not np.isfinite(edges).all():
        return "bin edges must be finite; what lies outside of them is counted, too"
    for low, high in pairwise(edges):
        if high <= low:
            return f"bin edges must increase strictly, but {high:g} follows {low:g}"
    return ""


def in_latex(text: str) -> str:
    r"""Return plain text for LaTeX and matplotlib; what `\text` cannot hold in both is a blank."""
    escaped = _ESCAPED.sub(r"\\\g<0>", _NEITHER.sub(" ", text))
    return rf"$\text{{{escaped}}}$"
