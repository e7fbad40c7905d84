import numpy as np
import pandas as pd
import pytest
from study_factory import Model, Strategy, changed, made

from omniflow.evaluation import covariance
from omniflow.report import bias, cells, ensemble_panel, formats, tradeoff


def test_what_passes_alone_give_a_method_without_bias():
    rng = np.random.default_rng(1)
    for passes in (3, 10):
        u = rng.normal(size=(20_000, passes))
        seen = np.abs(u.mean(axis=1)).mean()
        assert bias.unbiased(1.0, passes) == pytest.approx(seen, rel=0.02)


@pytest.fixture
def perfect():
    """Unfolded and truth: independent Poisson samples of one parent, 1000 per bin and more.

    The lanes of ten passes scatter by 0.4% about their sample.
    """
    tables = made(Model({"parallel": Strategy(lanes=5)}, ("q2", "eta_e"), 10, iterations=1))
    rng = np.random.default_rng(3)
    metrics, summary = tables["metrics"], tables["summary"]
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
    (lanes,) = ensemble_panel.panels(tables, formats.looks(["parallel"]))
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


BINS = 8


def _response(efficiency):
    """Probability of (detector bin or lost; particle bin): smeared by 0.8 bins."""
    z, x = np.arange(BINS), np.arange(-2, BINS + 2)
    seen = np.exp(-0.5 * ((x[:, None] - z) / 0.8) ** 2)
    seen *= efficiency / seen.sum(axis=0)
    return np.vstack([seen, np.maximum(0, 1 - seen.sum(axis=0))])


def _unfold(data, simulation, iterations=4):
    """Iterative Bayesian unfolding of data (..., x) with cells (..., x or lost, z)."""
    prior = simulation.sum(axis=-2)
    response = simulation[..., :-1, :] / prior[..., None, :]
    found = prior.copy()
    for _ in range(iterations):
        folded = np.einsum("...xz,...z->...x", response, found)
        ratio = np.divide(data, folded, out=np.zeros_like(folded), where=folded > 0)
        lost = 1 - response.sum(axis=-2)
        found = found * (np.einsum("...xz,...x->...z", response, ratio) + lost)
    return found


def _null_study(rng, efficiency, replicas=40):
    """Bias, expectation of `bias.unbiased` and p-value of a result without bias."""
    parent = 4000 * np.linspace(1.5, 0.5, BINS) * _response(efficiency)
    data, simulation = rng.poisson(parent), rng.poisson(parent)
    data, simulation = data * 1.0, simulation * 1.0

    def difference(data, simulation):
        return _unfold(data[..., :-1, :].sum(axis=-1), simulation) - data.sum(axis=-2)

    found, truth = difference(data, simulation), data.sum(axis=0)
    drawn = rng.poisson(data, (replicas, *data.shape)) * 1.0
    others = rng.poisson(simulation, drawn.shape) * 1.0
    blocks = {
        "data": covariance.of_replicas(
            difference(drawn, np.broadcast_to(simulation, drawn.shape))[:, None]
        ),
        "simulation": covariance.of_replicas(
            difference(np.broadcast_to(data, others.shape), others)[:, None]
        ),
    }
    p_value = covariance.chi2_test(found, blocks).p_value
    alone = bias.unbiased(0.0, 1, np.sqrt(2 / truth)).mean()
    return np.abs(found / truth).mean(), alone, p_value


@pytest.mark.parametrize("efficiency", [1.0, 0.7, 0.5])
def test_no_bias_is_not_called_one_however_much_the_detector_loses(efficiency):
    """At most 5% of null studies say that no number of networks helps (here 3 of 60: 6 by chance).

    Without replicas none does, although the mean |bias_rel| is above its expectation.
    """
    rng, false, above = np.random.default_rng(int(100 * efficiency)), 0, 0
    for _ in range(60):
        size, alone, p_value = _null_study(rng, efficiency)
        text = ensemble_panel._about_bias(size, alone, p_value, 0.0, True)
        false += "no number of networks" in " ".join(text)
        unknown = " ".join(ensemble_panel._about_bias(size, alone, float("nan"), 0.0, True))
        assert "no number of networks" not in unknown
        above += "not known without replicas" in unknown
    assert false <= 6
    assert above > 0 or efficiency > 0.5


def test_a_bias_that_replicas_exclude_is_called_one(perfect):
    tables, _ = perfect
    tests = pd.DataFrame(
        {"method": "parallel", "prediction": "truth", "p_value": [1e-4, 0.3, np.nan]}
    )
    tables = changed(tables, chi2=tests)
    # The smallest of two
    assert bias.p_value(tables, "parallel") == pytest.approx(2e-4)
    assert "exclude both" in bias.words(tables, "parallel")
    assert np.isnan(bias.p_value(tables, "none"))
