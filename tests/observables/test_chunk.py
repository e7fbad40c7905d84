import numpy as np
from toy_level import EVENT, LEVEL, PARTICLES

from omniflow.observables.chunk import Chunk, Columns
from omniflow.physics.jets import JetDefinition


def test_columns_are_float64_with_offsets_where_they_are_of_particles():
    columns = Chunk(LEVEL).columns
    assert columns["met"].offsets is None
    np.testing.assert_array_equal(columns["met"].array, EVENT[:, 0])
    np.testing.assert_array_equal(columns["pt"].array, PARTICLES[:, 0])
    np.testing.assert_array_equal(columns["pt"].offsets, LEVEL.offsets)
    assert columns["met"].array.dtype == columns["pt"].array.dtype == np.float64


def test_a_name_of_both_is_that_of_the_event():
    columns = Chunk(LEVEL).columns
    assert columns["charge"].array.tolist() == columns["event.charge"].array.tolist() == [1, 2, 3]
    assert columns["particles.charge"].array.tolist() == [1, -1, 0, 1]
    assert columns["particles.pt"].array.tolist() == columns["pt"].array.tolist()


def test_columns_are_made_once_and_only_if_asked():
    made = []
    columns = Columns({"a": lambda: made.append("a") or 1, "b": lambda: made.append("b") or 2})
    assert "a" in columns
    assert made == []
    assert (columns["a"], columns["a"]) == (1, 1)
    assert made == ["a"]


def test_jets_are_clustered_once_per_definition():
    chunk = Chunk(LEVEL)
    narrow, wide = JetDefinition("antikt", 0.2, 5.0), JetDefinition("antikt", 0.4, 5.0)
    assert chunk.jets(narrow) is chunk.jets(JetDefinition("antikt", 0.2, 5.0))
    assert chunk.jets(narrow).counts.tolist() == [3, 0, 1]
    assert chunk.jets(wide).counts.tolist() == [2, 0, 1]
