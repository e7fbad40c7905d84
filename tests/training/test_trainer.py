import math

import numpy as np
import pytest
from small_networks import (
    SPLIT,
    changed,
    fit_one,
    held_out_loss,
    initial_weights,
    layout,
    make_trainer,
    mlp,
    native_trainer,
    predict,
    train,
    weights_of,
)
from training_inputs import twins, two_classes

from omniflow.errors import TrainingError
from omniflow.events.batches import Source
from omniflow.events.features import Features
from omniflow.events.split import held_out
from omniflow.training.shrinkage import FACTORS

# -- what is kept --------------------------------------------------------------------------------


def test_the_weights_returned_are_the_ones_validated(fit):
    losses = [epoch["val_loss"] for epoch in fit.history]
    assert fit.best_epoch == int(np.argmin(losses)) > 0
    assert held_out_loss(fit.parameters, two_classes()) == pytest.approx(min(losses), rel=1e-5)


def test_epoch_0_is_the_network_before_training(trainer, fit):
    assert [epoch["epoch"] for epoch in fit.history] == [0, 1, 2, 3]
    expected = held_out_loss(initial_weights(trainer), two_classes())
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


def test_an_epoch_of_a_small_sample_goes_through_its_events_again():
    """Full batches: 3 epochs of 4 updates are the 12 updates of 12 epochs with one each."""
    changes = {"batch_size": 10_000, "optimizer": "sgd", "ema": 0.5, "patience": 12}
    long = train(make_trainer(epochs=3, min_updates=4, **changes), two_classes())
    short = train(make_trainer(epochs=12, **changes), two_classes())
    assert long.summary["updates_per_epoch"] == 4
    assert short.summary["updates_per_epoch"] == 1
    assert long.best_epoch == 3
    assert short.best_epoch == 12
    np.testing.assert_allclose(long.parameters, short.parameters, rtol=1e-4, atol=1e-6)


def test_the_weights_returned_are_the_exponential_average():
    trainer = make_trainer(epochs=1, ema=0.5)
    learner = trainer.learner()
    live, update = [], learner.update

    def spy(*arguments):
        result = update(*arguments)
        live.append(np.array(learner.parameters))
        return result

    learner.update = spy
    found = train(trainer, two_classes())
    average = initial_weights(trainer)
    for step, parameters in enumerate(live):
        momentum = min(0.5, (1 + step) / (10 + step))
        average = average + (1 - momentum) * (parameters - average)
    assert len(live) > 12  # the momentum reaches its final value
    assert found.best_epoch == 1
    np.testing.assert_allclose(found.parameters, average, rtol=1e-4, atol=1e-6)
    assert not np.isclose(live[-1], average, rtol=1e-3).all()


def test_without_average_the_weights_are_those_of_the_last_update():
    trainer = make_trainer(epochs=1, ema=0.0)
    found = train(trainer, two_classes())
    live = np.array(trainer.learner().parameters)
    np.testing.assert_allclose(found.parameters, live, rtol=1e-6, atol=1e-7)


def test_training_stops_after_patience_and_keeps_the_best_epoch():
    # Equal classes: nothing to learn, so a fast training only gets worse.
    trainer = native_trainer(epochs=30, patience=4, learning_rate=0.1, ema=0.0, validation=0.5)
    sources = two_classes(200, shift=0.0)
    found = train(trainer, sources)
    losses = [epoch["val_loss"] for epoch in found.history]
    assert len(losses) - 1 < 30
    assert len(losses) - 1 - found.best_epoch == 4
    assert found.best_epoch == int(np.argmin(losses))
    assert losses[-1] > min(losses)
    expected = held_out_loss(found.parameters, sources, fraction=0.5)
    assert min(losses) == pytest.approx(expected, rel=1e-5)


def test_a_training_that_only_does_harm_returns_the_initial_weights():
    trainer = make_trainer(epochs=30, patience=2, learning_rate=1.0, ema=0.0, clip_norm=None)
    zeros = np.zeros_like(initial_weights(trainer))
    found = fit_one(trainer, two_classes(200, shift=0.0), zeros)
    assert found.best_epoch == 0
    assert found.history[0]["val_loss"] == pytest.approx(math.log(2), rel=1e-6)
    assert len(found.history) == 3
    assert not found.parameters.any()


# -- refusals ------------------------------------------------------------------------------------


def test_weights_that_are_not_finite_are_an_error(trainer):
    nan = np.full_like(initial_weights(trainer), np.nan)
    with pytest.raises(TrainingError, match="lane 3: held-out loss before training is nan"):
        fit_one(trainer, two_classes(), nan, name="lane 3")


def test_a_loss_that_is_not_finite_is_an_error(trainer):
    data, simulation = two_classes()
    data.features.event[~held_out(data.event_id, SPLIT, 0.2)] = np.nan
    with pytest.raises(TrainingError, match="lane 3: training loss of epoch 1 is nan"):
        fit_one(trainer, (data, simulation), initial_weights(trainer), name="lane 3")


def test_nothing_to_train_on_is_an_error(trainer):
    data, simulation = two_classes()
    none = changed(data, select=np.zeros(600, bool))
    with pytest.raises(TrainingError, match="lane 3: nothing to train on"):
        fit_one(trainer, (none, simulation), initial_weights(trainer), name="lane 3")


def test_nothing_to_hold_out_is_an_error(trainer):
    data, simulation = two_classes()
    training = ~held_out(data.event_id, SPLIT, 0.2)
    sources = (changed(data, select=training), simulation)
    with pytest.raises(TrainingError, match="lane 3: nothing to hold out"):
        fit_one(trainer, sources, initial_weights(trainer), name="lane 3")


@pytest.mark.parametrize("weight", [0.0, -1.0])
def test_a_class_without_positive_weight_is_an_error(trainer, weight):
    data, simulation = two_classes()
    nothing = changed(data, numerator=(np.full(600, weight),))
    with pytest.raises(TrainingError, match="sums of weights"):
        fit_one(trainer, (nothing, simulation), initial_weights(trainer))


# -- classes -------------------------------------------------------------------------------------


def test_the_scale_of_a_class_changes_nothing(trainer, fit):
    scaled = train(trainer, two_classes(scale=1000.0))
    np.testing.assert_allclose(fit.parameters, scaled.parameters, rtol=1e-3, atol=1e-5)
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
    trainer = native_trainer(epochs=15, learning_rate=0.02, batch_size=256)
    values = [-1.0, 0.0, 1.0]
    features, ids, select, weight, point = _binned(values, [1.0, 0.5, 2.0])
    # One event in five is background, with weight -1: it lowers every point by its share.
    weight = np.where(np.arange(4000) % 5 == 0, -1.0, weight)
    data = Source(features, ids, select, (weight,), ())
    inputs, ids, select, other, place = _binned(values, [30.0, 30.0, 30.0], seed=1)
    simulation = Source(inputs, ids, select, (), (other,))
    found = train(trainer, (data, simulation))
    sums = np.array([[weight[point == i].sum(), other[place == i].sum()] for i in range(3)])
    shares = sums / sums.sum(axis=0)
    expected = np.log(shares[:, 0] / shares[:, 1])
    logits = mlp(found.parameters, np.stack([values, np.zeros(3)], axis=1))
    assert np.ptp(expected) > 1
    np.testing.assert_allclose(logits, expected, atol=0.12)


def test_a_small_class_is_not_drowned(trainer):
    """40 data against 2,000 simulated events: half of every batch is data."""
    data, _ = two_classes(40)
    _, simulation = two_classes(2000)
    found = train(trainer, (data, simulation))
    assert found.history[1]["val_loss"] < found.history[0]["val_loss"]
    z = mlp(found.parameters, data.features.event.astype(float))
    assert z.mean() > 0.3


# -- seeds ---------------------------------------------------------------------------------------


def test_the_same_seeds_give_bitwise_the_same_weights(trainer, fit):
    again = train(trainer, two_classes())
    assert np.array_equal(fit.parameters, again.parameters)
    assert fit.history[-1]["val_loss"] == again.history[-1]["val_loss"]


def test_another_network_before_changes_nothing(trainer, fit):
    """Momenta, averages and gradient sums are reset."""
    train(trainer, (twins(400),), initial=8, split=5, order=9)
    assert np.array_equal(fit.parameters, train(trainer, two_classes()).parameters)
    fresh = make_trainer()
    assert np.array_equal(fit.parameters, train(fresh, two_classes()).parameters)


@pytest.mark.parametrize("which", ["initial", "split", "order"])
def test_each_seed_matters(trainer, fit, which):
    other = train(trainer, two_classes(), **{which: 1234})
    arrays = (weights_of(trainer, one.parameters) for one in (fit, other))
    assert not any(np.array_equal(a, b) for a, b in zip(*arrays, strict=True))


def test_a_failed_training_leaves_no_trace(trainer, fit):
    data, simulation = two_classes()
    data.features.event[~held_out(data.event_id, SPLIT, 0.2)] = np.nan
    with pytest.raises(TrainingError):
        train(trainer, (data, simulation))
    assert np.array_equal(fit.parameters, train(trainer, two_classes()).parameters)


def test_networks_of_particles_are_reproducible_too():
    trainer = make_trainer("deepsets", epochs=1)
    one, two = (train(trainer, two_classes(200)) for _ in range(2))
    assert np.array_equal(one.parameters, two.parameters)
    assert one.history[1]["val_loss"] < one.history[0]["val_loss"]


# -- what counts as better -----------------------------------------------------------------------


def _neutral(trainer):
    return layout(trainer).neutral(initial_weights(trainer))


def test_shrinking_multiplies_the_logits_by_the_factor_with_the_lowest_held_out_loss():
    trainer = native_trainer(epochs=8, learning_rate=0.03)  # long for so few events: by heart
    sources, start = two_classes(300, shift=0.3), _neutral(trainer)
    plain, shrunk = (fit_one(trainer, sources, start, shrink=shrink) for shrink in (False, True))
    assert plain.factor == 1
    assert 0 < shrunk.factor < 1
    assert shrunk.best_epoch == plain.best_epoch
    for source in sources:
        np.testing.assert_allclose(
            predict(trainer, shrunk.parameters, source),
            shrunk.factor * predict(trainer, plain.parameters, source),
            rtol=1e-4, atol=1e-6,
        )  # fmt: skip
    losses = [
        held_out_loss(layout(trainer).shrunk(plain.parameters, factor), sources)
        for factor in FACTORS
    ]
    assert shrunk.factor == FACTORS[np.argmin(losses)]
    assert shrunk.loss == pytest.approx(min(losses), rel=1e-6)
    assert shrunk.loss < plain.loss


def test_shrunk_networks_of_long_trainings_on_few_events_are_better_on_unseen_ones():
    trainer = native_trainer(epochs=8, patience=8, learning_rate=0.1)
    unseen, losses = two_classes(20_000, shift=0.3, seed=5), []
    for seed in range(12):
        sources = two_classes(300, shift=0.3, seed=1000 + 10 * seed)
        start = layout(trainer).neutral(initial_weights(trainer, seed))
        fits = [fit_one(trainer, sources, start, shrink=s, split=seed) for s in (False, True)]
        losses.append([held_out_loss(fit.parameters, unseen) for fit in fits])
    free, shrunk = np.mean(losses, axis=0)
    assert shrunk < free - 3e-4  # of 8e-3 that there is to learn
    assert fit_one(trainer, two_classes(5000), _neutral(trainer), shrink=True).factor > 0.9


def test_small_gains_do_not_start_the_patience_anew():
    """Every epoch is a little better; with a tolerance the training ends, the lowest is kept."""
    changes = {"epochs": 60, "patience": 2, "learning_rate": 0.01, "schedule": "cosine"}
    sources = two_classes(2000, shift=0.3)
    long, short = (
        train(native_trainer(tolerance=tolerance, **changes), sources) for tolerance in (0.0, 0.2)
    )
    assert len(short.history) < len(long.history)
    losses = [epoch["val_loss"] for epoch in short.history]
    assert short.best_epoch == int(np.argmin(losses))
    notable = 0
    for epoch, loss in enumerate(losses):
        if loss < losses[notable] - 0.2 * max(losses[0] - loss, 0):
            notable = epoch
    assert len(losses) - 1 == notable + 2
