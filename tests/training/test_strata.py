"""Batches of several sources per class, and losses of weights of either sign."""

import numpy as np
import pytest
from small_networks import fit_one, initial_weights, make_trainer, mlp
from training_inputs import features, settings, two_classes

from omniflow.errors import TrainingError
from omniflow.events.batches import Source
from omniflow.events.split import Part, held_out
from omniflow.training.learner import Learner
from omniflow.training.progress import Progress, Seeds, Task
from omniflow.training.strata import batch_sizes

SPLIT, FRACTION = 17, 0.2


def _background(n, weight, seed=70):
    ids = np.arange(n).astype(np.uint64)
    return Source(features(n, seed), ids, np.ones(n, bool), (np.broadcast_to(weight, n),), ())


def _with_background(n=300, weight=-0.4):
    data, simulation = two_classes()
    return data, _background(n, weight), simulation


def _progress(sources, **changes):
    chosen = settings(**changes)
    task = Task("lane 3", sources, np.zeros(33), Seeds(SPLIT, np.random.SeedSequence(3)))
    return Progress(task, chosen, Learner(chosen, 33), 1, 1.0)


def test_classes_share_a_batch_equally_and_their_parts_by_weight():
    parts = [Part.of(s, SPLIT, 0.5, False) for s in _with_background(weight=-0.5)]
    sums = [np.abs(p.source.weights(p.positions)).sum() for p in parts]
    data, background, simulation = batch_sizes(parts, 1000)
    assert simulation == 500
    assert data + background == pytest.approx(500, abs=1)
    assert background / data == pytest.approx(sums[1] / sums[0], abs=0.01)
    # Two sources as ever: half of a batch each, whatever their weights are.
    assert batch_sizes([parts[0], parts[2]], 101) == [50, 50]
    assert batch_sizes([parts[2]], 101) == [101]


def test_small_backgrounds_have_an_event_in_every_batch():
    parts = [Part.of(s, SPLIT, 0.5, False) for s in _with_background(weight=-1e-6)]
    assert batch_sizes(parts, 64) == [32, 1, 32]


def test_batches_are_expected_to_have_half_of_each_class():
    """The mean weight of a part's events times how many a batch has, summed over the parts."""
    progress = _progress(_with_background())
    expected = np.zeros(2)
    for part, size in zip(progress.parts, progress.sizes, strict=True):
        out = held_out(part.source.event_id, SPLIT, FRACTION)
        a, b = part.source.weights(np.flatnonzero(~out))
        expected += size * np.array([a.mean(), b.mean()])
    np.testing.assert_allclose(expected, 0.5)
    assert progress.totals["sum_numerator"] == pytest.approx(
        sum(
            s.weights(np.flatnonzero(~held_out(s.event_id, SPLIT, FRACTION)))[0].sum()
            for s in _with_background()
        )
    )


def test_backgrounds_without_training_events_are_left_out():
    data, simulation = two_classes()
    ids = np.arange(10_000).astype(np.uint64)
    ids = ids[held_out(ids, SPLIT, FRACTION)][:3]
    tiny = Source(features(3, 5), ids, np.ones(3, bool), (np.full(3, -0.1),), ())
    progress = _progress((data, tiny, simulation))
    assert len(progress.parts) == len(next(progress.batches())) == 2


def test_more_background_than_data_is_refused():
    with pytest.raises(TrainingError, match="lane 3: nothing to train on"):
        _progress(_with_background(weight=-5.0))


@pytest.mark.parametrize("loss", ["bce_logistic", "mlc_exp"])
def test_the_held_out_loss_of_signed_weights_is_the_signed_sum(loss):
    """A background of 60% of the data, where the data are few; the lowest epoch is kept."""
    sources = _with_background(weight=-1.2)
    trainer = make_trainer(loss=loss, epochs=4, patience=4)
    fit = fit_one(trainer, sources, initial_weights(trainer))
    total, norm = np.zeros(2), np.zeros(2)
    for source in sources:
        index = np.flatnonzero(held_out(source.event_id, SPLIT, FRACTION))
        z = mlp(fit.parameters, source.features.event.astype(float))[index]
        a, b = source.weights(index)
        if loss == "bce_logistic":
            total += [a @ np.log1p(np.exp(-z)), b @ np.log1p(np.exp(z))]
        else:
            total += [a @ -z, b @ np.expm1(z)]
        norm += [a.sum(), b.sum()]
    losses = [epoch["val_loss"] for epoch in fit.history]
    assert losses[fit.best_epoch] == min(losses) == pytest.approx((total / norm).mean(), rel=1e-5)
    assert fit.best_epoch > 0
