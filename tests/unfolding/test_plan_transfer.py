"""Pre-trained models and transfer policies in the plan."""

from collections import Counter
from pathlib import Path

import pytest
from plans import PYTHIA, all_networks, make_plan

from omniflow.unfolding.estimate import Rates
from omniflow.unfolding.jobs import jobs

PAIR = {"numerator": PYTHIA | {"seed": 93}, "denominator": PYTHIA | {"seed": 94}}
RATES = Rates({1: 1.0, 2: 1.0}, "made up")
FILES = ["old/a.weights.h5", "old/b.weights.h5"]


def _plan(methods, pretraining, **changes):
    samples = {"data": PYTHIA, "simulation": PYTHIA | {"seed": 92}, "pretraining": pretraining}
    return make_plan(methods, samples=samples, **changes)


def test_each_network_takes_its_own_model():
    transfer = {"models": 3}
    methods = {"m": {"lanes": 2, "members": 4, "start": "pretrained", "transfer": transfer}}
    plan = _plan(methods, PAIR, per_job=3)
    first = [n for n in all_networks(plan) if (n.pass_, n.iteration, n.step) == (1, 1, 1)]
    assert [plan.pretrained_model(n) for n in first] == [0, 1, 2, 0, 1, 2, 0, 1]
    seen = set()
    for block in plan.all_blocks():
        folders = {f"pretraining/model-{network.k % 3}" for network in block.networks}
        inputs = {str(path.relative_to(plan.root)) for path in plan.inputs.block(block)}
        found = {path for path in inputs if path.startswith("pretraining")}
        assert found == (folders if block.iteration == 1 else set())
        seen |= found
    assert len(seen) == 3


@pytest.mark.parametrize("models", [2, 5, 6, 18, 30])
def test_passes_take_models_of_their_own(models):
    """Of three passes with six networks per step: pass p begins where the one before ended."""
    transfer = {"models": models, "per_pass": True}
    settings = {"members": 2, "start": "pretrained", "transfer": transfer}
    plan = _plan({"m": {"lanes": 3, **settings}, "one": settings}, PAIR, passes=3, per_job=3)
    taken = {}
    for network, block in all_networks(plan).items():
        wanted = (6 * (network.pass_ - 1) + 2 * network.lane + network.member) % models
        assert plan.pretrained_model(network) == wanted
        if network.iteration == 1:
            assert plan.pretrained(wanted) in plan.inputs.block(block)
            taken.setdefault(network.pass_, set()).add(wanted)
    used = sorted(set().union(*taken.values()))
    assert used == list(range(min(models, 18)))
    assert plan.pretrained_models("m") == [n.lane for n in plan.pretraining_networks] == used
    # `one` is the first lane of the same chain.
    assert plan.pretrained_models("one") == sorted({k % models for k in (0, 1, 6, 7, 12, 13)})
    if models >= 18:
        assert not taken[1] & taken[2] | taken[2] & taken[3] | taken[1] & taken[3]


def test_only_models_that_passes_take_are_trained():
    """Three passes of one network take three of four models."""
    transfer = {"models": 4, "per_pass": True}
    plan = _plan({"m": {"start": "backbone", "transfer": transfer}}, PAIR, passes=3)
    assert [n.lane for n in plan.pretraining_networks] == [0, 1, 2]
    made = {path for job in jobs(plan, RATES) for path in job.outputs if job.rule == "pretrain"}
    assert made == {plan.pretrained(model) for model in range(3)}
    (note,) = plan.notes
    assert note == "m: 4 pre-trained models for 3 network(s) per step in all passes; 3 are used."


def test_models_have_random_numbers_of_their_own():
    def states(models):
        method = {"lanes": 5, "start": "backbone", "transfer": {"models": models}}
        plan = _plan({"m": method}, PAIR)
        return [
            tuple(plan.seed(purpose, network).generate_state(4))
            for network in plan.pretraining_networks
            for purpose in ("initial", "split", "order")
        ]

    three = states(3)
    assert len(set(three)) == len(three) == 9
    assert states(1) == three[:3]  # more models leave the first as it is


def test_models_that_no_network_takes_are_not_trained():
    methods = {
        "one": {"members": 9, "start": "pretrained"},
        "two": {"members": 2, "start": "backbone", "transfer": {"models": 7}},
    }
    plan = _plan(methods | {"none": {}}, PAIR)
    assert len(plan.pretraining_networks) == 2
    assert [plan.pretrained_models(name) for name in ("one", "two", "none")] == [[0], [0, 1], []]
    (note,) = plan.notes
    assert note == "two: 7 pre-trained models for 2 network(s) per step; 2 are used."


def test_files_take_the_place_of_pretraining():
    method = {"lanes": 3, "start": "pretrained", "transfer": {"models": 2}}
    plan = _plan({"m": method}, {"weights": FILES}, per_job=1)
    assert plan.pretraining_networks == ()
    assert set(plan.samples) == {"data", "simulation"}
    for block in plan.all_blocks():
        (network,) = block.networks
        found = [p for p in plan.inputs.block(block) if p.name.endswith(".weights.h5")]
        assert found == ([Path(FILES[network.k % 2])] if block.iteration == 1 else [])
    assert not [job for job in jobs(plan, RATES) if job.rule == "pretrain"]


def test_one_simulation_is_read_at_both_levels():
    simulation = PYTHIA | {"seed": 93}
    plan = _plan({"m": {"start": "pretrained"}}, {"simulation": simulation})
    role = "pretraining-simulation"
    assert plan.pretraining_classes == [(role, "detector"), (role, "particle")]
    found = jobs(plan, RATES)
    made = {path for job in found for path in job.outputs}
    (pretrain,) = (job for job in found if job.rule == "pretrain")
    assert set(pretrain.inputs) == {
        plan.store(role),
        plan.features(role, "detector"),
        plan.features(role, "particle"),
    }
    assert made.issuperset(pretrain.inputs)
    assert Counter(job.rule for job in found)["features"] == 5


SLUGS = {
    "pretrained-1": {},
    "pretrained-1-freeze-5": {"freeze_epochs": 5},
    "pretrained-1-freeze-all": {"freeze_epochs": "all", "backbone_rate_factor": 0.1},
    "pretrained-1-rate-0p2": {"backbone_rate_factor": 0.2},
    "pretrained-1-models-3": {"models": 3},
    "pretrained-1-models-3-per-pass": {"models": 3, "per_pass": True},
    "pretrained-1-freeze-5-rate-1e-05": {"freeze_epochs": 5, "backbone_rate_factor": 1e-5},
}


def test_policies_have_chains_of_their_own():
    methods = {
        f"m{i}": {"start": "pretrained", "transfer": transfer}
        for i, transfer in enumerate(SLUGS.values())
    }
    plan = _plan(methods, PAIR)
    assert list(plan.chains) == list(SLUGS)
    blocks = [b for b in plan.all_blocks() if (b.iteration, b.step, b.group.pass_) == (1, 1, 1)]
    assert len({plan.fingerprints.training(block.networks) for block in blocks}) == len(SLUGS)
    # They share their random numbers: the policy is all that differs.
    (state,) = {tuple(plan.seed("order", b.networks[0]).generate_state(4)) for b in blocks}
    assert state


@pytest.mark.parametrize(
    ("freeze", "first", "later"),
    [(0, 0.5, 0.5), (2, 0.0, 0.5), ("all", 0.0, 0.0)],
)
def test_a_policy_in_later_iterations(freeze, first, later):
    """Frozen epochs belong to the new head, the rate factor to the backbone."""
    transfer = {"freeze_epochs": freeze, "backbone_rate_factor": 0.5}
    plan = _plan({"m": {"start": "backbone", "transfer": transfer}}, PAIR)
    (chain,) = plan.chains.values()
    assert chain.transfer.backbone_factor(1) == chain.transfer.backbone_factor(2) == first
    assert chain.transfer.backbone_factor(3) == (0.0 if freeze == "all" else 0.5)
    assert chain.transfer.continued().backbone_factor(1) == later
