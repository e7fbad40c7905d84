import pytest
from plans import BOTH, PYTHIA, all_networks, make_plan, state

from omniflow.config import validate
from omniflow.errors import ConfigError
from omniflow.unfolding.estimate import EVALUATION, estimate, network_seconds, rates, trained_events
from omniflow.unfolding.footprint import footprint
from omniflow.unfolding.jobs import jobs

METHODS = {"parallel": {"lanes": 4}, "step": {"members": 2, "start": "pretrained"}}
K = 3


def _plan(folds=K, **options):
    training, alone = (
        {"folds": folds, "epochs": 10},
        {"second_classifier": False, "oracle": False, "response": False},
    )
    return make_plan(METHODS, training=training, diagnostics=alone, **options)


def test_a_network_of_k_folds_is_k_trainings():
    plan, whole = _plan(acceptance=BOTH), _plan(1, acceptance=BOTH)
    assert len(all_networks(plan)) == K * len(all_networks(whole))
    for method in METHODS:
        assert plan.networks_per_pass(method) == K * whole.networks_per_pass(method)
    assert {n.fold for n in all_networks(plan)} == {1, 2, 3}
    assert {n.fold for n in all_networks(whole)} == {0}
    # The pre-trained classifier sees other events, and all of its own.
    assert [n.fold for n in plan.pretraining_networks] == [0]


def test_every_fold_has_its_own_random_numbers_and_files():
    plan = _plan()
    networks = [n for n in all_networks(plan) if n.chain == "scratch-1"]
    found = [each for network in networks for each in state(plan, network)]
    assert len(set(found)) == len(found) == 3 * 2 * 6 * 4 * K
    for places in (
        {plan.checkpoint(network) for network in networks},
        {network.name for network in networks},
        {plan.networks_folder(b) / plan.network_file(n) for n, b in all_networks(plan).items()},
    ):
        assert len(places) in (len(networks), len(all_networks(plan)))
    alone = {plan.fingerprints.training((network,)) for network in networks}
    assert len(alone) == len(networks)


def test_without_folds_nothing_changes():
    # Pinned: a change of this number makes all studies train again.
    assert make_plan().fingerprints.training() == "0cd71073fbefb990"
    plan, same = make_plan(METHODS), make_plan(METHODS, training={"folds": 1})
    assert plan.fingerprints.training() == same.fingerprints.training()
    assert make_plan(METHODS, training={"folds": 2}).fingerprints.training() != (
        plan.fingerprints.training()
    )
    before, after = all_networks(plan), all_networks(same)
    assert list(before) == list(after)
    assert not [n for n in before if "fold" in f"{n.name} {plan.network_file(n)}"]
    assert not [n for n in before if "fold" in str(plan.checkpoint(n))]


@pytest.mark.parametrize("per_job", [1, 2, 4, 6, 7, 100])
def test_jobs_hold_as_many_trainings_as_asked_for(per_job):
    plan = _plan(per_job=per_job)
    for chain in plan.chains.values():
        seen = []
        for group in plan.groups(chain.slug, 1):
            blocks = plan.blocks(group, 1, 1)
            networks = [network for block in blocks for network in block.networks]
            assert all(len(block.networks) <= per_job for block in blocks)
            # A block holds whole lanes, or a part of one; the folds of a member are neighbours.
            assert len(blocks) == 1 or len(group.lanes) == 1
            seen += [(n.lane, n.member, n.fold) for n in networks]
        lanes, members = range(chain.lanes), range(chain.members)
        expected = [(i, m, f) for i in lanes for m in members for f in (1, 2, 3)]
        assert seen == expected


@pytest.mark.parametrize("per_job", [1, 2, 100])
def test_warm_restarts_continue_the_same_folds(per_job):
    plan = _plan(per_job=per_job, acceptance=BOTH)
    for block in plan.all_blocks():
        previous = plan.previous_block(block)
        if previous is None:
            assert block.iteration == 1
            continue
        own, before = ([(n.lane, n.member, n.fold) for n in b.networks] for b in (block, previous))
        assert own == before


@pytest.mark.parametrize("wanted", [{}, {"data_replicas": 2}])
def test_times_are_those_of_all_folds(wanted):
    plan, whole = _plan(uncertainties=wanted), _plan(1, uncertainties=wanted)
    events = dict.fromkeys(plan.samples, 1000)
    whole_events = trained_events(whole, events)
    expected = {s: n * (2 / 3 if s in (1, 2, 3, 4) else 1) for s, n in whole_events.items()}
    assert trained_events(plan, events) == pytest.approx(expected)
    # Ten epochs of 80% trained on and 20% evaluated, 20% before them, one third for logits.
    passes = 10 * (0.8 + 0.2 / EVALUATION) + 0.2 / EVALUATION
    speed = rates(plan, 100.0)
    seconds = network_seconds(plan, speed)
    assert seconds[2] == pytest.approx(10 * (2 / 3 * passes + 1 / 3 / EVALUATION))
    assert seconds[0] == pytest.approx(network_seconds(whole, speed)[0])
    size = estimate(plan, 100.0)
    assert size.networks == len(all_networks(plan)) + 1
    # 4 lanes, 3 iterations of 2 steps, 1 pass of 2 replicas.
    assert size.variants == (K * 4 * 3 * 2 * 2 if wanted else 0)
    trainings = [job for job in jobs(plan, speed) if job.rule in ("train", "pretrain")]
    assert len(trainings) == size.jobs
    assert sum(job.work for job in trainings) == pytest.approx(size.seconds)


def test_files_of_all_folds_are_counted():
    plan = _plan(per_job=2)
    kinds = {kind.name: kind for kind in footprint(plan, jobs(plan, rates(plan)))}
    assert kinds["networks"].files == len(all_networks(plan)) + 1
    assert kinds["logits"].size == 2 * (4 + 2) * K * 1000 * 4


def test_pretraining_must_not_have_seen_the_events():
    pair = {"numerator": PYTHIA | {"seed": 5}, "denominator": PYTHIA, "allow_overlap": True}
    raw = {
        "study": {"name": "s"},
        "samples": {"data": PYTHIA, "simulation": PYTHIA | {"seed": 4}, "pretraining": pair},
        "methods": {"none": {}},
        "training": {"folds": 2},
    }
    with pytest.raises(ConfigError, match=r"allow_overlap: false"):
        validate(raw)
    validate(raw | {"training": {}})
