"""The native engine: its whole gradient beside the Keras model's; test_slow_pet has the rest."""

import model_inputs as make
import numpy as np
import pytest
import tensorflow as tf

from omniflow.events.batches import Flat
from omniflow.models.keras_model import KerasModel
from omniflow.training.losses import LOSSES
from omniflow.training.native import PET

COUNTS = (0, 1, 2, 3, 5, 9, 7, 40, 0, 1, 6, 12)


def flattened(events, a, b, kind):
    counts = [len(event["particles"]) for event in events]
    return Flat(
        np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        np.concatenate([event["particles"] for event in events]).astype(kind),
        np.concatenate([event["neighbours"] for event in events]).astype(np.int32),
        np.stack([event["event"] for event in events]).astype(kind),
        a.astype(kind),
        b.astype(kind),
    )


def parameters(model):
    return np.concatenate([np.ravel(v.numpy()) for v in model.trainable_variables])


def with_keras(model, events, a, b, loss="bce_logistic"):
    """Logits, loss and gradient of the Keras model, fully padded."""
    kind = model.dtype_policy.compute_dtype
    with tf.GradientTape() as tape:
        inputs = make.padded(events, max(len(event["particles"]) for event in events))
        logits = model({k: v if k == "neighbours" else v.astype(kind) for k, v in inputs.items()})
        total = LOSSES[loss].total(logits, tf.constant(a), tf.constant(b))
    gradients = tape.gradient(total, [v.value for v in model.trainable_variables])
    return logits.numpy(), float(total), np.concatenate([np.ravel(g) for g in gradients])


@pytest.fixture(
    scope="module", params=[{}, {"blocks": 1, "class_blocks": 1}, {"width": 6, "heads": 3}]
)
def settings(request):
    return make.small("pet", **request.param)


@pytest.fixture(scope="module")
def sample():
    rng = np.random.default_rng(3)
    return make.some_events(COUNTS, seed=4), *rng.exponential(size=(2, len(COUNTS)))


def engine(model, settings, kind, threads=1, loss="bce_logistic"):
    sizes = (make.PARTICLE, make.EVENT, make.NEIGHBOURS)
    return PET(
        KerasModel(model).layout, settings, sizes, threads, double=kind == np.float64, loss=loss
    )


def test_double_precision_equals_keras(settings, sample, float64):
    model = make.randomised(settings, seed=5)
    logits, loss, gradient = with_keras(model, *sample)
    found = engine(model, settings, np.float64)(
        parameters(model), flattened(*sample, np.float64), gradient=True
    )
    np.testing.assert_allclose(found.outputs, logits, rtol=1e-9, atol=1e-10)
    assert found.loss == pytest.approx(loss, rel=1e-10)
    scale = np.abs(gradient).max()
    np.testing.assert_allclose(found.gradient, gradient, rtol=0, atol=1e-10 * scale)


@pytest.fixture(scope="module")
def slopes(sample):
    """A PET with its parameters (d,), its outputs (n,) and their derivatives (n, d), by Keras."""
    settings, (events, *_) = make.small("pet", blocks=1, class_blocks=1), sample
    model = make.randomised(settings, seed=5, precision="float64")
    inputs = make.padded(events, max(len(event["particles"]) for event in events))
    with tf.GradientTape(persistent=True) as tape:
        outputs = tf.unstack(model(inputs))
    variables = [v.value for v in model.trainable_variables]
    rows = [tape.gradient(output, variables) for output in outputs]
    rows = np.array([np.concatenate([np.ravel(part) for part in row]) for row in rows])
    return model, settings, parameters(model), np.array(outputs), rows


@pytest.mark.parametrize("shift", [-50.0, -3.0, 0.0, 3.0, 50.0])
@pytest.mark.parametrize("loss", LOSSES)
def test_each_loss_equals_automatic_differentiation(loss, shift, sample, slopes):
    """Outputs about 0, where f is what it looks like, and where it is about 0 or 1."""
    model, settings, values, outputs, rows = slopes
    values = values + shift * (np.arange(len(values)) == len(values) - 1)  # the head's bias
    z = tf.constant(outputs + shift)
    with tf.GradientTape() as tape:
        tape.watch(z)
        expected = LOSSES[loss].total(z, *map(tf.constant, sample[1:]))
    gradient = tape.gradient(expected, z).numpy() @ rows
    run = engine(model, settings, np.float64, loss=loss)
    found = run(values, flattened(*sample, np.float64), gradient=True)
    np.testing.assert_allclose(found.outputs, z, rtol=1e-9, atol=1e-10)
    assert np.ptp(found.outputs) > 1
    assert found.loss == pytest.approx(float(expected), rel=1e-10)
    # Far beyond 0 both classes may have no slope left.
    scale = max(np.abs(gradient).max(), 1e-300)
    np.testing.assert_allclose(found.gradient, gradient, rtol=0, atol=1e-10 * scale)


# Widths, heads, particle and event features: sizes that leave every kind of rest behind vectors.
@pytest.fixture(
    params=[(4, 1, 1, 1), (9, 3, 2, 5), (12, 4, 17, 1), (20, 2, 3, 2), (36, 3, 7, 5), (64, 4, 7, 5)]
)
def odd(request, monkeypatch):
    width, heads, particle, event = request.param
    monkeypatch.setattr(make, "PARTICLE", particle)
    monkeypatch.setattr(make, "EVENT", event)
    # More particles than rows of a chunk, numbers about those of a vector, and empty events.
    counts = (0, 1, 2, 131, 0, 15, 16, 17, 33, 0)
    rng = np.random.default_rng(7)
    sample = make.some_events(counts, seed=8), *rng.exponential(size=(2, len(counts)))
    return make.small("pet", width=width, heads=heads, blocks=1, class_blocks=1), sample


def test_odd_sizes(odd, float64):
    settings, sample = odd
    model = make.randomised(settings, seed=9)
    logits, loss, gradient = with_keras(model, *sample)
    for kind in (np.float64, np.float32):
        double = kind == np.float64
        found = engine(model, settings, kind)(
            parameters(model).astype(kind), flattened(*sample, kind), gradient=True
        )
        np.testing.assert_allclose(found.outputs, logits, atol=1e-10 if double else 5e-5)
        assert found.loss == pytest.approx(loss, rel=1e-10 if double else 1e-5)
        error = np.abs(found.gradient - gradient).max() / np.abs(gradient).max()
        assert error < (1e-10 if double else 1e-4)


def test_large_values_equal_keras(odd, float64):
    """Shares of attention that vanish, activations far from zero."""
    settings, sample = odd
    model = make.randomised(settings, seed=10)
    for variable in model.trainable_variables:
        variable.assign(variable * 8)
    logits = make.logits(model, make.padded(sample[0], max(len(e["particles"]) for e in sample[0])))
    found = engine(model, settings, np.float64)(parameters(model), flattened(*sample, np.float64))
    np.testing.assert_allclose(found.outputs, logits, atol=1e-9 * np.abs(logits).max())


def test_what_is_not_a_number_stays_so(single):
    model, settings, values, events = single
    broken = np.full_like(values, np.nan)
    found = engine(model, settings, np.float32)(broken, events, gradient=True)
    assert np.isnan(found.outputs).all()
    assert np.isnan(found.loss)
    particles = Flat(**vars(events) | {"particles": np.full_like(events.particles, np.nan)})
    found = engine(model, settings, np.float32)(values, particles)
    np.testing.assert_array_equal(np.isnan(found.outputs), np.diff(events.offsets) > 0)


@pytest.fixture(scope="module")
def single(sample):
    settings = make.small("pet")
    model = make.randomised(settings, seed=6)
    return model, settings, parameters(model), flattened(*sample, np.float32)


def test_logits_alone_are_those_of_the_gradient(single):
    model, settings, values, events = single
    run = engine(model, settings, np.float32)
    alone = run(values, events)
    assert alone.gradient is None
    np.testing.assert_array_equal(alone.outputs, run(values, events, gradient=True).outputs)


def test_the_same_again_bit_by_bit(single):
    model, settings, values, events = single
    run = engine(model, settings, np.float32)
    first, second = (run(values, events, gradient=True) for _ in range(2))
    np.testing.assert_array_equal(first.gradient, second.gradient)


def test_wrong_arrays_are_refused(single):
    model, settings, values, events = single
    run = engine(model, settings, np.float32)
    with pytest.raises(TypeError, match="expected float32"):
        run(values.astype(np.float64), events)
    with pytest.raises(TypeError, match="expected float32"):
        run(values[:-1], events)
