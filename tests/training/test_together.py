"""Networks trained together are the networks that each would be alone."""

import itertools
import time
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from small_networks import changed, initial_weights, make_trainer, native_trainer, predict
from training_inputs import features, twins, two_classes

from omniflow.errors import TrainingError
from omniflow.training.graph import Graph
from omniflow.training.progress import Seeds, Task


def _task(trainer, k, sources, name=None):
    seeds = Seeds(10 + k, np.random.SeedSequence(20 + k))
    return Task(name or f"network {k}", sources, initial_weights(trainer, k), seeds)


def _trainer(kind, stack, xla=False, **changes):
    chosen = {"optimizer": "sgd", "learning_rate": 0.1, "micro_batches": 3} | changes
    return make_trainer(kind, stack, xla, **chosen)


def _gradients_alone(kind, rows, batches, loss="bce_logistic"):
    """Losses and gradients (d,) of each network, by the native engine."""
    engine = native_trainer(kind, loss=loss).engine
    found = [
        engine.gradient([row], engine.prepare([batch])[0])
        for row, batch in zip(rows, batches, strict=True)
    ]
    return [loss for (loss,), _ in found], [gradient for _, (gradient,) in found]


def _close(found, expected):
    losses, gradients = found
    np.testing.assert_allclose(losses, expected[0], rtol=1e-5)
    for a, b in zip(gradients, expected[1], strict=True):
        size = np.abs(b).max()
        assert size > 0.1
        np.testing.assert_allclose(a, b, atol=1e-5 * size)


def _same(one, two, tolerance=1e-5):
    np.testing.assert_allclose(one.parameters, two.parameters, atol=tolerance)
    assert one.best_epoch == two.best_epoch
    assert len(one.history) == len(two.history)
    for a, b in zip(one.history, two.history, strict=True):
        assert a["val_loss"] == pytest.approx(b["val_loss"], abs=tolerance)
    counts = ("train_events", "held_out_events", "updates_per_epoch")
    assert [one.summary[key] for key in counts] == [two.summary[key] for key in counts]


@pytest.mark.parametrize("changes", [{}, {"optimizer": "ecd", "ecd": {"nu_hat": 0.1}}])
def test_a_stack_gives_the_networks_trained_alone(changes, float64):
    """Own weights, splits, orders and numbers of updates; 3 and then 2 of 5 together."""
    sources = [two_classes(150 + 40 * k, seed=k) for k in range(5)]
    together, alone = (_trainer("deepsets", stack, **changes) for stack in (3, 1))
    found = together.fit([_task(together, k, own) for k, own in enumerate(sources)])
    assert len({fit.summary["updates_per_epoch"] for fit in found}) > 2
    for k, own in enumerate(sources):
        (expected,) = alone.fit([_task(alone, k, own)])
        assert expected.best_epoch > 0
        _same(found[k], expected)


@pytest.fixture
def clock(monkeypatch):
    """Every look at the clock finds it a second later: an update waits for 1 s and takes 2 s."""
    ticks = itertools.count()
    fake = SimpleNamespace(perf_counter=lambda: float(next(ticks)), monotonic=time.monotonic)
    monkeypatch.setattr("omniflow.training.trainer.time", fake)


@pytest.mark.parametrize("stack", [1, 2, 4])
def test_networks_of_a_stack_share_its_time(clock, stack):
    trainer = _trainer("mlp", stack, epochs=1)
    sources = two_classes(200)
    # The same split, and so the same number of updates.
    seeds = _task(trainer, 0, sources).seeds
    tasks = [replace(_task(trainer, k, sources), seeds=seeds) for k in range(4)]
    for fit in trainer.fit(tasks):
        (epoch,) = fit.history[1:]
        # Updates of 64 events; together as many times more in the same time. 1 s is held-out.
        assert epoch["events_per_second"] == 64 / 2 * stack
        assert epoch["seconds"] == fit.summary["updates_per_epoch"] * 2 / stack + 1
        assert epoch["waiting"] == 0.5


def test_time_is_shared_by_those_that_run(clock):
    """The shorter of two epochs leaves the rest of the time to the other."""
    trainer = _trainer("mlp", 2, epochs=1)
    few, many = trainer.fit([_task(trainer, k, two_classes(n)) for k, n in enumerate((100, 300))])
    short, long = (fit.summary["updates_per_epoch"] for fit in (few, many))
    assert short < long
    assert few.history[1]["seconds"] == short + 1
    assert many.history[1]["seconds"] == short + 2 * (long - short) + 1


def test_each_stops_by_itself():
    """Patience of 1 and a rate that does harm: some stop long before the others."""
    changes = {"epochs": 12, "patience": 1, "learning_rate": 0.5, "ema": 0.0}
    together, alone = (_trainer("mlp", stack, **changes) for stack in (4, 1))
    sources = two_classes(200, shift=0.1)
    found = together.fit([_task(together, k, sources) for k in range(4)])
    lengths = [len(fit.history) for fit in found]
    assert min(lengths) < max(lengths)
    for k, fit in enumerate(found):
        _same(fit, alone.fit([_task(alone, k, sources)])[0])


def test_stopped_networks_are_not_evaluated_any_more(monkeypatch):
    trainer = _trainer("mlp", 4, epochs=12, patience=1, learning_rate=0.5, ema=0.0)
    sizes, gradient = [], trainer.engine.gradient

    def spy(parameters, prepared):
        sizes.append(len(parameters))
        return gradient(parameters, prepared)

    monkeypatch.setattr(trainer.engine, "gradient", spy)
    found = trainer.fit([_task(trainer, k, two_classes(200, shift=0.1)) for k in range(4)])
    updates = [(len(fit.history) - 1) * fit.summary["updates_per_epoch"] for fit in found]
    assert sum(sizes) == sum(updates)
    assert sizes[0] == 4 > sizes[-1]


def test_one_after_the_other_is_bitwise_the_same():
    """The number of networks that a job trains does not matter."""
    trainer = _trainer("deepsets", 1, optimizer="adam", epochs=2)
    sources = two_classes(200)
    found = trainer.fit([_task(trainer, k, sources) for k in range(3)])
    for k, fit in enumerate(found):
        (alone,) = trainer.fit([_task(trainer, k, sources)])
        np.testing.assert_array_equal(fit.parameters, alone.parameters)


def test_a_failed_network_leaves_the_others_alone():
    together, alone = (_trainer("mlp", stack) for stack in (4, 1))
    good = two_classes(200)
    data, simulation = two_classes(200, seed=5)
    data.features.event[::3] = np.nan
    tasks = [_task(together, k, (data, simulation) if k == 1 else good) for k in range(3)]
    found = together.fit(tasks)
    assert isinstance(found[1], TrainingError)
    assert str(found[1]).startswith("network 1: held-out loss before training is nan")
    for k in (0, 2):
        _same(found[k], alone.fit([_task(alone, k, good)])[0])


def test_predictions_of_several_networks_are_those_of_each():
    source = changed(twins(300), select=np.arange(300) % 3 > 0)
    trainer = _trainer("pet", 2)
    rows = [initial_weights(trainer, k) for k in range(3)]
    slices, parts = zip(*trainer.predict(rows, source), strict=True)
    assert [part.stop for part in slices] == [300]
    assert slices[0].start == 0
    found = np.concatenate(parts, axis=1)
    assert found.shape == (3, 300)
    alone = native_trainer("pet")
    for row, expected in zip(found, rows, strict=True):
        np.testing.assert_allclose(row, predict(alone, expected, source), atol=1e-6)
    assert np.isnan(found).sum() == 3 * 100


@pytest.fixture(scope="module")
def quickly():
    """XLA does not optimise what it compiles: it has to be right here, and not fast."""
    with pytest.MonkeyPatch.context() as patch:
        # Read when XLA is used for the first time.
        patch.setenv("XLA_FLAGS", "--xla_backend_optimization_level=0")
        yield


@pytest.mark.parametrize(
    ("kind", "xla", "loss"),
    [
        *(("pet", xla, "bce_logistic") for xla in (False, True)),
        *(("mlp", False, loss) for loss in ("bce_normal", "bce_arctan", "mlc_exp")),
    ],
)
def test_a_stack_has_the_gradients_of_each(kind, xla, loss, quickly):
    """Of 48 events and 47, and of two, which are fewer micro-batches."""
    # XLA compiles once: all micro-batches have as many events of up to 4 particles.
    source = changed(twins(80), features=features(80, 0, longest=4))
    trainer = _trainer(kind, 2, xla, loss=loss)
    rows, engine = [initial_weights(trainer, k) for k in range(2)], trainer.engine
    for count in (47, 2):
        batches = [((source,), [np.arange(n)[np.newaxis]]) for n in (48, count)]
        (prepared,) = engine.prepare(batches)
        _close(engine.gradient(rows, prepared), _gradients_alone(kind, rows, batches, loss))
        if count == 47 and not xla:  # events with one particle at most, which has no neighbour
            assert prepared[0][1].shape[2] == 1
            assert np.any(prepared[0][1])


@pytest.mark.parametrize("stack", [1, 2, 5, 8, 32])
def test_xla_sees_few_sizes_of_a_stack(stack):
    engine = Graph.__new__(Graph)
    engine.stack, engine.xla = stack, True
    rows = [engine._rows(networks) for networks in range(1, stack + 1)]
    assert rows[-1] == stack
    for networks, found in enumerate(rows, 1):
        assert networks <= found
        assert (found - networks) / found < 1 / 3
    assert len(set(rows)) <= 1 + np.ceil(np.log(stack) / np.log(1.5))


def test_rows_that_fill_a_stack_change_nothing(quickly):
    """Four networks in a stack of five, and then one of them alone."""
    source, trainer = twins(60), _trainer("mlp", 5, xla=True)
    rows, engine = [initial_weights(trainer, k) for k in range(4)], trainer.engine
    for networks, size in ((4, 5), (1, 1)):
        batches = [((source,), [np.arange(5 * k, 40)[np.newaxis]]) for k in range(networks)]
        (prepared,) = engine.prepare(batches)
        assert {tensor.shape[0] for part in prepared for tensor in part} == {size}
        found = engine.gradient(rows[:networks], prepared)
        assert [len(each) for each in found] == [networks, networks]
        _close(found, _gradients_alone("mlp", rows[:networks], batches))


def test_xla_sees_few_lengths():
    engine = Graph.__new__(Graph)
    engine.stack, engine.xla, engine.parts = 1, True, 3
    source = twins(600)
    lengths = set()
    for start in range(0, 600, 60):
        (parts,) = engine.prepare([((source,), [np.arange(start, start + 60)[np.newaxis]])])
        lengths |= {part[1].shape[1] for part in parts}
    assert lengths <= {4, 8}
