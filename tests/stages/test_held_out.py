"""A study with stacked members, and one whose networks draw their events, through the stages."""

import json

import numpy as np
import pytest
import small_study

from omniflow.evaluation.stacks import stacking_table, summary
from omniflow.events import store
from omniflow.events.folds import fold_of
from omniflow.events.split import held_out
from omniflow.hdf5 import open_h5
from omniflow.stages import tables
from omniflow.unfolding import seeds

METHODS = {
    "stacked": {"lanes": 2, "members": 3, "aggregate": "stacking"},
    "bagged": {"diversity": "bootstrap"},
    "none": {},
}
CHAIN = "scratch-3-stacking"


@pytest.fixture(scope="module")
def plan(folder):
    """All four steps; the members of a lane are trained by two jobs."""
    acceptance = {"misses": "conditional_mean", "fakes": "conditional_mean"}
    plan = small_study.make_plan(folder, "stacked", METHODS, {}, 2, **acceptance)
    return small_study.run(plan)


@pytest.fixture(scope="module")
def records(plan):
    return small_study.records(plan)


def _networks(records, chain):
    found = (network for network in records if network.chain == chain)
    return sorted(found, key=lambda network: (network.iteration, network.step))


def _stack(plan, group, iteration, step, lane):
    with open_h5(plan.weights(group, iteration, step)) as file:
        stacks = json.loads(file.attrs["stacking"])
        return file["ratio"][group.lanes.index(lane)], next(s for s in stacks if s["lane"] == lane)


@pytest.mark.parametrize("step", [1, 3, 2, 4])
def test_losses_of_members_are_those_of_their_validation(plan, records, step):
    """The trainer's own held-out loss: the same events, classes and weights, in all four steps."""
    for lane in (0, 1):
        group = plan.group_of(CHAIN, 1, lane)
        for iteration in (1, 2):
            _, found = _stack(plan, group, iteration, step, lane)
            expected = [
                record["val_loss"]
                for network, record in records.items()
                if (network.chain, network.lane) == (CHAIN, lane)
                and (network.iteration, network.step) == (iteration, step)
            ]
            assert len(expected) == 3
            np.testing.assert_allclose(found["losses"], expected, rtol=1e-5)
            assert found["loss_stacked"] <= min(found["loss_mean"], *found["losses"])
            assert np.sum(found["weights"]) == pytest.approx(1)
            assert min(found["weights"]) >= 0


def test_no_member_is_trained_on_the_events_that_decide(plan, records):
    simulation = store.open_store(plan.store("simulation"))
    fiducial, ids = np.asarray(simulation.pass_particle), np.asarray(simulation.event_id)
    for lane in (0, 1):
        group = plan.group_of(CHAIN, 1, lane)
        _, found = _stack(plan, group, 2, 2, lane)
        for network, record in records.items():
            if (network.chain, network.lane, network.iteration, network.step) == (
                CHAIN,
                lane,
                2,
                2,
            ):
                split = seeds.integer(plan.seed("split", network))
                assert found["events"] == np.sum(held_out(ids, split, 0.2) & fiducial)
                assert found["events"] == record["summary"]["held_out_events"]
                total = record["summary"]["train_events"] + found["events"]
                assert total == fiducial.sum()


@pytest.mark.parametrize(("step", "role"), [(1, "data"), (2, "simulation")])
def test_halves_of_the_events_judge_each_other(plan, step, role):
    """Halves by event id; losses on one half of what the other decided."""
    group = plan.group_of(CHAIN, 1, 1)
    _, found = _stack(plan, group, 2, step, 1)
    logits = []
    for block in plan.blocks(group, 2, step):
        with open_h5(plan.logits(block)) as file:
            for network in block.networks:
                if network.lane == 1:
                    names = ("logits", "numerator", "denominator", "half")
                    where = f"held_out/lane-1-member-{network.member}"
                    z, a, b, half = (file[f"{where}/{name}"][:] for name in names)
                    logits.append(z)
    events = store.open_store(plan.store(role))
    select = np.asarray(events.pass_detector if step == 1 else events.pass_particle)
    ids = np.asarray(events.event_id)
    split = seeds.integer(plan.seed("split", network))
    ids = ids[held_out(ids, split, 0.2) & select]
    np.testing.assert_array_equal(half[: len(ids)], fold_of(ids, 2) == 1)
    ratios, losses = np.exp(np.array(logits, float)), []
    for judged in (half, ~half):
        r = ratios[:, judged].mean(axis=0)
        of_a = (a[judged] * np.log1p(1 / r)).sum() / a[judged].sum()
        losses.append((of_a + (b[judged] * np.log1p(r)).sum() / b[judged].sum()) / 2)
    assert found["crossed_mean"] == pytest.approx(np.mean(losses))
    assert found["crossed_stacked"] != found["loss_stacked"]
    table = stacking_table(tables._stacks(plan))
    table = table[(table.lane == 1) & (table.iteration == 2) & (table.step == str(step))]
    for name in ("crossed_stacked", "crossed_mean", "crossed_best"):
        assert set(table[name]) == {found[name]}


def test_members_are_averaged_with_their_weights(plan):
    simulation = store.open_store(plan.store("simulation"))
    chosen = np.asarray(simulation.pass_detector)
    for lane in (0, 1):
        group = plan.group_of(CHAIN, 1, lane)
        ratio, found = _stack(plan, group, 1, 1, lane)
        logits = []
        for block in plan.blocks(group, 1, 1):
            with open_h5(plan.logits(block)) as file:
                logits += list(file["logits"][:].astype(float))
        combined = np.array(found["weights"]) @ np.exp(np.array(logits)[:, chosen])
        # Data and scaled simulation have the same yield in the first step.
        np.testing.assert_allclose(ratio[chosen], combined, rtol=1e-5)
        assert np.std(found["weights"]) > 0.01


def test_the_table_has_every_weight(plan):
    table = stacking_table(tables._stacks(plan))
    assert len(table) == 2 * 4 * 2 * 3  # iterations, steps, lanes, members
    sums = table.groupby(["lane", "iteration", "step"]).weight.sum()
    np.testing.assert_allclose(sums, 1)
    assert set(table.chain) == {CHAIN}
    assert plan.table("stacking.csv") in plan.tables
    rows = summary(table)
    assert [(r["iteration"], r["step"]) for r in rows] == [
        (i, s) for i in (1, 2) for s in ("1", "1b", "2", "2b")
    ]
    for row in rows:
        mine = table[(table.iteration == row["iteration"]) & (table.step == row["step"])]
        squares = [np.sum(part.weight**2) for _, part in mine.groupby("lane")]
        assert row["effective"] == pytest.approx(np.mean(1 / np.array(squares)))
        assert 1 <= row["effective"] <= 3


def test_without_stacking_there_is_no_table(warm):
    assert not [path for path in warm.tables if path.name == "stacking.csv"]
    found = stacking_table(tables._stacks(warm))
    assert found.empty
    assert summary(found) == []


def test_networks_that_draw_events_start_alike_and_train_on_fewer(records):
    bagged, alone = (_networks(records, chain) for chain in ("scratch-1-bootstrap", "scratch-1"))
    assert len(bagged) == len(alone) == 2 * 4
    for one, two in zip(bagged, alone, strict=True):
        drawn, plain = records[one]["summary"], records[two]["summary"]
        assert drawn["held_out_events"] == plain["held_out_events"]
        share = drawn["train_events"] / plain["train_events"]
        # 1 - 1/e of the events are drawn; of 200 or so, to 4%.
        assert share == pytest.approx(1 - np.exp(-1), abs=0.13)
        assert records[one]["digest"] != records[two]["digest"]
        if one.iteration == 1:
            assert records[one]["start"] == records[two]["start"]
