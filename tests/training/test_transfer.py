"""Backbone and head of a pre-trained network are trained by rates of their own."""

import math

import numpy as np
import pytest
from small_networks import SPLIT, initial_weights, make_trainer, mlp, native_trainer, seeds
from training_inputs import classifier, settings, two_classes

from omniflow.config.transfer import Transfer
from omniflow.errors import TrainingError
from omniflow.events.split import held_out
from omniflow.models import registry
from omniflow.models.keras_model import KerasModel
from omniflow.training.checkpoint import Checkpoint
from omniflow.training.learner import Learner
from omniflow.training.progress import Task
from omniflow.training.trainer import Trainer

OPTIMIZERS = ["lion", "adamw", "adam", "sgd"]
ALL = Transfer(freeze_epochs="all")


def _trainer(kind, **changes):
    return native_trainer("pet", **changes) if kind == "native" else make_trainer(kind, **changes)


def _fit(trainer, transfer, initial=None, sources=None, checkpoint=None):
    parameters = initial_weights(trainer) if initial is None else initial
    sources = sources or two_classes(200)
    task = Task("network", sources, parameters, seeds(), 1.0, checkpoint, transfer)
    (outcome,) = trainer.fit([task])
    if isinstance(outcome, TrainingError):
        raise outcome
    return parameters, outcome


@pytest.mark.parametrize(
    ("kind", "optimizer"),
    [
        *(("native", optimizer) for optimizer in OPTIMIZERS),
        ("mlp", "adamw"),
        ("deepsets", "lion"),
    ],
)
def test_a_frozen_backbone_keeps_every_bit(kind, optimizer):
    changes = {"optimizer": optimizer, "epochs": 2, "weight_decay": 0.1, "learning_rate": 0.05}
    trainer = _trainer(kind, **changes)
    start, found = _fit(trainer, ALL)
    head = 8 + 1  # width and bias
    live = np.array(trainer.learner(apart=True).parameters)
    for after in (found.parameters, live):
        assert after[:-head].tobytes() == start[:-head].tobytes()
        assert np.all(after[-head:-1] != start[-head:-1])
    assert found.best_epoch > 0
    assert [epoch["backbone_rate"] for epoch in found.history[1:]] == [0, 0]
    # The same network without the policy moves all of itself.
    _, free = _fit(trainer, Transfer())
    assert np.mean(free.parameters[:-head] != start[:-head]) > 0.5
    assert "backbone_rate" not in free.history[1]


def test_frozen_epochs_end():
    trainer = make_trainer(epochs=3)
    start, two = _fit(trainer, Transfer(freeze_epochs=2))
    frozen = make_trainer(epochs=2)
    _, before = _fit(frozen, ALL)
    # The epochs without the backbone are those of a backbone that is frozen for good.
    for a, b in zip(two.history[:3], before.history, strict=True):
        assert a["val_loss"] == b["val_loss"]
    live = np.array(trainer.learner(apart=True).parameters)
    assert np.all(live[:16] != start[:16])
    assert two.history[3]["backbone_rate"] == two.history[3]["learning_rate"] > 0


def _loss(parameters, sources):
    """Loss of all training events, both classes normalised, in NumPy."""
    total, norm = np.zeros(2), np.zeros(2)
    for source in sources:
        index = np.flatnonzero(~held_out(source.event_id, SPLIT, 0.2) & source.select)
        z = mlp(parameters, source.features.event.astype(float))[index]
        a, b = source.weights(index)
        total += [a @ np.log1p(np.exp(-z)), b @ np.log1p(np.exp(z))]
        norm += [a.sum(), b.sum()]
    return float((total / norm).mean())


def test_an_update_of_the_backbone_is_smaller_by_the_factor(float64):
    """One step of SGD on all events, against derivatives of the loss by finite differences."""
    rate, factor = 2.0**-3, 2.0**-2  # exact in float32 as well
    trainer = make_trainer(
        optimizer="sgd", learning_rate=rate, epochs=1, batch_size=10_000, ema=0.0, clip_norm=None
    )
    sources = two_classes(200)
    start, _ = _fit(trainer, Transfer(backbone_rate_factor=factor), sources=sources)
    slow = np.array(trainer.learner(apart=True).parameters) - start
    _fit(trainer, Transfer(), sources=sources)
    plain = np.array(trainer.learner().parameters) - start
    assert start.dtype == slow.dtype == np.float64
    step = 1e-5 * np.eye(len(start))
    gradient = [(_loss(start + h, sources) - _loss(start - h, sources)) / 2e-5 for h in step]
    rates = np.where(np.arange(len(start)) < 24, factor * rate, rate)
    np.testing.assert_allclose(slow, -rates * np.array(gradient), rtol=1e-5, atol=1e-9)
    np.testing.assert_allclose(slow[:24], factor * plain[:24], rtol=1e-12, atol=1e-16)
    np.testing.assert_array_equal(slow[24:], plain[24:])


class _Reference:
    """Optimisers of one vector in NumPy, as in the papers that define them."""

    def __init__(self, optimizer, size, decay, one, two):
        self.optimizer, self.decay, self.one, self.two = optimizer, decay, one, two
        self.m, self.v, self.t = np.zeros(size), np.zeros(size), 0

    def step(self, x, g, rate):
        self.t += 1
        if self.optimizer in ("lion", "adamw"):
            x = x - rate * self.decay * x
        if self.optimizer == "sgd":
            return x - rate * g
        if self.optimizer == "lion":  # arXiv:2302.06675
            change = np.sign(self.one * self.m + (1 - self.one) * g)
            self.m = self.two * self.m + (1 - self.two) * g
            return x - rate * change
        self.m = self.one * self.m + (1 - self.one) * g
        self.v = self.two * self.v + (1 - self.two) * g**2
        correction = math.sqrt(1 - self.two**self.t) / (1 - self.one**self.t)
        return x - rate * correction * self.m / (np.sqrt(self.v) + 1e-7)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_updates_are_those_of_two_optimisers(optimizer, float64):
    """Three updates without the backbone, then five with it, at half of the head's rate.

    The backbone's first update is the first one of its optimiser: Adam corrects it for its start.
    """
    rng = np.random.default_rng(1)
    # Numbers that are exact in float32, in which Keras keeps them.
    numbers = {"weight_decay": 0.25, "beta_1": 0.875, "beta_2": 0.96875}
    chosen = settings(optimizer=optimizer, clip_norm=1.5, **numbers)
    learner = Learner(chosen, 7, "float64", backbone=4)
    x = rng.normal(size=7)
    learner.start(x)
    parts = [slice(0, 4), slice(4, 7)]
    references = [_Reference(optimizer, n, *numbers.values()) for n in (4, 3)]
    average, rate = x.copy(), 2.0**-4
    for update in range(8):
        g = rng.normal(size=7)
        backbone = 0.0 if update < 3 else 0.5
        norm = learner.update(g, 1.0, rate, 0.75, backbone)
        trained = list(zip(parts, references, (backbone * rate, rate), strict=True))
        trained = trained[1:] if update < 3 else trained
        expected = np.linalg.norm(np.concatenate([g[part] for part, *_ in trained]))
        assert norm == pytest.approx(expected, rel=1e-12)
        for part, reference, own in trained:
            x[part] = reference.step(x[part], g[part] * min(1, 1.5 / expected), own)
            average[part] += 0.25 * (x[part] - average[part])
        np.testing.assert_allclose(learner.parameters, x, rtol=1e-8)
        np.testing.assert_allclose(learner.average, average, rtol=1e-8)


def test_warm_up_and_cosine_go_on_while_the_backbone_is_frozen():
    trainer = make_trainer(epochs=5, schedule="cosine", warmup_epochs=1.0, learning_rate=0.02)
    _, found = _fit(trainer, Transfer(freeze_epochs=2, backbone_rate_factor=0.25))
    updates = found.summary["updates_per_epoch"]
    for epoch in found.history[1:]:
        last = epoch["epoch"] * updates - 1
        rise = (last + 1) / (updates + 1)
        fall = 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * (last - updates) / (4 * updates)))
        assert epoch["learning_rate"] == pytest.approx(0.02 * (rise if last < updates else fall))
        factor = 0.0 if epoch["epoch"] <= 2 else 0.25
        assert epoch["backbone_rate"] == pytest.approx(factor * epoch["learning_rate"])


def test_patience_counts_from_the_end_of_the_freeze():
    """Equal classes and a fast rate: without the policy the training stops long before."""
    trainer = make_trainer(epochs=30, patience=2, learning_rate=0.1, ema=0.0, validation=0.5)
    sources = two_classes(200, shift=0.0)
    for transfer, least in ((ALL, 0), (Transfer(freeze_epochs=12), 12)):
        _, found = _fit(trainer, transfer, sources=sources)
        trained = len(found.history) - 1
        assert trained == max(found.best_epoch, least) + 2
    assert trained >= 14


class Killed(BaseException):
    """Stands for SIGKILL."""


@pytest.mark.parametrize(("kind", "optimizer"), [("native", "adam"), ("mlp", "lion")])
def test_a_killed_training_goes_on_with_the_same_numbers(kind, optimizer, tmp_path, monkeypatch):
    changes = {"optimizer": optimizer, "epochs": 4, "schedule": "cosine", "ema": 0.99}
    trainer = _trainer(kind, **changes)
    transfer = Transfer(freeze_epochs=2, backbone_rate_factor=0.5)
    _, whole = _fit(trainer, transfer)
    updates = whole.summary["updates_per_epoch"]
    gradient = trainer.engine.gradient
    # Within the freeze, at its end, and after it.
    for after in (updates // 2, 2 * updates + 1, 3 * updates + 2):
        count = 0

        def spy(*arguments, after=after):
            nonlocal count
            count += 1
            if count > after:
                raise Killed
            return gradient(*arguments)

        def again():
            return Trainer(
                KerasModel(trainer.engine.model).layout,
                trainer.settings,
                trainer.engine,
                checkpoint_seconds=0.0,
            )

        kept = Checkpoint(tmp_path / f"{after}.h5", "key")
        weights = initial_weights(trainer)
        with monkeypatch.context() as patch:
            patch.setattr(trainer.engine, "gradient", spy)
            with pytest.raises(Killed):
                _fit(again(), transfer, weights, checkpoint=kept)
        _, found = _fit(again(), transfer, weights, checkpoint=kept)
        assert found.summary["resumed"] == 1
        np.testing.assert_array_equal(found.parameters, whole.parameters)
        for a, b in zip(found.history, whole.history, strict=True):
            assert (a["val_loss"], a.get("loss")) == (b["val_loss"], b.get("loss"))


def test_the_head_is_the_end_of_the_vector():
    for kind in ("pet", "deepsets", "mlp"):
        model = registry.build(classifier(kind), 3, 2)
        head = sum(math.prod(variable.shape) for variable in model.head.weights)
        assert KerasModel(model).layout.backbone == model.count_params() - head
