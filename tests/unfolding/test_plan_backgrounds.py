import pytest
from plans import PYTHIA, all_networks, make_plan

from omniflow.config import validate
from omniflow.errors import ConfigError
from omniflow.unfolding.estimate import estimate, rates, trained_events
from omniflow.unfolding.jobs import jobs

SAMPLES = {"data": PYTHIA, "simulation": PYTHIA | {"seed": 92}}
METHODS = {"parallel": {"lanes": 2}}


VARIATIONS = {
    "photo_up": {"backgrounds": {"photo": 1}},
    "photo_down": {"backgrounds": {"photo": -1}},
}


def _plan(methods=METHODS, variations=None, wanted=None, **changes):
    photo = {"sample": PYTHIA | {"seed": 95, "events": 500}, "factor": 0.3, "uncertainty": 0.2}
    beam = {"sample": PYTHIA | {"seed": 96}}
    backgrounds = {"photo": photo | changes, "beam": beam}
    return make_plan(
        methods,
        samples=SAMPLES | {"backgrounds": backgrounds},
        uncertainties={"variations": variations or {}} | (wanted or {}),
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


@pytest.mark.parametrize("wanted", [{"data_replicas": 2}, {"simulation_replicas": 2}, {"toys": 1}])
def test_uncertain_backgrounds_vary_by_themselves(wanted):
    plan, none = _plan(wanted=wanted), _plan()
    assert set(plan.variants.names) - set(none.variants.names) >= set(VARIATIONS)
    assert plan.variants.blocks() == {"photo": ("photo_up", "photo_down")}
    variants = ("photo_down", "nominal", "photo_up")
    found = [plan.background_factor("background-photo", variant) for variant in variants]
    assert found == pytest.approx([0.24, 0.3, 0.36])
    written = _plan(wanted=wanted, variations=VARIATIONS)
    assert all_networks(plan) == all_networks(written)
    for network in all_networks(plan):
        one, other = (p.fingerprints.training((network,)) for p in (plan, written))
        assert one == other
    # The study that jobs read from the resolved configuration is the same.
    again = validate(plan.config.model_dump(mode="json"))
    assert again.variations == plan.config.variations
    assert not any("background" in note for note in plan.notes)


def test_backgrounds_that_the_user_varies_are_left_to_him():
    both = {"sum": {"backgrounds": {"photo": 0.5}}}
    plan = _plan(variations=both, wanted={"data_replicas": 2})
    assert plan.variants.blocks() == {"sum": ("sum",)}
    assert plan.background_factor("background-photo", "sum") == pytest.approx(0.33)


def test_without_variants_a_note_says_what_is_missing():
    plan = _plan()
    assert plan.variants.names == ["nominal"]
    (note,) = (n for n in plan.notes if "background" in n)
    assert "samples.backgrounds.photo.uncertainty" in note
    assert "not the unfolded result" in note
    assert not any("background" in n for n in _plan(uncertainty=0).notes)


@pytest.mark.parametrize("name", ["photo", "photo_up", "photo_down"])
def test_names_of_their_variations_must_be_free(name):
    other = {name: {"simulation": PYTHIA | {"seed": 97}}}
    with pytest.raises(ConfigError, match=f"backgrounds.photo: gets the variations .*'{name}'"):
        _plan(variations=other)


def test_a_background_cannot_make_the_block_of_something_else():
    backgrounds = {"training": {"sample": PYTHIA | {"seed": 95}, "uncertainty": 0.1}}
    samples = SAMPLES | {"backgrounds": backgrounds}
    assert make_plan(METHODS, samples=samples).backgrounds
    with pytest.raises(ConfigError, match="the block 'training'"):
        make_plan(METHODS, samples=samples, uncertainties={"toys": 1})


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
