"""Rounds of lanes of methods whose lanes were added until a target was met."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd

from omniflow.stages.finished import Finished
from omniflow.tables.lanes import LANES
from omniflow.tables.table import Table
from omniflow.unfolding import rounds
from omniflow.unfolding.plan import Plan


def tables(study: Finished) -> dict[Table, pd.DataFrame]:
    """Return what rounds have measured, and what followed."""
    plan = study.plan
    return {LANES: LANES.build(row for method in plan.adaptive for row in _rows(plan, method))}


def _rows(plan: Plan, method: str) -> Iterator[dict[str, Any]]:
    """Yield a row per round and observable."""
    until = rounds.until(plan, method)
    for each in rounds.over(plan, method):
        for name, spread in each.spreads.items():
            yield {
                "method": method,
                "round": each.number,
                "lanes": each.lanes,
                "quantity": until.quantity,
                "observable": name,
                "value": spread.value,
                "limit": spread.limit,
                "target": until.target,
                "met": "yes" if spread.limit <= until.target else "no",
                "wanted": each.wanted,
                "following": each.following(plan.config.methods[method].lanes),
            }
