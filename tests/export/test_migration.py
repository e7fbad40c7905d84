import numpy as np

from omniflow.evaluation import bayes
from omniflow.evaluation.bayes import NOWHERE
from omniflow.export.migration import migration

# Two bins: cells are underflow, bins 1 and 2, overflow, no value.
CELLS = 2 + bayes.FLOW


def test_cells_go_where_root_has_them():
    weight = np.array([1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0])
    true = np.array([1, 2, 1, CELLS + 1, NOWHERE, 4, 0])
    seen = np.array([1, 1, NOWHERE, 2, 2, 2, 4])
    # In order: seen in its bin, migrated, a miss, unfolded outside of the region, a fake, without a
    # value at particle level, and without one at detector level.
    response = bayes.response(weight, np.arange(7), true, seen, (2 * CELLS, CELLS))
    found = migration(response, 0.5)
    both = np.zeros((4, 4))
    both[1, 1], both[1, 2] = 1, 2
    np.testing.assert_allclose(found.response.content, both / 2)
    np.testing.assert_allclose(found.response.variance, both**2 / 4)
    np.testing.assert_allclose(found.measured.content, [0, 1.5, (8 + 16 + 32) / 2, 0])
    np.testing.assert_allclose(found.truth.content, [32, 2.5, 1, 0])
    np.testing.assert_allclose(found.measured.variance, [0, 5 / 4, (64 + 256 + 1024) / 4, 0])


def test_entries_of_one_event_count_together():
    weight, event = np.array([3.0, 3.0]), np.array([0, 0])
    both = np.array([1, 1])
    response = bayes.response(weight, event, both, both, (2 * CELLS, CELLS))
    found = migration(response)
    assert found.truth.content[1] == 6
    assert found.truth.variance[1] == 36


def test_without_errors_there_are_none():
    response = bayes.Response(np.eye(2 * CELLS, CELLS), np.zeros(2 * CELLS), np.zeros(CELLS))
    found = migration(response)
    assert found.response.content.trace() == 4
    assert not found.response.variance.any()
