import json

import numpy as np
import pytest

from omniflow.events import store
from omniflow.hdf5 import open_h5
from omniflow.stages import final


@pytest.fixture(scope="module")
def plan(warm):
    return warm


@pytest.fixture(scope="module")
def simulation(plan):
    return store.open_store(plan.store("simulation"))


def _ratios(plan, lane, iteration, step):
    group = plan.group_of("scratch-1", 1, lane)
    with open_h5(plan.weights(group, iteration, step)) as file:
        return file["ratio"][group.lanes.index(lane)].astype(float)


def _result(plan, method, how):
    with open_h5(plan.unfolded(method, how, 1)) as file:
        return {name: file[name][:] for name in file} | dict(file.attrs)


@pytest.mark.parametrize("lane", range(3))
@pytest.mark.parametrize("iteration", [1, 2])
def test_misses_and_fakes_keep_ratio_1(plan, simulation, lane, iteration):
    push = np.ones(len(simulation)) if iteration == 1 else _ratios(plan, lane, iteration - 1, 2)
    pull, after = (_ratios(plan, lane, iteration, step) for step in (1, 2))
    seen, fiducial = np.asarray(simulation.pass_detector), np.asarray(simulation.pass_particle)
    np.testing.assert_array_equal(pull[~seen], push[~seen])
    assert np.all(pull[seen] != push[seen])
    np.testing.assert_array_equal(after[~fiducial], 1)
    assert np.std(after[fiducial]) > 0.05


def test_yields_of_every_step_agree_with_their_target(plan, simulation):
    """Within what the networks learned in two epochs; the recorded sums are exact."""
    data = store.open_store(plan.store("data"))
    scale = (
        data.weight[data.pass_detector].sum() / simulation.weight[simulation.pass_detector].sum()
    )
    for group in plan.groups("scratch-1", 1):
        with open_h5(plan.weights(group, 1, 1)) as file:
            checks = json.loads(file.attrs["checks"])
        assert [check["lane"] for check in checks] == list(group.lanes)
        for check in checks:
            base = scale * simulation.weight * simulation.pass_detector
            pull = _ratios(plan, check["lane"], 1, 1)
            assert check["sum_before"] == pytest.approx(base.sum())
            assert check["sum_after"] == pytest.approx((base * pull).sum(), rel=1e-5)
            assert check["sum_after"] == pytest.approx(base.sum(), rel=0.2)


@pytest.mark.parametrize("how", ["mean", "median", "truncated_mean", "log_mean"])
def test_the_result_combines_lanes_before_the_base_weight(plan, simulation, how):
    result = _result(plan, "parallel", how)
    fiducial = np.asarray(simulation.pass_particle)
    ids = np.asarray(simulation.event_id)[fiducial]
    order = np.argsort(ids)
    np.testing.assert_array_equal(result["event_id"], ids[order])
    assert result["event_id"].dtype == np.uint64
    base = result["scale"] * np.asarray(simulation.weight)[fiducial][order]
    for iteration in (1, 2):
        lanes = np.array([_ratios(plan, lane, iteration, 2)[fiducial][order] for lane in range(3)])
        combined = {
            "mean": lanes.mean(axis=0),
            "median": np.median(lanes, axis=0),
            "truncated_mean": np.median(lanes, axis=0),
            "log_mean": np.prod(lanes, axis=0) ** (1 / 3),
        }[how]
        combined *= (lanes @ base).mean() / (combined @ base)
        np.testing.assert_allclose(result["ratio"][iteration - 1], combined, rtol=1e-6)
    np.testing.assert_allclose(result["weight"], base * combined, rtol=1e-10)
    assert result["weight"].dtype == np.float64


def test_none_is_lane_0(plan, simulation):
    result = _result(plan, "none", "none")
    fiducial = np.asarray(simulation.pass_particle)
    order = np.argsort(np.asarray(simulation.event_id)[fiducial])
    np.testing.assert_allclose(result["ratio"][1], _ratios(plan, 0, 2, 2)[fiducial][order])


@pytest.mark.parametrize("iteration", [1, 2])
def test_conditional_means_complete_the_weights(means, iteration):
    """Misses get nu E[omega | z], fakes E[nu | x]; all others keep what steps 1 and 2 gave."""
    simulation = store.open_store(means.store("simulation"))
    seen, fiducial = np.asarray(simulation.pass_detector), np.asarray(simulation.pass_particle)
    weight = np.asarray(simulation.weight)[seen & fiducial]
    group = means.group_of("scratch-1", 1, 1)
    pulled, completed, pushed, final = (_ratios(means, 1, iteration, s) for s in (1, 3, 2, 4))
    before = np.ones(len(seen)) if iteration == 1 else _ratios(means, 1, iteration - 1, 4)
    for step, chosen, start, end, learned in (
        (3, fiducial & ~seen, pulled, completed, pulled / before),
        (4, seen & ~fiducial, pushed, final, pushed),
    ):
        np.testing.assert_array_equal(end[~chosen], start[~chosen])
        with open_h5(means.logits(means.blocks(group, iteration, step)[0])) as file:
            logits = file["logits"][1][chosen].astype(float)
        mean = np.average(learned[seen & fiducial], weights=weight)
        np.testing.assert_allclose(end[chosen], start[chosen] * mean * np.exp(logits), rtol=1e-5)
        assert np.std(logits) > 0.01


def test_the_result_carries_the_learned_weights_of_fakes(means):
    simulation = store.open_store(means.store("simulation"))
    seen, fiducial = np.asarray(simulation.pass_detector), np.asarray(simulation.pass_particle)
    fakes, ids = seen & ~fiducial, np.asarray(simulation.event_id)
    with open_h5(means.unfolded("parallel", "mean", 1)) as file:
        assert np.array_equal(file["event_id"][:], np.sort(ids[fiducial]))
        found = {name: file["fakes"][name][:] for name in file["fakes"]}
        scale = file.attrs["scale"]
    assert np.array_equal(found["event_id"], np.sort(ids[fakes]))
    order = np.argsort(ids[fakes])
    for iteration in (1, 2):
        lanes = [_ratios(means, lane, iteration, 4)[fakes][order] for lane in range(2)]
        np.testing.assert_allclose(found["ratio"][iteration - 1], np.mean(lanes, axis=0), rtol=1e-6)
    base = scale * np.asarray(simulation.weight)[fakes][order]
    np.testing.assert_allclose(found["weight"], base * np.mean(lanes, axis=0), rtol=1e-6)
    # What histograms at detector level are filled with, in the order of the store.
    result = final.Ratios(means, "parallel")
    ratios = np.stack([result.after("mean", 1, iteration) for iteration in (1, 2)])
    np.testing.assert_array_equal(ratios[:, np.flatnonzero(fakes)[order]], found["ratio"])
    np.testing.assert_array_equal(ratios[:, ~seen & ~fiducial], 1)
    assert np.all(ratios[:, fiducial] != 1)


def test_the_result_of_unity_has_no_fakes(plan):
    with open_h5(plan.unfolded("none", "none", 1)) as file:
        assert set(file) == {"event_id", "weight", "ratio"}


def test_scale_and_sums_are_recorded(plan, simulation):
    data = store.open_store(plan.store("data"))
    result = _result(plan, "none", "none")
    sums = [s.weight[s.pass_detector].sum() for s in (data, simulation)]
    assert (result["sum_data"], result["sum_simulation"]) == (
        pytest.approx(sums[0]),
        pytest.approx(sums[1]),
    )
    assert result["scale"] == pytest.approx(sums[0] / sums[1])
    assert result["normalization"] == "absolute"
