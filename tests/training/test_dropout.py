"""Thinned networks, against the MLP in plain NumPy and the moments of dropped sums."""

import math

import numpy as np
import pytest
from small_networks import SPLIT, initial_weights, layout, make_trainer, mlp, predict, seeds
from training_inputs import classifier, twins, two_classes

from omniflow.events.split import held_out
from omniflow.models import registry
from omniflow.models.architecture import Units
from omniflow.models.keras_model import KerasModel
from omniflow.training.dropout import Dropout
from omniflow.training.progress import Task

SEED = 77


@pytest.fixture(scope="module", autouse=True)
def _runtime(tensorflow_runtime):
    return tensorflow_runtime


def _train(trainer, dropout, sources=None):
    initial = initial_weights(trainer)
    task = Task("network", sources or two_classes(), initial, seeds(), dropout=dropout)
    (found,) = trainer.fit([task])
    return found


def _dropout(trainer, rate, seed=SEED):
    return Dropout(layout(trainer).units(), rate, seed)


def test_rate_0_changes_no_bit():
    trainer = make_trainer()
    none, zero = _train(trainer, None), _train(trainer, _dropout(trainer, 0.0))
    np.testing.assert_array_equal(none.parameters, zero.parameters)
    some, again = (_train(trainer, _dropout(trainer, 0.3)) for _ in range(2))
    np.testing.assert_array_equal(some.parameters, again.parameters)
    assert not np.array_equal(none.parameters, some.parameters)


@pytest.mark.parametrize(
    ("kind", "count"),
    # Edge layers 2 x 16, embedding, one block and one class block 16 each, head 8; D = 8.
    [("pet", 2 * 16 + 3 * 16 + 8), ("deepsets", 8), ("mlp", 8)],
)
def test_units_are_those_of_hidden_layers(kind, count):
    model = registry.build(classifier(kind), 3, 2)
    whole = KerasModel(model).layout
    found = whole.units()
    assert found.count == count
    assert found.size == model.count_params()
    # What the masks act on are these kernels and nothing else.
    names = {id(kernel) for kernel in model.dropped}
    mask = whole.split(Dropout(found, 0.5, SEED).mask(0))
    for variable, factors in zip(model.weights, mask, strict=True):
        if id(variable) in names:
            assert set(np.unique(factors)) <= {0.0, 2.0}
            assert np.all(factors == factors[:, :1])  # whole rows
        else:
            assert np.all(factors == 1)


@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_units_are_dropped_at_the_rate_and_independently(rate):
    dropout = Dropout(Units(50, ((0, 50, 1),)), rate, SEED)
    masks = np.array([dropout.mask(draw) for draw in range(4000)])
    dropped = masks == 0
    np.testing.assert_allclose(masks[~dropped], 1 / (1 - rate), rtol=1e-6)
    bound = 4 * math.sqrt(rate * (1 - rate) / masks.size)
    assert abs(dropped.mean() - rate) < bound
    correlation = np.corrcoef(dropped.T.astype(float)) - np.eye(50)
    assert np.abs(correlation).max() < 5 / math.sqrt(4000)
    following = np.mean(dropped[1:] & dropped[:-1])
    assert abs(following - rate**2) < 4 * math.sqrt(rate**2 / masks.size)
    other = np.array([Dropout(dropout.units, rate, SEED + 5000).mask(d) for d in range(4000)])
    assert abs(np.mean(dropped & (other == 0)) - rate**2) < 4 * math.sqrt(rate**2 / masks.size)


def _hidden(parameters, x):
    """Terms of the head's sum, (n, 8), and its bias."""
    terms = np.zeros((len(x), 8))
    _, _, head, offset = np.split(np.asarray(parameters, float), [16, 24, 32])
    for unit in range(8):
        alone = np.array(parameters, float)
        alone[24:32] = 0
        alone[24 + unit], alone[32] = head[unit], 0
        terms[:, unit] = mlp(alone, x)
    return terms, offset[0]


def test_thinned_networks_are_networks_without_some_units():
    trainer, source = make_trainer(), twins(50)
    parameters = initial_weights(trainer)
    dropout = _dropout(trainer, 0.4)
    terms, offset = _hidden(parameters, source.features.event.astype(float))
    thinned = 0
    for draw in range(4):
        mask = dropout.mask(draw)
        kept = mask[24:32] > 0
        thinned += not kept.all()
        expected = terms[:, kept].sum(axis=1) / 0.6 + offset
        np.testing.assert_allclose(
            predict(trainer, parameters * mask, source), expected, rtol=1e-4, atol=1e-5
        )
    assert thinned >= 3


def test_logits_have_the_moments_of_a_dropped_sum():
    """Mean: the whole network. Variance: rate / (1 - rate) x the sum of squared terms."""
    trainer = make_trainer()
    parameters = initial_weights(trainer)
    x = twins(5).features.event.astype(float)
    dropout, draws = _dropout(trainer, 0.3), 4000
    z = np.array([mlp(parameters * dropout.mask(draw), x) for draw in range(draws)])
    terms, _ = _hidden(parameters, x)
    variance = 0.3 / 0.7 * (terms**2).sum(axis=1)
    pull = (z.mean(axis=0) - mlp(parameters, x)) / np.sqrt(variance / draws)
    assert np.all(np.abs(pull) < 4)
    np.testing.assert_allclose(z.var(axis=0), variance, rtol=0.15)


def test_an_update_leaves_dropped_units_alone():
    """One step of gradient descent: weights into and out of a dropped unit stay as they are."""
    trainer = make_trainer(epochs=1, batch_size=10_000, optimizer="sgd", clip_norm=None)
    initial = initial_weights(trainer)
    dropout, source = _dropout(trainer, 0.5), twins()
    found = _train(trainer, dropout, (source,))
    after = np.array(trainer.learner().parameters)
    kept = dropout.mask(0)[24:32] > 0
    assert 0 < kept.sum() < 8
    changed = after != initial
    assert np.all(changed[24:32] == kept)
    assert np.all(changed[:16].reshape(2, 8) == kept)
    assert np.all(changed[16:24] == kept)
    # Its loss is that of the thinned network; those of validation are of the whole one.
    assert found.history[1]["loss"] != pytest.approx(found.history[0]["val_loss"], rel=1e-3)


def test_the_gradient_is_that_of_the_thinned_loss():
    trainer = make_trainer(epochs=1, batch_size=10_000, optimizer="sgd", clip_norm=None)
    initial = initial_weights(trainer).astype(float)
    dropout, source = _dropout(trainer, 0.5), twins()
    _train(trainer, dropout, (source,))
    step = (initial - np.array(trainer.learner().parameters)) / 0.01  # the learning rate
    out = held_out(source.event_id, SPLIT, 0.2)
    a, b = (w * ~out / w[~out].sum() / 2 for w in source.weights(slice(None)))
    x, mask = source.features.event.astype(float), dropout.mask(0)

    def loss(parameters):
        z = mlp(parameters * mask, x)
        return a @ np.log1p(np.exp(-z)) + b @ np.log1p(np.exp(z))

    for i in range(len(initial)):
        shift = np.zeros(len(initial))
        shift[i] = 1e-5
        slope = (loss(initial + shift) - loss(initial - shift)) / 2e-5
        assert step[i] == pytest.approx(slope, rel=2e-3, abs=2e-4)
