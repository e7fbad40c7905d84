"""The oracle and the tests of the detector response in the plan of a study."""

import pytest
from plans import PYTHIA, make_plan

from omniflow.config import validate
from omniflow.unfolding.coordinates import ORACLE, STEP_NAMES
from omniflow.unfolding.estimate import (
    estimate,
    network_seconds,
    rates,
    response_seconds,
)
from omniflow.unfolding.jobs import TRAINING, jobs
from omniflow.unfolding.limits import Limits
from omniflow.unfolding.plan import Plan

METHODS = {"none": {}, "parallel": {"lanes": 2}}
OTHER = {"simulation": PYTHIA | {"seed": 95}}


def _plan(**diagnostics):
    uncertainties = {"variations": {"shower": OTHER}, "toys": 2, "toy_simulations": True}
    return make_plan(METHODS, diagnostics=diagnostics, uncertainties=uncertainties)


def test_truth_makes_an_oracle_and_every_other_simulation_a_test():
    plan = _plan()
    assert plan.has_oracle
    assert plan.response_roles == ("data", "shower.simulation")
    waited = set(plan.inputs.tables())
    assert {plan.oracle, *(plan.response(role) for role in plan.response_roles)} < waited
    assert plan.features("simulation", "particle") in plan.inputs.oracle
    assert plan.store("data") in plan.inputs.oracle
    inputs = set(plan.inputs.response("shower.simulation"))
    assert {plan.observables("shower.simulation"), plan.observables("simulation")} < inputs
    assert plan.axes not in inputs  # bins play no part


def test_they_wait_for_no_training():
    plan = _plan()
    made = {path for job in jobs(plan, rates(plan)) if job.rule == "train" for path in job.outputs}
    for path in (*plan.inputs.oracle, *plan.inputs.response("data")):
        assert path not in made


def test_real_data_have_no_truth():
    sample = {"source": "npz", "files": ["a.npz"]}
    detector, particle = {"event": {"x": "x"}}, {"event": {"x": "z"}}
    raw = {
        "study": {"name": "s"},
        "samples": {
            "data": sample | {"detector": detector},
            "simulation": sample | {"files": ["b.npz"], "detector": detector, "particle": particle},
        },
        "methods": {"none": {}},
    }
    plan = Plan(validate(raw))
    assert not plan.has_oracle
    assert plan.response_roles == ()


def test_switched_off_nothing_is_trained_more():
    on, off = _plan(), _plan(oracle=False, response=False)
    assert (off.has_oracle, off.response_roles) == (False, ())
    # The small networks of the other tests are no trainings of the study's kind.
    assert estimate(on).jobs - estimate(off).jobs == 1
    assert estimate(on).networks - estimate(off).networks == 1
    seconds = network_seconds(on, rates(on))[ORACLE]
    assert estimate(on).seconds - estimate(off).seconds == pytest.approx(seconds)
    work = [job.work for job in jobs(on, rates(on)) if job.rule == "response"]
    assert work == [response_seconds(estimate(on).events, "data")] * 2
    rules = [[job.rule for job in jobs(plan, rates(plan))] for plan in (on, off)]
    assert (rules[0].count("oracle"), rules[0].count("response")) == (1, 2)
    assert not {"oracle", "response"} & set(rules[1])
    pools = {job.rule: job.pool for job in jobs(on, rates(on))}
    assert (pools["oracle"], pools["response"]) == (TRAINING, "other")


def test_the_switches_leave_trainings_and_seeds_as_they_are():
    on, off = _plan(), _plan(oracle=False, response=False)
    for one, other in zip(on.all_blocks(), off.all_blocks(), strict=True):
        assert on.fingerprints.training(one.networks) == off.fingerprints.training(other.networks)
    assert len(set(STEP_NAMES.values())) == len(STEP_NAMES) == 11


def test_they_ask_for_time():
    plan = _plan()
    limits = Limits(plan)
    assert limits.oracle_minutes() == limits.training_minutes(1, ORACLE)
    assert limits.response_minutes("data", 2) == 2 * limits.response_minutes("data") > 20


def test_the_test_of_a_response_runs_again_for_other_observables_alone():
    plan = _plan()
    found = plan.fingerprints.response("data")
    assert found == _plan(second_classifier=False).fingerprints.response("data")
    assert found != plan.fingerprints.response("shower.simulation")
    changed = plan.config.observables.model_copy(update={"names": ("q2",)})
    other = type(plan)(plan.config.model_copy(update={"observables": changed}))
    assert found != other.fingerprints.response("data")
