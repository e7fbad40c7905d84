"""Entries of arrays of a program."""

import numpy as np

from omniflow.api import values
from omniflow.observables import Entries


def test_entries_in_another_order():
    entries = Entries(np.array([0, 0, 2, 3, 3, 3]), np.array([1.0, 2, 3, 4, 5, 6]))
    found = values.reordered(entries, np.array([3, 1, 0, 2]))
    np.testing.assert_array_equal(found.event_index, [0, 0, 0, 2, 2, 3])
    np.testing.assert_array_equal(found.value, [4, 5, 6, 1, 2, 3])
