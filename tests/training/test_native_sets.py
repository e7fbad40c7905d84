"""Deep sets and MLP: the native engine trains what the TensorFlow engine trains."""

from dataclasses import replace
from unittest import mock

import numpy as np
import pytest
from small_networks import (
    fit_one,
    initial_weights,
    layout,
    make_trainer,
    native_trainer,
    predict,
    seeds,
)
from training_inputs import twins, two_classes

from omniflow.errors import TrainingError
from omniflow.events.batches import Flat
from omniflow.training.checkpoint import Checkpoint
from omniflow.training.dropout import Dropout
from omniflow.training.losses import LOSSES
from omniflow.training.native import Native
from omniflow.training.progress import Task
from omniflow.training.sets import Sets
from omniflow.training.trainer import Trainer

KINDS = ("deepsets", "mlp")
SOURCES = {"step 1": two_classes(500), "step 2": (twins(500),)}


@pytest.fixture(scope="module", params=KINDS)
def trainers(request):
    return [make(request.param) for make in (make_trainer, native_trainer)]


@pytest.fixture(scope="module")
def vector(trainers):
    drawn, rng = initial_weights(trainers[0]), np.random.default_rng(2)
    return drawn + rng.normal(0, 0.2, drawn.shape).astype(np.float32)


def _updates(sources, count):
    rng = np.random.default_rng(4)
    sizes = (40, 33)[: len(sources)]
    return sources, [rng.integers(0, 500, (count, size)) for size in sizes]


@pytest.mark.parametrize("step", SOURCES)
def test_engines_differ_by_rounding(step, trainers, vector):
    update = _updates(SOURCES[step], 1)
    (expected,), (slope,) = trainers[0].engine.gradient(
        [vector], *trainers[0].engine.prepare([update])
    )
    (loss,), (gradient,) = trainers[1].engine.gradient(
        [vector], *trainers[1].engine.prepare([update])
    )
    assert loss == pytest.approx(expected, rel=1e-6)
    np.testing.assert_allclose(gradient, slope, atol=2e-6 * np.abs(slope).max())
    one, two = (predict(trainer, vector, SOURCES[step][0]) for trainer in trainers)
    assert np.ptp(one) > 1
    np.testing.assert_allclose(two, one, atol=1e-5)


@pytest.mark.parametrize("step", SOURCES)
def test_updates_that_are_read_together_are_those_read_alone(step, trainers, vector):
    engine, (sources, positions) = trainers[1].engine, _updates(SOURCES[step], 5)
    together = engine.prepare([(sources, positions)])
    assert len(together) == 5
    for i, found in enumerate(together):
        (alone,) = engine.prepare([(sources, [each[i : i + 1] for each in positions])])
        one, two = (engine.gradient([vector], batch)[1][0] for batch in (found, alone))
        assert one.tobytes() == two.tobytes()


def test_networks_that_share_the_reading_predict_what_each_does_alone(trainers, vector):
    vectors, source = [vector, -vector, 2 * vector], SOURCES["step 1"][0]
    for trainer in trainers:
        (together,) = (found for _, found in trainer.predict(vectors, source))
        alone = [predict(trainer, each, source) for each in vectors]
        assert together.tobytes() == np.stack(alone).tobytes()
        assert np.ptp(together, axis=0).min() > 0


@pytest.mark.parametrize("kind", KINDS)
def test_how_much_is_read_at_a_time_changes_no_bit(kind, monkeypatch):
    found = []
    for ahead in (0, 200, 100_000):
        trainer = native_trainer(kind, epochs=2)
        monkeypatch.setattr(type(trainer.engine.network), "ahead", ahead)
        fit = fit_one(trainer, SOURCES["step 1"], initial_weights(trainer))
        found.append((fit.parameters.tobytes(), [epoch["val_loss"] for epoch in fit.history]))
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw", "lion"])
@pytest.mark.parametrize("clip", [None, 0.05])
def test_updates_by_the_engine_are_those_of_the_learner(optimizer, clip, monkeypatch):
    fits = []
    for trains in (True, False):
        monkeypatch.setattr(Native, "trains", trains)
        trainer = native_trainer(
            optimizer=optimizer,
            learning_rate=0.05 if optimizer == "sgd" else 2e-3,
            clip_norm=clip,
            weight_decay=0.1,
            schedule="cosine",
            epochs=2,
        )
        with mock.patch.object(trainer.engine, "train", wraps=trainer.engine.train) as train:
            fits.append(fit_one(trainer, SOURCES["step 1"], initial_weights(trainer)))
        assert train.called is trains
    one, two = fits
    assert np.abs(one.parameters - initial_weights(trainer)).max() > 1e-3
    # A sign that rounding turns moves a parameter by twice the rate.
    np.testing.assert_allclose(one.parameters, two.parameters, atol=4e-5)
    for a, b in zip(one.history, two.history, strict=True):
        for key in set(a) - {"seconds", "events_per_second", "waiting"}:
            assert b[key] == pytest.approx(a[key], rel=1e-4, abs=1e-6)


def test_what_is_not_finite_ends_a_training_where_it_comes_up(monkeypatch):
    source = twins(500)
    features = source.features
    event = features.event.copy()
    event[77] = np.nan
    broken = replace(source, features=replace(features, event=event))
    found = []
    for trains in (True, False):
        monkeypatch.setattr(Native, "trains", trains)
        trainer = native_trainer(optimizer="sgd", validation=0.01)
        task = Task("network", (broken,), initial_weights(trainer), seeds())
        found += trainer.fit([task])
    assert all(isinstance(each, TrainingError) for each in found)
    assert str(found[0]) == str(found[1])
    assert "training loss of epoch 1 is nan" in str(found[0])


def test_a_killed_training_goes_on_with_the_same_numbers(tmp_path, monkeypatch):
    """Wherever groups of updates begin and end."""
    monkeypatch.setattr(Sets, "ahead", 200)
    trainer = native_trainer(epochs=3, optimizer="adam")
    start = initial_weights(trainer)
    whole = fit_one(trainer, SOURCES["step 1"], start)
    train = trainer.engine.train
    for after in (1, 2, 5):
        calls = []

        def killed(*arguments, calls=calls, after=after):
            calls.append(None)
            if len(calls) > after:
                raise KeyboardInterrupt
            return train(*arguments)

        kept = Checkpoint(tmp_path / f"{after}.h5", "key")
        again = Trainer(layout(trainer), trainer.settings, trainer.engine, checkpoint_seconds=0.0)
        with monkeypatch.context() as patch:
            patch.setattr(trainer.engine, "train", killed)
            with pytest.raises(KeyboardInterrupt):
                fit_one(again, SOURCES["step 1"], start, checkpoint=kept)
        monkeypatch.setattr(Sets, "ahead", 130)
        found = fit_one(again, SOURCES["step 1"], start, checkpoint=kept)
        assert found.summary["resumed"] == 1
        assert found.parameters.tobytes() == whole.parameters.tobytes()


@pytest.mark.parametrize(
    ("kind", "loss"), [("deepsets", "bce_logistic"), *(("mlp", loss) for loss in LOSSES)]
)
def test_trainings_agree(kind, loss):
    changes = {"optimizer": "sgd", "learning_rate": 0.1, "epochs": 2, "loss": loss}
    fits = []
    for make in (make_trainer, native_trainer):
        trainer = make(kind, **changes)
        weights = initial_weights(trainer)
        assert weights[-1] == LOSSES[loss].neutral
        fits.append(fit_one(trainer, SOURCES["step 1"], weights))
    one, two = fits
    assert two.best_epoch == one.best_epoch > 0
    np.testing.assert_allclose(two.parameters, one.parameters, atol=2e-5)
    for a, b in zip(one.history, two.history, strict=True):
        assert b["val_loss"] == pytest.approx(a["val_loss"], abs=2e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_units_are_dropped_by_either_engine(kind):
    fits = []
    for make in (make_trainer, native_trainer):
        trainer = make(kind, optimizer="sgd", learning_rate=0.1, epochs=2)
        dropout = Dropout(layout(trainer).units(), 0.3, 5)
        start = initial_weights(trainer)
        task = Task("network", SOURCES["step 1"], start, seeds(), dropout=dropout)
        fits.append(trainer.fit([task])[0])
        plain = fit_one(trainer, SOURCES["step 1"], initial_weights(trainer))
        assert np.abs(plain.parameters - fits[-1].parameters).max() > 1e-3
    np.testing.assert_allclose(fits[1].parameters, fits[0].parameters, atol=2e-5)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("double", [False, True])
def test_costs_are_those_of_the_loss(loss, double):
    """Of a network that passes its one feature on; whole vectors of events, and single ones."""
    rng, kind = np.random.default_rng(7), np.float64 if double else np.float32
    z = np.concatenate([[-30, -0.0, 0, 30], rng.normal(0, 4, 200), np.linspace(-1, 1, 97)])
    if loss == "bce_logistic":
        z = np.concatenate([z, [-600, -45, 45, 600]])
    z = z.astype(kind)
    a, b = rng.uniform(0, 2, (2, len(z))).astype(kind)
    network = Sets(None, [], (0, 1), double=double, loss=loss)

    def run(some):
        n = len(z[some])
        none = np.zeros((0, 0), kind)
        events = Flat(np.zeros(n + 1, np.int64), none, none, z[some, None], a[some], b[some])
        return network(np.array([1, 0], kind), events, gradient=True)

    whole = run(slice(None))
    np.testing.assert_array_equal(whole.outputs, z)
    single = [run(slice(i, i + 1)) for i in range(len(z))]
    cost_a, cost_b = LOSSES[loss].values(z)
    least = 1e-15 if loss.startswith("mlc") else 0.0  # f - 1 loses digits where f is almost 1
    costs = a * cost_a + b * cost_b
    np.testing.assert_allclose([one.loss for one in single], costs, rtol=1e-14, atol=least)
    assert whole.loss == pytest.approx(sum(one.loss for one in single), rel=1e-14)
    # With respect to factor and shift.
    slopes = np.sum([one.gradient for one in single], axis=0, dtype=np.float64)
    np.testing.assert_allclose(whole.gradient, slopes, rtol=1e-13 if double else 1e-5)
    if loss == "bce_logistic":
        share = np.exp(-np.logaddexp(0, -z.astype(float)))
        expected = b * share - a * np.exp(-np.logaddexp(0, z.astype(float)))
        found = [one.gradient[1] for one in single]
        np.testing.assert_allclose(found, expected, rtol=1e-13 if double else 1e-6, atol=1e-16)


@pytest.mark.parametrize("loss", LOSSES)
def test_an_output_that_is_no_number_shows_in_the_loss(loss):
    network = Sets(None, [], (0, 1), loss=loss)
    z = np.ones((40, 1), np.float32)
    z[19] = np.nan
    none, one = np.zeros((0, 0), np.float32), np.ones(40, np.float32)
    events = Flat(np.zeros(41, np.int64), none, none, z, one, one)
    found = network(np.array([1, 0], np.float32), events, gradient=True)
    assert np.isnan(found.loss)
