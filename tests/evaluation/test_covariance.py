import numpy as np
import pytest
from scipy import sparse, stats

from omniflow.evaluation import covariance
from omniflow.evaluation.covariance import Block
from omniflow.unfolding.variants import Variant, replica_weights

BINS = 6


def gaussian(rng, bins=BINS):
    root = rng.normal(size=(bins, bins)) * np.geomspace(1, 100, bins)[:, None]
    return root @ root.T


def drawn(rng, matrix):
    """A function that draws rows of a covariance; NumPy's own decomposes it every time."""
    root = np.linalg.cholesky(matrix)
    return lambda *shape: rng.normal(size=(*shape, len(root))) @ root.T


def uniform(p_values):
    return stats.kstest(p_values, "uniform").pvalue


# -- blocks --------------------------------------------------------------------------------------


def test_scatter_is_the_sample_covariance():
    values = np.random.default_rng(1).normal(size=(7, 4))
    block = covariance.scatter(values)
    np.testing.assert_allclose(block.matrix, np.cov(values.T))
    assert block.freedom == 6
    np.testing.assert_allclose((block * 0.5).matrix, np.cov(values.T) / 2)
    with pytest.raises(ValueError, match="at least 2"):
        covariance.scatter(values[:1])


def test_scatter_of_training_is_taken_out_of_replicas():
    """Shifts by the replica, by the pass, and by neither, of known covariances."""
    rng = np.random.default_rng(2)
    statistical, training = gaussian(rng, 3), 3 * gaussian(rng, 3)
    replicas, passes = 2000, 3

    def draw(matrix, *shape):
        return rng.multivariate_normal(np.zeros(3), matrix, shape)

    values = draw(statistical, replicas, 1) + draw(100 * training, 1, passes)
    values = values + draw(training, replicas, passes)
    found = covariance.of_replicas(values)
    left = statistical + training / passes  # of the means over passes
    diagonal = np.diag(left)
    error = np.sqrt((np.outer(diagonal, diagonal) + left**2) / replicas)
    assert np.all(np.abs(found.matrix - statistical) < 5 * error)
    assert np.any(np.abs(covariance.scatter(values.mean(axis=1)).matrix - statistical) > 9 * error)
    one = values[:, :1]
    assert np.array_equal(covariance.of_replicas(one).matrix, covariance.scatter(one[:, 0]).matrix)


def test_the_total_has_no_negative_variance():
    """Two passes that scatter by training alone: what is subtracted is as large as the block."""
    blocks = [covariance.of_replicas(np.random.default_rng(3).normal(size=(5, 2, 4)))]
    assert np.linalg.eigvalsh(blocks[0].measured).min() > -1e-12
    assert np.linalg.eigvalsh(blocks[0].matrix).min() < -0.01
    found = covariance.total(blocks)
    assert np.linalg.eigvalsh(found).min() > -1e-12
    assert np.all(np.diag(found) >= np.diag(blocks[0].matrix))
    np.testing.assert_allclose(found, found.T)
    blocks.append(Block(9 * np.eye(4)))
    np.testing.assert_array_equal(covariance.total(blocks), blocks[0].matrix + 9 * np.eye(4))


def test_sides_of_a_variation():
    up, down = np.array([[1.0, 2.0]]), np.array([[-1.0, -2.0]])
    np.testing.assert_array_equal(covariance.of_shifts([up]).matrix, [[1, 2], [2, 4]])
    np.testing.assert_array_equal(covariance.of_shifts([up, down]).matrix, [[1, 2], [2, 4]])
    # Both to the same side: nothing cancels.
    np.testing.assert_array_equal(covariance.of_shifts([up, up]).matrix, [[1, 2], [2, 4]])
    assert np.isnan(covariance.training_error(up)).all()


def test_scatter_of_training_is_taken_out_of_shifts():
    """Up without effect, down with a known one, each with scatter of training: on average."""
    rng = np.random.default_rng(13)
    trials, passes = 4000, 2
    scale = np.array([1.0, 3.0, 0.5])
    root = np.array([[1, 0, 0], [0.6, 0.8, 0], [-0.3, 0.5, 0.8]]) * scale[:, None]
    training = root @ root.T
    effect = np.array([0.7, -2.0, 1.0]) * scale

    def draw():
        return rng.normal(size=(trials, passes, 3)) @ root.T

    nominal, found, measured, errors = draw(), {}, {}, []
    for name, effects in (("none", 0 * effect), ("known", effect)):
        shifts = effects + draw() - nominal
        blocks = [covariance.of_shifts([shift]) for shift in shifts]
        found[name] = np.array([block.matrix for block in blocks])
        measured[name] = np.array([block.measured for block in blocks])
        errors.append(np.mean([covariance.training_error(shift) ** 2 for shift in shifts], axis=0))
        found[name] -= np.outer(effects, effects)
    # Of the mean over two passes of a difference of two results.
    extra = 2 * training / passes
    for name in found:
        error = found[name].std(axis=0) / np.sqrt(trials)
        assert np.all(np.abs(found[name].mean(axis=0)) < 4.5 * error)
        assert np.all(error < 0.15 * np.sqrt(np.outer(np.diag(extra), np.diag(extra))))
    error = measured["none"].std(axis=0) / np.sqrt(trials)
    assert np.all(np.abs(measured["none"].mean(axis=0) - extra) < 4.5 * error)
    np.testing.assert_allclose(errors, [np.diag(extra)] * 2, rtol=0.1)
    # Both sides of one block share the nominal result.
    both = covariance.of_shifts([shifts[0], -shifts[1]])
    one, other = (covariance.of_shifts([each]) for each in shifts[:2])
    np.testing.assert_allclose(both.matrix, (one.matrix + other.matrix) / 2)


def test_replicas_of_a_histogram_scatter_by_the_squares_of_weights():
    """Events with several entries: cov = sum_e w_e^2 n_ea n_eb, in a loop and by replicas."""
    rng = np.random.default_rng(3)
    events, replicas = 500, 4000
    counts = rng.poisson(0.5, (events, 4))
    weights = rng.uniform(0.5, 2, events)
    loop = sum(w**2 * np.outer(n, n) for w, n in zip(weights, counts, strict=True))
    found = covariance.statistical(sparse.csr_matrix(counts.astype(float)), weights)
    np.testing.assert_allclose(found, loop)
    ids = rng.permutation(10**6)[:events].astype(np.uint64)
    drawn = [replica_weights(5, Variant("", "data", r), ids) for r in range(1, replicas + 1)]
    block = covariance.scatter((np.array(drawn) * weights) @ counts)
    error = np.sqrt((np.outer(np.diag(loop), np.diag(loop)) + loop**2) / replicas)
    assert np.all(np.abs(block.matrix - loop) < 4.5 * error)


def test_covariance_of_a_shape():
    """Against replicas of a Poisson histogram, each normalised: the multinomial covariance."""
    content = np.array([400.0, 900.0, 100.0, 600.0])
    p = content / content.sum()
    found = covariance.of_unit(content, np.diag(content))
    expected = (np.diag(p) - np.outer(p, p)) / content.sum()
    np.testing.assert_allclose(found, expected, atol=1e-12)
    assert np.abs(found.sum(axis=0)).max() < 1e-15
    toys = covariance.unit(np.random.default_rng(4).poisson(content, (20_000, 4)).astype(float))
    np.testing.assert_allclose(covariance.scatter(toys).matrix, expected, rtol=0.06, atol=2e-7)


# -- tests ---------------------------------------------------------------------------------------


def test_chi2_of_a_known_covariance():
    rng = np.random.default_rng(5)
    parts = [gaussian(rng), gaussian(rng)]
    blocks = {"a": Block(parts[0]), "b": Block(parts[1])}
    difference = rng.normal(size=BINS) * 20
    found = covariance.chi2_test(difference, blocks)
    expected = difference @ np.linalg.inv(parts[0] + parts[1]) @ difference
    assert found.chi2 == pytest.approx(expected)
    assert found.bins == BINS
    assert found.p_value == pytest.approx(stats.chi2.sf(expected, BINS))


def test_p_values_of_a_known_covariance_are_uniform():
    rng = np.random.default_rng(6)
    matrix = gaussian(rng)
    toys = rng.multivariate_normal(np.zeros(BINS), matrix, 2000)
    found = [covariance.chi2_test(toy, {"a": Block(matrix)}).p_value for toy in toys]
    assert uniform(found) > 0.01


def test_p_values_allow_for_the_number_of_replicas():
    """With a covariance from few replicas the plain chi-square distribution is far off."""
    rng = np.random.default_rng(7)
    draw, replicas = drawn(rng, gaussian(rng)), 15
    found, plain = [], []
    for _ in range(1500):
        rows = draw(replicas + 1)
        result = covariance.chi2_test(rows[0], {"data": covariance.scatter(rows[1:])})
        assert result.freedom == pytest.approx(replicas - 1)
        found.append(result.p_value)
        plain.append(stats.chi2.sf(result.chi2, BINS))
    assert uniform(found) > 0.01
    assert uniform(plain) < 1e-6


def test_p_values_of_several_estimated_blocks():
    rng = np.random.default_rng(8)
    known, data, training = gaussian(rng), gaussian(rng), 0.3 * gaussian(rng)
    draws, found = [drawn(rng, matrix) for matrix in (data, training, known)], []
    for _ in range(1500):
        rows = [draw(number) for draw, number in zip(draws, (41, 11, 1), strict=True)]
        blocks = {
            "data": covariance.scatter(rows[0][1:]),
            "training": covariance.scatter(rows[1][1:]),
            "known": Block(known),
        }
        found.append(covariance.chi2_test(sum(each[0] for each in rows), blocks).p_value)
    # The distribution is approximate: the tail that decides tests is right within a quarter.
    for level in (0.05, 0.32):
        assert np.mean(np.array(found) < level) == pytest.approx(level, rel=0.25)


def p_values(with_training, common, rest, passes, nominal, trials=1500):
    """Tests of results with scatter of training against truth, with replicas in two passes.

    Scatter of training is `common` to the replicas and the result of a pass, or their own (`rest`);
    both are factors on a covariance. Returns p-values with blocks as they are made, and with the
    scatter of training subtracted.
    """
    rng = np.random.default_rng(14)
    statistical, training = drawn(rng, gaussian(rng, 4)), drawn(rng, gaussian(rng, 4))
    found = []
    for _ in range(trials):
        of_passes = np.sqrt(common) * training(nominal)
        results = statistical(1) + of_passes + np.sqrt(rest) * training(nominal)
        replicas = statistical(30, 1) + of_passes[:passes]
        replicas = replicas + np.sqrt(rest) * training(30, passes)
        blocks = {"data": covariance.of_replicas(replicas)}
        if with_training:
            blocks["training"] = covariance.scatter(results) * (1 / nominal)
        less = {name: Block(block.matrix, block.freedom) for name, block in blocks.items()}
        difference = results.mean(axis=0)
        found.append([covariance.chi2_test(difference, b).p_value for b in (blocks, less)])
    return np.array(found).T


def test_p_values_are_uniform_with_scatter_of_training_in_replicas():
    """The result has the scatter of two passes that the means over two passes have."""
    left_in, subtracted = p_values(False, 0, 1, passes=2, nominal=2)
    assert uniform(left_in) > 0.01
    assert not uniform(subtracted[~np.isnan(subtracted)]) > 1e-6


def test_p_values_are_uniform_where_seeds_cancel_the_scatter_of_training():
    left_in, _ = p_values(True, 0.5, 0, passes=2, nominal=10)
    assert uniform(left_in) > 0.01


def test_p_values_are_never_too_small():
    """More passes than replicas have, and scatter that common seeds cancel in part."""
    left_in, _ = p_values(True, 0.5, 0.5, passes=2, nominal=10)
    for level in (0.01, 0.05, 0.32):
        error = np.sqrt(level * (1 - level) / len(left_in))
        assert 0 < np.mean(left_in < level) < level + 2 * error


def test_shapes_have_one_bin_less():
    """Any bin may be dropped: chi2 is that of the others."""
    rng = np.random.default_rng(9)
    content = np.array([400.0, 900.0, 100.0, 600.0])
    matrix = covariance.of_unit(content, np.diag(content))
    toys = covariance.unit(rng.poisson(content, (2000, 4)).astype(float))
    differences = toys - covariance.unit(content)
    blocks = {"data": Block(matrix)}
    results = [covariance.chi2_test(d, blocks, normalised=True) for d in differences]
    for drop in range(4):
        rest = [b for b in range(4) if b != drop]
        inverse = np.linalg.inv(matrix[np.ix_(rest, rest)])
        expected = differences[0, rest] @ inverse @ differences[0, rest]
        assert results[0].chi2 == pytest.approx(expected)
    assert {result.bins for result in results} == {3}
    assert uniform([result.p_value for result in results]) > 0.01


def test_bins_without_variance_are_left_out():
    matrix = np.diag([1.0, 0.0, 4.0])
    found = covariance.chi2_test(np.array([1.0, 7.0, 2.0]), {"a": Block(matrix)})
    assert (found.chi2, found.bins) == (pytest.approx(2), 2)


def test_too_few_replicas_give_no_p_value():
    rng = np.random.default_rng(10)
    few = covariance.scatter(rng.normal(size=(BINS, BINS)))
    found = covariance.chi2_test(np.ones(BINS), {"data": few})
    assert np.isnan(found.chi2)
    assert np.isnan(found.p_value)
    with_known = {"data": few, "known": Block(1e-3 * np.eye(BINS))}
    found = covariance.chi2_test(np.ones(BINS), with_known)
    assert np.isfinite(found.chi2)
    assert np.isnan(found.p_value)


def test_reasons_name_what_is_too_few_and_what_would_do():
    rng = np.random.default_rng(15)

    def reason(bins, replicas, passes, sources=(), **others):
        values = rng.normal(size=(replicas, passes, bins))
        blocks = {"data": covariance.of_replicas(values)} | others
        if passes > 1:
            blocks["training"] = covariance.scatter(values[0]) * (1 / passes)
        found = covariance.chi2_test(np.ones(bins), blocks, sources=sources)
        assert np.isnan(found.p_value) == bool(found.reason)
        return found.reason

    assert reason(4, 6, 2) == ""
    assert reason(4, 5, 2) == "data: 5 replicas are too few for 4 bins, 6 would do"
    assert reason(4, 30, 1) == "training: one pass does not measure it, 2 would do"
    missing = "simulation: no replicas measure its statistics, 6 would do"
    assert reason(4, 6, 2, ("data", "simulation", "training")) == missing
    few = covariance.of_replicas(rng.normal(size=(3, 2, 4)))
    short = "simulation: 3 replicas are too few for 4 bins, 6 would do"
    assert reason(4, 30, 2, simulation=few) == short
    training = {"training": covariance.scatter(rng.normal(size=(3, 4)))}
    found = covariance.chi2_test(np.ones(4), training | {"prediction": Block(np.eye(4))})
    assert found.reason.startswith("training: 3 passes alone are too few for 4 bins; 6 would do")
    twice = np.array([[1.0, 1, 0], [1, 1, 0], [0, 0, 1]])
    assert (
        covariance.chi2_test(np.ones(3), {"a": Block(twice)}).reason
        == "the bins depend on one another"
    )


def test_a_covariance_that_contains_the_difference_is_refused():
    """A variation whose sample is the truth: its shift is the tested difference, chi2 below 1."""
    rng = np.random.default_rng(11)
    truth, unfolded = np.full(BINS, 100.0), np.full(BINS, 130.0)
    data = covariance.scatter(rng.normal(0, 1, (50, BINS)))
    model = covariance.of_shifts([(truth - unfolded)[None]], frozenset({"nature"}))
    blocks = {"data": data, "model": model}
    hidden = {"data": data, "model": Block(model.matrix)}
    assert covariance.chi2_test(unfolded - truth, hidden).chi2 < 1
    with pytest.raises(ValueError, match="contains the difference"):
        covariance.chi2_test(unfolded - truth, blocks, frozenset({"nature", "other"}))
    kept = covariance.independent(blocks, frozenset({"nature"}))
    assert list(kept) == ["data"]
    assert covariance.chi2_test(unfolded - truth, kept, frozenset({"nature"})).p_value < 1e-6
    assert covariance.chi2_test(unfolded - truth, blocks, frozenset({"else"})).chi2 < 1


# -- pulls ---------------------------------------------------------------------------------------


def test_pulls_and_coverage():
    rng = np.random.default_rng(12)
    matrix = gaussian(rng)
    toys = rng.multivariate_normal(np.zeros(BINS), matrix, 3000)
    found = covariance.coverage(covariance.pulls(toys, matrix))
    assert abs(found["coverage"] - 0.6827) < 4 * found["coverage_error"]
    assert found["coverage_error"] < 0.01
    assert abs(found["pull_mean"]) < 0.1
    assert found["pull_width"] == pytest.approx(1, abs=0.03)
    small = covariance.coverage(covariance.pulls(toys, matrix / 4))
    assert small["coverage"] == pytest.approx(stats.norm.cdf(0.5) * 2 - 1, abs=0.03)
    holed = matrix.copy()
    holed[0] = holed[:, 0] = 0
    pulls = covariance.pulls(toys, holed)
    assert np.isnan(pulls[:, 0]).all()
    assert np.isfinite(covariance.coverage(pulls)["coverage"])
