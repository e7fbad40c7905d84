import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from training_inputs import classifier, settings, twins, two_classes

from omniflow.errors import TrainingError
from omniflow.events.batches import Part, Source, held_out
from omniflow.events.features import Features
from omniflow.models import registry
from omniflow.training.trainer import Seeds, Trainer

SPLIT = 17


def _seeds(split=SPLIT, order=3):
    return Seeds(split, np.random.SeedSequence(order))


def _trainer(kind="mlp", **changes):
    return Trainer(
        registry.build(classifier(kind), 3, 2), settings(**changes), two_classes(2)[0].features
    )


def _initial(trainer, seed=1):
    return registry.initial_weights(trainer.model, np.random.SeedSequence(seed))


def _fit(trainer, sources, initial=1, **seeds):
    return trainer.fit(sources, _initial(trainer, initial), _seeds(**seeds))


@pytest.fixture(scope="module")
def trainer():
    return _trainer()


@pytest.fixture(scope="module")
def fit(trainer):
    return _fit(trainer, two_classes())


def _same(one, two):
    return all(np.array_equal(a, b) for a, b in zip(one, two, strict=True))


def _mlp(weights, x):
    """The logit of the MLP with one hidden layer, in float64."""
    kernel, bias, head, offset = (np.asarray(w, float) for w in weights)
    x = x @ kernel + bias
    x = 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))
    return (x @ head + offset)[:, 0]


def _held_out_loss(weights, sources, split=SPLIT, fraction=0.2):
    """Mean over both classes of the weighted cross entropy, in plain NumPy."""
    total, norm = np.zeros(2), np.zeros(2)
    for source in sources:
        index = held_out(source.event_id, split, fraction) & source.select
        z = _mlp(weights, source.features.event.astype(float))[index]
        a, b = source.weights(np.flatnonzero(index))
        total += [a @ np.log1p(np.exp(-z)), b @ np.log1p(np.exp(z))]
        norm += [a.sum(), b.sum()]
    return (total / norm).mean()


# -- what is kept --------------------------------------------------------------------------------


def test_the_weights_returned_are_the_ones_validated(fit):
    losses = [epoch["val_loss"] for epoch in fit.history]
    assert fit.best_epoch == int(np.argmin(losses)) > 0
    assert _held_out_loss(fit.weights, two_classes()) == pytest.approx(min(losses), rel=1e-5)


def test_epoch_0_is_the_network_before_training(trainer, fit):
    assert [epoch["epoch"] for epoch in fit.history] == [0, 1, 2, 3]
    expected = _held_out_loss(_initial(trainer), two_classes())
    assert fit.history[0]["val_loss"] == pytest.approx(expected, rel=1e-5)


def test_the_history_tells_each_epoch(fit):
    for epoch in fit.history[1:]:
        assert epoch["learning_rate"] == 0.01
        assert 0 < epoch["grad_norm"] <= epoch["grad_norm_max"]
        assert epoch["events_per_second"] > 0
        assert 0 <= epoch["waiting"] <= 1
        assert all(math.isfinite(value) for value in epoch.values())


def test_the_summary_counts_events_and_weights(fit):
    sources = two_classes()
    out = held_out(sources[0].event_id, SPLIT, 0.2)
    sums = [np.sum(w[~out]) for w in (sources[0].numerator[0], sources[1].denominator[0])]
    assert fit.summary["train_events"] == 2 * np.sum(~out)
    assert fit.summary["held_out_events"] == 2 * np.sum(out)
    assert fit.summary["sum_numerator"] == pytest.approx(sums[0])
    assert fit.summary["sum_denominator"] == pytest.approx(sums[1])
    assert fit.summary["updates_per_epoch"] == 2 * np.sum(~out) // 64


def test_the_weights_returned_are_the_exponential_average():
    trainer = _trainer(epochs=1, ema=0.5)
    live, update = [], trainer._update

    def spy(*arguments):
        result = update(*arguments)
        live.append(trainer.model.get_weights())
        return result

    trainer._update = spy
    found = _fit(trainer, two_classes())
    average = _initial(trainer)
    for step, weights in enumerate(live):
        momentum = min(0.5, (1 + step) / (10 + step))
        average = [m + (1 - momentum) * (w - m) for m, w in zip(average, weights, strict=True)]
    assert len(live) > 12  # the momentum reaches its final value
    assert found.best_epoch == 1
    for ours, expected in zip(found.weights, average, strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-6)
    assert not any(np.allclose(w, m, rtol=1e-3) for w, m in zip(live[-1], average, strict=True))


def test_without_average_the_weights_are_those_of_the_last_update():
    trainer = _trainer(epochs=1, ema=0.0)
    found = _fit(trainer, two_classes())
    for ours, live in zip(found.weights, trainer.model.get_weights(), strict=True):
        np.testing.assert_allclose(ours, live, rtol=1e-6, atol=1e-7)


def test_training_stops_after_patience_and_keeps_the_best_epoch():
    # Equal classes: nothing to learn, so a fast training only gets worse.
    trainer = _trainer(epochs=30, patience=4, learning_rate=0.1, ema=0.0, validation=0.5)
    sources = two_classes(200, shift=0.0)
    found = _fit(trainer, sources)
    losses = [epoch["val_loss"] for epoch in found.history]
    assert len(losses) - 1 < 30
    assert len(losses) - 1 - found.best_epoch == 4
    assert found.best_epoch == int(np.argmin(losses))
    assert losses[-1] > min(losses)
    expected = _held_out_loss(found.weights, sources, fraction=0.5)
    assert min(losses) == pytest.approx(expected, rel=1e-5)


def test_a_training_that_only_does_harm_returns_the_initial_weights():
    trainer = _trainer(epochs=30, patience=2, learning_rate=1.0, ema=0.0, clip_norm=None)
    zeros = [np.zeros_like(w) for w in _initial(trainer)]
    found = trainer.fit(two_classes(200, shift=0.0), zeros, _seeds())
    assert found.best_epoch == 0
    assert found.history[0]["val_loss"] == pytest.approx(math.log(2), rel=1e-6)
    assert len(found.history) == 3
    assert _same(found.weights, zeros)


# -- refusals ------------------------------------------------------------------------------------


def test_weights_that_are_not_finite_are_an_error(trainer):
    nan = [np.full_like(w, np.nan) for w in _initial(trainer)]
    with pytest.raises(TrainingError, match="lane 3: held-out loss before training is nan"):
        trainer.fit(two_classes(), nan, _seeds(), name="lane 3")


def test_a_loss_that_is_not_finite_is_an_error(trainer):
    data, simulation = two_classes()
    data.features.event[~held_out(data.event_id, SPLIT, 0.2)] = np.nan
    with pytest.raises(TrainingError, match="lane 3: training loss of epoch 1 is nan"):
        trainer.fit((data, simulation), _initial(trainer), _seeds(), name="lane 3")


def _changed(source, **changes):
    return Source(**(vars(source) | changes))


def test_nothing_to_train_on_is_an_error(trainer):
    data, simulation = two_classes()
    none = _changed(data, select=np.zeros(600, bool))
    with pytest.raises(TrainingError, match="lane 3: nothing to train on"):
        trainer.fit((none, simulation), _initial(trainer), _seeds(), name="lane 3")


def test_nothing_to_hold_out_is_an_error(trainer):
    data, simulation = two_classes()
    training = ~held_out(data.event_id, SPLIT, 0.2)
    with pytest.raises(TrainingError, match="lane 3: nothing to hold out"):
        trainer.fit(
            (_changed(data, select=training), simulation),
            _initial(trainer),
            _seeds(),
            name="lane 3",
        )


@pytest.mark.parametrize("weight", [0.0, -1.0])
def test_a_class_without_positive_weight_is_an_error(trainer, weight):
    data, simulation = two_classes()
    nothing = _changed(data, numerator=(np.full(600, weight),))
    with pytest.raises(TrainingError, match="sums of weights"):
        trainer.fit((nothing, simulation), _initial(trainer), _seeds())


# -- classes -------------------------------------------------------------------------------------


def test_the_scale_of_a_class_changes_nothing(trainer, fit):
    scaled = _fit(trainer, two_classes(scale=1000.0))
    for a, b in zip(fit.weights, scaled.weights, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)
    assert scaled.best_epoch == fit.best_epoch
    for one, two in zip(fit.history, scaled.history, strict=True):
        assert two["val_loss"] == pytest.approx(one["val_loss"], rel=1e-5)


def _binned(values, weights, seed=0):
    """Events at the points `values` without particles, each with the weight of its point."""
    rng = np.random.default_rng(seed)
    n = 4000
    point = rng.integers(0, len(values), n)
    event = np.stack([np.asarray(values)[point], np.zeros(n)], axis=1).astype(np.float32)
    empty = Features(
        np.zeros((0, 3), np.float32), np.zeros((0, 2), np.int16), np.zeros(n + 1, int), event
    )
    ids = np.arange(n).astype(np.uint64)
    return empty, ids, np.ones(n, bool), np.asarray(weights, float)[point], point


def test_unequal_and_negative_weights_give_the_balanced_ratio():
    """Data of which a background is subtracted, against 30 times as much simulation."""
    trainer = _trainer(epochs=15, learning_rate=0.02, batch_size=256)
    values = [-1.0, 0.0, 1.0]
    features, ids, select, weight, point = _binned(values, [1.0, 0.5, 2.0])
    # One event in five is background, with weight -1: it lowers every point by its share.
    weight = np.where(np.arange(4000) % 5 == 0, -1.0, weight)
    data = Source(features, ids, select, (weight,), ())
    inputs, ids, select, other, place = _binned(values, [30.0, 30.0, 30.0], seed=1)
    simulation = Source(inputs, ids, select, (), (other,))
    found = _fit(trainer, (data, simulation))
    sums = np.array([[weight[point == i].sum(), other[place == i].sum()] for i in range(3)])
    shares = sums / sums.sum(axis=0)
    expected = np.log(shares[:, 0] / shares[:, 1])
    logits = _mlp(found.weights, np.stack([values, np.zeros(3)], axis=1))
    assert np.ptp(expected) > 1
    np.testing.assert_allclose(logits, expected, atol=0.12)


def test_a_small_class_is_not_drowned(trainer):
    """40 data against 2,000 simulated events: half of every batch is data."""
    data, _ = two_classes(40)
    _, simulation = two_classes(2000)
    found = _fit(trainer, (data, simulation))
    assert found.history[1]["val_loss"] < found.history[0]["val_loss"]
    z = _mlp(found.weights, data.features.event.astype(float))
    assert z.mean() > 0.3


# -- seeds ---------------------------------------------------------------------------------------


def test_the_same_seeds_give_bitwise_the_same_weights(trainer, fit):
    again = _fit(trainer, two_classes())
    assert _same(fit.weights, again.weights)
    assert fit.history[-1]["val_loss"] == again.history[-1]["val_loss"]


def test_another_network_before_changes_nothing(trainer, fit):
    """Momenta, averages and gradient sums are reset."""
    _fit(trainer, (twins(400),), initial=8, split=5, order=9)
    assert _same(fit.weights, _fit(trainer, two_classes()).weights)
    fresh = _trainer()
    assert _same(fit.weights, _fit(fresh, two_classes()).weights)


@pytest.mark.parametrize("which", ["initial", "split", "order"])
def test_each_seed_matters(trainer, fit, which):
    other = _fit(trainer, two_classes(), **{which: 1234})
    assert not any(np.array_equal(a, b) for a, b in zip(fit.weights, other.weights, strict=True))


def test_a_failed_training_leaves_no_trace(trainer, fit):
    data, simulation = two_classes()
    data.features.event[~held_out(data.event_id, SPLIT, 0.2)] = np.nan
    with pytest.raises(TrainingError):
        _fit(trainer, (data, simulation))
    assert _same(fit.weights, _fit(trainer, two_classes()).weights)


def test_networks_of_particles_are_reproducible_too():
    trainer = _trainer("deepsets", epochs=1)
    one, two = (_fit(trainer, two_classes(200)) for _ in range(2))
    assert _same(one.weights, two.weights)
    assert one.history[1]["val_loss"] < one.history[0]["val_loss"]


# -- updates -------------------------------------------------------------------------------------


@pytest.mark.parametrize("optimizer", ["lion", "adamw", "adam"])
def test_each_optimiser_separates_two_classes(optimizer):
    trainer = _trainer(optimizer=optimizer, learning_rate=0.01, epochs=6)
    found = _fit(trainer, two_classes(shift=3.0))
    assert found.history[found.best_epoch]["val_loss"] < 0.25
    assert found.history[0]["val_loss"] > 0.4


@pytest.fixture
def one_update(monkeypatch):
    """One plain gradient step of rate 1: its trainer, sources, change of weights, history."""
    monkeypatch.setattr(
        "omniflow.training.trainer._optimizer", lambda settings: keras.optimizers.SGD(1.0)
    )
    return _one_update


def _one_update(clip_norm=None, sources=None):
    trainer = _trainer(
        "deepsets", clip_norm=clip_norm, epochs=1, batch_size=10_000, learning_rate=1.0, ema=0.0
    )
    sources = sources or two_classes(100)
    found = _fit(trainer, sources)
    change = [
        after - before
        for after, before in zip(trainer.model.get_weights(), _initial(trainer), strict=True)
    ]
    assert found.summary["updates_per_epoch"] == 1
    return trainer, sources, change, found.history[1]


def _norm(arrays):
    return math.sqrt(sum(float((a.astype(float) ** 2).sum()) for a in arrays))


def test_an_update_follows_the_gradient_of_the_whole_batch(one_update):
    """Micro-batches and both strata together: the gradient of one fully padded batch."""
    trainer, sources, change, epoch = one_update()
    trainer.model.set_weights(_initial(trainer))
    loss = 0.0
    variables = trainer.model.trainable_variables
    with tf.GradientTape() as tape:
        for source in sources:
            part = Part(source, SPLIT, 0.2, False)
            batch = source.batch(next(part.ordered(1000)))
            inputs = {
                name: getattr(batch, name) for name in ("particles", "mask", "neighbours", "event")
            }
            z = trainer.model(inputs)
            a, b = batch.numerator, batch.denominator
            norm = 2 * (a.sum() + b.sum())
            loss += (
                tf.reduce_sum(a * tf.math.log1p(tf.exp(-z)) + b * tf.math.log1p(tf.exp(z))) / norm
            )
    gradients = tape.gradient(loss, [v.value for v in variables])
    for moved, gradient in zip(change, gradients, strict=True):
        np.testing.assert_allclose(moved, -gradient, rtol=1e-4, atol=1e-6)
    assert epoch["grad_norm"] == pytest.approx(_norm([g.numpy() for g in gradients]), rel=1e-4)
    assert epoch["loss"] == pytest.approx(float(loss), rel=1e-5)


def test_the_gradient_norm_is_bounded(one_update):
    _, _, free, epoch = one_update()
    bound = epoch["grad_norm"] / 4
    _, _, clipped, same = one_update(bound)
    assert same["grad_norm"] == pytest.approx(epoch["grad_norm"])
    assert _norm(clipped) == pytest.approx(bound, rel=1e-4)
    for a, b in zip(free, clipped, strict=True):
        np.testing.assert_allclose(a, 4 * b, rtol=1e-3, atol=1e-6)
    _, _, loose, _ = one_update(epoch["grad_norm"] * 2)
    assert _norm(loose) == pytest.approx(epoch["grad_norm"], rel=1e-4)


def test_weight_decay_is_decoupled():
    """Without gradient the weights shrink by rate x decay per update (arXiv:1711.05101)."""
    trainer = _trainer(
        optimizer="adamw", weight_decay=0.5, learning_rate=0.1, epochs=1, batch_size=10_000, ema=0.0
    )
    initial = [np.full_like(w, 2) for w in _initial(trainer)]
    initial[2] = np.zeros_like(initial[2])  # the head: no gradient reaches the first layer
    trainer.fit(two_classes(100), initial, _seeds())
    kernel = trainer.model.get_weights()[0]
    np.testing.assert_allclose(kernel, 2 * (1 - 0.1 * 0.5), rtol=1e-5)


def test_the_rate_factor_and_the_schedule_are_used():
    trainer = _trainer(epochs=4, schedule="cosine", warmup_epochs=1.0, learning_rate=0.02)
    found = trainer.fit(two_classes(), _initial(trainer), _seeds(), rate_factor=0.25)
    updates = found.summary["updates_per_epoch"]
    rates = [epoch["learning_rate"] for epoch in found.history[1:]]
    assert rates[0] == pytest.approx(0.005 * updates / (updates + 1))
    for epoch, rate in enumerate(rates[1:], start=2):
        progress = (epoch * updates - 1 - updates) / (3 * updates)
        expected = 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * progress))
        assert rate == pytest.approx(0.005 * expected)


# -- step 2 --------------------------------------------------------------------------------------


def test_one_evaluation_per_twin_equals_two_classes(trainer):
    """The held-out loss of step 2 and that of two samples with the same events."""
    source = twins()
    one = trainer.fit((source,), _initial(trainer), _seeds())
    data = _changed(source, denominator=())
    simulation = _changed(source, numerator=())
    two = trainer.fit((data, simulation), _initial(trainer), _seeds())
    assert one.history[0]["val_loss"] == pytest.approx(two.history[0]["val_loss"], rel=1e-6)
    for sources, fit in (((source,), one), ((data, simulation), two)):
        expected = _held_out_loss(fit.weights, sources)
        assert fit.history[fit.best_epoch]["val_loss"] == pytest.approx(expected, rel=1e-5)
    assert one.summary["sum_numerator"] == pytest.approx(two.summary["sum_numerator"])
    assert 2 * one.summary["train_events"] == two.summary["train_events"]


def test_a_gradient_step_of_twins_equals_that_of_two_classes(one_update):
    source = twins(100)
    pair = (_changed(source, denominator=()), _changed(source, numerator=()))
    changes = [one_update(sources=sources)[2] for sources in ((source,), pair)]
    for a, b in zip(*changes, strict=True):
        assert np.abs(a).max() > 1e-4
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


# -- prediction ----------------------------------------------------------------------------------


def test_predictions_are_written_for_selected_events_alone(trainer, fit):
    data, _ = two_classes(1500)
    select = np.random.default_rng(0).random(1500) < 0.4
    out = np.full(1500, np.nan, np.float32)
    trainer.predict(fit.weights, _changed(data, select=select), out)
    np.testing.assert_array_equal(np.isnan(out), ~select)
    expected = _mlp(fit.weights, data.features.event.astype(float))
    np.testing.assert_allclose(out[select], expected[select], rtol=1e-4, atol=1e-5)


def test_predictions_of_more_events_than_one_chunk(trainer, fit, monkeypatch):
    data, _ = two_classes(1500)
    whole, parts = np.zeros((2, 1500), np.float32)
    trainer.predict(fit.weights, data, whole)
    monkeypatch.setattr("omniflow.training.trainer._FORWARD", 33)
    trainer.predict(fit.weights, data, parts)
    np.testing.assert_allclose(parts, whole, rtol=1e-5, atol=1e-6)
    assert np.ptp(whole) > 1
