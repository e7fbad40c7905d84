"""The test of the detector response: toys with the same one, another one, and the whole stage."""

import json

import numpy as np
import pytest
import small_study
from scipy.stats import chi2

from omniflow.config import validate
from omniflow.events import store
from omniflow.stages import response, samples
from omniflow.tables.identifiability import RESPONSE
from omniflow.training import trainer
from omniflow.training.engines import shared
from omniflow.unfolding.plan import Plan


def _plan(folder, name, **sections):
    plan = small_study.make_plan(folder, name, {"none": {}}, {}, 1, particle_level="all")
    return Plan(plan.config.model_copy(update=sections))


def _sample(rng, n, mean=0.0, bias=0.0, width=0.5, passes=0.7):
    """Two observables; what the detector smears and loses depends on the particle level."""
    particle = rng.normal([mean, 0], 1, (n, 2))
    smeared = particle + width * (1 + 0.3 * np.abs(particle)) * rng.normal(size=(n, 2)) + bias
    smeared[rng.random(n) > passes + 0.2 * (particle[:, 0] > 0)] = np.nan
    ids = rng.permutation(10 * n)[:n].astype(np.uint64)
    return response.Sample(ids, rng.uniform(0.5, 1.5, n), particle, smeared)


def _compare(folder, number, n, **moved):
    plan = _plan(folder, f"toy-{number}")
    study = plan.config.study.model_copy(update={"seed": number})
    plan = Plan(plan.config.model_copy(update={"study": study}))
    small = Plan(response.small_networks(plan), plan.root)
    rng = np.random.default_rng(number)
    pair = _sample(rng, n, mean=0.5, **moved), _sample(rng, 2 * n)
    with shared():
        return response.Test(small, response.networks("data")[:3], *pair).compare()


def test_other_spectra_with_the_same_response_are_no_alarm(tmp_path):
    """z is normal with width 1: of 300 toys by hand 5% were above 1.645 and 1% above 2.33."""
    z = np.array([_compare(tmp_path, number, 400).z for number in range(16)])
    assert abs(z.mean()) < 4 / np.sqrt(len(z))
    assert (z**2).sum() < chi2.ppf(1 - 1e-4, len(z))


@pytest.mark.parametrize("moved", [{"bias": 0.25}, {"width": 0.75}, {"passes": 0.5}])
def test_a_moved_wider_or_less_efficient_response_is_found(tmp_path, moved):
    found = _compare(tmp_path, 1, 2000, **moved)
    assert found.z > 4
    assert found.auc > 0.5 + 2 * found.auc_error


def test_networks_of_the_study_may_see_particles_alone(tmp_path):
    """What these networks see are observables, whatever the study's own do."""
    role = small_study.ROLE | {"source": small_study.SOURCE.replace("OneNumber", "WithParticles")}
    raw = {
        "study": {"name": "particles", "output": str(tmp_path)},
        "samples": {"data": role, "simulation": role | {"seed": 4}},
        "classifier": {"kind": "deepsets", "features": {"particles": ["pt"]}},
        "methods": {"none": {}},
    }
    plan = Plan(validate(raw))
    small, rng = Plan(response.small_networks(plan), plan.root), np.random.default_rng(1)
    pair = _sample(rng, 300), _sample(rng, 300)
    found = response.Test(small, response.networks("data")[:3], *pair).compare()
    assert abs(found.z) < 4


@pytest.fixture(scope="module")
def study(folder):
    """Pseudo-data whose truth and width of smearing are others than those of the simulation."""
    plan = _plan(folder, "response")
    for role, size, mean in (("data", 3000, 0.4), ("simulation", 6000, 0.0)):
        events = small_study.sample(size, mean, 1 if role == "data" else 2)
        store.write(events, plan.store(role), {}, 3)
        samples.make_observables(plan, role)
    return plan


def test_the_stage_writes_a_test_and_its_control(study):
    assert study.response_roles == ("data",)
    response.train(study, "data")
    table = response.table(study)
    assert list(table.columns) == RESPONSE.names
    assert table.test.tolist() == list(response.TESTS)
    assert (table.z.abs() < 4).all()  # misses at every fifth event, whatever its truth
    # Half of the events of both samples, and of the simulation alone.
    assert table.events.to_numpy(float) == pytest.approx([4500, 3000], rel=0.05)
    # The control has the spectra of the test.
    areas, errors = table.auc_alone, table.auc_alone_error
    assert areas.min() > 0.55
    assert abs(areas[0] - areas[1]) < 4 * np.hypot(*errors)
    assert (table.failure == "").all()


def test_a_job_that_is_run_again_gives_the_same(study):
    response.train(study, "data")
    first = study.response("data").read_text()
    response.train(study, "data")
    assert study.response("data").read_text() == first


def test_large_samples_are_thinned(study, monkeypatch):
    monkeypatch.setattr(response, "RESPONSE_EVENTS", 1000)
    found = response.read(study, "simulation")
    assert len(found.event_id) == pytest.approx(1000, abs=150)
    simulation = store.open_store(study.store("simulation"))
    rows = np.flatnonzero(np.isin(simulation.event_id, found.event_id))
    np.testing.assert_array_equal(found.particle[:, 0], simulation.particle.event[rows, 0])
    passing = simulation.pass_detector[rows]
    np.testing.assert_array_equal(np.isfinite(found.detector[:, 0]), passing)
    measured = simulation.detector.event[rows[passing], 0]
    np.testing.assert_array_equal(found.detector[passing, 0], measured)


def test_without_truth_there_is_no_test(warm):
    samples.make_observables(warm, "simulation")
    response.train(warm, "data")
    assert json.loads(warm.response("data").read_text())["tests"] == []
    assert list(response.table(warm).columns) == RESPONSE.names


def test_networks_that_fail_are_noted(study, monkeypatch):
    fail = trainer.TrainingError("diverges")
    monkeypatch.setattr(trainer.Trainer, "fit", lambda self, tasks: [fail] * len(tasks))
    response.train(study, "data")
    (row,) = response.table(study).itertuples()
    assert row.failure.startswith("diverges")
    assert np.isnan(row.z)


def test_inputs_are_standardised_and_say_what_does_not_exist():
    values = np.array([[1.0, np.nan], [3.0, np.nan], [5.0, 2.0], [500.0, 4.0]])
    found = response.scaled(values, np.array([True, True, False, True]))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[:3, 0].mean(), found[1, 0], atol=1e-6)
    np.testing.assert_array_equal(found[:, 2], [0, 0, 1, 1])
    np.testing.assert_array_equal(found[:2, 1], 0)
    twice = response.scaled(np.repeat(values, 2, axis=1), np.ones(4, bool))
    assert twice.shape == (4, 5)
