import numpy as np
import pytest
import small_study

from omniflow.evaluation.scores import PARTS, Scores
from omniflow.events import store
from omniflow.events.split import held_out
from omniflow.hdf5 import open_h5
from omniflow.stages import scores, training
from omniflow.unfolding import seeds
from omniflow.unfolding.coordinates import MISSES


def _stored(plan, chain, lane, iteration, step):
    block = plan.blocks(plan.group_of(chain, 1, lane), iteration, step)[0]
    return block, scores.of_block(plan.networks_folder(block), block)


def _split(plan, network, events):
    seed = seeds.integer(plan.seed("split", network))
    return held_out(events.event_id, seed, plan.config.training.validation)


@pytest.mark.parametrize(("chain", "lane"), [("scratch-1", 2), ("scratch-2-mean", 0)])
def test_scores_of_step_2_are_those_of_logits_and_weights(warm, chain, lane):
    """Logits, weights and split read from files and put into one histogram at once."""
    block, stored = _stored(warm, chain, lane, 2, 2)
    simulation = store.open_store(warm.store("simulation"))
    with open_h5(warm.weights(block.group, 2, 1)) as file:
        pull = file["ratio"][:].astype(float)
    with open_h5(warm.logits(block)) as file:
        logits = file["logits"][:]
    weight = np.asarray(simulation.weight)
    for row, network in enumerate(block.networks):
        held = _split(warm, network, simulation)
        lane_pull = pull[block.group.lanes.index(network.lane)]
        for part, mask in zip(PARTS, (held, ~held), strict=True):
            rows = mask & simulation.pass_particle
            direct = Scores.empty(15.0).plus(
                logits[row, rows], (weight * lane_pull)[rows], weight[rows]
            )
            found = stored[network][part]
            assert found.events == direct.events == rows.sum()
            np.testing.assert_allclose(found.sums, direct.sums, rtol=1e-9, atol=1e-12)


def test_scores_of_step_1_hold_data_and_simulation(warm):
    block, stored = _stored(warm, "scratch-1", 1, 1, 1)
    samples = [store.open_store(warm.store(role)) for role in ("data", "simulation")]
    job = training.BlockJob(warm, block)
    record = small_study.records(warm)
    for network, own in stored.items():
        sums = {part: own[part].sums[:2].sum(axis=1) for part in PARTS}
        for part, expected in zip(PARTS, (True, False), strict=True):
            for row, events in enumerate(samples):
                rows = events.pass_detector & (_split(warm, network, events) == expected)
                assert sums[part][row] == pytest.approx(np.asarray(events.weight)[rows].sum())
        summary = record[network]["summary"]
        assert own["trained"].events == summary["train_events"]
        assert own["held-out"].events == summary["held_out_events"]
        # The logits of data, predicted with the network that was saved.
        weights = job.architecture.load(warm.networks_folder(block) / warm.network_file(network))
        data = job.sources(network)[0]
        found = job.trainer.predict([weights], data)
        logits = np.concatenate([part[0] for _, part in found])
        rows = data.select & _split(warm, network, samples[0])
        a = np.asarray(samples[0].weight)[rows]
        direct = Scores.empty(15.0).plus(logits[rows], a, np.zeros(rows.sum()))
        np.testing.assert_allclose(own["held-out"].sums[0], direct.sums[0], atol=1e-12)


def test_only_data_are_evaluated_more_than_before(warm, monkeypatch, tmp_path):
    """The extra cost: logits of data once in step 1, none in step 2."""
    for step in (1, 2):
        block, _ = _stored(warm, "scratch-1", 0, 1, step)
        job = training.BlockJob(warm, block)
        seen = []
        inner = job.trainer.engine.outputs

        def outputs(parameters, source, index, seen=seen, inner=inner):
            seen.append(len(parameters) * len(index))
            return inner(parameters, source, index)

        monkeypatch.setattr(training, "BlockJob", lambda *arguments, job=job: job)
        monkeypatch.setattr(job.trainer.engine, "outputs", outputs)
        monkeypatch.setattr(type(warm), "networks_folder", lambda *_: tmp_path / "networks")
        monkeypatch.setattr(type(warm), "logits", lambda *_: tmp_path / "logits.h5")
        monkeypatch.setattr(type(warm), "history", lambda *_: tmp_path / "history.json")
        # All networks are there already: what is left are the logits.
        start = job.start(block.networks[0])[0]
        monkeypatch.setattr(job, "train", lambda networks, w=start: [(w, {})] * len(networks))
        monkeypatch.setattr(job, "write_history", lambda *_: None)
        training.train_block(warm, block)
        monkeypatch.undo()
        simulation = job.wanted.sum()
        data = store.open_store(warm.store("data")).pass_detector.sum() if step == 1 else 0
        assert sum(seen) == len(block.networks) * (simulation + data)


def test_steps_1b_and_2b_have_none(means):
    block = means.blocks(means.group_of("scratch-1", 1, 0), 1, MISSES)[0]
    assert scores.of_block(means.networks_folder(block), block) == {}
