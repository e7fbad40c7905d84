"""Tails and distribution of the final weights, and effective sizes per bin."""

from __future__ import annotations

import pandas as pd

from omniflow.evaluation.event_weights import effective_sizes_table, tails_tables
from omniflow.stages.finished import Finished
from omniflow.tables.event_weights import EFFECTIVE_SIZES, TAILS, WEIGHT_DISTRIBUTIONS
from omniflow.tables.table import Table


def tables(study: Finished) -> dict[Table, pd.DataFrame]:
    """Return the tables of each method's first combination."""
    tails, distributions = tails_tables(study.headline_weights())
    sizes = effective_sizes_table(study.spectra(), study.prior, study.edges("particle"))
    return {TAILS: tails, WEIGHT_DISTRIBUTIONS: distributions, EFFECTIVE_SIZES: sizes}
