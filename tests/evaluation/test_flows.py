import numpy as np
import pytest

from omniflow.evaluation.flows import flows_table, notes
from omniflow.evaluation.histograms import CountMatrix, Histogram
from omniflow.observables import Entries

EDGES = np.array([0.0, 1.0, 2.0])


def histogram(values, weights=None):
    values = np.asarray(values, np.float32)
    weights = np.ones(len(values)) if weights is None else weights
    matrix = CountMatrix(Entries(np.arange(len(values)), values), EDGES, np.ones(len(values), bool))
    return matrix.fill(weights)


TEN = [-1, 0, 0.5, 1, 1, 1.5, 1.9, 2, 3, 4]  # one below, three above: 2 is the last edge


def test_weights_outside_are_counted():
    table = flows_table({("detector", "data", ""): {"x": histogram(TEN)}})
    (row,) = table.itertuples()
    assert (row.observable, row.level, row.sample, row.method) == ("x", "detector", "data", "")
    assert (row.below, row.inside, row.above, row.outside) == (1, 6, 3, 0.4)


def test_passes_are_averaged():
    weights = np.ones((10, 2))
    weights[-1] = [1, 3]
    found = {("particle", "simulation", "none"): {"x": histogram(TEN, weights)}}
    (row,) = flows_table(found).itertuples()
    assert (row.below, row.inside, row.above) == (1, 6, 4)
    assert row.outside == pytest.approx(5 / 11)


def test_signed_weights_count_by_their_magnitude():
    weights = np.where(np.array(TEN) < 0, -2.0, 1.0)
    (row,) = flows_table({("detector", "data", ""): {"x": histogram(TEN, weights)}}).itertuples()
    assert (row.below, row.outside) == (-2, 5 / 11)


def test_without_flow_or_content():
    none = Histogram(*np.ones((3, 2)))
    empty = histogram([])
    table = flows_table({("detector", "data", ""): {"none": none, "empty": empty}})
    (row,) = table.itertuples()
    assert row.observable == "empty"
    assert np.isnan(row.outside)
    assert notes(table) == []


def test_more_than_a_hundredth_is_told():
    inside, few = np.full(1000, 0.5), np.full(1000, 0.5)
    few[:9] = 7
    found = {
        ("detector", "data", ""): {"a": histogram(inside), "b": histogram(TEN)},
        ("particle", "data", ""): {"a": histogram(few), "b": histogram(inside)},
        ("particle", "simulation", "none"): {"a": histogram(inside), "b": histogram(TEN[5:])},
    }
    (note,) = notes(flows_table(found))
    assert note.startswith(
        "b: 60.0% of the result of none at particle level lies outside of the bins (60.0% above). "
    )
    del found["particle", "simulation", "none"]
    (note,) = notes(flows_table(found))
    assert note.startswith("b: 40.0% of the data lies outside of the bins (10.0% below, 30.0% abo")
