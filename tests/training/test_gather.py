"""Gather: the native library reads rows as NumPy does."""

import numpy as np
import pytest

from omniflow.events.batches import gathered
from omniflow.training.gather import gather

N = 1000


def _numbers(*shape, kind=np.float32):
    return np.random.default_rng(0).normal(size=shape).astype(kind)


def _misaligned():
    return np.frombuffer(b"ab" + _numbers(N, 3).tobytes(), np.uint8)[2:].view("f4").reshape(N, 3)


ARRAYS = {
    "one number": _numbers(N),
    "rows": _numbers(N, 5),
    "rows of one number": _numbers(N, 1),
    "a column of many": _numbers(N, 5)[:, 2],
    "every third row": _numbers(3 * N, 5)[::3],
    "the first columns": _numbers(N, 7)[:, :3],
    "the same for all": np.broadcast_to(np.float32(0.3), N),
    "the same row for all": np.broadcast_to(_numbers(1, 4), (N, 4)),
    "at an odd place of a file": _misaligned(),
    # What the library leaves to NumPy.
    "every second column": _numbers(N, 6)[:, ::2],
    "another type": _numbers(N, 2, kind=np.float64),
    "more axes": _numbers(N, 2, 3),
    "no columns": _numbers(N, 0),
}


@pytest.mark.parametrize("name", ARRAYS)
@pytest.mark.parametrize("shape", [(7, 256), (1, 1), (3, 15), (2, 0), (0, 4)])
def test_rows_are_those_of_numpy(name, shape):
    array, rng = ARRAYS[name], np.random.default_rng(1)
    index = rng.integers(0, N, shape)
    if index.size:
        index.flat[0], index.flat[-1] = 0, N - 1
    # Two sources share the rows of an update; what is between stays.
    found, expected = np.full((2, shape[0], shape[1] + 9, *array.shape[1:]), 7, np.float32)
    for read, out in ((gather, found), (gathered, expected)):
        read(array, index, out[:, 4 : 4 + shape[1]])
    assert found.tobytes() == expected.tobytes()


def test_positions_may_be_a_part_of_others():
    """As those of one rank among several are."""
    index = np.random.default_rng(2).integers(0, N, (4, 90))[:, 30:60]
    found, expected = np.zeros((2, 4, 30, 5), np.float32)
    gather(ARRAYS["rows"], index, found)
    gathered(ARRAYS["rows"], index, expected)
    assert found.tobytes() == expected.tobytes()


@pytest.mark.parametrize("wrong", [-1, N, 2**40, -(2**63)])
@pytest.mark.parametrize("name", ["one number", "rows", "every third row"])
def test_nothing_outside_of_the_array_is_read(name, wrong):
    index = np.zeros((2, 3), np.int64)
    index[1, 2] = wrong
    out = np.full((2, 3, *ARRAYS[name].shape[1:]), 7, np.float32)
    with pytest.raises(IndexError, match=f"not one of {N}"):
        gather(ARRAYS[name], index, out)
    assert (out == 7).all()
