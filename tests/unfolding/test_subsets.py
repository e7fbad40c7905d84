from math import comb

import pytest
from plans import BOTH, make_plan

from omniflow.unfolding.subsets import MOST, subsets


@pytest.mark.parametrize("lanes", [1, 2, 5, 6])
def test_up_to_six_lanes_all_subsets_are_there(lanes):
    found = subsets(lanes, "mean")
    assert len(set(found)) == len(found) == 2**lanes - 1
    assert [len(subset) for subset in found] == sorted(len(subset) for subset in found)
    assert found[-1] == tuple(range(lanes))


def test_of_many_subsets_some_are_drawn():
    found = subsets(9, "median")
    assert subsets(9, "median") == found
    assert len(set(found)) == len(found)
    for size in range(1, 10):
        drawn = [subset for subset in found if len(subset) == size]
        assert len(drawn) == min(comb(9, size), MOST)
        assert all(subset == tuple(sorted(set(subset))) for subset in drawn)
    assert {lane for subset in found if len(subset) == 4 for lane in subset} == set(range(9))


def test_a_truncated_mean_of_two_lanes_is_left_out():
    assert {len(subset) for subset in subsets(4, "truncated_mean")} == {1, 3, 4}


def test_the_plan_names_what_subsets_are_made_from():
    plan = make_plan(passes=2, per_job=2)
    assert plan.subsets("none") == plan.inputs.subsets("none") == []
    assert plan.subsets("step") == plan.inputs.subsets("step") == []
    assert len(plan.subsets("parallel")) == 31
    expected = [plan.weights(g, 3, 2) for p in (1, 2) for g in plan.groups("scratch-1", p)]
    assert plan.inputs.subsets("parallel") == expected
    assert plan.inputs.subsets("parallel", 2) == expected[3:]


def test_without_several_passes_there_is_no_spread():
    plan = make_plan(passes=1)
    assert plan.subsets("parallel") == plan.inputs.subsets("parallel") == []


def test_the_plan_names_members_that_are_as_good_as_others():
    """Stacked members have weights of their own, and copies of one network are no networks."""
    methods = {
        "none": {},
        "step": {"members": 4, "aggregate": "truncated_mean"},
        "hybrid": {"lanes": 2, "members": 3},
        "stacked": {"members": 3, "aggregate": "stacking"},
        "thinned": {"members": 3, "diversity": "dropout"},
    }
    plan = make_plan(methods, passes=2, classifier={"dropout": 0.2})
    sizes = [len(plan.member_subsets(name)) for name in methods]
    assert sizes == [0, 4 + 4 + 1, 7, 0, 0]
    for name, size in zip(methods, sizes, strict=True):
        chain = plan.chain_slug(plan.config.methods[name])
        kept = [stage for stage in plan.stages() if plan.keeps_members(*stage)]
        mine = [group for group, _, _ in kept if group.chain == chain]
        assert len(mine) == (2 * len(plan.groups(chain, 1)) if size else 0)
        assert {stage[1:] for stage in kept} == {(3, 2)}
        assert plan.inputs.members(name) == [plan.weights(group, 3, 2) for group in mine]
        assert set(plan.inputs.members(name)) <= set(plan.inputs.histograms(name))
    # Weights of one pass are kept too: passes may be added.
    alone = make_plan(methods, passes=1, classifier={"dropout": 0.2})
    assert alone.member_subsets("step") == alone.inputs.members("step") == []
    assert sum(alone.keeps_members(*stage) for stage in alone.stages()) == 1 + 2


def test_with_fakes_the_members_are_those_of_step_2():
    plan = make_plan({"m": {"members": 2}}, acceptance=BOTH)
    assert [path.parent.name for path in plan.inputs.members("m", 1)] == ["step-2"]
    assert [path.parent.name for path in plan.inputs.combine("m")][-1] == "step-2b"
