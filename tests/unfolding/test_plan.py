import itertools

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plans import BOTH, all_networks, coordinates, make_plan

# -- numbers -------------------------------------------------------------------------------------


def test_methods_are_views_on_chains():
    plan = make_plan()
    assert {slug: chain.lanes for slug, chain in plan.chains.items()} == {
        "scratch-1": 5,  # none and parallel
        "scratch-5-mean": 1,
        "scratch-3-median": 2,
        "pretrained-5-mean": 1,
        "backbone-1": 1,
    }


def test_numbers_of_networks():
    plan = make_plan()
    # 3 iterations of 2 steps.
    assert plan.networks_per_pass("none") == 6
    assert plan.networks_per_pass("parallel") == 30
    assert plan.networks_per_pass("step") == 30
    assert plan.networks_per_pass("hybrid") == 36
    networks = all_networks(plan)
    # `none` is lane 0 of `parallel`: 5 + 5 + 6 + 5 + 1 networks a step.
    assert len(networks) == 2 * 6 * 22
    assert len({coordinates(n) for n in networks}) == len(networks)


def test_numbers_of_jobs():
    def jobs(per_job):
        return len(list(make_plan(per_job=per_job).all_blocks())) // (2 * 6)

    assert jobs(1) == 22
    assert jobs(100) == 5
    # parallel 1, step 1, hybrid 2 (a block holds whole lanes of 3), pretrained 1, backbone 1
    assert jobs(5) == 6
    # parallel 3, step 3, hybrid 4 (2 + 1 networks of each lane), pretrained 3, backbone 1
    assert jobs(2) == 14


def test_none_is_lane_0_of_parallel():
    plan = make_plan()
    (lane_0,) = plan.lane_groups("none", 1)
    assert lane_0.lanes[0] == 0
    assert lane_0 in plan.lane_groups("parallel", 1)
    assert set(plan.inputs.combine("none")) <= set(plan.inputs.combine("parallel"))
    one_per_job = make_plan(per_job=1)
    assert [g.lanes for g in one_per_job.lane_groups("none", 1)] == [(0,)]
    assert [g.lanes for g in one_per_job.lane_groups("parallel", 1)] == [(i,) for i in range(5)]


@settings(max_examples=60, deadline=None)
@given(
    lanes=st.integers(1, 9),
    members=st.integers(1, 7),
    per_job=st.integers(1, 12),
)
def test_blocks_partition_the_networks(lanes, members, per_job):
    plan = make_plan({"m": {"lanes": lanes, "members": members}}, per_job=per_job, iterations=2)
    (chain,) = plan.chains
    groups = plan.groups(chain, 1)
    assert [lane for group in groups for lane in group.lanes] == list(range(lanes))
    for group in groups:
        blocks = plan.blocks(group, 1, 1)
        found = [(n.lane, n.member) for block in blocks for n in block.networks]
        assert found == list(itertools.product(group.lanes, range(members)))
        assert [block.index for block in blocks] == list(range(len(blocks)))
        assert all(1 <= len(block.networks) <= per_job for block in blocks)
        # A block holds whole lanes, or a part of one.
        assert len(blocks) == 1 or len(group.lanes) == 1
        assert plan.group(chain, 1, group.slug) == group
        assert all(plan.group_of(chain, 1, lane) == group for lane in group.lanes)
    assert {n.k for block in plan.all_blocks() for n in block.networks} == set(
        range(lanes * members)
    )


# -- combinations --------------------------------------------------------------------------------


def test_truncated_means_need_three_lanes():
    plan = make_plan({name: {"lanes": n} for name, n in (("two", 2), ("three", 3), ("five", 5))})
    assert plan.combinations("two") == ("mean", "median", "log_mean")
    assert plan.combinations("three") == ("mean", "median", "truncated_mean", "log_mean")
    notes = "\n".join(plan.notes)
    assert "two: no truncated mean" in notes
    assert "three: the truncated mean" in notes
    assert "five" not in notes


def test_the_median_of_members_is_noted():
    plan = make_plan({"m": {"members": 4, "aggregate": "truncated_mean"}}, combine=["mean"])
    assert any("m: the truncated mean of 4 members" in note for note in plan.notes)


# -- dependencies --------------------------------------------------------------------------------


def _block(plan, iteration, step, chain="scratch-1", lane=0, pass_=1):
    return plan.blocks(plan.group_of(chain, pass_, lane), iteration, step)[0]


def test_weights_follow_from_step_to_step():
    plan = make_plan()
    group = plan.group_of("scratch-1", 1, 0)
    chain = [(1, 1), (1, 2), (2, 1), (2, 2), (3, 1), (3, 2)]
    assert plan.previous_weights(group, 1, 1) is None
    for before, after in itertools.pairwise(chain):
        assert plan.previous_weights(group, *after) == plan.weights(group, *before)


def _weights_in(plan, block):
    return {path for path in plan.inputs.block(block) if path.name == "weights.h5"}


def test_a_job_needs_the_weights_of_its_own_lanes():
    plan = make_plan(per_job=1, restart={"network": "cold"})
    group = plan.group_of("scratch-1", 2, 3)
    assert _weights_in(plan, plan.blocks(group, 1, 1)[0]) == set()
    assert _weights_in(plan, plan.blocks(group, 1, 2)[0]) == {plan.weights(group, 1, 1)}
    assert _weights_in(plan, plan.blocks(group, 2, 1)[0]) == {plan.weights(group, 1, 2)}
    # Step 2 starts from nu_{n-1} as well, which its pull weights carry.
    assert plan.weights(group, 2, 1) in _weights_in(plan, plan.blocks(group, 2, 2)[0])
    for block in plan.all_blocks():
        for path in _weights_in(plan, block):
            assert f"pass-{block.group.pass_}/{block.group.slug}/" in str(path)
            assert block.group.chain in path.parts


def test_a_job_reads_the_samples_of_its_level():
    plan = make_plan()
    first, second = (plan.inputs.block(_block(plan, 1, step)) for step in (1, 2))
    assert set(first) == {
        plan.features("data", "detector"),
        plan.features("simulation", "detector"),
    }
    assert plan.features("simulation", "particle") in second
    # Real data has no particle level.
    assert not [path for path in second if path.name.startswith("data")]


@pytest.mark.parametrize("step", [1, 2, 3, 4])
def test_warm_restarts_continue_the_same_networks(step):
    plan = make_plan(per_job=2, acceptance=BOTH)
    for chain, lane in (("scratch-1", 4), ("scratch-3-median", 1), ("pretrained-5-mean", 0)):
        for block in plan.blocks(plan.group_of(chain, 2, lane), 2, step):
            previous = plan.previous_block(block)
            assert (previous.iteration, previous.step) == (1, step)
            assert [(n.lane, n.member) for n in previous.networks] == [
                (n.lane, n.member) for n in block.networks
            ]
            assert plan.networks_folder(previous) in plan.inputs.block(block)
            assert plan.pretrained() not in plan.inputs.block(block)


def test_the_first_iteration_never_continues():
    plan = make_plan()
    assert all(plan.previous_block(b) is None for b in plan.all_blocks() if b.iteration == 1)


def test_cold_restarts_start_by_the_start_policy_again():
    plan = make_plan(restart={"network": "cold"})
    folders = {plan.networks_folder(block) for block in plan.all_blocks()}
    for block in plan.all_blocks():
        inputs = set(plan.inputs.block(block))
        assert plan.previous_block(block) is None
        assert not inputs & folders
        assert (plan.pretrained() in inputs) == (block.group.chain[:7] != "scratch")


# -- conditional means ---------------------------------------------------------------------------

MEAN = "conditional_mean"


@pytest.mark.parametrize(
    ("acceptance", "steps"),
    [
        ({}, (1, 2)),
        ({"misses": MEAN}, (1, 3, 2)),
        ({"fakes": MEAN, "particle_level": "pass_gen"}, (1, 2, 4)),
        (BOTH, (1, 3, 2, 4)),
    ],
)
def test_steps_are_those_that_the_treatment_of_acceptance_needs(acceptance, steps):
    plan = make_plan(acceptance=acceptance)
    assert plan.steps == steps
    unity = make_plan()
    assert 2 * len(all_networks(plan)) == len(steps) * len(all_networks(unity))
    assert 2 * len(list(plan.all_blocks())) == len(steps) * len(list(unity.all_blocks()))
    assert plan.networks_per_pass("step") == 5 * 3 * len(steps)


def test_without_fakes_there_is_no_step_for_them():
    plan = make_plan(acceptance={"misses": MEAN, "fakes": MEAN, "particle_level": "all"})
    assert plan.steps == (1, 3, 2)
    assert any("no fakes" in note for note in plan.notes)
    assert not any("no fakes" in note for note in make_plan(acceptance=BOTH).notes)


def test_every_step_starts_from_the_weights_of_the_one_before():
    plan = make_plan(acceptance=BOTH)
    group = plan.group_of("scratch-1", 1, 0)
    chain = list(itertools.product((1, 2), (1, 3, 2, 4)))
    assert plan.previous_weights(group, 1, 1) is None
    for before, after in itertools.pairwise(chain):
        assert plan.previous_weights(group, *after) == plan.weights(group, *before)
    for iteration in (1, 2, 3):
        last = plan.weights(group, iteration, 4)
        assert plan.final_weights(group, iteration) == last
        assert last in plan.inputs.combine("parallel")


def test_conditional_means_wait_for_what_they_learn():
    plan = make_plan(acceptance=BOTH, restart={"network": "cold"})
    group = plan.group_of("scratch-1", 1, 0)
    before, pulled = plan.weights(group, 1, 4), plan.weights(group, 2, 1)
    misses, fakes = (plan.blocks(group, 2, step)[0] for step in (3, 4))
    # Omega is the quotient of the weights after and before step 1.
    assert _weights_in(plan, misses) == {before, pulled}
    assert {before, pulled} < set(plan.inputs.weights(group, 2, 3))
    assert plan.weights(group, 2, 2) in _weights_in(plan, fakes)
    assert plan.weights(group, 2, 2) in plan.inputs.weights(group, 2, 4)
    for block, level in ((misses, "particle"), (fakes, "detector")):
        inputs = plan.inputs.block(block)
        assert plan.features("simulation", level) in inputs
        assert not [path for path in inputs if path.name.startswith("data")]


@pytest.mark.parametrize("start", ["pretrained", "backbone"])
def test_pretrained_networks_are_loaded_in_the_first_iteration(start):
    plan = make_plan({"m": {"start": start}})
    for block in plan.all_blocks():
        assert (plan.pretrained() in plan.inputs.block(block)) == (block.iteration == 1)


def test_without_pretrained_methods_nothing_is_pretrained():
    plan = make_plan({"none": {}})
    assert plan.pretraining_networks == ()
    assert set(plan.samples) == {"data", "simulation"}
    assert set(make_plan().samples) == {
        "data",
        "simulation",
        "pretraining-numerator",
        "pretraining-denominator",
    }


@pytest.mark.parametrize("acceptance", [{}, BOTH])
def test_jobs_come_after_what_they_need(acceptance):
    plan = make_plan(per_job=2, acceptance=acceptance)
    made = set()
    for block in plan.all_blocks():
        needed = [path for path in plan.inputs.block(block) if "training" in path.parts]
        assert made.issuperset(needed)
        made.add(plan.networks_folder(block))
        made.add(plan.weights(block.group, block.iteration, block.step))


def test_combining_needs_every_iteration_of_every_lane():
    plan = make_plan(per_job=2)
    expected = {
        plan.weights(group, iteration, 2)
        for pass_ in (1, 2)
        for group in plan.groups("scratch-1", pass_)
        for iteration in (1, 2, 3)
    }
    assert set(plan.inputs.combine("parallel")) == expected | {
        plan.store("data"),
        plan.store("simulation"),
    }


# -- fingerprints --------------------------------------------------------------------------------


def test_combination_binning_and_jobs_retrain_nothing():
    def fingerprint(**changes):
        plan = make_plan(**changes)
        block = _block(plan, 2, 1)
        return plan.fingerprints.training(block.networks)

    same = fingerprint()
    unrelated = [
        {"combine": ["median"]},
        {"observables": {"names": ["q2"], "region": "all"}},
        {"passes": 7},
        {"iterations": 8},
        {"execution": {"networks_per_job": 5, "mem_mb": 9000}},
        {"methods": {"renamed": {"lanes": 5}}},
    ]
    assert all(fingerprint(**changes) == same for changes in unrelated)
    related = [
        {"training": {"epochs": 7}},
        {"classifier": {"width": 32}},
        {"unfolding": {"iterations": 3, "particle_level": "pass_gen"}},
        {"acceptance": {"misses": MEAN}},
        {"restart": {"rate_factor": 0.5}},
        {"study": {"name": "s", "seed": 99}},
    ]
    others = [fingerprint(**changes) for changes in related]
    assert same not in others
    assert len(set(others)) == len(others)


# -- dropout -------------------------------------------------------------------------------------


def test_thinned_members_are_one_network_of_a_lane():
    thinned = {"lanes": 3, "members": 4, "diversity": "dropout"}
    plan = make_plan({"thinned": thinned, "none": {}}, classifier={"dropout": 0.1}, per_job=2)
    chain = plan.chains["scratch-4-mean-dropout"]
    assert (chain.members, chain.networks, chain.lanes) == (4, 1, 3)
    assert plan.networks_per_pass("thinned") == 2 * 3 * 3
    networks = [n for n in all_networks(plan) if n.chain == chain.slug]
    assert {(n.lane, n.member, n.k) for n in networks} == {(i, 0, i) for i in range(3)}
    assert len(networks) == 2 * 2 * 3 * 3  # passes, steps, iterations, lanes
    assert [g.lanes for g in plan.groups(chain.slug, 1)] == [(0, 1), (2,)]


def test_dropout_that_is_off_changes_no_fingerprint():
    block = _block(make_plan(), 2, 1)
    before, off, on = (
        make_plan(classifier=classifier).fingerprints.training(block.networks)
        for classifier in ({}, {"dropout": 0.0}, {"dropout": 0.1})
    )
    assert before == off != on


def test_samples_wait_for_the_files_behind_virtual_ones(tmp_path):
    source, path = tmp_path / "source.h5", tmp_path / "whole.h5"
    with h5py.File(source, "w") as file:
        file["x"] = np.arange(3.0)
    layout = h5py.VirtualLayout((3,), "f8")
    layout[:] = h5py.VirtualSource("source.h5", "x", (3,))
    with h5py.File(path, "w") as file:
        file.create_virtual_dataset("x", layout)
    factors = {"simulation_weights": {"files": [str(path)], "dataset": "x"}}
    plan = make_plan(
        samples={
            "data": {"source": "h1", "files": [str(path)]},
            "simulation": {"source": "h1", "files": [str(tmp_path / "later.h5")]},
        },
        methods={"none": {}},
        uncertainties={"variations": {"up": factors}},
    )
    assert plan.inputs.files("data") == [str(path), str(source)]
    assert plan.inputs.files("simulation") == [str(tmp_path / "later.h5")]
    assert set(plan.inputs.histograms("up.none")) >= {path, source}
    assert set(plan.inputs.uncertainties()) >= {path, source}
    (block,) = [b for b in plan.all_blocks() if b.group.variant == "up"][:1]
    assert set(plan.inputs.block(block)) >= {path, source}
