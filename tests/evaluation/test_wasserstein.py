from math import gamma

import numpy as np
import pytest
from scipy.stats import wasserstein_distance

from omniflow.evaluation import wasserstein
from omniflow.observables.entries import Entries


def _sums(edges, value, weight, event=None):
    index = np.arange(len(value)) if event is None else event
    return wasserstein.fill(Entries(index, np.asarray(value)), edges, np.asarray(weight)[:, None])


def _pair(x, y, u, v, first=50_000):
    """Distance and floor of two samples, one entry per event; cells are of their first values."""
    edges = wasserstein.edges(x[:first], y[:first])
    found = wasserstein.distance(_sums(edges, x, u), _sums(edges, y, v))
    return [float(each[0]) for each in found]


@pytest.mark.parametrize("kind", ["normal", "exponential", "poisson"])
@pytest.mark.parametrize("shift", [0.0, 0.4])
def test_few_values_are_exact(kind, shift):
    rng = np.random.default_rng(1)
    x, y = (getattr(rng, kind)(size=n) + s for n, s in ((300, 0), (200, shift)))
    u, v = rng.uniform(0.5, 1.5, 300), rng.exponential(1, 200)
    assert _pair(x, y, u, v)[0] == pytest.approx(wasserstein_distance(x, y, u, v), rel=1e-12)


@pytest.mark.parametrize(("shift", "tolerance"), [(0.0, 0.03), (0.05, 0.01), (2.0, 1e-9)])
def test_many_values_lose_little_where_they_cross_and_nothing_else(shift, tolerance):
    rng = np.random.default_rng(2)
    x, y = rng.standard_normal(30_000), rng.standard_normal(20_000) + shift
    u, v = rng.uniform(0.5, 1.5, 30_000), rng.exponential(1, 20_000)
    found, exact = _pair(x, y, u, v, first=5_000)[0], wasserstein_distance(x, y, u, v)
    assert exact * (1 - tolerance) <= found <= exact * (1 + 1e-9)


def test_moved_and_wider_normal_distributions_have_the_distance_of_theory():
    """Of N(0, 1): |shift| from one that is moved, sqrt(2 / pi) |s - 1| from one of width s."""
    rng = np.random.default_rng(3)
    x, ones = rng.standard_normal(40_000), np.ones(40_000)
    # The same numbers moved or stretched: no statistics in the comparison but that of the mean |x|.
    assert _pair(x, x + 0.1, ones, ones)[0] == pytest.approx(0.1, abs=1e-5)
    wider = _pair(x, 1.2 * x, ones, ones)[0]
    assert wider == pytest.approx(0.2 * np.sqrt(2 / np.pi), rel=4 * 0.75 / np.sqrt(40_000))
    y = rng.standard_normal(40_000) + 0.1
    found, floor = _pair(x, y, ones, ones)
    assert found == pytest.approx(0.1, abs=4 * np.sqrt(2 / 40_000))
    assert floor < 0.1 / 5


@pytest.mark.parametrize(
    ("kind", "low"),
    [("normal", 0.02), ("exponential", 0.02), ("poisson", 0.02), ("lognormal", 0.2)],
)
def test_the_floor_is_the_mean_distance_of_samples_of_one_parent(kind, low):
    """A few per cent below it where a few hundred events do not know the tail."""
    rng, distances, floors = np.random.default_rng(4), [], []
    for _ in range(120):
        x, y = getattr(rng, kind)(size=400), getattr(rng, kind)(size=700)
        found = _pair(x, y, rng.uniform(0.5, 1.5, 400), rng.exponential(1, 700))
        distances.append(found[0])
        floors.append(found[1])
    margin = 3 * np.std(distances) / np.sqrt(120)
    mean = np.mean(distances)
    assert mean * (1 - low) - margin < np.mean(floors) < mean * 1.02 + margin


def test_the_floor_counts_the_entries_of_an_event_together():
    """With all entries of an event alike, four of them know no more than one."""
    rng, distances, floors = np.random.default_rng(5), [], []
    for _ in range(100):
        pair = []
        for events in (300, 500):
            index = np.repeat(np.arange(events), 4)
            value = np.repeat(rng.standard_normal(events), 4) + rng.normal(0, 0.1, 4 * events)
            pair.append((value, rng.uniform(0.5, 1.5, events), index))
        edges = wasserstein.edges(*(value for value, _, _ in pair))
        found = wasserstein.distance(*(_sums(edges, *each) for each in pair))
        distances.append(found[0][0])
        floors.append(found[1][0])
    error = np.std(distances) / np.sqrt(100)
    assert np.mean(floors) == pytest.approx(np.mean(distances), abs=3 * error + 0.02 * floors[0])


def test_variances_are_those_of_the_definition():
    rng = np.random.default_rng(6)
    index = np.sort(rng.integers(0, 40, 120))
    value, weight = rng.normal(size=120), rng.normal(1, 0.5, 40)
    edges = np.linspace(-2, 2, 9)
    sums = _sums(edges, value, weight, index)
    total = weight[index].sum()
    for place, edge in enumerate(edges):
        up_to = np.bincount(index[value <= edge], minlength=40)
        cumulative = weight @ up_to / total
        terms = weight * (up_to - cumulative * np.bincount(index, minlength=40))
        assert sums.cumulative[0, place] == pytest.approx(cumulative)
        assert sums.variance[0, place] == pytest.approx((terms**2).sum() / total**2)
    assert sums.mean[0] == pytest.approx(np.average(value, weights=weight[index]))
    spread = np.average((value - sums.mean[0]) ** 2, weights=weight[index])
    assert sums.deviation[0] == pytest.approx(np.sqrt(spread))


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_cells_of_many_values_end_at_their_quantiles(kind):
    rng = np.random.default_rng(6)
    levels = np.linspace(0, 1, wasserstein.CELLS // 2)
    first, second = rng.normal(size=5000).astype(kind), rng.normal(size=300).astype(kind)
    expected = np.unique([np.quantile(each, levels) for each in (first, second)])
    np.testing.assert_array_equal(wasserstein.edges(first, second), expected)


def test_cells_are_those_of_a_search():
    rng = np.random.default_rng(1)
    edges = np.unique(rng.normal(size=50))
    value = np.concatenate([rng.normal(size=500), edges, [-np.inf, np.inf]])
    found = wasserstein._cells(value, edges)
    np.testing.assert_array_equal(found, np.searchsorted(edges, value, side="left"))
    assert wasserstein._cells(value[:0], edges).size == 0


def test_slices_add_up_and_weights_go_together():
    rng = np.random.default_rng(7)
    value, weights = rng.normal(size=500), rng.uniform(0, 2, (500, 3))
    edges = wasserstein.edges(value[:100])
    whole = wasserstein.fill(Entries(np.arange(500), value), edges, weights)
    total = None
    for rows in (slice(0, 200), slice(200, 500)):
        part = value[rows]
        total = wasserstein.fill(Entries(np.arange(len(part)), part), edges, weights[rows]).plus(
            total
        )
    other = _sums(edges, value + 0.3, np.ones(500))
    np.testing.assert_allclose(
        wasserstein.distance(other, total), wasserstein.distance(other, whole)
    )
    alone = [wasserstein.distance(other, _sums(edges, value, column))[0][0] for column in weights.T]
    np.testing.assert_allclose(wasserstein.distance(other, whole)[0], alone)


def test_negative_weights_subtract_events():
    """A sample less some of its events is the rest, whose distance is that of ordinary weights."""
    rng = np.random.default_rng(8)
    signal, background = rng.normal(0, 1, 300), rng.normal(1, 1, 100)
    value = np.concatenate([signal, background, background])
    weight = np.concatenate([np.ones(400), np.full(100, -1.0)])
    truth = rng.normal(0.2, 1, 200)
    found, floor = _pair(truth, value, np.ones(200), weight)
    assert found == pytest.approx(wasserstein_distance(truth, signal), rel=1e-9)
    # What is subtracted fluctuates too.
    assert floor > 1.05 * _pair(truth, signal, np.ones(200), np.ones(300))[1]


@pytest.mark.parametrize("weight", [[0.0, 0.0], [1.0, -2.0]])
def test_without_a_positive_sum_there_is_no_distance(weight):
    found = _pair(np.array([0.0, 1.0]), np.array([0.0, 1.0]), np.ones(2), np.array(weight))
    assert np.isnan(found).all()


def test_a_sample_without_entries_has_none():
    empty = np.zeros(0)
    assert np.isnan(_pair(empty, np.array([1.0]), empty, np.ones(1))).all()


@pytest.mark.parametrize("dimensions", [1, 3])
def test_the_sliced_distance_of_moved_normal_distributions_is_that_of_theory(dimensions):
    """Moved by delta in one direction: delta times the mean |component| of a unit vector."""
    rng, delta = np.random.default_rng(9), 0.3
    values = rng.standard_normal((4_000, dimensions))
    moved = values.copy()
    moved[:, 0] += delta
    mean = gamma(dimensions / 2) / (np.sqrt(np.pi) * gamma((dimensions + 1) / 2))
    found = []
    for one, other in zip(
        *(
            wasserstein.projected(
                {str(i): Entries(np.arange(4_000), column) for i, column in enumerate(each.T)},
                4_000,
                np.full(dimensions, 5.0),
                np.full(dimensions, 2.0),
            )
            for each in (values, moved)
        ),
        strict=True,
    ):
        edges = wasserstein.edges(one.value, other.value)
        ones = np.ones((4_000, 1))
        pair = (wasserstein.fill(each, edges, ones) for each in (one, other))
        found.append(float(wasserstein.distance(*pair)[0][0]))
    components = np.abs(wasserstein.directions(dimensions)[:, 0])
    np.testing.assert_allclose(found, delta / 2 * components, rtol=1e-3)
    # 0.29 is the standard deviation of |component| in three dimensions.
    tolerance = 4 * 0.29 / np.sqrt(len(components)) if dimensions == 3 else 1e-9
    assert components.mean() == pytest.approx(mean, abs=tolerance)


def test_events_that_lack_an_observable_are_left_out():
    entries = {
        "all": Entries(np.arange(3), np.array([1.0, 2.0, 3.0])),
        "some": Entries(np.array([0, 2]), np.array([4.0, 5.0])),
    }
    found = wasserstein.projected(entries, 3, np.zeros(2), np.ones(2))
    assert len(found) == wasserstein.DIRECTIONS
    assert all(each.event_index.tolist() == [0, 2] for each in found)
    np.testing.assert_allclose(found[0].value[0], wasserstein.directions(2)[0] @ [1, 4])
