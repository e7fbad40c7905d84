import pandas as pd

from omniflow.evaluation.convergence import FALL_COLUMNS
from omniflow.stages import diagnostics


def test_suggestions_name_observables_in_one_cell():
    rows = [
        ("none", "none", name, i, j, 5.0, 0.1, fall, 0.9, 1.0)
        for name in ("q2", "y")
        for i, j, fall in ((0, 1, 9.0), (0, 2, 8.0), (1, 2, -3.0))
    ]
    (row,) = diagnostics._stopping(pd.DataFrame(rows, columns=FALL_COLUMNS)).itertuples()
    assert (row.iteration, row.above_floor, row.rising) == (1, "q2 y", "q2 y")
    assert row.to is pd.NA


def test_without_distances_there_is_no_suggestion():
    found = diagnostics._stopping(pd.DataFrame([], columns=FALL_COLUMNS))
    assert found.empty
    assert {"method", "iteration", "above_floor"} <= set(found)
