"""Convergence: how distances to data and truth change, and where to stop."""

from __future__ import annotations

import pandas as pd

from omniflow.evaluation.convergence import falls, stopping_table, truth_as_data
from omniflow.stages.finished import Finished
from omniflow.tables.convergence import CONVERGENCE, STOPPING
from omniflow.tables.table import Table


def tables(study: Finished) -> dict[Table, pd.DataFrame]:
    """Return falls between any two iterations, and a suggestion per method.

    Of each method's first combination; without truth there are none at particle level.
    """
    levels = {"detector": study.detector_level}
    if study.truth is not None:
        levels["particle"] = truth_as_data(*study.particle_level)
    found = {
        level: falls(level, *(study.headline(table) for table in pair))
        for level, pair in levels.items()
    }
    return {
        CONVERGENCE: pd.concat(found.values(), ignore_index=True),
        STOPPING: stopping_table(found["detector"]),
    }
