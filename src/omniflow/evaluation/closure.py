"""Closure: does unfolding pseudo-data bring every observable to its known truth?"""

from __future__ import annotations

import pandas as pd

from omniflow.errors import InputError
from omniflow.evaluation.metrics import FLOORS

IMPROVEMENT = 5.0


def closure(summary: pd.DataFrame, method: str, combine: str) -> pd.DataFrame:
    """Return one row per iteration and observable of a method.

    Columns: `iteration`, `observable`; `td_prior`, `td`, `td_floor`, distances to truth (triangular
    discriminator x 1000) before and after unfolding and the statistical floor of the latter;
    `improvement`, the first over the second; `better`, whether the distance fell; `closes`, whether
    it lies within FLOORS times the floor or improved at least IMPROVEMENT-fold.

    Args:
        summary: the study's summary.csv.
        method: name of a method.
        combine: combination of its lanes, `none` for one lane.

    Observables without entries have no distance and no row.

    Raises:
        InputError: no such method and combination, or data without truth.
    """
    mine = summary[(summary["method"] == method) & (summary["combine"] == combine)]
    mine = mine[mine["td"].notna()]
    if mine.empty:
        raise InputError(
            f"summary.csv: no distances to truth for method {method!r}, combination {combine!r}; "
            "closure needs pseudo-data with truth and a finished method."
        )
    found = mine[["iteration", "observable", "td_prior", "td", "td_floor"]].reset_index(drop=True)
    found["improvement"] = found["td_prior"] / found["td"]
    found["better"] = found["td"] < found["td_prior"]
    found["closes"] = (found["td"] <= FLOORS * found["td_floor"]) | (
        found["improvement"] >= IMPROVEMENT
    )
    return found
