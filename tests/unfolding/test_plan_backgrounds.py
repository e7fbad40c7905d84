import pytest
from plans import PYTHIA, make_plan

from omniflow.errors import ConfigError
from omniflow.unfolding.estimate import estimate, rates, trained_events
from omniflow.unfolding.jobs import jobs

SAMPLES = {"data": PYTHIA, "simulation": PYTHIA | {"seed": 92}}
METHODS = {"parallel": {"lanes": 2}}


VARIATIONS = {
    "photo_up": {"backgrounds": {"photo": 1}},
    "photo_down": {"backgrounds": {"photo": -1}},
}


def _plan(methods=METHODS, variations=None, **changes):
    photo = {"sample": PYTHIA | {"seed": 95, "events": 500}, "factor": 0.3, "uncertainty": 0.2}
    beam = {"sample": PYTHIA | {"seed": 96}}
    backgrounds = {"photo": photo | changes, "beam": beam}
    return make_plan(
        methods,
        samples=SAMPLES | {"backgrounds": backgrounds},
        uncertainties={"variations": variations or {}},
    )


def test_backgrounds_are_samples_with_roles_of_their_own():
    plan = _plan()
    assert list(plan.samples) == ["data", "simulation", "background-photo", "background-beam"]
    assert plan.roles == ["data", "background-photo", "background-beam", "simulation"]
    assert make_plan(METHODS).roles == ["data", "simulation"]


def test_factors_move_with_their_uncertainty():
    plan = _plan(variations=VARIATIONS)
    variants = ("photo_down", "nominal", "photo_up")
    found = [plan.background_factor("background-photo", variant) for variant in variants]
    assert found == pytest.approx([0.24, 0.3, 0.36])
    assert plan.background_factor("background-beam", "photo_up") == 1.0
    assert plan.variants.blocks() == {"photo": ("photo_up", "photo_down")}


@pytest.mark.parametrize("key", ["unknown", "beam"])
def test_only_uncertain_backgrounds_vary(key):
    with pytest.raises(ConfigError, match=f"x.backgrounds: samples.backgrounds has no '{key}'"):
        _plan(variations={"x": {"backgrounds": {key: 1}}})


def test_an_uncertainty_retrains_its_variations_alone():
    def fingerprints(uncertainty):
        plan = _plan(variations=VARIATIONS, uncertainty=uncertainty)
        blocks = [b for b in plan.all_blocks() if b.iteration == 1 and b.step == 1]
        return {b.group.variant: plan.fingerprints.training(b.networks) for b in blocks}

    one, other = fingerprints(0.1), fingerprints(0.2)
    assert {variant for variant in one if one[variant] != other[variant]} == set(VARIATIONS)


def test_step_1_alone_trains_on_backgrounds():
    plan = _plan()
    for block in plan.all_blocks():
        found = [path for path in plan.inputs.block(block) if "background" in path.name]
        roles = ["background-photo", "background-beam"] if block.step == 1 else []
        assert found == [plan.features(role, "detector") for role in roles]


def test_every_input_of_a_job_is_made_by_another():
    plan = _plan()
    made = set()
    for job in jobs(plan, rates(plan)):
        assert set(job.inputs) <= made, job.rule
        made |= set(job.outputs)
    for role in plan.backgrounds:
        assert {plan.store(role), plan.observables(role)} <= set(plan.inputs.tables())
        assert plan.store(role) in plan.inputs.combine("parallel")


def test_only_what_trainings_see_trains_them_again():
    def fingerprint(plan):
        return plan.fingerprints.training(next(plan.all_blocks()).networks)

    same = fingerprint(_plan())
    assert fingerprint(_plan(uncertainty=0.1)) == same
    without = make_plan(METHODS, samples=SAMPLES)
    assert len({same, fingerprint(_plan(factor=0.4)), fingerprint(without)}) == 3


def test_backgrounds_are_trained_on_in_step_1_and_counted():
    plan = _plan()
    events = dict(zip(plan.samples, (1000, 2000, 500, 1000), strict=True))
    assert trained_events(plan, events)[1] == pytest.approx(0.52 * 4500)
    assert trained_events(plan, events)[2] == 2000
    assert estimate(plan).events["background-photo"] == 500
