import pytest
from plans import PYTHIA, all_networks, make_plan

from omniflow.errors import ConfigError
from omniflow.unfolding.estimate import estimate, rates
from omniflow.unfolding.jobs import jobs

METHODS = {"parallel": {"lanes": 2}}
OTHER = PYTHIA | {"seed": 97, "shower": "vincia"}


def _plan(**wanted):
    return make_plan(METHODS, uncertainties={"predictions": {"other": OTHER}} | wanted)


def test_predictions_train_nothing():
    plan, without = _plan(), make_plan(METHODS)
    assert all_networks(plan) == all_networks(without)
    assert estimate(plan, 100.0).seconds == estimate(without, 100.0).seconds
    for network in all_networks(plan):
        assert plan.fingerprints.training((network,)) == without.fingerprints.training((network,))
    assert plan.variants.blocks() == {}
    assert plan.variants.results == without.variants.results
    assert plan.classifier_inputs == without.classifier_inputs


def test_predictions_are_read_and_compared():
    plan = _plan()
    role = "prediction-other"
    assert set(plan.samples) - set(make_plan(METHODS).samples) == {role}
    assert role in plan.evaluated
    assert plan.variants.methods == ("parallel",)
    found = jobs(plan, rates(plan))
    assert [job.rule for job in found if plan.store(role) in job.outputs] == ["event_store"]
    (last,) = (job for job in found if job.rule == "uncertainties")
    assert {plan.store(role), plan.observables(role)} <= set(last.inputs)
    assert set(last.outputs) == set(plan.uncertainty_tables) != set()
    made = set()
    for job in found:
        assert set(job.inputs) <= made, job.rule
        made |= set(job.outputs)


def test_what_their_tests_lack_is_noted():
    assert any("data_replicas" in note for note in _plan().notes)
    assert not any("data_replicas" in note for note in _plan(data_replicas=2).notes)


@pytest.mark.parametrize(
    ("predictions", "message"),
    [
        ({"truth": OTHER}, "'truth' is the name of something else"),
        ({"simulation": OTHER}, "'simulation' is the name of something else"),
        ({"model": OTHER}, "there is a variation of this name"),
        ({"x": PYTHIA}, r"predictions\.x and samples\.data hold the same events"),
        ({"x": PYTHIA | {"seed": 92}}, r"predictions\.x and samples\.simulation hold the same"),
    ],
)
def test_predictions_that_cannot_be(predictions, message):
    variations = {"model": {"simulation": PYTHIA | {"seed": 98}}}
    with pytest.raises(ConfigError, match=message):
        _plan(predictions=predictions, variations=variations)
