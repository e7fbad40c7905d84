import pytest
from plans import PYTHIA, all_networks, make_plan, state

from omniflow.config import validate
from omniflow.errors import ConfigError
from omniflow.stages.diagnostics import classifiers
from omniflow.unfolding.estimate import rates
from omniflow.unfolding.footprint import footprint
from omniflow.unfolding.jobs import jobs


def test_without_reserved_events_nothing_changes():
    plain, without, some, more = (
        make_plan(training=training)
        for training in ({}, *({"reserved": fraction} for fraction in (0.0, 0.1, 0.2)))
    )
    assert plain.fingerprints.training() == without.fingerprints.training()
    found = {plan.fingerprints.training() for plan in (plain, some, more)}
    assert len(found) == 3
    # The other random numbers stay what they are.
    before, after = all_networks(plain), all_networks(some)
    assert list(before) == list(after)
    assert all(state(plain, network) == state(some, network) for network in list(before)[::17])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"training": {"reserved": 0.1, "folds": 2}}, r"training\.folds above 1"),
        ({"training": {"reserved": 0.1}}, r"allow_overlap: false"),
        ({"training": {"reserved": 0.6}}, r"training\.reserved"),
    ],
)
def test_events_that_would_not_stay_unseen_are_refused(changes, message):
    pair = {"numerator": PYTHIA | {"seed": 5}, "denominator": PYTHIA, "allow_overlap": True}
    samples = {"data": PYTHIA, "simulation": PYTHIA | {"seed": 4}}
    overlap = {"pretraining": pair} if "overlap" in message else {}
    raw = {"study": {"name": "s"}, "samples": samples | overlap, "methods": {"none": {}}}
    with pytest.raises(ConfigError, match=message):
        validate(raw | changes)
    validate(raw)


@pytest.mark.parametrize("training", [{"reserved": 0.1}, {"folds": 2}])
def test_networks_from_files_must_be_declared_not_to_know_the_events(training):
    pretraining = {"weights": ["old.weights.h5"]}

    def plan(training, **changes):
        samples = {"data": PYTHIA, "simulation": PYTHIA | {"seed": 4}}
        samples["pretraining"] = pretraining | changes
        return make_plan({"m": {"start": "pretrained"}}, samples=samples, training=training)

    (key,) = training
    with pytest.raises(ConfigError, match=rf"training\.{key}.* does not go with .*other_events"):
        plan(training)
    with pytest.raises(ConfigError, match="allow_overlap"):
        plan(training, allow_overlap=True)
    declared = plan(training, other_events=True)
    assert "declared, not checked" in " ".join(declared.notes)
    assert classifiers.judged(declared)["pretraining"] == "declared"
    unknown = plan({})
    assert "is not known" in " ".join(unknown.notes)
    assert classifiers.judged(unknown)["pretraining"] == "unknown"


def test_what_pretrained_networks_have_seen_is_noted_where_there_are_any():
    pair = {"numerator": PYTHIA | {"seed": 5}, "denominator": PYTHIA, "allow_overlap": True}
    samples = {"data": PYTHIA, "simulation": PYTHIA | {"seed": 4}, "pretraining": pair}
    overlaps = make_plan({"m": {"start": "backbone"}}, samples=samples)
    assert "allow_overlap: pre-trained networks may have" in " ".join(overlaps.notes)
    assert classifiers.judged(overlaps)["pretraining"] == "overlap"
    scratch = make_plan({"m": {}}, samples=samples)
    assert not any("pretraining" in note for note in scratch.notes)
    assert "pretraining" not in classifiers.judged(scratch)
    disjoint = make_plan({"m": {"start": "backbone"}})
    assert not any("pretraining" in note for note in disjoint.notes)
    assert classifiers.judged(disjoint)["pretraining"] == "others"


@pytest.mark.parametrize("folds", [1, 3])
def test_networks_of_the_nominal_inputs_have_scores(folds):
    plan = make_plan(
        {"none": {}, "step": {"members": 2}},
        training={"folds": folds},
        uncertainties={"data_replicas": 2},
    )
    networks = {n for n, b in all_networks(plan).items() if plan.scored(b.group, b.step)}
    assert {n.variant for n in networks} == {"nominal"}
    assert len(networks) == 2 * 3 * 2 * (1 + 2) * folds  # passes, iterations, steps, members
    blocks = {b for n, b in all_networks(plan).items() if n in networks}
    kinds = {kind.name: kind for kind in footprint(plan, jobs(plan, rates(plan)))}
    assert kinds["scores"].files == len(blocks)
