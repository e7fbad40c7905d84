import numpy as np
import pytest
import small_study

from omniflow.config import validate
from omniflow.errors import ConfigError, InputError
from omniflow.events import store
from omniflow.observables import axes
from omniflow.stages import evaluation, samples
from omniflow.unfolding.plan import Plan


def make_plan(folder, **define):
    raw = {
        "study": {"name": "own", "output": str(folder)},
        "samples": {"data": small_study.ROLE, "simulation": small_study.ROLE | {"seed": 4}},
        "methods": {"none": {}},
        "observables": {"define": define},
    }
    plan = Plan(validate(raw))
    for number, (role, n) in enumerate((("data", 400), ("simulation", 500))):
        events = small_study.sample(n, 0.5 - number / 2, number)
        store.write(events, plan.store(role), {}, number)
    return plan


def test_quantiles_are_those_of_simulated_events_that_pass(tmp_path):
    """Of a sample that is no DIS and has no particles; data and truth decide nothing."""
    plan = make_plan(tmp_path, x={"expression": "x", "bins": {"quantiles": 5}})
    for role in plan.samples:
        samples.make_observables(plan, role)
    samples.make_axes(plan)
    simulation = store.open_store(plan.store("simulation"))
    passes = np.asarray(simulation.pass_detector)
    x, weight = simulation.detector.event[passes, 0], np.asarray(simulation.weight)[passes]
    edges = evaluation.edges(plan, "particle")["x"]
    parts = np.histogram(x, edges, weights=weight)[0] / weight.sum()
    np.testing.assert_allclose(parts, 0.2, atol=1.5 / 400)
    found = evaluation.fill(plan, "simulation", "detector", simulation.weight)["x"]
    np.testing.assert_allclose(found.content, parts * weight.sum())
    assert found.flow.tolist() == [0, 0]
    # what lies beyond the simulation is counted beside the bins
    data = store.open_store(plan.store("data"))
    found = evaluation.fill(plan, "data", "detector", data.weight)["x"]
    passes = np.asarray(data.pass_detector)
    x, weight = data.detector.event[passes, 0], np.asarray(data.weight)[passes]
    assert found.flow == pytest.approx([weight[x < edges[0]].sum(), weight[x >= edges[-1]].sum()])
    assert found.flow.sum() > 0
    assert found.flow.sum() + found.content.sum() == pytest.approx(weight.sum())


def test_errors_name_sample_level_and_observable(tmp_path):
    plan = make_plan(tmp_path, ht={"expression": "x & 2"}, n={"expression": "x"})
    with pytest.raises(ConfigError, match=r"data at detector level: observable ht: "):
        samples.make_observables(plan, "data")
    assert not plan.observables("data").exists()


def test_jets_need_particles(tmp_path):
    plan = make_plan(tmp_path, j={"jets": "pt", "radius": 0.4, "pt_min": 5})
    message = "observable j: there is no particle column 'eta' at detector level .*; there is no "
    with pytest.raises(ConfigError, match=message):
        samples.make_observables(plan, "simulation")


def test_a_constant_has_one_bin(tmp_path):
    plan = make_plan(tmp_path, one={"expression": "0 * x + 1"})
    samples.make_observables(plan, "simulation")
    samples.make_axes(plan)
    assert [axis.edges for axis in axes.read(plan.axes)] == [(0.5, 1.5)]


def _study_with_fakes(folder, particle_level):
    """A file of four events, of which the last is a fake without truth."""
    np.savez(folder / "a.npz", x=[1.0, 2.0, 3.0, 4.0], z=[1.5, 2.5, 3.5, np.nan])
    np.savez(folder / "b.npz", x=[1.2, 2.2, 3.2])
    level = {"event": ["x"]}
    data = {"source": "npz", "files": [str(folder / "b.npz")], "detector": level}
    truth = {"event": {"x": "z"}, "selection": "not isnan(z)"}
    simulation = data | {"files": [str(folder / "a.npz")], "particle": truth}
    raw = {
        "study": {"name": "fakes", "output": str(folder)},
        "samples": {"data": data, "simulation": simulation},
        "classifier": {"kind": "mlp"},
        "unfolding": {"particle_level": particle_level},
        "methods": {"none": {}},
    }
    return Plan(validate(raw))


def test_fakes_without_truth_are_not_unfolded(tmp_path):
    plan = _study_with_fakes(tmp_path, "pass_gen")
    samples.make_store(plan, "simulation")
    found = store.open_store(plan.store("simulation"))
    assert np.asarray(found.pass_particle)[np.argsort(found.event_id)].tolist() == [1, 1, 1, 0]
    plan = _study_with_fakes(tmp_path, "all")
    message = r"1 simulated events have no particle level, such as .*a\.npz: event 3: .*pass_gen"
    with pytest.raises(InputError, match=message):
        samples.make_store(plan, "simulation")
    assert not plan.store("simulation").exists()
