import numpy as np
import pytest
from scipy import stats

from omniflow.evaluation import comparison
from omniflow.evaluation.comparison import (
    adjusted,
    compare,
    compare_apart,
    compare_distances_apart,
    comparison_table,
)
from omniflow.evaluation.histograms import Histogram

OBSERVABLE = np.repeat(np.arange(3), 8)


@pytest.fixture
def few_rotations(monkeypatch):
    monkeypatch.setattr(comparison, "ROTATIONS", 400)
    comparison._rotations.cache_clear()
    yield
    comparison._rotations.cache_clear()


def draw(rng, passes, ratios, common=0.5, modes=6):
    """Contents (method, pass, bin): smooth modes over all bins, half of their variance common."""
    bins = np.linspace(0, np.pi, len(OBSERVABLE))
    shapes = np.cos(np.outer(np.arange(modes), bins))
    together = rng.normal(size=(1, passes, modes))
    own = rng.normal(size=(len(ratios), passes, modes))
    amplitude = np.sqrt(common) * together + np.sqrt(1 - common) * own
    return 100 * (1 + 0.01 * np.array(ratios)[:, None, None] * amplitude @ shapes)


def test_the_ratio_is_the_geometric_mean_over_bins_and_observables():
    rng = np.random.default_rng(1)
    first, second = rng.normal(100, 1, (2, 6, 24))
    found = compare(comparison.spreads(first), comparison.spreads(second), OBSERVABLE)
    ratio = first.std(axis=0) / first.mean(axis=0) / (second.std(axis=0) / second.mean(axis=0))
    logs = np.log(ratio).reshape(3, 8).mean(axis=1)
    np.testing.assert_allclose(np.log(found.ratio[1:]), logs)
    assert np.log(found.ratio[0]) == pytest.approx(logs.mean())
    assert list(found.bins) == [24, 8, 8, 8]


def test_distances_compare_mean_squares_about_truth():
    rng = np.random.default_rng(2)
    truth = np.linspace(50, 80, 24)
    first, second = truth * rng.normal(1.01, 0.01, (2, 6, 24))
    found = compare(*(comparison.distances(c, truth) for c in (first, second)), OBSERVABLE)
    squares = [((c / truth - 1) ** 2).mean(axis=0) for c in (first, second)]
    logs = np.log(squares[0] / squares[1]) / 2
    assert np.log(found.ratio[0]) == pytest.approx(logs.mean())


def test_one_bin_is_the_test_of_pitman_and_morgan():
    """Student's t of the correlation between sum and difference, with N - 2 degrees of freedom."""
    rng = np.random.default_rng(3)
    first, second = rng.normal(100, [[[1.0]], [[2.5]]], (2, 8, 1))
    found = compare(*map(comparison.spreads, (first, second)), np.zeros(1, int))
    a, b = (c[:, 0] / c.mean() for c in (first, second))
    expected = stats.pearsonr(a + b, a - b).pvalue
    assert found.p_value[0] == pytest.approx(expected, abs=4 * np.sqrt(expected / 10_000))


def test_equal_methods_do_not_differ():
    contents = draw(np.random.default_rng(4), 5, [1.0])[0]
    found = compare(*[comparison.spreads(contents)] * 2, OBSERVABLE)
    np.testing.assert_allclose(found.ratio, 1)
    np.testing.assert_array_equal(found.p_value, 1)


def test_order_of_the_methods_is_a_sign():
    one, other = map(comparison.spreads, draw(np.random.default_rng(5), 6, [1.0, 0.6]))
    found, back = compare(one, other, OBSERVABLE), compare(other, one, OBSERVABLE)
    np.testing.assert_allclose(found.ratio * back.ratio, 1)
    np.testing.assert_allclose(found.p_value, back.p_value, atol=0.03)


def test_two_passes_decide_nothing():
    first, second = draw(np.random.default_rng(6), 2, [1.0, 0.01])
    found = compare(comparison.spreads(first), comparison.spreads(second), OBSERVABLE)
    assert (found.p_value == 1).all()


def test_one_row_of_deviations_has_no_error():
    """Of the distances of one pass, and of the spreads of two."""
    rng = np.random.default_rng(3)
    found = compare(*rng.normal(0, 1, (2, 1, 24)), OBSERVABLE)
    assert np.isfinite(found.ratio).all()
    assert np.isnan(found.log_error).all()
    assert np.isfinite(compare(*rng.normal(0, 1, (2, 2, 24)), OBSERVABLE).log_error).all()


def test_bins_without_spread_take_no_part():
    """As where an observable has one bin of unit sum: the others keep their ratio."""
    first, second = draw(np.random.default_rng(7), 5, [1.0, 0.5])
    second[:, :8] = 1.0
    found = compare(comparison.spreads(first), comparison.spreads(second), OBSERVABLE)
    assert list(found.bins) == [16, 0, 8, 8]
    assert np.isnan(found.ratio[1])
    assert found.p_value[1] == 1
    assert np.log(found.ratio[0]) == pytest.approx(np.log(found.ratio[2:]).mean())


@pytest.mark.parametrize("rows", [2, 5])
def test_rotations_are_those_of_scipy(few_rotations, rows):
    found = comparison._rotations(rows)
    rng = np.random.default_rng(comparison.SEED)
    expected = stats.ortho_group.rvs(rows, size=len(found), random_state=rng)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("passes", [3, 5, 10])
def test_false_claims_are_as_rare_as_promised(few_rotations, passes):
    """Families of four methods, all pairs: any claim where no method differs."""
    rng, toys, any_claim, single = np.random.default_rng(passes), 150, 0, 0
    for _ in range(toys):
        rows = [comparison.spreads(c) for c in draw(rng, passes, [1.0] * 4)]
        found = [
            compare(rows[a], rows[b], OBSERVABLE).p_value[0] for a in range(4) for b in range(a)
        ]
        any_claim += (adjusted(found) < 0.05).any()
        single += found[0] < 0.05
    # 150 toys at 5%: 99% of the time no more than 14.
    assert any_claim <= 14
    assert single <= 14


@pytest.mark.parametrize(("passes", "ratio", "share"), [(5, 0.45, 0.8), (10, 0.7, 0.6)])
def test_true_ratios_are_seen(few_rotations, passes, ratio, share):
    rng, toys, seen = np.random.default_rng(passes), 100, 0
    for _ in range(toys):
        first, second = map(comparison.spreads, draw(rng, passes, [1.0, ratio]))
        seen += compare(second, first, OBSERVABLE).p_value[0] < 0.05
    assert seen >= share * toys


def test_errors_of_ratios_are_their_scatter(few_rotations):
    rng, pulls = np.random.default_rng(8), []
    for _ in range(100):
        first, second = map(comparison.spreads, draw(rng, 8, [1.0, 0.6]))
        found = compare(second, first, OBSERVABLE)
        pulls.append(np.log(found.ratio[0] / 0.6) / found.log_error[0])
    assert np.std(pulls) == pytest.approx(1, abs=0.25)


def test_p_values_are_corrected_step_by_step():
    """Holm: the smallest times 4, the next times 3, and never below the one before."""
    np.testing.assert_allclose(adjusted([0.01, 0.04, 0.015, 0.5]), [0.04, 0.08, 0.045, 0.5])
    np.testing.assert_allclose(adjusted([0.9, 0.8]), [1.0, 1.0])


def _histogram(content):
    return Histogram(content, np.ones_like(content), np.ones_like(content))


def test_the_table_has_every_pair():
    rng = np.random.default_rng(9)
    contents = draw(rng, 6, [1.0, 0.5, 0.8])
    spectra = {
        name: {"q2": _histogram(c[:, :8]), "y": _histogram(c[:, 8:])}
        for name, c in zip("abc", contents, strict=True)
    }
    truth = {"q2": _histogram(np.full(8, 100.0)), "y": _histogram(np.full(16, 100.0))}
    table = comparison_table(spectra, truth, "absolute")
    # 3 pairs, 2 metrics, 2 observables and their average
    assert len(table) == 18
    rows = table[table["observable"] == ""].set_index(["metric", "method", "other"])
    spreads = [c.std(axis=0) / c.mean(axis=0) for c in contents]
    logs = np.log(spreads[0] / spreads[1])
    expected = (logs[:8].mean() + logs[8:].mean()) / 2
    assert np.log(rows.at[("sigma_rel", "a", "b"), "ratio"]) == pytest.approx(expected)
    squares = [((c / 100 - 1) ** 2).mean(axis=0) for c in contents]
    logs = np.log(squares[0] / squares[1])
    expected = (logs[:8].mean() + logs[8:].mean()) / 2
    assert np.log(rows.at[("rel_mse", "a", "b"), "ratio"]) == pytest.approx(expected)
    assert (table["p_adjusted"] >= table["p_value"]).all()
    assert set(table["passes"]) == {6}


def test_one_pass_and_no_truth_have_no_rows():
    spectra = {name: {"q2": _histogram(np.full((1, 8), 5.0))} for name in "ab"}
    assert comparison_table(spectra, None, "absolute").empty
    assert comparison_table({"a": spectra["a"]}, None, "shape").empty


# -- passes that share nothing -------------------------------------------------------------------


def _two(rng, passes, ratio, bias=0.0):
    """Contents of two studies, the first with `ratio` times spread and bias of the second."""
    found = [draw(rng, n, [1.0], common=0)[0] for n in passes]
    shift = bias * np.cos(np.arange(24))
    return [100 + size * (c - 100 + shift) for c, size in zip(found, (ratio, 1), strict=True)]


def _apart(contents, metric):
    if metric == "spread":
        return compare_apart(*map(comparison.spreads, contents), OBSERVABLE)
    truth = np.full(24, 100.0)
    rows = (comparison.distances(c, truth) for c in contents)
    return compare_distances_apart(*rows, OBSERVABLE)


def test_one_bin_apart_is_the_f_test():
    """Of as many passes, where both tails are alike."""
    rng = np.random.default_rng(11)
    first, second = rng.normal(100, [[[1.0]], [[1.8]]], (2, 8, 1))
    found = compare_apart(*map(comparison.spreads, (first, second)), np.zeros(1, int))
    a, b = (c[:, 0] / c.mean() for c in (first, second))
    expected = 2 * stats.f.sf(b.var(ddof=1) / a.var(ddof=1), 7, 7)
    assert found.ratio[0] == pytest.approx(a.std() / b.std())
    assert found.p_value[0] == pytest.approx(expected, abs=4 * np.sqrt(expected / 10_000))


@pytest.mark.parametrize("metric", ["spread", "distance"])
@pytest.mark.parametrize("passes", [(3, 3), (10, 5)])
def test_false_claims_apart_are_as_rare_as_promised(few_rotations, passes, metric):
    rng, toys = np.random.default_rng(sum(passes)), 150
    drawn = (_two(rng, passes, 1.0, bias=1.0) for _ in range(toys))
    seen = sum(_apart(contents, metric).p_value[0] < 0.05 for contents in drawn)
    # 150 toys at 5%, and the same 400 rotations for all: 99% of the time no more than 15.
    assert seen <= 15


@pytest.mark.parametrize("metric", ["spread", "distance"])
@pytest.mark.parametrize("passes", [(8, 8), (12, 6)])
def test_a_ratio_of_a_half_is_found_apart(few_rotations, passes, metric):
    rng, toys = np.random.default_rng(sum(passes)), 60
    found = [_apart(_two(rng, passes, 0.5, bias=1.0), metric) for _ in range(toys)]
    logs = np.array([np.log(each.ratio[0] / 0.5) for each in found])
    errors = np.array([each.log_error[0] for each in found])
    assert np.mean([each.p_value[0] < 0.05 for each in found]) > 0.85
    assert np.std(logs / errors) == pytest.approx(1, abs=0.3)
    if metric == "spread":  # also where numbers of passes differ
        assert abs(logs.mean()) < 4 * logs.std() / np.sqrt(toys)


def test_another_bias_is_another_distance(few_rotations):
    """The same scatter about another mean."""
    rng = np.random.default_rng(12)
    contents = _two(rng, (6, 6), 1.0)
    contents[0] = contents[0] + 8
    assert _apart(contents, "distance").p_value[0] < 0.01
    assert _apart(contents, "spread").p_value[0] > 0.01


def test_order_of_studies_is_a_sign(few_rotations):
    rng = np.random.default_rng(13)
    for metric in ("spread", "distance"):
        contents = _two(rng, (7, 4), 0.6, bias=1.0)
        found, back = _apart(contents, metric), _apart(contents[::-1], metric)
        np.testing.assert_allclose(found.ratio * back.ratio, 1)
        np.testing.assert_allclose(found.p_value, back.p_value, atol=0.1)
