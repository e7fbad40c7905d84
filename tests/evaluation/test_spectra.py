import io

import numpy as np
import pandas as pd
import pytest

from omniflow.evaluation.histograms import Histogram
from omniflow.evaluation.spectra import (
    Unfolded,
    bayes_tables,
    detector_tables,
    unfolding_tables,
)

EDGES = {"q2": np.array([1.0, 2.0, 4.0, 8.0, 16.0])}
# bin 2 has no truth, bin 3 no unfolded content
UNFOLDED = np.array([[9.0, 24.0, 1.0, 0.0], [12.0, 20.0, 1.0, 0.0], [12.0, 16.0, 1.0, 0.0]])
TRUTH = np.array([10.0, 25.0, 0.0, 5.0])
PRIOR = np.array([20.0, 10.0, 10.0, 0.0])


def histogram(content, variance=None):
    variance = content if variance is None else variance
    return Histogram(content, variance, variance)


def result(content=UNFOLDED, iteration=1, variance=None, **names):
    names = {"method": "step", "combine": "none"} | names
    return Unfolded(**names, iteration=iteration, histograms={"q2": histogram(content, variance)})


def tables(results=None, truth=TRUTH, normalization="absolute"):
    return unfolding_tables(
        [result()] if results is None else results,
        EDGES,
        {"q2": histogram(PRIOR)},
        None if truth is None else {"q2": histogram(truth)},
        normalization,
    )


def test_metrics_columns_start_as_other_tools_expect():
    expected = (
        "method,combine,iteration,observable,bin,low,high,truth,prior,mean,bias_rel,sigma_rel,"
        "sigma_rel_paper,rel_mse,mse_rel_paper,passes,truth_error,prior_error,mean_error,"
        "sigma_rel_error,bias_rel_error,rel_mse_error"
    )
    assert ",".join(tables()[0].columns) == expected


def test_metrics_in_absolute_yields():
    variance = np.array([[1.0, 9.0, 1.0, 0.0], [4.0, 9.0, 1.0, 0.0], [4.0, 9.0, 1.0, 0.0]])
    metrics, _ = tables([result(variance=variance)])
    assert metrics.bin.tolist() == [0, 1]  # empty bins are absent
    assert metrics.low.tolist() == [1, 2]
    assert metrics.high.tolist() == [2, 4]
    assert metrics.truth.tolist() == [10, 25]
    assert metrics.prior.tolist() == [20, 10]
    np.testing.assert_allclose(metrics["mean"], [11, 20])
    np.testing.assert_allclose(metrics.bias_rel, [0.1, -0.2])
    np.testing.assert_allclose(metrics.sigma_rel, [np.sqrt(3) / 11, 0.2])
    np.testing.assert_allclose(metrics.truth_error, np.sqrt([10, 25]))
    np.testing.assert_allclose(metrics.prior_error, np.sqrt([20, 10]))
    np.testing.assert_allclose(metrics.mean_error, np.sqrt([3, 9]))
    assert (metrics.sigma_rel_error > 0).all()
    assert metrics.passes.tolist() == [3, 3]


def test_metrics_in_shape_do_not_depend_on_the_yield_of_a_pass():
    scaled = UNFOLDED * np.array([[1.0], [2.0], [5.0]])
    metrics, summary = tables([result()], normalization="shape")
    again, summary_again = tables([result(scaled)], normalization="shape")
    for name in ("mean", "truth", "bias_rel", "sigma_rel", "rel_mse"):
        np.testing.assert_allclose(metrics[name], again[name], rtol=1e-12)
    np.testing.assert_allclose(metrics.truth, [0.25, 0.625])
    np.testing.assert_allclose(
        metrics["mean"], [(9 / 34 + 12 / 33 + 12 / 29) / 3, (24 / 34 + 20 / 33 + 16 / 29) / 3]
    )
    assert summary.td[0] == pytest.approx(summary_again.td[0])


def test_summary():
    _, summary = tables()
    assert ",".join(summary.columns) == (
        "method,combine,iteration,observable,bias_rel,bias_rel_error,sigma_rel,sigma_rel_error,"
        "rel_mse,rel_mse_error,bias_rel_weighted,bias_rel_weighted_error,sigma_rel_weighted,"
        "sigma_rel_weighted_error,rel_mse_weighted,rel_mse_weighted_error,td_prior,td,td_floor,"
        "td_prior_floor,passes,bins"
    )
    (row,) = summary.to_dict("records")
    assert (row["method"], row["combine"], row["iteration"]) == ("step", "none", 1)
    assert (row["observable"], row["passes"], row["bins"]) == ("q2", 3, 2)
    assert row["bias_rel"] == pytest.approx(0.15)
    assert row["bias_rel_weighted"] == pytest.approx(6 / 35)
    assert row["rel_mse"] == pytest.approx((0.03 + 107 / 1875) / 2)
    assert row["rel_mse_weighted"] == pytest.approx((0.3 + 107 / 75) / 35)
    assert row["bias_rel_error"] > 0
    # truth (0.25, 0.625, 0, 0.125), prior (0.5, 0.25, 0.25, 0); empty bins count here
    assert row["td_prior"] == pytest.approx(
        500 * (0.25**2 / 0.75 + 0.375**2 / 0.875 + 0.25 + 0.125)
    )
    # multinomial variances p (1 - p) / 40 of both
    truth, prior = np.array([0.25, 0.625, 0, 0.125]), np.array([0.5, 0.25, 0.25, 0])
    variance = (truth * (1 - truth) + prior * (1 - prior)) / 40
    assert row["td_prior_floor"] == pytest.approx(500 * np.sum(variance / (truth + prior)))


@pytest.mark.parametrize("normalization", ["absolute", "shape"])
def test_discriminator_is_of_shapes_in_both_normalisations(normalization):
    _, summary = tables([result(3 * np.tile(TRUTH, (2, 1)))], normalization=normalization)
    assert summary.td[0] == pytest.approx(0, abs=1e-12)
    assert summary.td_floor[0] > 0


@pytest.mark.parametrize("normalization", ["absolute", "shape"])
def test_without_truth_only_prior_and_spread_remain(normalization):
    metrics, summary = tables(truth=None, normalization=normalization)
    assert metrics.bin.tolist() == [0, 1, 2]
    empty = ["truth", "truth_error", "bias_rel", "bias_rel_error", "rel_mse", "mse_rel_paper"]
    assert metrics[empty].isna().to_numpy().all()
    filled = ["prior", "prior_error", "mean", "mean_error", "sigma_rel", "sigma_rel_error"]
    assert metrics[filled].notna().to_numpy().all()
    empty = ["bias_rel", "bias_rel_weighted_error", "rel_mse", "td", "td_prior", "td_floor"]
    assert summary[empty].isna().to_numpy().all()
    assert summary[["sigma_rel", "sigma_rel_error", "sigma_rel_weighted"]].notna().to_numpy().all()
    text = metrics.to_csv(index=False)
    assert "nan" not in text.lower()
    read = pd.read_csv(io.StringIO(text))
    assert read["combine"].tolist() == ["none"] * 3


def test_bins_below_0_have_rows_and_count_in_averages():
    """Bins: as always, below 0, with entries that cancel, without entries."""
    unfolded = np.array([[9.0, -2.0, 1.0, 0.0], [11.0, -4.0, -1.0, 0.0]])
    truth = np.array([10.0, 5.0, 4.0, 5.0])
    metrics, summary = tables([result(unfolded, variance=np.abs(unfolded))], truth)
    assert metrics.bin.tolist() == [0, 1, 2]
    np.testing.assert_allclose(metrics["mean"], [10, -3, 0])
    np.testing.assert_allclose(metrics.bias_rel, [0, -1.6, -1], atol=1e-15)
    np.testing.assert_allclose(metrics.sigma_rel, [np.sqrt(2) / 10, np.sqrt(2) / 3, np.nan])
    assert summary.bins.tolist() == [3]
    assert summary.bias_rel[0] == pytest.approx(2.6 / 3)
    assert summary.bias_rel_weighted[0] == pytest.approx((5 * 1.6 + 4) / 19)
    assert summary.sigma_rel[0] == pytest.approx((np.sqrt(2) / 10 + np.sqrt(2) / 3) / 2)


@pytest.mark.parametrize("normalization", ["absolute", "shape"])
def test_a_truth_below_0_has_a_row(normalization):
    truth = {"q2": histogram(np.array([10.0, -5.0, 0.0, 0.0]), np.array([10.0, 9.0, 2.0, 0.0]))}
    unfolded = result(np.array([[10.0, 5.0, 1.0, 1.0]]))
    prior = {"q2": histogram(PRIOR)}
    metrics, summary = unfolding_tables([unfolded], EDGES, prior, truth, normalization)
    assert metrics.bin.tolist() == [0, 1, 2]
    assert metrics.truth[1] < 0
    # absolute: (10 - 10) / 10 and (5 + 5) / 5; shape: truth 2 and -1, result 10/17 and 5/17
    expected = [0, 2] if normalization == "absolute" else [10 / 34 - 1, 5 / 17 + 1]
    np.testing.assert_allclose(metrics.bias_rel[:2], expected, atol=1e-15)
    assert np.isnan(metrics.bias_rel[2])  # relative to a sum of 0
    assert summary.bins.tolist() == [3]
    assert summary[["bias_rel", "bias_rel_weighted", "rel_mse"]].notna().to_numpy().all()


def test_one_pass_has_empty_spread():
    metrics, summary = tables([result(UNFOLDED[:1])])
    assert metrics[["sigma_rel", "sigma_rel_paper", "bias_rel_error"]].isna().to_numpy().all()
    np.testing.assert_allclose(metrics.bias_rel, [-0.1, -0.04])
    assert np.isnan(summary.sigma_rel[0])
    assert summary.td[0] > 0


def test_rows_keep_the_order_of_results():
    results = [result(method=m, iteration=i) for m in ("b", "a") for i in (1, 2)]
    metrics, summary = tables(results)
    assert summary.method.tolist() == ["b", "b", "a", "a"]
    assert metrics.iteration.tolist() == [1, 1, 2, 2] * 2
    metrics, summary = tables([])
    assert len(metrics) == len(summary) == 0
    assert "td_floor" in summary.columns


def test_nothing_unfolded_leaves_no_rows():
    metrics, summary = tables([result(np.zeros((3, 4)))])
    assert len(metrics) == 0
    assert summary.bins.tolist() == [0]
    assert summary[["bias_rel", "sigma_rel", "td"]].isna().to_numpy().all()


def test_shapes_are_checked():
    with pytest.raises(ValueError, match=r"q2: results must be \(passes, 4\)"):
        tables([result(UNFOLDED[0])])
    with pytest.raises(ValueError, match=r"q2: references must be \(4,\)"):
        tables(truth=TRUTH[:2])


class TestDetector:
    def test_absolute(self):
        prior = result(PRIOR[None], iteration=0)
        detector, summary = detector_tables(
            [prior, result()], EDGES, {"q2": histogram(TRUTH)}, "absolute"
        )
        assert ",".join(detector.columns) == (
            "method,combine,iteration,observable,bin,low,high,data,data_error,simulation,"
            "simulation_error,sigma_rel,passes"
        )
        assert ",".join(summary.columns) == (
            "method,combine,iteration,observable,td,td_floor,passes"
        )
        assert detector.iteration.tolist() == [0] * 4 + [1] * 4
        assert detector.passes.tolist() == [1] * 4 + [3] * 4
        assert detector["data"].tolist() == TRUTH.tolist() * 2
        np.testing.assert_allclose(detector.simulation, [20, 10, 10, 0, 11, 20, 1, 0])
        np.testing.assert_allclose(detector.simulation_error**2, detector.simulation)
        np.testing.assert_allclose(detector.data_error**2, detector["data"])
        nan = np.nan
        np.testing.assert_allclose(detector.sigma_rel, [nan] * 4 + [np.sqrt(3) / 11, 0.2, 0.0, nan])
        _, reference = tables()
        assert summary.td[0] == pytest.approx(reference.td_prior[0])
        assert summary.td_floor[0] == pytest.approx(reference.td_prior_floor[0])
        assert summary.td[1] == pytest.approx(reference.td[0])

    def test_shape_and_empty_bins(self):
        data = np.array([30.0, 10.0, 0.0, 0.0])
        simulation = np.array([[1.0, 1.0, 0.0, 0.0], [3.0, 1.0, 0.0, 0.0]])
        detector, _ = detector_tables([result(simulation)], EDGES, {"q2": histogram(data)}, "shape")
        assert detector.bin.tolist() == [0, 1]
        np.testing.assert_allclose(detector["data"], [0.75, 0.25])
        np.testing.assert_allclose(detector.simulation, [0.625, 0.375])


class TestBayes:
    CONTENT = np.array([[11.0, 20.0, 1.0, 0.0], [12.0, 25.0, 1.0, 0.0]])
    COVARIANCE = np.array([[4.0, 1, 0, 0], [1, 9, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]])

    def tables(self, truth=TRUTH, normalization="absolute"):
        unfolded = Histogram(
            self.CONTENT,
            np.tile(np.diag(self.COVARIANCE), (2, 1)),
            np.tile(self.COVARIANCE.sum(axis=1), (2, 1)),
        )
        return bayes_tables(
            {"q2": unfolded},
            EDGES | {"jet_pt": EDGES["q2"]},  # not unfolded in bins
            {"q2": histogram(PRIOR)},
            None if truth is None else {"q2": histogram(truth)},
            normalization,
        )

    def test_absolute(self):
        bayes, summary = self.tables()
        assert ",".join(bayes.columns) == (
            "observable,iteration,bin,low,high,truth,prior,content,error,bias_rel"
        )
        assert bayes.iteration.tolist() == [1, 1, 2, 2]
        assert bayes.bin.tolist() == [0, 1] * 2  # without truth, without content
        assert bayes.content.tolist() == [11, 20, 12, 25]
        assert bayes.error.tolist() == [2, 3] * 2
        assert bayes.truth.tolist() == [10, 25] * 2
        assert bayes.prior.tolist() == [20, 10] * 2
        np.testing.assert_allclose(bayes.bias_rel, [0.1, -0.2, 0.2, 0])
        assert ",".join(summary.columns) == (
            "observable,iteration,bias_rel,bias_rel_weighted,td_prior,td,td_floor,td_prior_floor,"
            "bins"
        )
        np.testing.assert_allclose(summary.bias_rel, [0.15, 0.1])
        np.testing.assert_allclose(summary.bias_rel_weighted, [6 / 35, 2 / 35])
        assert summary.bins.tolist() == [2, 2]
        truth = TRUTH / 40
        for row, content in enumerate(self.CONTENT):
            p = content / content.sum()
            total = (p + truth)[p + truth > 0]
            td = 500 * np.sum((p - truth)[p + truth > 0] ** 2 / total)
            assert summary.td[row] == pytest.approx(td)
        _, reference = tables()
        assert summary.td_prior[0] == pytest.approx(reference.td_prior[0])
        assert summary.td_prior_floor[0] == pytest.approx(reference.td_prior_floor[0])

    def test_content_below_0_has_a_row_and_counts(self):
        content = np.array([[11.0, -20.0, 1.0, 0.0]])
        unfolded = Histogram(content, np.array([[4.0, 9, 1, 0]]), np.array([[5.0, 10, 1, 0]]))
        prior, truth = {"q2": histogram(PRIOR)}, {"q2": histogram(TRUTH)}
        bayes, summary = bayes_tables({"q2": unfolded}, EDGES, prior, truth, "absolute")
        assert bayes.content.tolist() == [11, -20]
        np.testing.assert_allclose(bayes.bias_rel, [0.1, -1.8])
        assert summary.bins.tolist() == [2]
        assert summary.bias_rel[0] == pytest.approx(0.95)
        assert summary.bias_rel_weighted[0] == pytest.approx((0.1 * 10 + 1.8 * 25) / 35)

    def test_shape_propagates_the_covariance(self):
        bayes, summary = self.tables(normalization="shape")
        first = self.CONTENT[0]
        p = first / first.sum()
        np.testing.assert_allclose(bayes.content[:2], p[:2])
        jacobian = (np.eye(4) - np.outer(p, np.ones(4))) / first.sum()
        variance = np.diag(jacobian @ self.COVARIANCE @ jacobian.T)
        np.testing.assert_allclose(bayes.error[:2], np.sqrt(variance[:2]))
        truth = TRUTH / 40
        keep = p + truth > 0
        floor = 500 * np.sum((variance + truth * (1 - truth) / 40)[keep] / (p + truth)[keep])
        assert summary.td_floor[0] == pytest.approx(floor)

    def test_without_truth_content_and_prior_remain(self):
        bayes, summary = self.tables(truth=None)
        assert bayes.bin.tolist() == [0, 1, 2] * 2
        assert bayes[["truth", "bias_rel"]].isna().to_numpy().all()
        assert bayes[["prior", "content", "error"]].notna().to_numpy().all()
        assert summary[["bias_rel", "td", "td_prior", "td_floor"]].isna().to_numpy().all()

    def test_no_observable_leaves_columns(self):
        bayes, summary = bayes_tables({}, EDGES, {"q2": histogram(PRIOR)}, None, "absolute")
        assert len(bayes) == len(summary) == 0
        assert "content" in bayes
        assert "td" in summary
