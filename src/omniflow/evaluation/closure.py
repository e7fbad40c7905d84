"""Closure: does unfolding pseudo-data bring every observable to its known truth?"""

from __future__ import annotations

import pandas as pd

from omniflow.errors import InputError
from omniflow.evaluation.metrics import FLOORS

IMPROVEMENT = 5.0


def closure(summary: pd.DataFrame, method: str, combine: str) -> pd.DataFrame:
    """Return one row per observable of the last iteration of a method.

    Columns: `observable`; `td_prior`, `td`, `td_floor`, distances to truth (triangular
    discriminator x 1000) before and after unfolding and the statistical floor of the latter;
    `improvement`, the ratio of both distances after their own floors are subtracted (infinite
    at or below the floor); `better`, whether the distance fell; `closes`, whether it lies
    within FLOORS times the floor or improved at least IMPROVEMENT-fold.

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
    last = mine[mine["iteration"] == mine["iteration"].max()]
    after = (last["td"] - last["td_floor"]).clip(lower=0)
    before = (last["td_prior"] - last["td_prior_floor"]).clip(lower=0)
    improvement = before / after  # infinite or undefined where nothing is left above the floor
    return pd.DataFrame(
        {
            "observable": last["observable"],
            "td_prior": last["td_prior"],
            "td": last["td"],
            "td_floor": last["td_floor"],
            "improvement": improvement,
            "better": last["td"] < last["td_prior"],
            "closes": (last["td"] <= FLOORS * last["td_floor"]) | (improvement >= IMPROVEMENT),
        }
    ).reset_index(drop=True)
