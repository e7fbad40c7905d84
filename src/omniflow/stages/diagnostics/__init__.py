"""Diagnostics, which tell how far classifiers and weights can be trusted: one module for each.

A module is found by being here. Its function `tables` takes a finished study, reads what it needs,
and returns tables by their declaration.
"""

from __future__ import annotations

import pkgutil
from importlib import import_module

import pandas as pd

from omniflow.stages.finished import Finished
from omniflow.tables.table import Table

Tables = dict[Table, pd.DataFrame]


def tables(study: Finished) -> Tables:
    """Return the tables of all diagnostics."""
    found: Tables = {}
    for module in pkgutil.iter_modules(__path__):
        found |= import_module(f"{__name__}.{module.name}").tables(study)
    return found
