"""Second classifiers: whether a new network can tell the result from its target."""

from __future__ import annotations

import pandas as pd

from omniflow.stages import second
from omniflow.stages.finished import Finished
from omniflow.tables.classifiers import SECOND_CLASSIFIER
from omniflow.tables.table import Table


def tables(study: Finished) -> dict[Table, pd.DataFrame]:
    """Return the areas under the ROC curves of all second classifiers."""
    return {SECOND_CLASSIFIER: second.table(study.plan)}
