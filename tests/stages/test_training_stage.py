import dataclasses

import numpy as np
import pytest
import small_study

from omniflow.errors import InputError
from omniflow.events import store
from omniflow.events.features import open_features
from omniflow.hdf5 import open_h5
from omniflow.stages import networks, training
from omniflow.training.distributed import Ranks
from omniflow.unfolding.coordinates import FAKES, MISSES
from omniflow.unfolding.plan import Plan

HEAD = -5  # where the parameters of the last layer begin, which reads 4 units


@pytest.fixture(scope="module")
def record(warm):
    return small_study.records(warm)


def _of(record, chain, iteration, step):
    return [
        r for n, r in record.items() if (n.chain, n.iteration, n.step) == (chain, iteration, step)
    ]


def _previous(network):
    return dataclasses.replace(network, iteration=network.iteration - 1)


def test_every_network_starts_from_its_own_weights(record):
    first = [r for n, r in record.items() if n.chain == "scratch-1" and n.iteration == 1]
    assert all(r["start"]["policy"] == "scratch" for r in first)
    assert len({r["start"]["digest"] for r in first}) == len(first) == 6
    assert len({r["digest"] for r in first}) == 6


def test_members_differ_from_each_other(record):
    one, two = _of(record, "scratch-2-mean", 1, 1)
    assert one["start"]["digest"] != two["start"]["digest"]
    assert one["summary"]["train_events"] != two["summary"]["train_events"]  # own split


def test_lanes_and_members_share_their_random_numbers(record):
    lanes, members = (_of(record, chain, 1, 1) for chain in ("scratch-1", "scratch-2-mean"))
    # The first step of both trains on the same weights: the same networks.
    assert [r["digest"] for r in lanes[:2]] == [r["digest"] for r in members]


def test_warm_restarts_continue_the_trained_network(record):
    second = {n: r for n, r in record.items() if n.iteration == 2}
    assert len(second) == 2 * (3 + 2 + 1 + 1)
    for network, r in second.items():
        assert r["start"]["policy"] == "warm"
        if network.step == 2:
            assert r["start"]["digest"] == record[_previous(network)]["digest"]


def test_step_1_goes_on_from_a_ratio_of_one(warm, record):
    """What it has learned before is in the weights: it must not be applied once more."""
    (block,) = warm.blocks(warm.group_of("scratch-1", 1, 0), 2, 1)
    job = training.BlockJob(warm, block)
    for network in block.networks:
        weights, origin = job.start(network)
        (r,) = (r for n, r in record.items() if n == network)
        assert r["start"]["digest"] == networks.digest([weights])
        assert origin["iteration"] == "1"
        before = job.architecture.load(
            warm.networks_folder(warm.previous_block(block)) / warm.network_file(network)
        )
        np.testing.assert_array_equal(weights[:HEAD], before[:HEAD])
        assert np.any(before[HEAD:-1])
        for _, logits in job.trainer.predict([weights], job.applied_to(network)):
            np.testing.assert_array_equal(logits[np.isfinite(logits)], 0)
        assert r["epochs"][0]["val_loss"] == pytest.approx(np.log(2), abs=1e-6)


def test_cold_restarts_begin_anew(cold):
    record = small_study.records(cold)
    for network, r in record.items():
        if network.iteration == 2:
            assert r["start"]["policy"] == "scratch"
            earlier = record[_previous(network)]
            assert r["start"]["digest"] not in (earlier["digest"], earlier["start"]["digest"])


@pytest.mark.parametrize("step", [1, 2])
def test_pretrained_networks_start_from_backbone_and_head(record, step):
    (pretraining,) = (r for n, r in record.items() if n.step == 0)
    (started,) = _of(record, "pretrained-1", 1, step)
    assert started["start"]["policy"] == "pretrained"
    assert started["start"]["digest"] == pretraining["digest"]
    assert started["digest"] != pretraining["digest"]


@pytest.mark.parametrize("step", [1, 2])
def test_the_backbone_policy_makes_a_new_head_alone(warm, record, step):
    (block,) = warm.blocks(warm.group_of("backbone-1", 1, 0), 1, step)
    job = training.BlockJob(warm, block)
    weights, origin = job.start(block.networks[0])
    assert origin["policy"] == "backbone"
    (started,) = _of(record, "backbone-1", 1, step)
    assert started["start"]["digest"] == networks.digest([weights])
    loaded = job.architecture.load(warm.pretrained() / "network.weights.h5")
    np.testing.assert_array_equal(weights[:HEAD], loaded[:HEAD])
    assert not np.any(weights[HEAD:-1])
    assert np.any(loaded[HEAD:-1])


def test_the_rate_factor_acts_from_the_second_iteration_on(record):
    for network, r in record.items():
        rates = {epoch["learning_rate"] for epoch in r["epochs"][1:]}
        assert rates == {0.01 if network.iteration == 2 else 0.02}


def test_splits_are_fixed_or_fresh(warm, cold):
    for plan, same in ((warm, True), (cold, False)):
        record = small_study.records(plan)
        for step in (1, 2):
            counts = [
                [r["summary"]["train_events"] for r in _of(record, "scratch-1", iteration, step)]
                for iteration in (1, 2)
            ]
            assert len(counts[0]) >= 2
            assert (counts[0] == counts[1]) == same


def test_ranks_compare_their_engines(warm, monkeypatch):
    compared = []

    class Noted(Ranks):
        def agree(self, what, text, advice):
            compared.append((what, text))

    monkeypatch.setattr(networks.distributed, "start", lambda *_: Noted())
    training.BlockJob(warm, next(iter(warm.all_blocks())))
    assert compared == [("The engine", "native, 1 network(s) at a time")]


def test_networks_do_not_depend_on_their_job(warm, cold):
    """Three networks in one job, or one each: the same numbers, bitwise."""
    together, apart = (small_study.records(plan) for plan in (warm, cold))
    for step in (1, 2):
        digests = [
            [r["digest"] for r in _of(record, "scratch-1", 1, step)][:2]
            for record in (together, apart)
        ]
        assert digests[0] == digests[1]


def test_logits_exist_for_the_events_of_the_step(warm):
    simulation = store.open_store(warm.store("simulation"))
    selected = {1: simulation.pass_detector, 2: simulation.pass_particle}
    for block in warm.all_blocks():
        with open_h5(warm.logits(block)) as file:
            logits = file["logits"][:]
        assert logits.shape == (len(block.networks), len(simulation))
        for row in logits:
            np.testing.assert_array_equal(np.isfinite(row), selected[block.step])


def test_saved_networks_give_the_logits(warm):
    (block,) = warm.blocks(warm.group_of("scratch-1", 1, 0), 2, 2)
    job = training.BlockJob(warm, block)
    with open_h5(warm.logits(block)) as file:
        for network, expected in zip(block.networks, file["logits"], strict=True):
            path = warm.networks_folder(block) / warm.network_file(network)
            parts = job.trainer.predict([job.architecture.load(path)], job.sources(network)[-1])
            out = np.concatenate([found[0] for _, found in parts])
            np.testing.assert_array_equal(out, expected)


def test_networks_of_another_architecture_are_refused(warm, folder):
    (block,) = warm.blocks(warm.group_of("scratch-1", 1, 0), 2, 1)
    wider = warm.config.model_copy(
        update={"classifier": warm.config.classifier.model_copy(update={"width": 8})}
    )
    job = training.BlockJob(Plan(wider), block)
    with pytest.raises(InputError, match="configured architecture"):
        job.start(block.networks[0])


def test_the_loss_of_the_configuration_reaches_start_training_and_logits(warm):
    (block,) = warm.blocks(warm.group_of("scratch-1", 1, 0), 1, 1)
    other = warm.config.training.model_copy(update={"loss": "mlc_square"})
    job = training.BlockJob(Plan(warm.config.model_copy(update={"training": other})), block)
    network = block.networks[0]
    weights, _ = job.start(network)
    assert weights[-1] == 1  # the head's bias: a ratio of 1
    weights[HEAD:-1], weights[-1] = 0, -3
    source = job.sources(network)[-1]
    parts = job.trainer.predict([weights], source)
    logits = np.concatenate([found[0] for _, found in parts])
    np.testing.assert_allclose(logits[source.select], np.log(9), rtol=1e-6)
    index = np.flatnonzero(source.select)[:10]
    (prepared,) = job.trainer.engine.prepare([([source], [index[np.newaxis]])])
    (loss,), _ = job.trainer.engine.gradient([weights], prepared)
    assert loss == pytest.approx(8 * source.weights(index)[1].sum(), rel=1e-5)
    assert job.fingerprint(network, weights) != training.BlockJob(warm, block).fingerprint(
        network, weights
    )


def test_sources_of_both_steps(warm):
    """Step 1: data against pushed simulation; step 2: pulled against original simulation."""
    group = warm.group_of("scratch-1", 1, 1)
    simulation = store.open_store(warm.store("simulation"))
    data = store.open_store(warm.store("data"))
    weight, index = np.asarray(simulation.weight), np.arange(len(simulation))
    with open_h5(warm.weights(group, 1, 2)) as file:
        push = file["ratio"][1]
    with open_h5(warm.weights(group, 2, 1)) as file:
        pull = file["ratio"][1]
    blocks = {step: warm.blocks(group, 2, step)[0] for step in (1, 2)}
    first, second = (
        training.BlockJob(warm, blocks[step]).sources(blocks[step].networks[1]) for step in (1, 2)
    )
    a, b = first[0].weights(np.arange(len(data)))
    np.testing.assert_array_equal(a, data.weight)
    assert not b.any()
    a, b = first[1].weights(index)
    assert not a.any()
    np.testing.assert_allclose(b, weight * push)
    (twins,) = second
    a, b = twins.weights(index)
    np.testing.assert_allclose(a, weight * pull)
    np.testing.assert_array_equal(b, weight)
    np.testing.assert_array_equal(first[1].select, simulation.pass_detector)
    np.testing.assert_array_equal(twins.select, simulation.pass_particle)


def test_conditional_means_learn_ratios_on_matched_events(means):
    """Step 1b learns omega at particle level, step 2b the weights nu at detector level."""
    simulation = store.open_store(means.store("simulation"))
    group, index = means.group_of("scratch-1", 1, 1), np.arange(len(simulation))
    weight, (detector, particle) = np.asarray(simulation.weight), _flags(simulation)

    def ratio(iteration, step):
        with open_h5(means.weights(group, iteration, step)) as file:
            return file["ratio"][1].astype(float)

    expected = {3: ratio(2, 1) / ratio(1, 4), 4: ratio(2, 2)}
    for step, learned in expected.items():
        block = means.blocks(group, 2, step)[0]
        job = training.BlockJob(means, block)
        (twins,) = job.sources(block.networks[1])
        a, b = twins.weights(index)
        np.testing.assert_allclose(a, weight * learned, rtol=1e-6)
        np.testing.assert_array_equal(b, weight)
        np.testing.assert_array_equal(twins.select, detector & particle)
        level = {3: "particle", 4: "detector"}[step]
        stored = open_features(means.features("simulation", level)).event
        np.testing.assert_array_equal(twins.features.event, stored)


def test_learned_weights_of_fakes_enter_the_next_iteration(means):
    simulation = store.open_store(means.store("simulation"))
    block = means.blocks(means.group_of("scratch-1", 1, 0), 2, 1)[0]
    _, b = training.BlockJob(means, block).sources(block.networks[0])[1].weights(slice(None))
    detector, particle = _flags(simulation)
    assert np.all((b / simulation.weight)[detector & ~particle] != 1)


def test_conditional_means_are_asked_of_misses_and_fakes_alone(means):
    detector, particle = _flags(store.open_store(means.store("simulation")))
    wanted = {1: detector, 2: particle, 3: particle & ~detector, 4: detector & ~particle}
    steps = set()
    for block in means.all_blocks():
        with open_h5(means.logits(block)) as file:
            for row in file["logits"][:]:
                np.testing.assert_array_equal(np.isfinite(row), wanted[block.step])
        steps.add(block.step)
    assert steps == set(wanted)


def test_conditional_means_restart_from_their_own_networks(means):
    record = small_study.records(means)
    assert len(record) == 2 * 2 * 4
    for network, r in record.items():
        if network.iteration == 1:
            assert r["start"]["policy"] == "scratch"
            continue
        assert r["start"]["policy"] == "warm"
        # Steps 1 and 1b learn what is left; the others go on with the whole.
        same = r["start"]["digest"] == record[_previous(network)]["digest"]
        assert same == (network.step in (2, FAKES))
        neutral = abs(r["epochs"][0]["val_loss"] - np.log(2)) < 1e-6
        assert neutral == (network.step in (1, MISSES))
    first = {r["start"]["digest"] for n, r in record.items() if n.iteration == 1}
    assert len(first) == 2 * 4


def _flags(simulation):
    return np.asarray(simulation.pass_detector), np.asarray(simulation.pass_particle)


def test_nothing_half_written_is_left(warm):
    names = [path.name for path in warm.root.rglob("*")]
    assert not [name for name in names if "tmp" in name]
    assert len({r["digest"] for r in small_study.records(warm).values()}) > 10


def test_more_lanes_and_other_jobs_train_only_new_networks(tmp_path):
    def study(lanes, per_job):
        methods = {"parallel": {"lanes": lanes}}
        return small_study.make_plan(tmp_path, "growing", methods, {"network": "warm"}, per_job)

    first = small_study.records(small_study.run(study(1, 5)))
    grown = small_study.records(small_study.train(study(3, 5)))
    split = small_study.records(small_study.train(study(3, 1)))
    assert (len(first), len(grown), len(split)) == (4, 12, 12)
    for network, record in first.items():
        # The seconds that a training took are never the same twice.
        assert grown[network]["summary"]["seconds"] == record["summary"]["seconds"]
    for network, record in grown.items():
        assert split[network] == record
