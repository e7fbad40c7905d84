import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omniflow.events import batches
from omniflow.events.batches import Part, Source, by_length, held_out, micro_batches
from omniflow.events.features import Features


def _source(n=2000, seed=0, longest=7, select=None):
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, longest + 1, n)
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    total = offsets[-1]
    features = Features(
        rng.normal(size=(total, 3)).astype(np.float32),
        rng.integers(-1, 2, (total, 2)).astype(np.int16),
        offsets,
        rng.normal(size=(n, 2)).astype(np.float32),
    )
    ids = rng.permutation(10 * n)[:n].astype(np.uint64)
    select = rng.random(n) < 0.7 if select is None else select
    weight, factor = rng.uniform(0.5, 2, n), rng.uniform(0.5, 2, n)
    return Source(features, ids, select, (weight, factor), (weight,))


@pytest.fixture(scope="module")
def source():
    # More than one buffer of slices, so that all of shuffling is at work.
    return _source(batches.SLICE * batches.BUFFER * 2 + 100, longest=2)


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
    one = _source(3000, seed=1)
    order = np.random.default_rng(2).permutation(3000)
    two = Source(one.features, one.event_id[order], np.ones(3000, bool), (), one.denominator)

    def ids(source, validation):
        part = Part(source, 99, 0.2, validation)
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
    count, a, b = Part(source, 5, 0.3, validation).totals()
    assert count == len(index)
    np.testing.assert_allclose(a, (source.numerator[0] * source.numerator[1])[index].sum())
    np.testing.assert_allclose(b, source.denominator[0][index].sum())


@pytest.mark.parametrize("validation", [False, True])
@pytest.mark.parametrize("size", [1000, 4096])
def test_ordered_gives_every_event_once_in_order(source, validation, size):
    chunks = list(Part(source, 5, 0.3, validation).ordered(size))
    assert all(len(chunk) == size for chunk in chunks[:-1])
    assert 0 < len(chunks[-1]) <= size
    np.testing.assert_array_equal(np.concatenate(chunks), _expected(source, validation))


@pytest.mark.parametrize("size", [250, 97])
def test_shuffled_gives_every_event_once_per_round(source, size):
    expected = _expected(source, False)
    stream = Part(source, 5, 0.3, False).shuffled(np.random.default_rng(1), size)
    rounds = 2
    found = []
    while sum(map(len, found)) < rounds * len(expected):
        found.append(next(stream))
        assert len(found[-1]) == size
    found = np.concatenate(found)
    for i in range(rounds):
        part = found[i * len(expected) : (i + 1) * len(expected)]
        np.testing.assert_array_equal(np.sort(part), expected)
    first, second = found[: len(expected)], found[len(expected) : 2 * len(expected)]
    assert np.mean(first == second) < 0.01


def test_shuffled_mixes_events_far_apart(source):
    expected = _expected(source, False)
    stream = Part(source, 5, 0.3, False).shuffled(np.random.default_rng(1), 512)
    batch = next(stream)
    rank = np.searchsorted(expected, batch)
    # Half of the file is in the first buffer: a batch of 512 spans nearly all of it.
    assert np.ptp(rank) > 0.8 * len(expected)
    assert abs(np.corrcoef(rank, np.arange(512))[0, 1]) < 0.2


def test_shuffled_follows_the_generator(source):
    def draw(seed):
        return next(Part(source, 5, 0.3, False).shuffled(np.random.default_rng(seed), 300))

    np.testing.assert_array_equal(draw(1), draw(1))
    assert np.mean(draw(1) == draw(2)) < 0.05


def test_a_part_smaller_than_a_batch_is_repeated():
    source = _source(40, select=np.arange(40) < 3)
    stream = Part(source, 0, 1e-9, False).shuffled(np.random.default_rng(0), 8)
    batch = np.concatenate([next(stream) for _ in range(3)])
    np.testing.assert_array_equal(np.bincount(batch), [8, 8, 8])


# -- batches -------------------------------------------------------------------------------------


def _reference(source, index):
    """Plain Python: padded arrays of the events `index`."""
    f = source.features
    longest = max([f.offsets[i + 1] - f.offsets[i] for i in index] + [1])
    particles = np.zeros((len(index), longest, 3))
    neighbours = np.full((len(index), longest, 2), -1)
    mask = np.zeros((len(index), longest))
    for row, i in enumerate(index):
        for column, j in enumerate(range(f.offsets[i], f.offsets[i + 1])):
            particles[row, column] = f.particles[j]
            neighbours[row, column] = f.neighbours[j]
            mask[row, column] = 1
    weight, factor = source.numerator
    return {
        "particles": particles,
        "neighbours": neighbours,
        "mask": mask,
        "event": f.event[index],
        "numerator": (weight * factor)[index],
        "denominator": weight[index],
        "index": index,
    }


@pytest.mark.parametrize("index", [[5, 1, 900, 17], list(range(0, 999, 7)), [3]])
def test_a_batch_equals_plain_python(index):
    source = _source(1000)
    batch = source.batch(np.array(index))
    for name, expected in _reference(source, np.array(index)).items():
        np.testing.assert_allclose(getattr(batch, name), expected, rtol=1e-6, err_msg=name)
    kinds = [a.dtype for a in (batch.particles, batch.mask, batch.neighbours, batch.numerator)]
    assert kinds == [np.float32, np.float32, np.int32, np.float32]


def test_a_batch_without_particles_has_one_padded_slot():
    source = _source(10, longest=0)
    batch = source.batch(np.arange(4))
    assert batch.particles.shape == (4, 1, 3)
    assert batch.neighbours.shape == (4, 1, 2)
    assert not batch.mask.any()
    assert np.all(batch.neighbours == -1)


def test_weights_of_a_class_without_factors_are_zero():
    source = _source(10)
    one = Source(source.features, source.event_id, source.select, (), source.denominator)
    a, b = one.weights(np.array([4, 2]))
    np.testing.assert_array_equal(a, [0, 0])
    np.testing.assert_array_equal(b, source.denominator[0][[4, 2]])


@settings(max_examples=40, deadline=None)
@given(
    size=st.integers(1, 60),
    parts=st.integers(1, 12),
    seed=st.integers(0, 2**32 - 1),
)
def test_by_length_covers_the_batch_exactly(size, parts, seed):
    source = _source(200)
    index = np.random.default_rng(seed).permutation(200)[:size]
    found = by_length(source, index, parts)
    assert 1 <= len(found) <= parts
    np.testing.assert_array_equal(np.sort(np.concatenate([b.index for b in found])), np.sort(index))
    counts = np.diff(source.features.offsets)
    longest = [counts[b.index].max() for b in found]
    # Sorted by multiplicity, and padded to the own maximum only.
    assert [max(int(n), 1) for n in longest] == [b.mask.shape[1] for b in found]
    for shorter, longer in itertools.pairwise(found):
        assert counts[shorter.index].max() <= counts[longer.index].min()
    total = sum(float(b.numerator.sum()) for b in found)
    np.testing.assert_allclose(total, source.weights(index)[0].sum(), rtol=1e-5)


def test_events_of_several_sources_share_micro_batches():
    one, two = _source(60), _source(90)
    two = Source(two.features, two.event_id, two.select, (), two.denominator)
    indices = [np.arange(0, 60, 3), np.arange(5, 90, 2)]
    found = micro_batches([one, two], indices, 3)
    assert len(found) == 3
    rows = [
        (tuple(b.particles[i][b.mask[i] > 0].ravel()), b.numerator[i], b.denominator[i])
        for b in found
        for i in range(len(b.index))
    ]
    expected = [
        (tuple(b.particles[i][b.mask[i] > 0].ravel()), b.numerator[i], b.denominator[i])
        for b in (one.batch(indices[0]), two.batch(indices[1]))
        for i in range(len(b.index))
    ]
    assert sorted(rows) == sorted(expected)
    lengths = [b.mask.sum(axis=1) for b in found]
    for shorter, longer in itertools.pairwise(lengths):
        assert shorter.max() <= longer.min()


def test_slices_cover_the_source():
    source = _source(batches.SLICE * 2 + 1, longest=1)
    index = np.concatenate([np.arange(len(source.event_id))[part] for part in source.slices()])
    np.testing.assert_array_equal(index, np.arange(len(source.event_id)))
