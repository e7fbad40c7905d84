"""Tests of the detector response, by the networks of jobs of their own."""

from __future__ import annotations

import pandas as pd

from omniflow.stages import response
from omniflow.stages.finished import Finished
from omniflow.tables.identifiability import RESPONSE
from omniflow.tables.table import Table


def tables(study: Finished) -> dict[Table, pd.DataFrame]:
    """Return the results of all tests and controls."""
    return {RESPONSE: response.table(study.plan)}
