import numpy as np

from omniflow.events.hashing import uniform


def slow(event_id, seed):
    """SplitMix64 in whole numbers, as in Steele et al. 2014, figure 17; twice."""
    mask = 2**64 - 1
    x = (event_id + seed * 0x9E3779B97F4A7C15) & mask
    for _ in range(2):
        x = (x + 0x9E3779B97F4A7C15) & mask
        x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & mask
        x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & mask
        x ^= x >> 31
    return (x >> 11) / 2**53


def test_numbers_are_those_of_the_generator():
    ids, seed = [0, 1, 2, 10**9, 2**63, 2**64 - 1], 2**62 + 12345
    found = uniform(np.array(ids, np.uint64), seed)
    assert found.tolist() == [slow(i, seed) for i in ids]


def test_numbers_are_uniform():
    found = uniform(np.arange(200_000, dtype=np.uint64), 7)
    counts = np.histogram(found, 50, (0, 1))[0]
    assert abs(np.sum((counts - 4000) ** 2 / 4000) - 49) < 4 * np.sqrt(2 * 49)
