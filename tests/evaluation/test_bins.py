import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from omniflow.evaluation import bins
from omniflow.evaluation.bins import places

DOUBLES = st.floats(allow_nan=False, allow_infinity=False, width=64)


@settings(deadline=None, max_examples=200)
@given(
    st.lists(DOUBLES, min_size=2, max_size=12, unique=True).map(sorted),
    hnp.arrays(np.float32, st.integers(0, 20), elements=st.floats(width=32)),
)
def test_places_are_those_of_a_search_in_double_precision(edges, value):
    """Also of values next to edges, which single precision does not have."""
    edges = np.array(edges)
    with np.errstate(all="ignore"):
        near = edges.astype(np.float32)
        beside = [near, *(np.nextafter(near, np.float32(end)) for end in (-np.inf, np.inf))]
    value = np.concatenate([value, *beside])
    expected = np.searchsorted(edges, value.astype(np.float64), side="right") - 1
    expected[np.isnan(value)] = -1
    found = places(value, edges)
    assert found.dtype == np.intp
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(places(value.astype(np.float64), edges), expected)


@pytest.mark.parametrize("edges", [20, 500])
def test_few_and_many_edges(edges):
    edges = np.linspace(0, 1, edges)
    value = np.random.default_rng(1).normal(0.5, 0.5, 5000).astype(np.float32)
    value[::7] = np.nan
    found = places(value, edges)
    inside = found[found >= 0]
    assert (edges[inside] <= value[found >= 0]).all()
    below = inside < len(edges) - 1
    assert (value[found >= 0][below] < edges[inside[below] + 1]).all()
    np.testing.assert_array_equal(found < 0, ~(value >= 0))


def test_whole_numbers():
    assert places(np.array([0, 1, 5]), np.array([0.0, 1.5])).tolist() == [0, 0, 1]
    assert np.iinfo(np.int8).max > bins._FEW
