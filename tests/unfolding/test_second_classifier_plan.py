import pytest
from plans import make_plan

from omniflow.unfolding.estimate import estimate, network_seconds, rates
from omniflow.unfolding.jobs import TRAINING, jobs

OFF = {"diagnostics": {"second_classifier": False}}
METHODS = {"none": {}, "parallel": {"lanes": 2}}


def test_every_method_and_the_prior_are_judged():
    plan = make_plan(METHODS)
    assert plan.second_subjects == ("_prior", "none", "parallel")
    inputs = plan.inputs.second("parallel")
    assert plan.path("unfolded", method="parallel") in inputs
    assert plan.features("data", "detector") in inputs
    # Before unfolding there is nothing to wait for.
    assert plan.inputs.second("_prior") == inputs[:-1]
    assert {plan.second(subject) for subject in plan.second_subjects} < set(plan.inputs.tables())


def test_switched_off_nothing_is_trained_more():
    on, off = make_plan(METHODS), make_plan(METHODS, **OFF)
    assert off.second_subjects == ()
    more = estimate(on).jobs - estimate(off).jobs
    assert more == 3
    assert estimate(on).networks - estimate(off).networks == 6
    seconds = network_seconds(on, rates(on))
    added = estimate(on).seconds - estimate(off).seconds
    # Of 1000 + 1000 records 52% pass at detector level, all at particle level.
    assert added == pytest.approx(3 * seconds[1] * (1 + 1 / 0.52), rel=0.05)
    rules = [[job.rule for job in jobs(plan, rates(plan))] for plan in (on, off)]
    assert rules[0].count("second_classifier") == 3
    assert "second_classifier" not in rules[1]
    pools = {job.pool for job in jobs(on, rates(on)) if job.rule == "second_classifier"}
    assert pools == {TRAINING}


def test_the_switch_leaves_trainings_as_they_are():
    on, off = make_plan(METHODS), make_plan(METHODS, **OFF)
    for one, other in zip(on.all_blocks(), off.all_blocks(), strict=True):
        assert on.fingerprints.training(one.networks) == off.fingerprints.training(other.networks)
