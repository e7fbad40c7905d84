from pathlib import Path

import numpy as np
import pytest

from omniflow.evaluation import comparison
from omniflow.evaluation.metrics import spread
from omniflow.evaluation.studies import STUDIES, Pair, Result, studies_table


@pytest.fixture(autouse=True)
def _few_rotations(monkeypatch):
    monkeypatch.setattr(comparison, "ROTATIONS", 200)
    comparison._rotations.cache_clear()
    yield
    comparison._rotations.cache_clear()


def result(study, passes, size, seed, shift=0.0, **cost):
    rng = np.random.default_rng(seed)
    contents = {
        name: 100 * (1 + shift + size * rng.normal(size=(passes, bins)))
        for name, bins in (("x", 8), ("y", 5))
    }
    return Result(study, "none", "none", contents, 4, **cost)


TRUTH = {"x": np.full(8, 100.0), "y": np.full(5, 100.0)}


def table(*pairs):
    return studies_table(pairs).set_index(["study", "metric", "observable"]).sort_index()


def test_values_are_those_of_summary_and_differences_those_of_values():
    a, b = result("a", 6, 0.02, 1), result("b", 6, 0.01, 2, shift=0.05)
    found = table(Pair(a, b, TRUTH, paired=True))
    for metric in ("sigma_rel", "bias_rel", "rel_mse"):
        means = []
        for name in ("x", "y"):
            row = found.loc["b", metric, name]
            ours, theirs = (
                np.abs(spread(each.contents[name], TRUTH[name]).values[metric]).mean()
                for each in (a, b)
            )
            assert row["reference_value"] == pytest.approx(ours)
            assert row["value"] == pytest.approx(theirs)
            means.append(theirs)
        assert found.loc["b", metric, ""]["value"] == pytest.approx(np.mean(means))
    bias = found.loc["b", "bias_rel", ""]
    assert bias["difference"] == pytest.approx(bias["value"] - bias["reference_value"])
    assert bias["bins"] == 13
    assert np.isnan(bias["ratio"])
    assert found.loc["b", "sigma_rel", "x"]["bins"] == 8


def test_the_test_is_the_paired_one_where_passes_go_together():
    a, b = result("a", 6, 0.02, 1), result("b", 6, 0.01, 2)
    paired, apart = (table(Pair(a, b, TRUTH, paired=p)) for p in (True, False))
    rows = [np.hstack([each.contents[n] for n in "xy"]) for each in (b, a)]
    observable = np.repeat([0, 1], [8, 5])
    expected = comparison.compare(*map(comparison.spreads, rows), observable)
    np.testing.assert_allclose(paired.loc["b", "sigma_rel"]["ratio"], expected.ratio)
    np.testing.assert_allclose(paired.loc["b", "sigma_rel"]["p_value"], expected.p_value)
    expected = comparison.compare_apart(*map(comparison.spreads, rows), observable)
    np.testing.assert_allclose(apart.loc["b", "sigma_rel"]["p_value"], expected.p_value)
    assert set(paired["test"]) == {"paired", ""}
    assert set(apart["test"]) == {"unpaired", ""}


def test_equal_passes_have_no_difference_of_bias_and_no_error_of_it():
    a = result("a", 6, 0.02, 1, shift=0.1)
    found = table(Pair(a, Result("b", "none", "none", a.contents, 4), TRUTH, paired=True))
    rows = found.loc["b", "bias_rel"]
    assert (rows[["difference", "difference_error"]] == 0).all(axis=None)
    assert (found.loc["b", "sigma_rel"]["p_value"] == 1).all()


def test_passes_apart_are_drawn_apart():
    """The error of a difference is that of both, where pass i of one is not pass i of the other."""
    a = result("a", 9, 0.02, 1, shift=0.1)
    same = Result("b", "none", "none", a.contents, 4)
    row = table(Pair(a, same, TRUTH, paired=False)).loc["b", "bias_rel", ""]
    both = np.hypot(row["value_error"], row["reference_error"])
    assert row["difference_error"] == pytest.approx(both, rel=0.15)


def test_p_values_are_corrected_for_all_studies():
    a = result("a", 6, 0.02, 1)
    others = [result(name, 6, 0.013, seed) for seed, name in enumerate("bcd", 2)]
    found = table(*(Pair(a, each, TRUTH, paired=False) for each in others))
    rows = found.xs(("sigma_rel", ""), level=("metric", "observable"))
    np.testing.assert_allclose(rows["p_adjusted"], comparison.adjusted(rows["p_value"].tolist()))
    assert found.xs("bias_rel", level="metric")["p_adjusted"].isna().all()


def test_costs_have_a_ratio_where_they_are_known():
    a, b = result("a", 4, 0.02, 1, hours=(2.0, 0.2)), result("b", 4, 0.02, 2, hours=(1.0, 0.1))
    found = table(Pair(a, b, None, paired=True))
    row = found.loc["b", "core_hours_per_pass", ""]
    assert row["ratio"] == pytest.approx(0.5)
    assert row["log_error"] == pytest.approx(np.hypot(0.1, 0.1))
    assert found.loc["b", "networks_per_pass", ""]["ratio"] == 1
    unknown = table(Pair(result("a", 4, 0.02, 1), b, None, paired=True))
    assert np.isnan(unknown.loc["b", "core_hours_per_pass", ""]["ratio"])
    assert set(found.index.get_level_values("metric")) == {
        *("sigma_rel", "networks_per_pass", "core_hours_per_pass")
    }


def test_bins_without_truth_or_content_take_no_part():
    a, b = result("a", 4, 0.02, 1), result("b", 4, 0.02, 2)
    truth = TRUTH | {"x": np.where(np.arange(8) < 3, np.nan, 100.0)}
    for each in (a, b):
        each.contents["y"][:] = 0
    found = table(Pair(a, b, truth, paired=True))
    assert found.loc["b", "rel_mse", "x"]["bins"] == found.loc["b", "bias_rel", "x"]["bins"] == 5
    assert found.loc["b", "sigma_rel", "y"]["bins"] == 0
    assert np.isnan(found.loc["b", "sigma_rel", "y"]["value"])
    row = found.loc["b", "sigma_rel", ""]
    assert row["value"] == pytest.approx(found.loc["b", "sigma_rel", "x"]["value"])


def test_the_page_has_all_columns():
    page = (Path(__file__).parents[2] / "docs" / "compare.md").read_text("utf-8")
    for column in STUDIES.columns:
        assert f"| `{column.name}` | {column.type} | {column.meaning} |" in page
