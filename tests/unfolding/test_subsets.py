from math import comb

import pytest
from plans import make_plan

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
    assert plan.subsets("step") == []  # members cannot be combined anew
    assert len(plan.subsets("parallel")) == 31
    expected = [plan.weights(g, 3, 2) for p in (1, 2) for g in plan.groups("scratch-1", p)]
    assert plan.inputs.subsets("parallel") == expected
    assert plan.inputs.subsets("parallel", 2) == expected[3:]


def test_without_several_passes_there_is_no_spread():
    plan = make_plan(passes=1)
    assert plan.subsets("parallel") == plan.inputs.subsets("parallel") == []
