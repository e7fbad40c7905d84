import itertools

import numpy as np

from omniflow.unfolding import seeds


def _state(*arguments):
    return tuple(seeds.sequence(*arguments).generate_state(4))


def test_the_same_coordinates_give_the_same_numbers():
    assert _state(1, "split", 3, 0, 2) == _state(1, "split", 3, 0, 2)


def test_seeds_do_not_change_between_processes():
    # Python's own hash of a string would; this number must never change either, because
    # finished studies could not be continued.
    assert seeds.integer(seeds.sequence(1, "split", 0, 0, 1)) == 3067306579594824111


def test_all_purposes_and_coordinates_differ():
    arguments = itertools.product((0, 1, 12345), ("initial", "split", "order"), *[range(4)] * 3)
    found = [_state(*each) for each in arguments]
    assert len(set(found)) == len(found) == 3 * 3 * 64


def test_integers_fit_63_bits():
    found = [seeds.integer(seeds.sequence(1, "x", i)) for i in range(2000)]
    assert all(0 <= value < 2**63 for value in found)
    assert max(found) > 2**62
    assert len(set(found)) == len(found)
    assert np.uint64(max(found)) == max(found)
