import json

import numpy as np
import pytest

from omniflow.events import store
from omniflow.files import open_h5


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
