import numpy as np

from omniflow.events.ids import places

KNOWN = np.array([7, 3, 2**63 + 1, 5], np.uint64)


def test_places_of_some_ids():
    wanted = np.array([5, 2**63 + 1, 7], np.uint64)
    found = places(KNOWN, wanted)
    np.testing.assert_array_equal(found, [3, 2, 0])
    np.testing.assert_array_equal(KNOWN[found], wanted)


def test_ids_that_are_not_there():
    assert places(KNOWN, np.array([5, 6], np.uint64)) is None
    assert places(KNOWN, np.array([2**64 - 1], np.uint64)) is None
    assert places(KNOWN[:0], KNOWN) is None
    assert len(places(KNOWN[:0], KNOWN[:0])) == 0
