"""Stacks: tables and means of the weights of stacked members."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from omniflow.tables.event_weights import STACKING

_CROSSED = ("crossed_stacked", "crossed_mean", "crossed_best")
_SHARED = ("loss_stacked", "loss_mean", "events", *_CROSSED)


def stacking_table(records: Iterable[tuple[Mapping[str, Any], Mapping[str, Any]]]) -> pd.DataFrame:
    """Build stacking.csv.

    Args:
        records: of each lane, iteration and step its coordinates as columns, and what
            `stages.held_out.stack` has kept.

    Returns:
        One row per member.
    """
    rows = []
    for place, record in records:
        shared = dict(place) | {name: record[name] for name in _SHARED}
        pairs = zip(record["weights"], record["losses"], strict=True)
        rows += [
            shared | {"member": member, "weight": weight, "loss": loss}
            for member, (weight, loss) in enumerate(pairs)
        ]
    return STACKING.build(rows)


def summary(rows: pd.DataFrame) -> list[dict[str, object]]:
    """Return means over passes and lanes for each chain, iteration and step.

    The effective number of members is 1 / sum of squared weights.

    Args:
        rows: of stacking.csv.
    """
    if rows.empty:
        return []
    lanes = rows.assign(square=rows["weight"] ** 2).groupby(
        ["chain", "iteration", "step", "pass", "lane"]
    )
    found = lanes.agg(
        square=("square", "sum"),
        largest=("weight", "max"),
        loss_best=("loss", "min"),
        loss_mean=("loss_mean", "first"),
        loss_stacked=("loss_stacked", "first"),
        **{name: (name, "first") for name in _CROSSED},
        events=("events", "first"),
    )
    found["effective"] = 1 / found.pop("square")
    mean = found.groupby(["chain", "iteration", "step"]).mean().reset_index()
    return mean.astype(object).where(mean.notna(), None).to_dict("records")
