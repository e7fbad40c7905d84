"""Networks that train on events drawn anew."""

import numpy as np
import pytest
from small_networks import SPLIT, initial_weights, make_trainer, mlp, train
from training_inputs import twins, two_classes

from omniflow.events.resample import poisson
from omniflow.events.split import held_out

SEED = 4321


@pytest.fixture(scope="module", autouse=True)
def _runtime(tensorflow_runtime):
    return tensorflow_runtime


def test_training_weighs_drawn_events_and_validation_does_not():
    """One update on all training events at once, against the loss in plain NumPy."""
    source = twins()
    trainer = make_trainer(epochs=1, batch_size=10_000)
    found, plain = train(trainer, (source,), resample=SEED), train(trainer, (source,))
    out = held_out(source.event_id, SPLIT, 0.2)
    times = poisson(source.event_id, SEED)
    a, b = source.weights(slice(None))
    z = mlp(initial_weights(trainer), source.features.event.astype(float))

    def loss(a, b):
        return (a @ np.log1p(np.exp(-z)) / a.sum() + b @ np.log1p(np.exp(z)) / b.sum()) / 2

    assert found.history[1]["loss"] == pytest.approx(
        loss(a * times * ~out, b * times * ~out), rel=1e-5
    )
    assert plain.history[1]["loss"] == pytest.approx(loss(a * ~out, b * ~out), rel=1e-5)
    assert found.history[1]["loss"] != pytest.approx(plain.history[1]["loss"], rel=1e-4)
    for fit in (found, plain):
        assert fit.history[0]["val_loss"] == pytest.approx(loss(a * out, b * out), rel=1e-5)


def test_the_summary_counts_what_is_drawn():
    data, simulation = two_classes()
    found = train(make_trainer(epochs=1), (data, simulation), resample=SEED)
    out = held_out(data.event_id, SPLIT, 0.2)
    drawn = [poisson(s.event_id, SEED + i) for s, i in ((data, 1), (simulation, 0))]
    assert found.summary["train_events"] == sum(np.sum((times > 0) & ~out) for times in drawn)
    assert found.summary["held_out_events"] == 2 * out.sum()
    a, b = data.numerator[0], simulation.denominator[0]
    assert found.summary["sum_numerator"] == pytest.approx((a * drawn[0])[~out].sum())
    assert found.summary["sum_denominator"] == pytest.approx((b * drawn[1])[~out].sum())


def test_networks_of_other_draws_differ_and_repeat_themselves():
    trainer = make_trainer(epochs=1)
    one, same, two = (train(trainer, two_classes(), resample=s) for s in (SEED, SEED, SEED + 9))
    np.testing.assert_array_equal(one.parameters, same.parameters)
    assert not np.array_equal(one.parameters, two.parameters)
