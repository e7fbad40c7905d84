"""A training that is cut short goes on from its checkpoint and ends with the same numbers."""

import itertools

import numpy as np
import pytest
from small_networks import fit_one, initial_weights, native_trainer, train
from training_inputs import two_classes

from omniflow.errors import InputError, OutputError
from omniflow.models.keras_model import KerasModel
from omniflow.training import checkpoint
from omniflow.training.checkpoint import Checkpoint, State
from omniflow.training.interrupt import Interrupt, Interrupted
from omniflow.training.trainer import Trainer

TIMES = ("seconds", "events_per_second", "waiting")


class Killed(BaseException):
    """Stands for SIGKILL: nothing is caught, nothing is saved."""


def _again(trainer, interrupt=None, seconds=1e9):
    """A trainer as another process would have it, with the same engine."""
    layout = KerasModel(trainer.engine.model).layout
    return Trainer(layout, trainer.settings, trainer.engine, None, interrupt, seconds)


def _cut(trainer, after, error, interrupt=None):
    """Let the trainer end after so many updates."""
    gradient, count = trainer.engine.gradient, 0

    def spy(*arguments):
        nonlocal count
        count += 1
        if count == after:
            if interrupt is None:
                raise error
            interrupt.requested = True
        return gradient(*arguments)

    return spy


@pytest.fixture(scope="module", params=["lion", "adam", "ecd"])
def whole(request):
    """A trainer with everything that has a state, and its undisturbed result.

    Engines have none; that of a native PET leaves updates to the trainer, one by one.
    """
    trainer = native_trainer(
        "pet",
        optimizer=request.param,
        epochs=4,
        schedule="cosine",
        warmup_epochs=0.5,
        ema=0.99,
        ecd={"nu_hat": 0.1},
    )
    return trainer, train(trainer, two_classes())


def _resumed(trainer, path, key="key"):
    weights = initial_weights(trainer)
    return fit_one(_again(trainer), two_classes(), weights, checkpoint=Checkpoint(path, key))


def _equal(one, two):
    np.testing.assert_array_equal(one.parameters, two.parameters)
    assert one.best_epoch == two.best_epoch
    for a, b in zip(one.history, two.history, strict=True):
        assert {k: v for k, v in a.items() if k not in TIMES} == {
            k: v for k, v in b.items() if k not in TIMES
        }


@pytest.mark.parametrize("after", [1, 20, 55])
def test_sigterm_between_two_updates(whole, tmp_path, monkeypatch, after):
    trainer, expected = whole
    path, interrupt = tmp_path / "state.h5", Interrupt()
    with monkeypatch.context() as patch:
        patch.setattr(trainer.engine, "gradient", _cut(trainer, after, None, interrupt))
        with pytest.raises(Interrupted, match="told to end"):
            fit_one(
                _again(trainer, interrupt),
                two_classes(),
                initial_weights(trainer),
                checkpoint=Checkpoint(path, "key"),
            )
    found = _resumed(trainer, path)
    _equal(found, expected)
    assert found.summary["resumed"] == 1


@pytest.mark.parametrize("after", [5, 47])
def test_sigkill_goes_back_to_the_last_checkpoint(whole, tmp_path, monkeypatch, after):
    trainer, expected = whole
    path = tmp_path / "state.h5"
    updates = expected.summary["updates_per_epoch"]
    with monkeypatch.context() as patch:
        patch.setattr(trainer.engine, "gradient", _cut(trainer, after, Killed))
        with pytest.raises(Killed):
            fit_one(
                _again(trainer, seconds=0.0),  # after every update
                two_classes(),
                initial_weights(trainer),
                checkpoint=Checkpoint(path, "key"),
            )
    progress = Checkpoint(path, "key").read().progress
    assert (progress["epoch"] - 1) * updates + progress["update"] == after - 1
    _equal(_resumed(trainer, path), expected)


def test_a_finished_training_is_not_repeated(whole, tmp_path, monkeypatch):
    trainer, expected = whole
    path = tmp_path / "state.h5"
    _equal(_resumed(trainer, path), expected)
    monkeypatch.setattr(trainer.engine, "gradient", _cut(trainer, 1, Killed))
    found = _resumed(trainer, path)
    _equal(found, expected)
    assert found.summary["resumed"] == 0


def test_a_checkpoint_of_something_else_is_not_used(whole, tmp_path):
    trainer, expected = whole
    path = tmp_path / "state.h5"
    Checkpoint(path, "other settings").write(State({}, {}))
    found = _resumed(trainer, path)
    _equal(found, expected)
    assert found.summary["resumed"] == 0


def test_what_is_written_is_read(tmp_path):
    state = State(
        {"epoch": 3, "history": [{"val_loss": 0.1 + 0.2}], "failure": "x: \u03c3 < 0"},
        {"one": np.arange(3.0), "two": np.float32(0.1), "count": np.int64(2**40)},
    )
    kept = Checkpoint(tmp_path / "deep" / "state.h5", "key")
    kept.write(state)
    found = kept.read()
    assert found.progress == state.progress
    for name, array in state.arrays.items():
        np.testing.assert_array_equal(found.arrays[name], array)
        assert found.arrays[name].dtype == array.dtype
    assert Checkpoint(kept.path, "other").read() is None
    assert Checkpoint(tmp_path / "missing.h5", "key").read() is None


def test_a_damaged_file_is_refused(tmp_path):
    path = tmp_path / "state.h5"
    Checkpoint(path, "key").write(State({}, {"one": np.zeros(1000)}))
    path.write_bytes(path.read_bytes()[:900])
    with pytest.raises(InputError, match=r"state\.h5"):
        Checkpoint(path, "key").read()


def test_a_full_disk_leaves_the_last_state(tmp_path, monkeypatch):
    kept = Checkpoint(tmp_path / "state.h5", "key")
    kept.write(State({"epoch": 1}, {}))

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OutputError, match="no space is left"):
        kept.write(State({"epoch": 2}, {}))
    monkeypatch.undo()
    assert kept.read().progress == {"epoch": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["state.h5"]


def test_removing_leaves_folders_to_others(tmp_path):
    paths = [tmp_path / "study" / "a" / f"{name}.h5" for name in "xy"]
    for path in paths:
        Checkpoint(path, "key").write(State({}, {}))
    other = tmp_path / "file"
    other.write_text("", encoding="utf-8")
    (paths[0].parent / ".tmp-0123456789ab-x.h5").write_text("of a killed writer")
    checkpoint.remove(paths[:1])
    assert list(paths[1].parent.iterdir()) == paths[1:]
    checkpoint.remove(paths)
    assert sorted(tmp_path.rglob("*")) == sorted([other, paths[0].parents[1], paths[0].parent])


def test_another_job_may_remove_its_checkpoints_while_one_is_written(tmp_path, monkeypatch):
    mine, theirs = (tmp_path / "study" / "a" / f"{name}.h5" for name in "xy")
    Checkpoint(theirs, "key").write(State({}, {}))

    def removing(path):
        """The moment between making the folder and opening the temporary file."""
        monkeypatch.undo()
        checkpoint.remove([theirs])

    monkeypatch.setattr("omniflow.files.discard_left_over", removing)
    Checkpoint(mine, "key").write(State({"epoch": 1}, {}))
    assert not theirs.exists()
    assert Checkpoint(mine, "key").read().progress == {"epoch": 1}


def test_epochs_shorter_than_the_interval_do_not_put_it_off(whole, tmp_path, monkeypatch):
    trainer, fit = whole
    updates = fit.summary["updates_per_epoch"]
    ticks, epochs = itertools.count(), []
    # Every look at the clock finds it a second later: about one look per update.
    monkeypatch.setattr("omniflow.training.trainer.time.monotonic", lambda: float(next(ticks)))

    class Noted(Checkpoint):
        """Notes the epoch of each state written."""

        def write(self, state):
            epochs.append(state.progress["epoch"])

    trainer = _again(trainer, seconds=1.5 * updates)
    noted = Noted(tmp_path / "state.h5", "key")
    fit_one(trainer, two_classes(), initial_weights(trainer), checkpoint=noted)
    assert epochs[:-1] == [2, 4]  # 4 epochs; the last state is that of the end
