"""Pre-trained models, files of networks and transfer policies in training jobs."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import small_study

from omniflow.config import validate
from omniflow.errors import InputError
from omniflow.evaluation.trainings import cost_table
from omniflow.events import store
from omniflow.events.features import open_features
from omniflow.hdf5 import open_h5
from omniflow.stages import networks, pretraining, samples, tables, training
from omniflow.unfolding.plan import Plan

PAIR = {
    "numerator": small_study.ROLE | {"seed": 5},
    "denominator": small_study.ROLE | {"seed": 6},
}
METHODS = {
    "parallel": {"lanes": 3, "start": "pretrained", "transfer": {"models": 2}},
    "frozen": {"start": "backbone", "transfer": {"freeze_epochs": "all"}},
    "thawed": {
        "start": "backbone",
        "transfer": {"freeze_epochs": 1, "backbone_rate_factor": 0.25},
    },
}
HEAD = slice(-5, None)  # kernel and bias of the last layer, which reads 4 units


def _plan(folder, name, methods, pretraining, restart=None, **classifier):
    raw = small_study.make_plan(folder, name, methods, restart or {}, 2).config.model_dump()
    raw["samples"]["pretraining"] = pretraining
    raw["classifier"] |= classifier
    return Plan(validate(raw))


@pytest.fixture(scope="module")
def study(folder):
    return small_study.run(_plan(folder, "transfer", METHODS, PAIR))


@pytest.fixture(scope="module")
def record(study):
    return small_study.records(study)


def _block(plan, chain, iteration=1, step=1, lane=0):
    return plan.blocks(plan.group_of(chain, 1, lane), iteration, step)[0]


def test_each_network_starts_from_its_model(record):
    models = [r["digest"] for n, r in record.items() if n.step == 0]
    assert len(set(models)) == 2
    found = 0
    for network, r in record.items():
        if network.chain == "pretrained-1-models-2" and network.iteration == 1:
            assert r["start"]["digest"] == models[network.lane % 2]
            assert r["start"]["model"] == str(network.lane % 2)
            found += 1
    assert found == 2 * 3


def test_a_backbone_that_is_frozen_for_good_is_that_of_pretraining(study):
    for iteration in (1, 2):
        for step in (1, 2):
            block = _block(study, "backbone-1-freeze-all", iteration, step)
            job = training.BlockJob(study, block)
            network = block.networks[0]
            start = job.architecture.load(study.pretrained(0) / "network.weights.h5")
            end = job.architecture.load(study.networks_folder(block) / study.network_file(network))
            assert start[: HEAD.start].tobytes() == end[: HEAD.start].tobytes()
            begun, _ = job.start(network)
            assert np.all(begun[HEAD] != end[HEAD])


def test_frozen_epochs_are_those_of_the_new_head_alone(record):
    rates = {
        (n.iteration, n.step): [epoch["backbone_rate"] for epoch in r["epochs"][1:]]
        for n, r in record.items()
        if n.chain == "backbone-1-freeze-1-rate-0p25"
    }
    for step in (1, 2):
        assert rates[1, step] == [0.0, 0.25 * 0.02]
        assert rates[2, step] == [0.25 * 0.02] * 2


def test_a_cold_restart_freezes_again(folder):
    methods = {"thawed": METHODS["thawed"]}
    plan = _plan(folder, "cold-transfer", methods, PAIR, {"network": "cold"})
    for iteration in (1, 2):
        job = training.BlockJob.__new__(training.BlockJob)
        job.plan, job.block = plan, _block(plan, "backbone-1-freeze-1-rate-0p25", iteration)
        assert job.transfer.backbone_factor(1) == 0


def test_a_file_gives_the_same_predictions(study, folder):
    """A network that an earlier study has trained, and the logits which that study has stored."""
    block = _block(study, "pretrained-1-models-2", iteration=2)
    path = study.networks_folder(block) / study.network_file(block.networks[1])
    with open_h5(study.logits(block)) as file:
        expected = file["logits"][1]
    later = _plan(folder, "later", {"one": {"start": "pretrained"}}, {"weights": [str(path)]})
    small_study.run(later)
    job = training.BlockJob(later, _block(later, "pretrained-1"))
    start, origin = job.start(job.block.networks[0])
    source = job.applied_to(job.block.networks[0])
    parts = job.trainer.predict([start], source)
    np.testing.assert_array_equal(np.concatenate([found[0] for _, found in parts]), expected)
    assert origin == {"policy": "pretrained", "model": "0", "file": str(path)}
    history = json.loads(later.history(job.block).read_text())["networks"][0]
    assert history["start"] == origin | {"digest": networks.digest([start])}


LARGE, WIDTH = 4000, np.hypot(1, 0.3)  # of the normal distributions at detector level


def _large(plan):
    """Write 4000 events of each sample, and what classifiers read."""
    for i, role in enumerate(plan.samples):
        mean = 0.5 if role in ("data", "pretraining-numerator") else 0.0
        store.write(small_study.sample(LARGE, mean, 200 + i), plan.store(role), {}, 7 + i)
    samples.make_scaling(plan)
    for role, level in plan.classifier_inputs:
        samples.make_features(plan, role, level)
    return plan


def _distance(plan, job, role, network, source):
    """Root mean square of logit less ln N(x; 0.5, s) / N(x; 0, s) over events of one sample."""
    events = store.open_store(plan.store(role))
    parts = job.trainer.predict([network], source)
    logits = np.concatenate([found[0] for _, found in parts])
    chosen = np.asarray(events.pass_detector)
    x = np.asarray(events.detector.event)[:, 0]
    expected = (0.5 * x - 0.125) / WIDTH**2
    return [np.sqrt(np.mean((sign * logits - expected)[chosen] ** 2)) for sign in (1, -1)]


def test_pretraining_learns_the_ratio_of_numerator_to_denominator(folder):
    """Against the analytic ratio; the classes swapped would have the other sign."""
    change = {"epochs": 8, "batch_size": 400}
    methods = {"one": {"start": "pretrained"}}

    def plan(name, **pair):
        raw = _plan(folder, name, methods, pair, width=8).config.model_dump(mode="json")
        raw["training"] |= change
        return _large(Plan(validate(raw)))

    first = plan("analytic", **PAIR)
    pretraining.pretrain(first, 0)
    path = first.pretrained(0) / "network.weights.h5"
    job = pretraining.Pretraining(first, None)
    denominator = job.sources(first.pretraining_networks[0])[1]
    network = job.architecture.load(path)
    found = _distance(first, job, "pretraining-denominator", network, denominator)
    # The ratio's own width is 0.46.
    assert found[0] < 0.1 < 0.8 < found[1]
    # From a file, in a study whose inputs are scaled by other events.
    later = plan("analytic-later", weights=[str(path)])
    job = training.BlockJob(later, _block(later, "pretrained-1"))
    network, source = job.block.networks[0], job.applied_to(job.block.networks[0])
    found = _distance(later, job, "simulation", job.start(network)[0], source)
    assert found[0] < 0.1 < 0.8 < found[1]


def test_a_file_that_does_not_fit_is_refused(study, folder, tmp_path):
    path = study.pretrained(1) / "network.weights.h5"
    methods = {"one": {"start": "pretrained"}}
    wider = _plan(folder, "wider", methods, {"weights": [str(path)]}, width=8)
    for kind in ("samples", "features"):
        shutil.copytree(study.root / kind, wider.root / kind)
    job = training.BlockJob(wider, _block(wider, "pretrained-1"))
    with pytest.raises(InputError, match=r"classifier\.width is 4 there and 8 here"):
        job.start(job.block.networks[0])
    scaled = json.loads(wider.scaling("detector").read_text())
    scaled["event_mean"] = [scaled["event_mean"][0] + 1]
    wider.scaling("detector").write_text(json.dumps(scaled))
    job = training.BlockJob(wider, _block(wider, "pretrained-1"))
    with pytest.raises(InputError, match=r"width is.*event feature 'x' is"):
        job.start(job.block.networks[0])
    missing = _plan(folder, "wider", methods, {"weights": [str(tmp_path / "no.weights.h5")]})
    job = training.BlockJob(missing, _block(missing, "pretrained-1"))
    with pytest.raises(InputError, match="no such file"):
        job.start(job.block.networks[0])


def test_one_simulation_against_itself_before_the_detector(folder):
    methods = {"one": {"start": "pretrained"}}
    plan = _plan(folder, "levels", methods, {"simulation": small_study.ROLE | {"seed": 5}})
    small_study.run(plan)
    role = "pretraining-simulation"
    events = store.open_store(plan.store(role))
    measured, generated = pretraining.Pretraining(plan, None).sources(plan.pretraining_networks[0])
    for source, level in ((measured, "detector"), (generated, "particle")):
        stored = open_features(plan.features(role, level)).event
        np.testing.assert_array_equal(source.features.event, stored)
        np.testing.assert_array_equal(source.event_id, events.event_id)
        np.testing.assert_array_equal(source.select, events.pass_detector & events.pass_particle)
    a, b = (np.array(s.weights(np.arange(len(events)))) for s in (measured, generated))
    np.testing.assert_array_equal(a, [events.weight, np.zeros(len(events))])
    np.testing.assert_array_equal(b, [np.zeros(len(events)), events.weight])
    record = small_study.records(plan)
    (model,) = (r for n, r in record.items() if n.step == 0)
    started = [r["start"]["digest"] for n, r in record.items() if n.iteration == 1]
    assert started == [model["digest"]] * 2
    # Both levels of an event train, or both are held out.
    count = np.count_nonzero(measured.select)
    assert model["summary"]["train_events"] % 2 == 0
    assert model["summary"]["train_events"] + model["summary"]["held_out_events"] == 2 * count


def test_methods_pay_for_the_models_that_they_use(study):
    networks = [*study.pretraining_networks, *(n for b in study.all_blocks() for n in b.networks)]
    timing = pd.DataFrame(
        {
            "chain": n.chain,
            "pass": n.pass_,
            "lane": n.lane,
            "purpose": "unfolding" if n.step else "pretraining",
            "seconds": 1.0 if n.step else 10.0 ** (1 + n.lane),
        }
        for n in networks
    )
    cost = cost_table(tables._priced(study), timing).set_index("method")["pretraining_seconds"]
    assert cost.to_dict() == {"parallel": 110.0, "frozen": 10.0, "thawed": 10.0}
