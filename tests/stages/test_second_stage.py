import json

import numpy as np
import pytest
import small_study
from scipy.stats import norm

from omniflow.events import store
from omniflow.hdf5 import create_h5
from omniflow.stages import samples, second, tables
from omniflow.training import progress, trainer
from omniflow.unfolding.plan import Plan
from omniflow.unfolding.results import PRIOR

EVENTS = 6000
# Of both classes at a level: normal with width 1 before and sqrt(1 + 0.3^2) after the detector.
SHIFT = 0.5
AREAS = {
    "detector": norm.cdf(SHIFT / np.sqrt(2 * 1.09)),
    "particle": norm.cdf(SHIFT / np.sqrt(2)),
}


def _plan(folder, name, shift, events=EVENTS):
    """Pseudo-data with truth, moved by `shift`, against simulation."""
    plan = small_study.make_plan(folder, name, {"none": {}}, {}, 1, particle_level="all")
    for role, size, mean in (("data", events, shift), ("simulation", EVENTS, 0.0)):
        seed = 1 if role == "data" else 2
        store.write(small_study.sample(size, mean, seed), plan.store(role), {}, seed)
    samples.make_scaling(plan)
    for role, level in (("data", "detector"), ("simulation", "detector")):
        samples.make_features(plan, role, level)
    samples.make_features(plan, "simulation", "particle")
    return plan


@pytest.fixture(scope="module")
def moved(folder):
    """Simulation and moved data; the method's weights are the exact ratio of their densities."""
    plan = _plan(folder, "moved", SHIFT)
    simulation = store.open_store(plan.store("simulation"))
    order = np.argsort(simulation.event_id)
    z = np.asarray(simulation.particle.event)[order, 0].astype(float)
    ratio = np.exp(SHIFT * z - SHIFT**2 / 2)
    with create_h5(plan.unfolded("none", "none", 1)) as file:
        file["event_id"] = np.asarray(simulation.event_id)[order]
        file["weight"] = np.asarray(simulation.weight)[order] * ratio
        file["ratio"] = np.stack([np.ones(EVENTS), ratio]).astype(np.float32)
    return plan


def _areas(plan, subject):
    second.train(plan, subject)
    content = json.loads(plan.second(subject).read_text())
    levels = ("detector", "particle")
    return {
        level: record["judged"] for level, record in zip(levels, content["networks"], strict=True)
    }


def test_different_samples_have_the_area_of_theory(moved):
    for level, found in _areas(moved, PRIOR).items():
        assert found["auc"] > 0.5 + 5 * found["auc_error"]
        assert found["auc"] == pytest.approx(AREAS[level], abs=3 * found["auc_error"])


def test_exact_weights_leave_nothing_to_tell(moved):
    for found in _areas(moved, "none").values():
        # A classifier that learns nothing gives every event the same: an area of 1/2 exactly.
        assert 0.005 < found["auc_error"] < 0.03 or (found["auc"], found["auc_error"]) == (0.5, 0)
        assert found["auc"] == pytest.approx(0.5, abs=3 * found["auc_error"])


def test_equal_samples_cannot_be_told(folder):
    for found in _areas(_plan(folder, "equal", 0.0), PRIOR).values():
        assert found["auc"] == pytest.approx(0.5, abs=3 * found["auc_error"])


def _noted(monkeypatch):
    """List that jobs are added to when they are made."""
    jobs, inner = [], second._Second.__init__

    def noted(self, *arguments):
        inner(self, *arguments)
        jobs.append(self)

    monkeypatch.setattr(second._Second, "__init__", noted)
    return jobs


def _records(plan, subject):
    return json.loads(plan.second(subject).read_text())["networks"]


def test_a_job_whose_end_was_not_seen_is_not_trained_again(moved, monkeypatch):
    """Its output is deleted; checkpoints are kept until there are tables."""
    second.train(moved, PRIOR)
    first = _records(moved, PRIOR)
    moved.second(PRIOR).unlink()
    trained = []
    monkeypatch.setattr(progress.Progress, "update", lambda *given: trained.append(given))
    second.train(moved, PRIOR)
    again = _records(moved, PRIOR)
    assert not trained
    for key in ("digest", "fingerprint", "judged"):
        assert [record[key] for record in again] == [record[key] for record in first]
    second.train(moved, "none")
    tables.remove_checkpoints(moved)
    assert not list((moved.root / "checkpoints").rglob("*.h5"))


def test_a_checkpoint_of_other_events_is_not_used(moved):
    second.train(moved, PRIOR)
    before = _records(moved, PRIOR)
    observables = moved.config.observables.model_copy(update={"region": "all"})
    other = Plan(moved.config.model_copy(update={"observables": observables}))
    second.train(other, PRIOR)
    detector, particle = zip(before, _records(other, PRIOR), strict=True)
    assert detector[0]["digest"] == detector[1]["digest"]  # the region is one at particle level
    assert particle[0]["fingerprint"] != particle[1]["fingerprint"]
    assert particle[0]["summary"]["train_events"] < particle[1]["summary"]["train_events"]
    assert particle[1]["summary"]["resumed"] == 0


def test_judged_events_take_no_part_in_the_training(moved, monkeypatch):
    jobs = _noted(monkeypatch)
    second.train(moved, "none")
    simulation = store.open_store(moved.store("simulation"))
    selected = (simulation.pass_detector, simulation.pass_particle)
    assert len(jobs) == 2
    for job, select in zip(jobs, selected, strict=True):
        for trained, judged in zip(job.sources(None), job._judged, strict=True):
            assert not np.any(trained.select & judged.select)
        np.testing.assert_array_equal(trained.select | judged.select, select)
        assert judged.select.sum() == pytest.approx(0.2 * select.sum(), rel=0.1)


def test_much_simulation_is_thinned(folder, monkeypatch):
    """Twice as many events as in the data, whatever there are; the verdict is that of theory."""
    plan = _plan(folder, "thinned", SHIFT, events=1500)
    jobs = _noted(monkeypatch)
    found = _areas(plan, PRIOR)
    data = store.open_store(plan.store("data"))
    for job, select, level in zip(
        jobs, (data.pass_detector, data.pass_particle), found, strict=True
    ):
        used = [t.select | j.select for t, j in zip(job.sources(None), job._judged, strict=True)]
        np.testing.assert_array_equal(used[0], select)
        assert used[1].sum() == pytest.approx(2 * select.sum(), rel=0.08)
        area, error = found[level]["auc"], found[level]["auc_error"]
        assert area == pytest.approx(AREAS[level], abs=3 * error)


def test_real_data_are_judged_at_detector_level_alone(warm):
    second.train(warm, "none")
    (record,) = json.loads(warm.second("none").read_text())["networks"]
    assert record["network"]["step"] == 5
    assert record["judged"]["events"] > 0


def test_a_classifier_that_fails_is_noted(moved, monkeypatch):
    fail = trainer.TrainingError("diverges")
    monkeypatch.setattr(trainer.Trainer, "fit", lambda self, tasks: [fail] * len(tasks))
    second.train(moved, PRIOR)
    second.train(moved, "none")
    table = second.table(moved)
    assert len(table) == 4
    assert table.failure.str.startswith("diverges").all()
    assert table.auc.isna().all()
