"""Members that are one trained network with other units dropped, through the stages."""

import numpy as np
import pytest
import small_study

from omniflow.config import validate
from omniflow.events import store
from omniflow.hdf5 import open_h5
from omniflow.unfolding.plan import Plan

METHODS = {"thinned": {"lanes": 2, "members": 3, "diversity": "dropout"}, "none": {}}


@pytest.fixture(scope="module")
def plan(folder):
    raw = small_study.make_plan(folder, "thinned", {"none": {}}, {}, 2).config.model_dump(
        mode="json"
    )
    raw["classifier"] |= {"dropout": 0.3, "width": 16}
    return small_study.run(Plan(validate(raw | {"methods": METHODS})))


def test_one_network_is_trained_per_lane(plan):
    networks = [n for n in small_study.records(plan) if n.chain == "scratch-3-mean-dropout"]
    assert len(networks) == 2 * 2 * 2  # lanes, steps, iterations
    found = small_study.records(plan)
    same = {(n.lane, n.iteration, n.step): r for n, r in found.items() if n.chain == "scratch-1"}
    first = next(n for n in networks if (n.lane, n.iteration, n.step) == (0, 1, 1))
    # Nothing but the name tells the first training from that of a network alone.
    assert found[first]["digest"] == same[0, 1, 1]["digest"]


@pytest.mark.parametrize("lane", [0, 1])
def test_its_thinned_copies_are_averaged(plan, lane):
    simulation = store.open_store(plan.store("simulation"))
    chosen = np.asarray(simulation.pass_detector)
    group = plan.group_of("scratch-3-mean-dropout", 1, lane)
    (block,) = plan.blocks(group, 1, 1)
    with open_h5(plan.logits(block)) as file:
        logits = file["logits"][:, chosen].astype(float)
    assert len(logits) == 2 * 3
    mine = logits[3 * lane : 3 * lane + 3]
    spread = mine.std(axis=0)
    assert np.all(np.ptp(mine.mean(axis=1)) > 0)
    assert spread.mean() > 0.01
    with open_h5(plan.weights(group, 1, 1)) as file:
        ratio = file["ratio"][lane][chosen]
    np.testing.assert_allclose(ratio, np.exp(mine).mean(axis=0), rtol=1e-5)
