import pandas as pd
import pytest

from omniflow.errors import InputError
from omniflow.evaluation.closure import closure


def _summary(**columns):
    base = {"method": "m", "combine": "none", "iteration": 2, "td_prior_floor": 0.1}
    return pd.DataFrame([base | row for row in columns.values()])


ROWS = {
    "a": {"observable": "q2", "td_prior": 1.6, "td": 0.5, "td_floor": 0.25},  # twice the floor
    "b": {"observable": "y", "td_prior": 1.5, "td": 0.30, "td_floor": 0.1},  # exactly fivefold
    "c": {"observable": "eta_e", "td_prior": 1.1, "td": 0.36, "td_floor": 0.1},  # 3.1-fold
    "d": {"observable": "jet_pt", "td_prior": 0.5, "td": 0.6, "td_floor": 0.31},  # worse, in floor
}


def test_either_criterion_closes():
    table = closure(_summary(**ROWS), "m", "none").set_index("observable")
    assert list(table.closes) == [True, True, False, True]
    assert list(table.better) == [True, True, True, False]
    assert table.improvement["y"] == pytest.approx(5)
    assert table.improvement["eta_e"] == pytest.approx(1.1 / 0.36)


def test_improvement_is_a_plain_ratio_also_below_the_floor():
    """Floors are not subtracted: what is left above them may be nothing."""
    row = ROWS["a"] | {"td": 0.2, "td_floor": 0.25}
    assert closure(_summary(a=row), "m", "none").improvement.item() == pytest.approx(8)


def test_every_iteration_has_its_rows():
    early = ROWS["c"] | {"iteration": 1, "td": 9.0}
    table = closure(_summary(early=early, late=ROWS["c"]), "m", "none")
    assert list(table.iteration) == [1, 2]
    assert list(table.td) == [9.0, 0.36]
    assert list(table.better) == [False, True]


def test_without_truth_or_method_there_is_no_closure():
    with pytest.raises(InputError, match="'other'"):
        closure(_summary(**ROWS), "other", "none")
    with pytest.raises(InputError, match="truth"):
        closure(_summary(a=ROWS["a"] | {"td": None}), "m", "none")


def test_observables_without_entries_have_no_row():
    table = closure(_summary(a=ROWS["a"], b=ROWS["b"] | {"td": None}), "m", "none")
    assert list(table.observable) == ["q2"]
