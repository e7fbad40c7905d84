import math
import subprocess
import sys

import many_updates
import numpy as np
import pytest
import tensorflow as tf
from small_networks import (
    SPLIT,
    changed,
    fit_one,
    held_out_loss,
    initial_weights,
    make_trainer,
    mlp,
    native_trainer,
    predict,
    train,
    weights_of,
)
from training_inputs import twins, two_classes

from omniflow.events.split import Part
from omniflow.training.optimizers import SGD


@pytest.mark.parametrize("optimizer", ["lion", "adamw", "adam", "ecd"])
def test_each_optimiser_separates_two_classes(optimizer):
    trainer = native_trainer(optimizer=optimizer, learning_rate=0.01, epochs=6)
    found = train(trainer, two_classes(shift=3.0))
    assert found.history[found.best_epoch]["val_loss"] < 0.27
    assert found.history[0]["val_loss"] > 0.4


@pytest.fixture
def one_update(monkeypatch):
    """One plain gradient step of rate 1: its trainer, sources, change of weights, history."""
    monkeypatch.setattr("omniflow.training.learner.optimizer", lambda _, *sizes: SGD(*sizes))
    return _one_update


def _one_update(clip_norm=None, sources=None):
    trainer = make_trainer(
        "deepsets", clip_norm=clip_norm, epochs=1, batch_size=10_000, learning_rate=1.0, ema=0.0
    )
    sources = sources or two_classes(100)
    found = train(trainer, sources)
    after = weights_of(trainer, trainer.learner().parameters)
    before = weights_of(trainer, initial_weights(trainer))
    change = [a - b for a, b in zip(after, before, strict=True)]
    assert found.summary["updates_per_epoch"] == 1
    return trainer, sources, change, found.history[1]


def _norm(arrays):
    return math.sqrt(sum(float((a.astype(float) ** 2).sum()) for a in arrays))


def test_an_update_follows_the_gradient_of_the_whole_batch(one_update):
    """Micro-batches and both strata together: the gradient of one fully padded batch."""
    trainer, sources, change, epoch = one_update()
    model = trainer.engine.model
    model.set_weights(weights_of(trainer, initial_weights(trainer)))
    loss = 0.0
    variables = model.trainable_variables
    with tf.GradientTape() as tape:
        for source in sources:
            part = Part.of(source, SPLIT, 0.2, False)
            batch = source.batch(next(part.ordered(1000)))
            inputs = {
                name: getattr(batch, name) for name in ("particles", "mask", "neighbours", "event")
            }
            z = model(inputs)
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
    trainer = make_trainer(
        optimizer="adamw", weight_decay=0.5, learning_rate=0.1, epochs=1, batch_size=10_000, ema=0.0
    )
    initial = np.full_like(initial_weights(trainer), 2)
    initial[24:32] = 0  # the head: no gradient reaches the first layer
    fit_one(trainer, two_classes(100), initial)
    kernel = weights_of(trainer, trainer.learner().parameters)[0]
    np.testing.assert_allclose(kernel, 2 * (1 - 0.1 * 0.5), rtol=1e-5)


def test_the_rate_factor_and_the_schedule_are_used():
    trainer = make_trainer(epochs=4, schedule="cosine", warmup_epochs=1.0, learning_rate=0.02)
    found = fit_one(trainer, two_classes(), initial_weights(trainer), rate_factor=0.25)
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
    one = fit_one(trainer, (source,), initial_weights(trainer))
    data = changed(source, denominator=())
    simulation = changed(source, numerator=())
    two = fit_one(trainer, (data, simulation), initial_weights(trainer))
    assert one.history[0]["val_loss"] == pytest.approx(two.history[0]["val_loss"], rel=1e-6)
    for sources, fit in (((source,), one), ((data, simulation), two)):
        expected = held_out_loss(fit.parameters, sources)
        assert fit.history[fit.best_epoch]["val_loss"] == pytest.approx(expected, rel=1e-5)
    assert one.summary["sum_numerator"] == pytest.approx(two.summary["sum_numerator"])
    assert 2 * one.summary["train_events"] == two.summary["train_events"]


def test_a_gradient_step_of_twins_equals_that_of_two_classes(one_update):
    source = twins(100)
    pair = (changed(source, denominator=()), changed(source, numerator=()))
    changes = [one_update(sources=sources)[2] for sources in ((source,), pair)]
    for a, b in zip(*changes, strict=True):
        assert np.abs(a).max() > 1e-4
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


# -- prediction ----------------------------------------------------------------------------------


def test_predictions_are_written_for_selected_events_alone(trainer, fit):
    data, _ = two_classes(1500)
    select = np.random.default_rng(0).random(1500) < 0.4
    out = predict(trainer, fit.parameters, changed(data, select=select))
    np.testing.assert_array_equal(np.isnan(out), ~select)
    expected = mlp(fit.parameters, data.features.event.astype(float))
    np.testing.assert_allclose(out[select], expected[select], rtol=1e-4, atol=1e-5)


def test_predictions_of_more_events_than_one_chunk(trainer, fit, monkeypatch):
    data, _ = two_classes(1500)
    whole = predict(trainer, fit.parameters, data)
    monkeypatch.setattr("omniflow.training.trainer._CHUNK", 264)
    monkeypatch.setattr("omniflow.training.graph._FORWARD", 33)
    parts = predict(trainer, fit.parameters, data)
    np.testing.assert_allclose(parts, whole, rtol=1e-5, atol=1e-6)
    assert np.ptp(whole) > 1


def test_memory_does_not_grow_with_the_number_of_updates():
    # In a process of its own: what other tests leave to Python's allocator comes and goes.
    found = subprocess.run(
        [sys.executable, many_updates.__file__], capture_output=True, text=True, check=True
    )
    before, after = map(int, found.stdout.split())
    # Numbers left behind would take 2 kB per update.
    assert after - before < 0.5 * many_updates.COUNTED
