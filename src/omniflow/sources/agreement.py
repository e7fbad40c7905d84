"""Comparison: data beside simulation at detector level, and what looks wrong, the worst first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from omniflow.sources.judgement import DOUBTFUL, GOOD, NOTE, STYLES, Remark, ordered

if TYPE_CHECKING:
    from rich.console import Group

    from omniflow.sources.description import Column, Description

# Factors between units that are mistaken for each other, and how far medians may be off them.
_FACTORS = {1000.0: "GeV and MeV, or m and mm", 180 / np.pi: "radians and degrees"}
_NEAR = 1.6
_FEW = 20  # values that tell nothing
_OUTSIDE = 0.01  # share of the data beyond all of the simulation
_APART = 1.0  # distance of medians in widths between the quartiles
_TIMES = 2.0  # ratio of yields and of particles per event
_ABSENT = 0.2  # difference of the shares of events that pass


@dataclass(frozen=True)
class Row:
    """A column at detector level: the 5%, 50% and 95% quantiles of data and simulation."""

    name: str
    unit: str
    data: tuple[float, float, float]
    simulation: tuple[float, float, float]


@dataclass(frozen=True)
class Comparison:
    """Quantiles of the columns that both have, and remarks, the worst first."""

    rows: tuple[Row, ...]
    remarks: tuple[Remark, ...]


def compare(data: Description, simulation: Description, scale: float | str = 1.0) -> Comparison:
    """Return data and simulation of a study beside each other.

    Args:
        data: as they are read.
        simulation: as it is read.
        scale: `unfolding.scale` of the study.
    """
    one, other = _columns(data), _columns(simulation)
    if not one or not other:  # generated when the study runs
        return Comparison((), ())
    remarks = [
        Remark(DOUBTFUL, f"{name} is in the {where} alone at detector level: give both the same.")
        for where, here, there in (("data", one, other), ("simulation", other, one))
        for name in here
        if name not in there
    ]
    remarks += _yields(data, simulation, scale)
    remarks += _multiplicities(data, simulation)
    rows = []
    for name in (name for name in one if name in other):
        mine, theirs = one[name], other[name]
        if min(len(mine.values), len(theirs.values)) < _FEW:
            continue
        row = Row(name, mine.unit, _quantiles(mine), _quantiles(theirs))
        rows.append(row)
        remarks += _of_column(row, mine, theirs)
    if not any(remark.grade == DOUBTFUL for remark in remarks) and rows:
        remarks.append(Remark(GOOD, f"{len(rows)} columns have alike ranges in both."))
    return Comparison(tuple(rows), ordered(remarks))


def _columns(found: Description) -> dict[str, Column]:
    return {
        column.name: column for column in found.columns if column.dataset.startswith("detector/")
    }


def _quantiles(column: Column) -> tuple[float, float, float]:
    """Return the 5%, 50% and 95% quantiles by the size of weights."""
    low, middle, high = (_quantile(column, share) for share in (0.05, 0.5, 0.95))
    return low, middle, high


def _quantile(column: Column, share: float) -> float:
    order = np.argsort(column.values)
    sums = np.cumsum(np.abs(column.weights[order]))
    at = np.searchsorted(sums, share * sums[-1])
    return float(column.values[order[min(int(at), len(order) - 1)]])


def _of_column(row: Row, data: Column, simulation: Column) -> Iterator[Remark]:
    """Yield what looks wrong of a column: its unit, its range, or its middle."""
    one, other = (_size(column) for column in (data, simulation))
    for factor, units in _FACTORS.items():
        ratio = max(one, other) / min(one, other) if min(one, other) > 0 else 0.0
        if factor / _NEAR < ratio < factor * _NEAR:
            large, small = ("data", "simulation") if one > other else ("simulation", "data")
            yield Remark(
                DOUBTFUL,
                f"{row.name} is {ratio:,.0f} times larger in the {large} than in the {small}: "
                f"are they in different units ({units})? Declare `unit` of each.",
            )
            return
    outside = float(
        np.mean((data.values < simulation.minimum) | (data.values > simulation.maximum))
    )
    if outside > _OUTSIDE:
        yield Remark(
            DOUBTFUL,
            f"{row.name}: {outside:.1%} of the data lie outside of all of the simulation "
            f"({simulation.minimum:.4g} to {simulation.maximum:.4g}), where no weight can bring "
            "events: apply the same selection to both, or check the column.",
        )
        return
    quartiles = [_quantile(simulation, share) for share in (0.25, 0.75)]
    width = quartiles[1] - quartiles[0]
    if width > 0 and (apart := abs(row.data[1] - row.simulation[1]) / width) > _APART:
        yield Remark(
            NOTE,
            f"{row.name}: the median is {row.data[1]:.4g} in the data and {row.simulation[1]:.4g} "
            f"in the simulation, {apart:.1f} times the width between its quartiles: weights will "
            "be large, if it is the same quantity.",
        )


def _size(column: Column) -> float:
    """Return the middle size of the values that are not 0."""
    sizes = np.abs(column.values[column.values != 0])
    return float(np.median(sizes)) if len(sizes) else 0.0


def _yields(data: Description, simulation: Description, scale: float | str) -> Iterator[Remark]:
    """Yield sums of weights, and shares of the records that pass."""
    one, other = (
        {row.name: row for row in found.selections}["pass detector level"]
        for found in (data, simulation)
    )
    ratio = one.sum_of_weights / other.sum_of_weights if other.sum_of_weights else np.inf
    text = (
        f"Sum of weights of what passes: data {one.sum_of_weights:,.6g}, simulation "
        f"{other.sum_of_weights:,.6g}, ratio {ratio:.4g}"
    )
    if isinstance(scale, str):
        yield Remark(GOOD, f"{text}; unfolding.scale: {scale} takes it up.")
    elif 1 / _TIMES < ratio / scale < _TIMES:
        yield Remark(GOOD, f"{text}; unfolding.scale is {scale:g}.")
    else:
        yield Remark(
            DOUBTFUL,
            f"{text}, but unfolding.scale is {scale:g}: give the ratio of luminosities, or "
            "`scale: detector` for the shape alone.",
        )
    if one.fraction < other.fraction - _ABSENT:
        yield Remark(
            NOTE,
            f"{one.fraction:.1%} of the data pass at detector level, {other.fraction:.1%} of the "
            "simulation: is the selection of both the same?",
        )


def _multiplicities(data: Description, simulation: Description) -> Iterator[Remark]:
    one, other = (
        {row.level: row.mean for row in found.multiplicities}.get("detector")
        for found in (data, simulation)
    )
    if not one or not other:
        return
    grade = GOOD if 1 / _TIMES < one / other < _TIMES else DOUBTFUL
    more = "" if grade == GOOD else ": is `keep` of both the same?"
    yield Remark(
        grade, f"Particles per event: {one:.2f} in the data, {other:.2f} in the simulation{more}."
    )


def render(found: Comparison) -> Group:
    """Return the comparison as a table for a rich console."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    parts: list[Text | Table] = [Text("data and simulation at detector level", style="bold")]
    for remark in found.remarks:
        parts.append(Text.assemble((f"{remark.grade}: ", STYLES[remark.grade]), remark.text))
    table = Table(title="Quantiles", title_justify="left", title_style="bold")
    for head in ("column", "unit", "sample", "5%", "50%", "95%"):
        table.add_column(head, justify="right" if head.endswith("%") else "left")
    for row in found.rows:
        first, unit = Text(row.name), Text(row.unit)
        for sample, quantiles in (("data", row.data), ("simulation", row.simulation)):
            table.add_row(first, unit, sample, *(f"{value:.4g}" for value in quantiles))
            first, unit = Text(), Text()
    return Group(*parts, table)
