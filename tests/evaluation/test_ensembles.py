import numpy as np
import pytest

from omniflow.evaluation.ensembles import Ensembles, curve, networks_table
from omniflow.evaluation.histograms import Histogram
from omniflow.evaluation.spectra import Unfolded, unfolding_tables
from omniflow.unfolding.subsets import subsets

LANES = 5
SUBSETS = subsets(LANES, "mean")
SIZES = np.array([len(subset) for subset in SUBSETS])
N = np.arange(1, LANES + 1)


def _means(lanes):
    """Contents (subset, pass, bin) of the mean of each subset of lanes (lane, pass, bin)."""
    return np.array([lanes[list(subset)].mean(axis=0) for subset in SUBSETS])


def _lanes(passes, bins, own, common, seed):
    """Lanes that scatter by 5% each on their own, and `common` of it together."""
    rng = np.random.default_rng(seed)
    together = rng.normal(0, common, (1, passes, bins))
    return 100 + together + rng.normal(0, own, (LANES, passes, bins))


def test_independent_scatter_falls_with_the_square_root():
    found = curve(_means(_lanes(400, 6, 5, 0, seed=1)), SIZES)
    np.testing.assert_array_equal(found.sizes, N)
    expected = 0.05 / np.sqrt(N)
    # A spread of 400 values is known to 3.5%, the mean over 6 bins to 1.4%.
    np.testing.assert_allclose(found.sigma_rel[0], expected, rtol=0.05)
    assert np.all(np.abs(found.sigma_rel[0] - expected) < 4 * found.sigma_rel[1])
    np.testing.assert_allclose(found.expected[0], found.sigma_rel[0, 0] / np.sqrt(N))
    np.testing.assert_allclose(found.ratio[0], np.sqrt(N / LANES), rtol=0.05)
    assert np.all(np.abs(found.ratio[0] - np.sqrt(N / LANES))[:-1] < 4 * found.ratio[1][:-1])
    assert abs(found.floor_squared[0]) < 4 * found.floor_squared[1]
    assert found.floor_squared[1] < 0.1 * 0.05**2


def test_a_common_part_stays():
    found = curve(_means(_lanes(400, 6, 5, 3, seed=2)), SIZES)
    np.testing.assert_allclose(found.sigma_rel[0], np.sqrt(25 / N + 9) / 100, rtol=0.05)
    assert abs(found.floor_squared[0] - 9e-4) < 4 * found.floor_squared[1]
    assert found.floor_squared[0] > 10 * found.floor_squared[1]


def test_the_variance_of_means_is_a_straight_line_exactly():
    """Sum over lanes i, j of cov(i, j) / n^2: means of variances and of covariances."""
    lanes = _lanes(4, 1, 5, 3, seed=3)
    found = curve(_means(lanes), SIZES)
    covariance = np.cov(lanes[:, :, 0])
    own = np.trace(covariance) / LANES
    common = (covariance.sum() - np.trace(covariance)) / (LANES * (LANES - 1))
    mean = lanes.mean()
    np.testing.assert_allclose(found.sigma_rel[0] ** 2, (common + (own - common) / N) / mean**2)
    assert found.floor_squared[0] == pytest.approx(common / mean**2)


def test_values_by_hand():
    # Two lanes, two passes: they scatter against each other, and their mean not at all.
    lanes = np.array([[[10.0], [12]], [[14], [12]]])
    found = curve(np.concatenate([lanes, lanes.mean(axis=0)[None]]), np.array([1, 1, 2]))
    np.testing.assert_allclose(found.sigma_rel[0], [np.sqrt(2) / 12, 0])
    assert found.floor_squared[0] == pytest.approx(-2 / 144)


def test_replicas_of_one_pass_alone_do_not_count():
    """Of three passes every ninth replica is one of them, three times: its spread is rounding."""
    for seed in range(5):
        found = curve(_means(_lanes(3, 6, 5, 0, seed)) / 3, SIZES)
        assert np.all(found.ratio[1] < 0.3)
        assert np.all(np.isfinite(found.ratio))


def test_errors_are_those_of_repeated_studies():
    rng = np.random.default_rng(5)
    studies = [
        curve(_means(_lanes(20, 4, 5, 0, seed)), SIZES) for seed in rng.integers(1e6, size=80)
    ]
    for name in ("sigma_rel", "ratio"):
        values, errors = np.array([getattr(s, name) for s in studies]).swapaxes(0, 1)
        np.testing.assert_allclose(errors.mean(axis=0)[:-1], values.std(axis=0)[:-1], rtol=0.35)
    values, errors = np.array([s.floor_squared for s in studies]).T
    assert errors.mean() == pytest.approx(values.std(), rel=0.35)


@pytest.mark.parametrize("normalization", ["absolute", "shape"])
def test_all_lanes_have_the_spread_of_the_summary(normalization):
    lanes = np.abs(_lanes(6, 4, 5, 2, seed=4))
    lanes[:, :, 2] = 0  # an empty bin, and below one without truth
    truth = {"q2": Histogram(*[np.array([90.0, 0, 100, 110])] * 3)}
    contents = _means(lanes)
    ensembles = Ensembles(
        "parallel", "mean", "lanes", LANES, 3, 3 * LANES, SUBSETS, {"q2": contents}
    )
    table = networks_table([ensembles], truth, normalization)
    assert table.lanes.tolist() == N.tolist()
    assert set(table.varied) == {"lanes"}
    assert set(table.members) == {3}
    assert table.networks.tolist() == (3 * N).tolist()
    assert table.subsets.tolist() == [5, 10, 10, 5, 1]
    assert set(table.passes) == {6}
    every = Unfolded("parallel", "mean", 1, {"q2": Histogram(*[contents[-1]] * 3)})
    edges = {"q2": np.arange(5.0)}
    _, summary = unfolding_tables([every], edges, truth, truth, normalization)
    assert table.sigma_rel.iloc[-1] == pytest.approx(summary.sigma_rel[0])
    assert table.sigma_rel_error.iloc[-1] == pytest.approx(summary.sigma_rel_error[0])


def test_members_vary_beside_fixed_lanes():
    contents = _means(_lanes(6, 4, 5, 2, seed=6))
    found = Ensembles("m", "mean", "members", 2, LANES, 2 * LANES, SUBSETS, {"q2": contents})
    table = networks_table([found], None, "absolute")
    assert set(table.varied) == {"members"}
    assert set(table.lanes) == {2}
    assert table.members.tolist() == N.tolist()
    assert table.networks.tolist() == (2 * N).tolist()


def test_without_lanes_the_table_is_empty():
    table = networks_table([], None, "absolute")
    assert table.empty
