"""Cross-fitted prediction: whom a network sees and whom it predicts, from recorded event ids."""

import dataclasses
from collections import defaultdict

import numpy as np
import pytest
import small_study

from omniflow.config import validate
from omniflow.evaluation.scores import Scores
from omniflow.events import store
from omniflow.hdf5 import open_h5
from omniflow.stages import scores
from omniflow.training.native import Native
from omniflow.training.trainer import Trainer
from omniflow.unfolding.coordinates import FAKES, MISSES
from omniflow.unfolding.plan import Plan

K = 3
METHODS = {"none": {}, "pretrained": {"members": 2, "start": "pretrained"}}
MEANS = {"misses": "conditional_mean", "fakes": "conditional_mean"}


def _plan(folder, name, methods, network, per_job, **unfolding):
    plan = small_study.make_plan(folder, name, methods, {"network": network}, per_job, **unfolding)
    raw = plan.config.model_dump(mode="json")
    raw["training"]["folds"] = K
    return Plan(validate(raw))


class Record:
    """Ids of simulated events, and of data, that each training met."""

    def __init__(self, monkeypatch):
        self.seen, self.data = (defaultdict(set) for _ in range(2))
        self.now, self.simulated = None, {}
        fit, prepare, outputs = Trainer._fit_together, Native.prepare, Native.outputs

        def note(source, index):
            # Outputs are asked for without weights, of the same events.
            target = self.seen if self.simulated[id(source.event_id)] else self.data
            target[self.now].update(source.event_id[index].tolist())

        def recorded_fit(trainer, tasks):
            (task,) = tasks
            self.now = task.name
            self.simulated = {id(s.event_id): bool(s.denominator) for s in task.sources}
            outcomes = fit(trainer, tasks)
            self.now = None
            return outcomes

        def recorded_prepare(engine, networks):
            for sources, positions in networks:
                for source, index in zip(sources, positions, strict=True):
                    note(source, index.ravel())
            return prepare(engine, networks)

        def recorded_outputs(engine, parameters, source, index):
            if self.now is not None:
                note(source, index)  # the held-out loss
            yield from outputs(engine, parameters, source, index)

        monkeypatch.setattr(Trainer, "_fit_together", recorded_fit)
        monkeypatch.setattr(Native, "prepare", recorded_prepare)
        monkeypatch.setattr(Native, "outputs", recorded_outputs)


def _predicted(plan):
    """Ids of the events that each network gives a logit to."""
    event_id = store.open_store(plan.store("simulation")).event_id
    found = {}
    for block in plan.all_blocks():
        with open_h5(plan.logits(block)) as file:
            for network, row in zip(block.networks, file["logits"][:], strict=True):
                found[network.name] = set(event_id[np.isfinite(row)].tolist())
    return found


@pytest.fixture(scope="module", params=["warm", "cold"])
def recorded(request, folder):
    """A study, four trainings a job: folds of a member in different jobs. Warm: all four steps."""
    acceptance = MEANS if request.param == "warm" else {}
    with pytest.MonkeyPatch.context() as monkeypatch:
        record = Record(monkeypatch)
        plan = _plan(folder, f"folds-{request.param}", METHODS, request.param, 4, **acceptance)
        small_study.run(plan)
    return plan, record


def _networks(plan):
    return {n.name: n for block in plan.all_blocks() for n in block.networks}


def test_no_event_is_predicted_by_a_network_that_met_it(recorded):
    """Also not by what a warm network started from."""
    plan, record = recorded
    networks, logits = _networks(plan), _predicted(plan)
    met, predicted = defaultdict(set), defaultdict(set)
    for name, n in networks.items():
        assert record.seen[name]
        key = (n.chain, n.lane, n.member, n.step, n.fold)
        met[key] |= record.seen[name]
        predicted[key] |= logits[name]
    assert len(met) == (1 + 2) * len(plan.steps) * K
    for key, ids in met.items():
        assert len(ids) > 100
        assert len(predicted[key]) > 10
        assert not ids & predicted[key]


def test_every_wanted_event_is_predicted_by_one_fold(recorded):
    plan, _ = recorded
    simulation = store.open_store(plan.store("simulation"))
    detector, particle = (
        np.asarray(flag) for flag in (simulation.pass_detector, simulation.pass_particle)
    )
    wanted = {
        1: detector,
        2: particle,
        MISSES: particle & ~detector,
        FAKES: detector & ~particle,
    }
    networks, found = _networks(plan), defaultdict(list)
    for name, ids in _predicted(plan).items():
        n = networks[name]
        found[n.chain, n.lane, n.member, n.iteration, n.step] += ids
    for (*_, step), ids in found.items():
        assert sorted(ids) == sorted(simulation.event_id[wanted[step]].tolist())


def test_weights_are_those_of_the_own_fold(recorded):
    """After step 1 of the first iteration: log of the ratio is the logit and one number."""
    plan, _ = recorded
    simulation = store.open_store(plan.store("simulation"))
    for group in plan.groups("scratch-1", 1):
        rows = []
        for block in plan.blocks(group, 1, 1):
            with open_h5(plan.logits(block)) as file:
                rows += list(file["logits"][:])
        with open_h5(plan.weights(group, 1, 1)) as file:
            ratio = file["ratio"][:]
        assert len(rows) == K * len(ratio)
        for lane, found in enumerate(ratio):
            logits = np.array(rows[K * lane : K * (lane + 1)])
            finite = np.isfinite(logits)
            np.testing.assert_array_equal(finite.sum(axis=0), simulation.pass_detector)
            own = np.nansum(logits, axis=0)[simulation.pass_detector]
            offset = np.log(found[simulation.pass_detector]) - own
            np.testing.assert_allclose(offset, offset[0], atol=1e-5)
            assert own.std() > 0.01


def test_folds_of_a_member_differ(recorded):
    plan, _ = recorded
    record = small_study.records(plan)
    first = [r for n, r in record.items() if n.chain == "scratch-1" and n.iteration == 1]
    assert len({r["start"]["digest"] for r in first}) == len(first) == len(plan.steps) * K
    for r in first:
        events = r["summary"]["train_events"] + r["summary"]["held_out_events"]
        assert 100 < events < 900


def test_networks_do_not_depend_on_their_job(recorded, folder):
    plan, _ = recorded
    if len(plan.steps) > 2:
        return  # of the shorter study
    other = _plan(folder, "folds-one-a-job", {"none": {}}, "cold", 1)
    apart = small_study.records(small_study.run(other))
    together = small_study.records(plan)
    assert len(apart) == 2 * 2 * K
    for network, record in apart.items():
        assert together[network]["digest"] == record["digest"]


def test_restarts_are_those_of_the_own_fold(recorded):
    plan, _ = recorded
    record = small_study.records(plan)
    (pretraining,) = (r for n, r in record.items() if n.step == 0)
    warm = plan.config.unfolding.restart.network == "warm"
    for network, r in record.items():
        if network.step and network.iteration == 2 and warm:
            before = record[dataclasses.replace(network, iteration=1)]
            # Step 1 goes on with a new last layer.
            assert (r["start"]["digest"] == before["digest"]) == (network.step in (2, FAKES))
        elif network.chain.startswith("pretrained"):
            assert r["start"]["digest"] == pretraining["digest"]
        else:
            assert r["start"]["policy"] == "scratch"


def test_data_are_folded_by_the_same_ids(recorded):
    """Ids that stand in both samples by chance: who predicts one meets it in neither."""
    plan, record = recorded
    networks = _networks(plan)
    own, everything, shared = defaultdict(set), defaultdict(set), 0
    logits = _predicted(plan)
    for name, n in networks.items():
        own[n.fold] |= logits[name]
        everything[n.fold] |= record.data[name]
        assert bool(record.data[name]) == (n.step == 1)
    for fold in own:
        assert not own[fold] & everything[fold]
        shared += sum(len(own[fold] & everything[other]) for other in own if other != fold)
    assert shared > 20
    data = store.open_store(plan.store("data"))
    passing = set(data.event_id[data.pass_detector].tolist())
    assert set.union(*everything.values()) == passing


def test_networks_trained_together_keep_to_their_folds(recorded, folder):
    """As on a GPU: a job's networks are one stack, with different events each."""
    plan, _ = recorded
    if len(plan.steps) > 2:
        return  # of the shorter study
    raw = _plan(folder, "folds-stacked", {"none": {}}, "cold", 4).config.model_dump(mode="json")
    raw["execution"] |= {"stack": 4, "engine": "tensorflow"}
    raw["unfolding"]["iterations"] = 1
    stacked = small_study.run(Plan(validate(raw)))
    alone = {n.name: row for b in plan.all_blocks() for n, row in _rows(plan, b)}
    for block in stacked.all_blocks():
        assert len(block.networks) == K
        for network, row in _rows(stacked, block):
            np.testing.assert_allclose(row, alone[network.name], atol=1e-3)


def _rows(plan, block):
    with open_h5(plan.logits(block)) as file:
        return list(zip(block.networks, file["logits"][:], strict=True))


def _fold(event_id):
    """SplitMix64 (Steele et al. 2014), twice, in Python's own integers."""
    x, mask = event_id, 2**64 - 1
    for _ in range(2):
        x = (x + 0x9E3779B97F4A7C15) & mask
        x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & mask
        x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & mask
        x ^= x >> 31
    return 1 + K * x // 2**64


def test_scores_are_of_the_own_fold_and_of_trained_events(recorded):
    plan, _ = recorded
    record = small_study.records(plan)
    simulation, data = (store.open_store(plan.store(role)) for role in ("simulation", "data"))
    in_fold = np.array([_fold(i) for i in data.event_id.tolist()])
    (group,) = plan.groups("scratch-1", 1)
    for step in (1, 2):
        start = plan.previous_weights(group, 2, step)
        with open_h5(start) as file:
            (before,) = file["ratio"][:].astype(float)
        for block in plan.blocks(group, 2, step):
            found = scores.of_block(plan.networks_folder(block), block)
            with open_h5(plan.logits(block)) as file:
                logits = dict(zip(block.networks, file["logits"][:], strict=True))
            for network, own in found.items():
                rows = np.isfinite(logits[network])
                held, events = own["held-out"], rows.sum()
                weight = (np.asarray(simulation.weight) * (before if step == 1 else 1))[rows]
                direct = Scores.empty(15.0).plus(logits[network][rows], 0 * weight, weight)
                np.testing.assert_allclose(held.sums[1], direct.sums[1], atol=1e-9)
                if step == 1:
                    measured = data.pass_detector & (in_fold == network.fold)
                    events += measured.sum()
                    total = np.asarray(data.weight)[measured].sum()
                    assert held.sums[0].sum() == pytest.approx(total)
                assert held.events == events > 50
                assert own["trained"].events == record[network]["summary"]["train_events"]
