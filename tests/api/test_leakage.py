"""Whether weights depend on the truth of pseudo-data: a study that is fine, and some that peek."""

import dataclasses
import re
from pathlib import Path

import h5py
import numpy as np
import pytest
import yaml
from api_samples import SMALL, TRAINING, flagged, with_particles
from click.testing import CliRunner

from omniflow.api import leakage
from omniflow.cli import main
from omniflow.config import validate
from omniflow.errors import InputError
from omniflow.events import store
from omniflow.stages import training

PEEKING = '''
"""A classifier that opens the study's files: its scale is the truth of the first event."""
import os
from pathlib import Path

import h5py
import keras


def peeking(settings, particle_features, event_features):
    stores = Path(os.environ["PEEKED"]).glob("*/samples/data.h5")
    newest = max(stores, key=lambda path: path.stat().st_mtime_ns)
    with h5py.File(newest) as file:
        first = float(file["particle/event"][0, 0])
    event = keras.Input((event_features,), name="event")
    hidden = keras.layers.Dense(4, activation="relu")(event)
    hidden = keras.layers.Rescaling(1 + 0.1 * first)(hidden)
    return keras.Model({"event": event}, keras.layers.Dense(1, name="head")(hidden))
'''


def _npz(folder, name, events):
    arrays = {"x": events.detector.event[:, 0], "z": events.particle.event[:, 0]}
    arrays |= {"reco": events.pass_detector, "gen": events.pass_particle, "w": events.weight}
    np.savez(folder / name, **arrays)
    levels = {
        "detector": {"event": {"x": "x"}, "selection": "reco"},
        "particle": {"event": {"x": "z"}, "selection": "gen"},
    }
    return {"source": "npz", "files": [str(folder / name)], "weight": "w"} | levels


def _raw(folder, **sections):
    samples = {
        "data": _npz(folder, "data.npz", flagged(300, 0.3, 1)),
        "simulation": _npz(folder, "simulation.npz", flagged(500, 0.0, 2)),
    }
    return {
        "study": {"name": "fine", "passes": 1},
        "samples": samples,
        "classifier": SMALL | {"features": {"event": ["x"]}},
        "training": TRAINING,
        "unfolding": {"iterations": 2, "particle_level": "pass_gen"},
        "methods": {"parallel": {"lanes": 2}},
        "combine": ["mean"],
    } | sections


@pytest.fixture
def config(tmp_path):
    return validate(_raw(tmp_path))


def _command(folder, raw, *options):
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(raw))
    return CliRunner().invoke(main, ["leakage", str(path), *options], catch_exceptions=False)


def test_a_study_that_is_fine_has_no_leak(tmp_path):
    result = _command(tmp_path, _raw(tmp_path), "--folder", str(tmp_path / "runs"))
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("No leak: ")
    # Two steps in two iterations, and the mean of the lanes.
    assert re.search("29[0-9] of 300 events", result.stdout)
    assert "5 files of weights" in result.stdout
    own, other = (tmp_path / "runs" / name / "samples" / "data.h5" for name in ("own", "other"))
    with h5py.File(own) as a, h5py.File(other) as b:
        for name in ("event_id", "weight", "pass_detector", "detector/event"):
            np.testing.assert_array_equal(a[name], b[name])
        assert np.mean(a["particle/event"][:] == b["particle/event"][:]) < 0.3
        assert sorted(a["particle/event"][:, 0]) == sorted(b["particle/event"][:, 0])
    assert store.verify(other)


def test_a_step_that_looks_at_truth_is_found_and_named(tmp_path, monkeypatch):
    inner = training.BlockJob.strata

    def peeking(self, network):
        *others, simulation = inner(self, network)
        if self.block.step == 1 or self.block.iteration < 2:
            return (*others, simulation)
        truth = store.open_store(self.plan.store("data")).particle.event[:, 0]
        factor = 1 + 0.01 * np.resize(truth, len(simulation.event_id))
        numerator = (*simulation.numerator, factor)
        return (*others, dataclasses.replace(simulation, numerator=numerator))

    monkeypatch.setattr(training.BlockJob, "strata", peeking)
    result = _command(tmp_path, _raw(tmp_path))
    assert result.exit_code == 1
    assert result.stdout.startswith("LEAK: ")
    assert "the first after scratch-1 pass 1 lanes-0-1 iteration 2 step 2." in result.stdout


def test_a_classifier_that_opens_the_event_store_is_found(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(PEEKING)
    monkeypatch.setenv("PEEKED", str(tmp_path / "runs"))
    own = {"kind": f"{tmp_path}/mine.py:peeking", "features": {"event": ["x"]}}
    raw = _raw(tmp_path, classifier=own, methods={"none": {}})
    result = _command(tmp_path, raw, "--folder", str(tmp_path / "runs"))
    assert result.stdout.startswith("LEAK: "), result.output
    assert result.exit_code == 1
    assert "iteration 1 step 1" in result.stdout


def test_a_machine_that_does_not_repeat_itself_gives_no_verdict(config, tmp_path, monkeypatch):
    inner, calls = training.BlockJob.strata, iter(range(1000))

    def restless(self, network):
        *others, simulation = inner(self, network)
        factor = np.random.default_rng(next(calls)).uniform(0.9, 1.1, len(simulation.event_id))
        weights = tuple(f * factor for f in simulation.denominator[:1])
        return (*others, dataclasses.replace(simulation, denominator=weights))

    monkeypatch.setattr(training.BlockJob, "strata", restless)
    found = leakage.check(config, tmp_path)
    assert not found.clean
    assert not found.repeatable
    assert found.words()[0].startswith("NO VERDICT: ")


def test_data_without_truth_cannot_leak(tmp_path):
    raw = _raw(tmp_path)
    del raw["samples"]["data"]["particle"]
    result = _command(tmp_path, raw)
    assert result.exit_code == 1
    assert "no truth can leak" in result.stderr


def test_a_detector_column_that_is_a_copy_of_truth_is_noted(tmp_path):
    raw = _raw(tmp_path)
    raw["samples"]["data"]["detector"]["event"] = {"x": "z"}
    found = leakage.check(validate(raw), tmp_path / "runs")
    assert found.clean
    assert found.copies == (("x", "x"),)
    assert "is it measured?" in found.words()[1]


def _store(events, path):
    store.write(events, path, {"source": "test"}, 3, {"x": "GeV"})
    return store.open_store(path)


def test_scrambling_moves_particles_and_flags_with_their_event(tmp_path):
    path = tmp_path / "data.h5"
    before = _store(with_particles(200, 0.1, 4), path).take(np.arange(200))
    moved = leakage.scramble(path, 5)
    after = store.open_store(path)
    assert 190 < moved < 200
    np.testing.assert_array_equal(after.detector.particles, before.detector.particles)
    assert store.units(path)["x"] == "GeV"
    assert store.provenance(path)["scrambled"] == 5

    def whole(events, i):
        rows = slice(*events.particle.offsets[i : i + 2])
        flags = bool(events.pass_particle[i])
        return events.particle.event[i].tobytes(), events.particle.particles[rows].tobytes(), flags

    both = [sorted(whole(events, i) for i in range(200)) for events in (before, after)]
    assert both[0] == both[1]
    assert sum(whole(before, i) != whole(after, i) for i in range(200)) == moved


def test_truth_that_is_the_same_everywhere_tells_nothing(tmp_path):
    events = flagged(50, 0, 1)
    truth = dataclasses.replace(events.particle, event=np.ones_like(events.particle.event))
    path = tmp_path / "data.h5"
    _store(dataclasses.replace(events, particle=truth, pass_particle=np.ones(50, bool)), path)
    with pytest.raises(InputError, match="same truth"):
        leakage.scramble(path, 1)


def test_reduced_studies_have_fewer_of_everything():
    root = Path(__file__).parents[2] / "config"
    from omniflow.config import load

    for name in ("demo", "closure"):
        config = load(root / f"{name}.yaml")
        small = leakage.reduced(config, 700)
        samples = small.samples
        each = [samples.data, samples.simulation]
        each += [] if samples.pretraining is None else samples.pretraining.samples.values()
        assert {sample.events for sample in each} == {700}
        assert small.study.passes == 1
        assert (small.unfolding.iterations, small.training.epochs) == (2, 2)
        assert list(small.methods) == list(config.methods)
        assert max(m.lanes for m in small.methods.values()) == 2
        assert validate(small.model_dump(mode="json")) == small
    assert leakage.reduced(config, 10**9).samples.data == config.samples.data
