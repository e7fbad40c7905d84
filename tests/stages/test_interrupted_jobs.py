"""Jobs that die, and networks that diverge."""

import dataclasses
import json
import os
import shutil
import signal

import numpy as np
import pytest

from omniflow.errors import TrainingError
from omniflow.hdf5 import open_h5
from omniflow.stages import training, weights
from omniflow.training.interrupt import Interrupted
from omniflow.training.native import Native
from omniflow.training.progress import Progress
from omniflow.training.sets import Sets
from omniflow.unfolding.plan import Plan


class Killed(BaseException):
    """Stands for SIGKILL: no handler runs."""


@pytest.fixture
def study(warm, tmp_path):
    """A copy of the study with the outputs of its first job taken away: plan and block."""
    plan = _moved(warm, tmp_path)
    shutil.copytree(warm.root, plan.root)
    block = next(iter(plan.all_blocks()))
    assert len(block.networks) == 3
    _forget(plan, block)
    return plan, block


def _moved(plan, folder, **training_settings):
    config = plan.config
    return Plan(
        config.model_copy(
            update={
                "study": config.study.model_copy(update={"output": str(folder)}),
                "training": config.training.model_copy(update=training_settings),
            }
        )
    )


def _forget(plan, block):
    plan.history(block).unlink()
    plan.logits(block).unlink()
    shutil.rmtree(plan.networks_folder(block))


def _checkpoints(plan):
    """Checkpoints of unfolding; those of pre-training are kept until there are tables."""
    found = (plan.root / "checkpoints" / "scratch-1").rglob("*.h5")
    return sorted(path.name for path in found)


def _same_outputs(plan, original, block):
    ours, theirs = (
        json.loads(p.history(block).read_text(encoding="utf-8"))["networks"]
        for p in (plan, original)
    )
    assert [r["digest"] for r in ours] == [r["digest"] for r in theirs]
    assert [r["fingerprint"] for r in ours] == [r["fingerprint"] for r in theirs]
    with open_h5(plan.logits(block)) as one, open_h5(original.logits(block)) as two:
        np.testing.assert_array_equal(one["logits"][:], two["logits"][:])
    return ours


@pytest.fixture
def at_update(monkeypatch):
    """Call something at one update of the next job; return the list of updates it did."""

    def arrange(number, action):
        done = []
        original = Native.train

        def train(self, steps, prepared, rates, momenta):
            done.append(len(prepared))
            if len(done) == number:
                action()
            return original(self, steps, prepared, rates, momenta)

        monkeypatch.setattr(Sets, "ahead", 0)  # one update a call
        monkeypatch.setattr(Native, "train", train)
        return done

    return arrange


def _die():
    raise Killed


def test_a_killed_job_goes_on_with_what_it_had(warm, study, at_update):
    plan, block = study
    per_network = sum(len(r["epochs"]) - 1 for r in _records(warm, block)) / 3
    updates = _records(warm, block)[0]["summary"]["updates_per_epoch"] * per_network
    at_update(int(updates) + 2, _die)
    with pytest.raises(Killed):
        training.train_block(plan, block)
    assert not plan.history(block).exists()
    assert not plan.networks_folder(block).exists()
    assert len(_checkpoints(plan)) == 1  # of the network that had finished
    done = at_update(0, _die)
    training.train_block(plan, block)
    assert len(done) == 2 * updates  # the other two alone
    _same_outputs(plan, warm, block)


def test_checkpoints_stay_until_the_outputs_are_used(warm, study, at_update):
    plan, block = study
    training.train_block(plan, block)
    assert len(_checkpoints(plan)) == 3
    # Snakemake deletes the outputs of a job that it did not see end.
    _forget(plan, block)
    done = at_update(0, _die)
    training.train_block(plan, block)
    assert not done
    _same_outputs(plan, warm, block)
    weights.aggregate(plan, block.group, block.iteration, block.step)
    assert not _checkpoints(plan)


@pytest.mark.parametrize("number", [1, 7, 15])
def test_sigterm_saves_the_update_it_comes_at(warm, study, at_update, number):
    plan, block = study
    at_update(number, lambda: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(Interrupted, match="a rerun goes on from there"):
        training.train_block(plan, block)
    done = at_update(0, _die)
    training.train_block(plan, block)
    records = _same_outputs(plan, warm, block)
    total = sum(r["summary"]["updates_per_epoch"] * (len(r["epochs"]) - 1) for r in records)
    assert len(done) == total - number
    assert sum(r["summary"]["resumed"] for r in records) == 1


def _records(plan, block):
    return json.loads(plan.history(block).read_text(encoding="utf-8"))["networks"]


def test_checkpoints_of_other_settings_are_left_alone(warm, study, at_update):
    plan, block = study
    at_update(3, lambda: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(Interrupted):
        training.train_block(_moved(plan, plan.config.study.output, learning_rate=0.5), block)
    at_update(0, _die)
    training.train_block(plan, block)
    assert all(r["summary"]["resumed"] == 0 for r in _same_outputs(plan, warm, block))


# -- divergence ----------------------------------------------------------------------------------


@pytest.fixture
def diverging(monkeypatch):
    """Let the first so many attempts of a network have a loss that is not a number."""
    attempts = {}
    original = Progress.before

    def before(self, loss):
        if attempts.get(self.task.name, 0) > 0:
            attempts[self.task.name] -= 1
            loss = float("nan")
        return original(self, loss)

    monkeypatch.setattr(Progress, "before", before)
    return attempts


def test_a_diverged_network_is_trained_anew(warm, study, diverging, capsys):
    plan, block = study
    network = block.networks[1]
    diverging[network.name] = 1
    training.train_block(plan, block)
    ours, theirs = _records(plan, block), _records(warm, block)
    assert [r["attempt"] for r in ours] == [0, 1, 0]
    assert ours[1]["failures"] == [
        f"{network.name}: held-out loss before training is nan. "
        "Lower training.learning_rate or training.clip_norm."
    ]
    assert [r["digest"] for r in ours][::2] == [r["digest"] for r in theirs][::2]
    assert ours[1]["start"]["digest"] != theirs[1]["start"]["digest"]  # other random numbers
    assert ours[1]["summary"]["train_events"] == theirs[1]["summary"]["train_events"]  # same split
    assert f"Attempt 1 failed: {network.name}" in capsys.readouterr().err
    assert len(_checkpoints(plan)) == 4  # one of them of the attempt that failed
    weights.aggregate(plan, block.group, block.iteration, block.step)
    assert not _checkpoints(plan)


def test_a_gradient_that_is_not_finite_starts_the_network_anew(warm, study, monkeypatch, capsys):
    plan, block = study
    done, original = [], Native.train

    def train(self, steps, prepared, rates, momenta):
        losses, norms = original(self, steps, prepared, rates, momenta)
        done.append(losses)
        if len(done) == 2:  # of the first network; its loss is finite
            norms = np.full_like(norms, np.nan)
        return losses, norms

    monkeypatch.setattr(Sets, "ahead", 0)  # one update a call
    monkeypatch.setattr(Native, "train", train)
    training.train_block(plan, block)
    assert np.isfinite(done).all()
    ours, theirs = _records(plan, block), _records(warm, block)
    assert [r["attempt"] for r in ours] == [1, 0, 0]
    message = (
        f"{block.networks[0].name}: gradient of epoch 1 is nan. "
        "Lower training.learning_rate or training.clip_norm."
    )
    assert ours[0]["failures"] == [message]
    assert f"Attempt 1 failed: {message}" in capsys.readouterr().err
    assert ours[0]["start"]["digest"] != theirs[0]["start"]["digest"]  # other random numbers
    assert [r["digest"] for r in ours][1:] == [r["digest"] for r in theirs][1:]


def test_a_network_that_diverges_too_often_ends_the_job(study, diverging, at_update):
    plan, block = study
    network = block.networks[0]
    diverging[network.name] = 2
    with pytest.raises(TrainingError, match=r"lane 0 .* \(Attempt 2, .*restarts allows no more"):
        training.train_block(plan, block)
    # The others are kept; with more restarts only the third attempt is trained.
    assert len(_checkpoints(plan)) == 4
    more = _moved(plan, plan.config.study.output, restarts=3)
    done = at_update(0, _die)
    training.train_block(more, block)
    record = _records(plan, block)[0]
    assert record["attempt"] == len(record["failures"]) == 2
    epochs = len(record["epochs"]) - 1
    assert len(done) == record["summary"]["updates_per_epoch"] * epochs


def test_a_growing_loss_is_divergence(study):
    plan, block = study
    wild = _moved(
        plan,
        plan.config.study.output,
        learning_rate=1.0,
        clip_norm=None,
        ema=0.0,
        restarts=0,
        divergence=1.0001,
        epochs=20,
        patience=20,
    )
    with pytest.raises(TrainingError, match=r"held-out loss of epoch \d+ is .* diverges"):
        training.train_block(wild, block)


def test_checkpoints_are_named_by_network_and_attempt(warm):
    network = next(iter(warm.all_blocks())).networks[2]
    path = warm.checkpoint(network, 1).relative_to(warm.root)
    assert str(path) == (
        "checkpoints/scratch-1/pass-1/iteration-1-step-1-lane-2-member-0-attempt-1.h5"
    )
    other = dataclasses.replace(network, k=7)  # a coordinate that follows from the others
    assert warm.checkpoint(other, 1) == warm.checkpoint(network, 1)
