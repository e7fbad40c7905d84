import itertools
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omniflow.events import slices
from omniflow.events.batches import Source, by_length, flat, micro_batches
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


def test_weights_in_single_precision_are_those_of_batches(monkeypatch):
    """Taken once for all events, slice by slice; a factor of all events needs no room."""
    monkeypatch.setattr(slices, "EVENTS", 70)
    source = _source(200)
    one = np.broadcast_to(0.25, 200)
    source = replace(source, numerator=(*source.numerator, one), denominator=(one, one))
    a, b = source.singles
    for found, weights in zip((a, b), source.weights(slice(None)), strict=True):
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, weights.astype(np.float32))
    assert b.strides == (0,)
    assert not np.any(source.bare.singles)


@pytest.mark.parametrize("read", ["batch", "held-out"])
def test_reading_a_batch_takes_the_memory_of_the_batch(read):
    """Of weights that are one number, and of features that a file has at an odd place."""
    n = 200_000
    event = np.frombuffer(bytearray(n * 8 + 2), np.uint8)[2:].view("f4").reshape(n, 2)
    assert not event.flags.aligned
    none = np.zeros(0)
    features = Features(none.reshape(0, 3), none.reshape(0, 2), np.zeros(n + 1, np.int64), event)
    one = np.broadcast_to(0.5, n)
    source = Source(features, np.arange(n), np.ones(n, bool), (one,), ())
    source = source.bare if read == "held-out" else source
    assert not any(each.strides[0] for each in source.singles)
    index = np.arange(0, n, 1000)
    tracemalloc.start()
    try:
        found = flat([source], [index], reads=())
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert found.event.shape == (200, 2)
    assert peak < 100_000
