import boost_histogram as bh
import numpy as np
import pytest

from omniflow.errors import InputError, WeightError
from omniflow.evaluation.histograms import (
    CountMatrix,
    Histogram,
    normalise,
    stack,
    subtract,
)
from omniflow.observables import Entries
from omniflow.observables.find import build, built_in

EDGES = np.array([0.0, 1.0, 2.0, 4.0])


def entries(index, value):
    return Entries(np.asarray(index, np.int64), np.asarray(value, np.float32))


# Event 0: two entries in bin 0, one in bin 2. Event 1: one overflow. Event 2: one in each of
# bins 0 and 1, one underflow. Event 3: three in bin 1, masked. Event 4: none.
SEVERAL = entries(
    [0, 0, 0, 1, 2, 2, 2, 3, 3, 3], [0.1, 2.5, 0.9, 4.0, 1.0, -0.1, 0.0, 1.5, 1.6, 1.7]
)
MASK = np.array([1, 1, 1, 0, 1], bool)
WEIGHTS = np.array([2.0, 5.0, 3.0, 7.0, 11.0])


def test_several_entries_per_event_by_hand():
    found = CountMatrix(SEVERAL, EDGES, MASK).fill(WEIGHTS)
    np.testing.assert_array_equal(found.content, [2 * 2 + 3, 3, 2])
    np.testing.assert_array_equal(found.variance, [(2 * 2) ** 2 + 3**2, 3**2, 2**2])
    # event 0 has 3 entries in range, event 2 has 2: sum of w^2 n_eb n_e
    np.testing.assert_array_equal(found.sum_covariance, [4 * 2 * 3 + 9 * 2, 9 * 2, 4 * 3])
    assert found.sum_covariance.sum() == (2 * 3) ** 2 + (3 * 2) ** 2
    # event 2 lies below once, event 1 at the upper edge of the last bin
    np.testing.assert_array_equal(found.flow, [3, 5])
    np.testing.assert_allclose(found.error, [5, 3, 2])


def test_many_weights_at_once():
    matrix = CountMatrix(SEVERAL, EDGES, MASK)
    weights = np.random.default_rng(1).normal(1, 0.3, (5, 4))
    together = matrix.fill(weights)
    one_by_one = stack(matrix.fill(column) for column in weights.T)
    assert together.content.shape == (4, 3)
    for name in ("content", "variance", "sum_covariance", "flow"):
        np.testing.assert_allclose(getattr(together, name), getattr(one_by_one, name), rtol=1e-14)
    assert together.flow.shape == (4, 2)
    np.testing.assert_array_equal(together.row(2).flow, together.flow[2])


@pytest.mark.parametrize("name", ["q2", "eta_e"])
def test_one_entry_per_event_agrees_with_boost_histogram(name):
    rng = np.random.default_rng(2)
    edges = np.array(build(name, built_in()[name]).edges)
    value = rng.uniform(edges[0] - 1, edges[-1] + 1, 5000).astype(np.float32)
    value[: len(edges)] = edges  # on the edges
    weights = rng.normal(1, 0.5, 5000)
    mask = rng.random(5000) < 0.7
    reference = bh.Histogram(bh.axis.Variable(edges), storage=bh.storage.Weight())
    reference.fill(value[mask], weight=weights[mask])
    found = CountMatrix(entries(np.arange(5000), value), edges, mask).fill(weights)
    np.testing.assert_allclose(found.content, reference.values(), rtol=1e-12)
    np.testing.assert_allclose(found.variance, reference.variances(), rtol=1e-12)
    np.testing.assert_allclose(found.sum_covariance, reference.variances(), rtol=1e-12)


def test_variance_is_the_scatter_over_samples_of_events():
    # Poisson(1) weights are a bootstrap of the events: their scatter is the event-level variance.
    rng = np.random.default_rng(3)
    counts = rng.integers(0, 12, 300)
    index = np.repeat(np.arange(300), counts)
    value = np.repeat(rng.uniform(0, 1, 300), counts) + rng.uniform(0, 3, counts.sum())
    matrix = CountMatrix(entries(index, value), EDGES, np.ones(300, bool))
    nominal = matrix.fill(np.ones(300))
    drawn = matrix.fill(rng.poisson(1.0, (300, 8000)).astype(float))
    np.testing.assert_allclose(drawn.content.var(axis=0), nominal.variance, rtol=0.06)
    assert (nominal.variance > 2 * nominal.content).all()  # counting entries understates it
    np.testing.assert_allclose(
        normalise(drawn).content.var(axis=0), normalise(nominal).variance, rtol=0.06
    )


def test_normalise_one_entry_per_event_is_multinomial():
    count = np.array([10.0, 30.0, 60.0])
    found = normalise(Histogram(count, count, count))
    np.testing.assert_allclose(found.content, [0.1, 0.3, 0.6])
    np.testing.assert_allclose(found.variance, [0.0009, 0.0021, 0.0024])


def test_normalise_does_not_depend_on_the_scale_and_keeps_leading_axes():
    first = CountMatrix(SEVERAL, EDGES, MASK).fill(WEIGHTS)
    second = CountMatrix(SEVERAL, EDGES, MASK).fill(3 * WEIGHTS)
    found = normalise(stack([first, second]))
    np.testing.assert_allclose(found.content.sum(axis=1), 1)
    np.testing.assert_allclose(found.content[0], found.content[1])
    np.testing.assert_allclose(found.variance[0], found.variance[1])
    again = normalise(found)
    np.testing.assert_allclose(again.variance, found.variance)


def test_normalise_full_and_empty_bins():
    found = normalise(Histogram(*np.array([[0.0, 4.0], [0.0, 7.0], [0.0, 7.0]])))
    np.testing.assert_array_equal(found.content, [0, 1])
    np.testing.assert_array_equal(found.variance, [0, 0])
    empty = normalise(Histogram(*np.zeros((3, 2))))
    np.testing.assert_array_equal(empty.content, [0, 0])
    np.testing.assert_array_equal(empty.variance, [0, 0])


def test_no_entries():
    found = CountMatrix(entries([], []), EDGES, MASK).fill(WEIGHTS)
    np.testing.assert_array_equal(found.content, [0, 0, 0])
    np.testing.assert_array_equal(found.variance, [0, 0, 0])


def test_bad_input_is_refused():
    with pytest.raises(InputError, match="events 0 to 5 but the sample has 5"):
        CountMatrix(entries([0, 5], [0.5, 0.5]), EDGES, MASK)
    matrix = CountMatrix(SEVERAL, EDGES, MASK)
    with pytest.raises(ValueError, match="4 weights for 5 events"):
        matrix.fill(WEIGHTS[:4])
    weights = np.ones((5, 2))
    weights[3, 1] = np.nan
    with pytest.raises(WeightError, match="event 3"):
        matrix.fill(weights)


def test_subtracted_backgrounds_with_an_uncertain_normalisation():
    """Against the full covariance matrix, also after scaling to unit sum."""
    rng = np.random.default_rng(3)
    data, background = rng.integers(50, 90, 5).astype(float), rng.integers(5, 20, 5).astype(float)
    factor, uncertainty = 0.7, 0.4
    parts = [Histogram(n, n, n, n[:2] + 1) for n in (data, background)]
    found = subtract(*parts, factor, uncertainty)
    shift = factor * uncertainty * background
    covariance = np.diag(data + factor**2 * background) + np.outer(shift, shift)
    np.testing.assert_allclose(found.content, data - factor * background)
    np.testing.assert_allclose(found.flow, data[:2] + 1 - factor * (background[:2] + 1))
    np.testing.assert_allclose(found.variance, np.diag(covariance))
    np.testing.assert_allclose(found.sum_covariance, covariance.sum(axis=1))
    total = found.content.sum()
    p = found.content / total
    jacobian = (np.eye(5) - p[:, None]) / total
    expected = np.diag(jacobian @ covariance @ jacobian.T)
    np.testing.assert_allclose(normalise(found).variance, expected)


def test_signed_weights_add_their_squares():
    entries = Entries(np.arange(4), np.full(4, 0.5, np.float32))
    matrix = CountMatrix(entries, np.array([0.0, 1.0]), np.ones(4, bool))
    found = matrix.fill(np.array([2.0, -1, 3, -0.5]))
    assert found.content == [3.5]
    assert found.variance == [14.25]
