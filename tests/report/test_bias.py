import numpy as np
import pytest
from study_factory import Model, Strategy, write_study

from omniflow.report import bias, cells, formats, networks, tradeoff
from omniflow.report.tables import ReportTables


def test_what_passes_alone_give_a_method_without_bias():
    rng = np.random.default_rng(1)
    for passes in (3, 10):
        u = rng.normal(size=(20_000, passes))
        seen = np.abs(u.mean(axis=1)).mean()
        assert bias.unbiased(1.0, passes) == pytest.approx(seen, rel=0.02)


@pytest.fixture
def perfect(tmp_path):
    """Unfolded and truth: independent Poisson samples of one parent, 1000 per bin and more.

    The lanes of ten passes scatter by 0.4% about their sample.
    """
    model = Model({"parallel": Strategy(lanes=5)}, ("q2", "eta_e"), passes=10, iterations=1)
    folder = write_study(tmp_path / "study", model)
    tables = ReportTables.read(folder)
    rng = np.random.default_rng(3)
    metrics, summary = tables.metrics, tables.summary
    parent = rng.uniform(500, 2000, len(metrics))
    truth, sample = rng.poisson(parent), rng.poisson(parent)
    mean = sample * (1 + 0.004 / np.sqrt(10) * rng.normal(size=len(metrics)))
    metrics["truth"], metrics["mean"], metrics["sigma_rel"] = 1.0 * truth, mean, 0.004
    metrics["truth_error"], metrics["mean_error"] = np.sqrt(truth), np.sqrt(sample)
    metrics["bias_rel"] = (mean - truth) / truth
    keys = ["method", "combine", "observable"]
    seen = metrics["bias_rel"].abs().groupby([metrics[key] for key in keys]).mean()
    summary["bias_rel"] = seen.loc[[tuple(row) for row in summary[keys].to_numpy()]].to_numpy()
    summary["sigma_rel"] = 0.004
    return tables, parent


def test_statistics_give_a_perfect_result_the_bias_that_is_expected(perfect):
    tables, parent = perfect
    expected = bias.expected(tables)
    assert list(expected.columns) == ["q2", "eta_e"]
    # Brute force: many pairs of samples of the same parents.
    rng = np.random.default_rng(4)
    first, second = rng.poisson(parent, (2, 4000, len(parent)))
    brute = np.abs((second - first) / first).mean()
    assert expected.loc["parallel"].mean() == pytest.approx(brute, rel=0.05)
    assert 0.02 < brute < 0.05


def test_a_perfect_result_is_not_called_biased(perfect):
    tables, _ = perfect
    (lanes,) = networks.panels(tables, formats.looks(["parallel"]))
    text = " ".join(lanes.sentences)
    assert "cannot be told from what statistics alone give" in text
    assert "no number of networks" not in text
    panel = tradeoff.panel(tables, formats.looks(["parallel"]))
    assert "expected without bias" in panel.header
    (point,) = tradeoff.points(tables)
    assert point.bias < bias.FACTOR * point.expected


def test_the_expectation_stands_in_the_tables_of_bias(perfect):
    tables, _ = perfect
    (heat,) = (heat for heat in cells.heat_maps(tables) if heat.metric == "bias_rel")
    text = formats.percent(bias.expected(tables).loc["parallel"].mean())
    assert f"(expected without bias: {text})" in heat.meaning
    header, rows = cells.averages(tables)
    column = header.index("|bias_rel| expected without bias")
    text = formats.percent(bias.expected(tables).at["parallel", "q2"])
    assert rows[0][column] == text
