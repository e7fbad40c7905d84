import functools

import model_inputs as make
import numpy as np
import pytest
import tensorflow as tf
from slow_pet import nearest

from omniflow.config.training import Classifier
from omniflow.models.classifiers import architecture

KINDS = ("pet", "deepsets", "mlp")


@functools.cache
def _network(kind):
    return make.randomised(make.small(kind))


@pytest.fixture(scope="module", params=KINDS)
def model(request):
    return _network(request.param)


@pytest.fixture(scope="module")
def alone(model):
    """Logits of every event evaluated alone, without padding where there is a particle."""
    events = make.some_events()
    inputs = [make.padded([event], max(len(event["particles"]), 1)) for event in events]
    found = np.array([make.logits(model, single)[0] for single in inputs])
    # So different that a tolerance of 1e-5 means something.
    assert np.diff(np.sort(found)).min() > 1e-3
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_logits_equal_plain_numpy(kind, float64):
    model = make.randomised(make.small(kind), seed=7)
    events = make.some_events(seed=8)
    expected = [make.REFERENCES[kind](model, event) for event in events]
    assert np.std(expected) > 0.1
    np.testing.assert_allclose(
        make.logits(model, make.padded(events, 9)), expected, rtol=1e-9, atol=1e-10
    )


@pytest.mark.parametrize("length", [9, 10, 40])
def test_logits_do_not_depend_on_the_padding_length(model, alone, length):
    found = make.logits(model, make.padded(make.some_events(), length))
    np.testing.assert_allclose(found, alone, atol=1e-5)


@pytest.mark.parametrize("seed", range(3))
def test_logits_do_not_depend_on_the_padding_content(model, alone, seed):
    garbage = np.random.default_rng(seed)
    found = make.logits(model, make.padded(make.some_events(), 14, garbage))
    np.testing.assert_allclose(found, alone, atol=1e-5)


@pytest.mark.parametrize("seed", range(3))
def test_logits_do_not_depend_on_the_order_of_particles(model, alone, seed):
    rng = np.random.default_rng(seed)
    events = [
        make.permuted(event, rng.permutation(len(event["particles"])))
        for event in make.some_events()
    ]
    found = make.logits(model, make.padded(events, 11, rng))
    np.testing.assert_allclose(found, alone, atol=1e-5)


def test_logits_do_not_depend_on_the_other_events(model, alone):
    order = np.array([5, 0, 3, 3, 1])
    events = make.some_events()
    found = make.logits(model, make.padded([events[i] for i in order], 9))
    np.testing.assert_allclose(found, alone[order], atol=1e-5)


@pytest.mark.parametrize("kind", ["pet", "deepsets"])
def test_a_particle_whose_features_are_all_zero_counts(kind):
    model = _network(kind)
    (event,) = make.some_events([4], seed=3)
    points = np.vstack([event["particles"], np.zeros(make.PARTICLE)])
    longer = event | {
        "particles": points,
        "neighbours": nearest(points[:, :2], make.NEIGHBOURS),
    }
    with_zero, without = (make.logits(model, make.padded([e], 5))[0] for e in (longer, event))
    assert abs(with_zero - without) > 1e-3


@pytest.mark.parametrize("kind", ["pet", "deepsets"])
def test_the_number_of_particles_matters(kind):
    model = _network(kind)
    particle = np.ones((1, make.PARTICLE))
    (event,) = make.some_events([1])
    sets = [
        event
        | {
            "particles": np.repeat(particle, n, axis=0),
            "neighbours": nearest(np.zeros((n, 2)), make.NEIGHBOURS),
        }
        for n in (0, 2, 4)
    ]
    none, two, four = make.logits(model, make.padded(sets, 4))
    assert abs(two - none) > 1e-3
    assert abs(two - four) > 1e-3


def test_the_mlp_ignores_particles():
    model = _network("mlp")
    (event,) = make.some_events([4])
    others = make.some_events([4], seed=99)[0] | {"event": event["event"]}
    first, second = make.logits(model, make.padded([event, others], 4))
    assert first == second


@pytest.mark.parametrize("kind", KINDS)
def test_every_parameter_receives_a_gradient(kind, float64):
    model = make.randomised(make.small(kind))
    counts = np.random.default_rng(0).integers(0, 8, 40)
    inputs = make.padded(make.some_events(counts), 8)
    variables = model.trainable_variables
    assert len(variables) == len(model.weights)
    with tf.GradientTape() as tape:
        z = model({k: tf.constant(v) for k, v in inputs.items()})
        loss = tf.reduce_sum(tf.nn.softplus(z * tf.constant(np.where(counts > 3, -1.0, 1.0))))
    gradients = tape.gradient(loss, [v.value for v in variables])
    sizes = {
        f"{i} {v.path}": None if g is None else float(np.abs(g).max())
        for i, (v, g) in enumerate(zip(variables, gradients, strict=True))
    }
    # A gradient that exists on paper alone is rounding, of order 1e-16 here.
    assert not [name for name, size in sizes.items() if size is None or size < 1e-9]


def test_the_default_pet_has_the_size_of_the_published_one():
    count = architecture(Classifier(), 7, 5).layout.size
    assert abs(count - 247_366) < 0.01 * 247_366
