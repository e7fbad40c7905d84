import itertools

import numpy as np
import pytest

from omniflow.events import split
from omniflow.events.batches import Source
from omniflow.events.features import Features
from omniflow.events.split import Part, Shuffled, held_out


def make(n, seed=0, select=None):
    """A source of n events without particles, of which 7 in 10 take part."""
    rng = np.random.default_rng(seed)
    features = Features(
        np.zeros((0, 3), np.float32),
        np.zeros((0, 2), np.int16),
        np.zeros(n + 1, np.int64),
        rng.normal(size=(n, 2)).astype(np.float32),
    )
    ids = rng.permutation(10 * n)[:n].astype(np.uint64)
    select = rng.random(n) < 0.7 if select is None else select
    weight, factor = rng.uniform(0.5, 2, n), rng.uniform(0.5, 2, n)
    return Source(features, ids, select, (weight, factor), (weight,))


@pytest.fixture(scope="module")
def source():
    # More than one buffer of slices, so that all of shuffling is at work.
    return make(split.SLICE * split.BUFFER * 2 + 100)


# -- split ---------------------------------------------------------------------------------------


def test_the_split_depends_on_id_and_seed_alone():
    ids = np.random.default_rng(0).integers(0, 2**63, 5000).astype(np.uint64)
    order = np.random.default_rng(1).permutation(5000)
    whole = held_out(ids, 123, 0.2)
    np.testing.assert_array_equal(held_out(ids[order], 123, 0.2), whole[order])
    np.testing.assert_array_equal(
        [held_out(ids[i : i + 1], 123, 0.2)[0] for i in range(50)], whole[:50]
    )


@pytest.mark.parametrize("fraction", [0.05, 0.2, 0.5, 0.9])
@pytest.mark.parametrize("stride", [1, 2**20])
def test_the_split_holds_out_the_fraction(fraction, stride):
    ids = np.arange(100_000, dtype=np.uint64) * np.uint64(stride)
    error = np.sqrt(fraction * (1 - fraction) / len(ids))
    assert abs(held_out(ids, 7, fraction).mean() - fraction) < 4 * error


def test_splits_of_different_seeds_are_independent():
    ids = np.arange(50_000, dtype=np.uint64)
    for one, two in ((1, 2), (1, 2**62 + 5), (0, 2**63 - 1)):
        both = held_out(ids, one, 0.2) & held_out(ids, two, 0.2)
        assert abs(both.mean() - 0.04) < 0.004


def test_neighbouring_events_are_split_independently():
    out = held_out(np.arange(100_000, dtype=np.uint64), 3, 0.2)
    for lag in (1, 2, 3, 64):
        assert abs((out[lag:] & out[:-lag]).mean() - 0.04) < 0.003


def test_both_roles_of_an_event_fall_on_one_side():
    """The same ids in another source, order and selection: no event trains and validates."""
    one = make(3000, seed=1)
    order = np.random.default_rng(2).permutation(3000)
    two = Source(one.features, one.event_id[order], np.ones(3000, bool), (), one.denominator)

    def ids(source, validation):
        part = Part.of(source, 99, 0.2, validation)
        return set(source.event_id[np.concatenate(list(part.ordered(100)))].tolist())

    assert not ids(one, True) & ids(two, False)
    assert not ids(one, False) & ids(two, True)
    assert ids(one, True) <= ids(two, True)


# -- parts ---------------------------------------------------------------------------------------


def _expected(source, validation, seed=5, fraction=0.3):
    out = held_out(source.event_id, seed, fraction)
    return np.flatnonzero(source.select & (out == validation))


@pytest.mark.parametrize("validation", [False, True])
def test_totals_count_the_events_of_the_part(source, validation):
    index = _expected(source, validation)
    count, a, b = Part.of(source, 5, 0.3, validation).totals()
    assert count == len(index)
    np.testing.assert_allclose(a, (source.numerator[0] * source.numerator[1])[index].sum())
    np.testing.assert_allclose(b, source.denominator[0][index].sum())


@pytest.mark.parametrize("validation", [False, True])
@pytest.mark.parametrize("size", [1000, 4096])
def test_ordered_gives_every_event_once_in_order(source, validation, size):
    chunks = list(Part.of(source, 5, 0.3, validation).ordered(size))
    assert all(len(chunk) == size for chunk in chunks[:-1])
    assert 0 < len(chunks[-1]) <= size
    np.testing.assert_array_equal(np.concatenate(chunks), _expected(source, validation))


@pytest.mark.parametrize("size", [250, 97])
def test_shuffled_gives_every_event_once_per_round(source, size):
    expected = _expected(source, False)
    stream = Shuffled(Part.of(source, 5, 0.3, False), np.random.default_rng(1))
    rounds = 2
    found = []
    while sum(map(len, found)) < rounds * len(expected):
        found.append(stream.take(size))
        assert len(found[-1]) == size
    found = np.concatenate(found)
    for i in range(rounds):
        part = found[i * len(expected) : (i + 1) * len(expected)]
        np.testing.assert_array_equal(np.sort(part), expected)
    first, second = found[: len(expected)], found[len(expected) : 2 * len(expected)]
    assert np.mean(first == second) < 0.01


def test_shuffled_mixes_events_far_apart(source):
    expected = _expected(source, False)
    batch = Shuffled(Part.of(source, 5, 0.3, False), np.random.default_rng(1)).take(512)
    rank = np.searchsorted(expected, batch)
    # Half of the file is in the first buffer: a batch of 512 spans nearly all of it.
    assert np.ptp(rank) > 0.8 * len(expected)
    assert abs(np.corrcoef(rank, np.arange(512))[0, 1]) < 0.2


def test_shuffled_follows_the_generator(source):
    def draw(seed):
        return Shuffled(Part.of(source, 5, 0.3, False), np.random.default_rng(seed)).take(300)

    np.testing.assert_array_equal(draw(1), draw(1))
    assert np.mean(draw(1) == draw(2)) < 0.05


def test_a_part_smaller_than_a_batch_is_repeated():
    source = make(40, select=np.arange(40) < 3)
    stream = Shuffled(Part.of(source, 0, 1e-9, False), np.random.default_rng(0))
    batch = np.concatenate([stream.take(8) for _ in range(3)])
    np.testing.assert_array_equal(np.bincount(batch), [8, 8, 8])


@pytest.mark.parametrize("shards", [1, 3, 200])
def test_shards_cover_the_part_one_after_the_other(source, shards):
    part = Part.of(source, 5, 0.3, False)
    found = [list(part.ordered(300, shard, shards)) for shard in range(shards)]
    together = np.concatenate(list(itertools.chain.from_iterable(found)))
    np.testing.assert_array_equal(together, part.positions)
    sizes = [sum(map(len, each)) for each in found]
    assert shards == 200 or max(sizes) - min(sizes) < 1.5 * split.SLICE


def test_what_is_taken_at_once_is_what_is_taken_in_turn(source):
    part = Part.of(source, 5, 0.3, False)
    one, two = (Shuffled(part, np.random.default_rng(3)) for _ in range(2))
    together = one.take(50_000)
    np.testing.assert_array_equal(together, np.concatenate([two.take(k) for k in (0, 7, 49_993)]))


def test_the_order_is_that_of_slices_shuffled_and_buffers_permuted(source):
    """Written out event by event: the order of a training, which must not change."""
    part = Part.of(source, 5, 0.3, False)
    rng, expected = np.random.default_rng(3), []
    kept = set(_expected(source, False).tolist())
    size = len(source.event_id)
    for _ in range(2):
        order = rng.permutation(-(-size // split.SLICE)).tolist()
        for first in range(0, len(order), split.BUFFER):
            buffer = [
                event
                for i in order[first : first + split.BUFFER]
                for event in range(i * split.SLICE, min((i + 1) * split.SLICE, size))
                if event in kept
            ]
            expected += rng.permutation(np.array(buffer)).tolist()
    found = Shuffled(part, np.random.default_rng(3)).take(len(expected))
    np.testing.assert_array_equal(found, expected)
