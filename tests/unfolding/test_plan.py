import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omniflow.config import validate
from omniflow.unfolding.plan import NO_COMBINATION, Plan

PYTHIA = {"source": "pythia", "events": 1000, "seed": 3}
METHODS = {
    "none": {},
    "parallel": {"lanes": 5},
    "step": {"members": 5},
    "hybrid": {"lanes": 2, "members": 3, "aggregate": "median"},
    "pretrained_step": {"members": 5, "start": "pretrained"},
    "backbone": {"start": "backbone"},
}
PURPOSES = ("initial", "split", "order")


def _plan(methods=METHODS, passes=2, per_job=5, iterations=3, restart=None, **sections):
    raw = {
        "study": {"name": "s", "seed": 11, "passes": passes, "output": "out"},
        "samples": {
            "data": PYTHIA,
            "simulation": PYTHIA,
            "pretraining": {"numerator": PYTHIA, "denominator": PYTHIA},
        },
        "methods": methods,
        "unfolding": {"iterations": iterations, "restart": restart or {}},
        "execution": {"networks_per_job": per_job},
    }
    return Plan(validate(raw | sections))


def _networks(plan):
    return {network: block for block in plan.all_blocks() for network in block.networks}


def _state(plan, network):
    return tuple(tuple(plan.seed(p, network).generate_state(4)) for p in PURPOSES)


def _coordinates(network):
    return (
        network.chain,
        network.pass_,
        network.lane,
        network.member,
        network.iteration,
        network.step,
    )


# -- numbers -------------------------------------------------------------------------------------


def test_methods_are_views_on_chains():
    plan = _plan()
    assert {slug: chain.lanes for slug, chain in plan.chains.items()} == {
        "scratch-1": 5,  # none and parallel
        "scratch-5-mean": 1,
        "scratch-3-median": 2,
        "pretrained-5-mean": 1,
        "backbone-1": 1,
    }


def test_numbers_of_networks():
    plan = _plan()
    # 3 iterations of 2 steps.
    assert plan.networks_per_pass("none") == 6
    assert plan.networks_per_pass("parallel") == 30
    assert plan.networks_per_pass("step") == 30
    assert plan.networks_per_pass("hybrid") == 36
    networks = _networks(plan)
    # `none` is lane 0 of `parallel`: 5 + 5 + 6 + 5 + 1 networks a step.
    assert len(networks) == 2 * 6 * 22
    assert len({_coordinates(n) for n in networks}) == len(networks)


def test_numbers_of_jobs():
    def jobs(per_job):
        return len(list(_plan(per_job=per_job).all_blocks())) // (2 * 6)

    assert jobs(1) == 22
    assert jobs(100) == 5
    # parallel 1, step 1, hybrid 2 (a block holds whole lanes of 3), pretrained 1, backbone 1
    assert jobs(5) == 6
    # parallel 3, step 3, hybrid 4 (2 + 1 networks of each lane), pretrained 3, backbone 1
    assert jobs(2) == 14


def test_none_is_lane_0_of_parallel():
    plan = _plan()
    (lane_0,) = plan.lane_groups("none", 1)
    assert lane_0.lanes[0] == 0
    assert lane_0 in plan.lane_groups("parallel", 1)
    assert set(plan.combine_inputs("none", 1)) <= set(plan.combine_inputs("parallel", 1))
    one_per_job = _plan(per_job=1)
    assert [g.lanes for g in one_per_job.lane_groups("none", 1)] == [(0,)]
    assert [g.lanes for g in one_per_job.lane_groups("parallel", 1)] == [(i,) for i in range(5)]


@settings(max_examples=60, deadline=None)
@given(
    lanes=st.integers(1, 9),
    members=st.integers(1, 7),
    per_job=st.integers(1, 12),
)
def test_blocks_partition_the_networks(lanes, members, per_job):
    plan = _plan({"m": {"lanes": lanes, "members": members}}, per_job=per_job, iterations=2)
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


# -- seeds ---------------------------------------------------------------------------------------


def test_every_network_has_its_own_seeds():
    plan = _plan(restart={"split": "fresh"})
    networks = [n for n in _networks(plan) if n.chain == "scratch-1"]
    networks += plan.pretraining_networks
    found = [state for network in networks for state in _state(plan, network)]
    assert len(set(found)) == len(found) == 3 * (2 * 6 * 5 + 1)


def test_a_fixed_split_leaves_only_the_iteration_out():
    fixed, fresh = (_plan(restart={"split": split}) for split in ("fixed", "fresh"))

    def splits(plan):
        return {
            _coordinates(n): tuple(plan.seed("split", n).generate_state(4))
            for n in _networks(plan)
            if n.chain == "scratch-1"
        }

    found = splits(fixed)
    assert len(set(found.values())) == 2 * 5 * 2  # pass, lane, step
    for key, value in found.items():
        assert value == found[(*key[:4], 1, key[5])]
    other = splits(fresh)
    assert len(set(other.values())) == 2 * 5 * 2 * 3
    first = {key for key in found if key[4] == 1}
    assert all(found[key] == other[key] for key in first)


def test_seeds_do_not_depend_on_names_or_jobs():
    def states(plan):
        return {_coordinates(n): _state(plan, n) for n in _networks(plan)}

    plan = _plan()
    expected = states(plan)
    renamed = {f"other-{i}": method for i, method in enumerate(METHODS.values())}
    assert states(_plan(renamed)) == expected
    for per_job in (1, 2, 7, 100):
        assert states(_plan(per_job=per_job)) == expected
    backwards = dict(reversed(METHODS.items()))
    assert states(_plan(backwards)) == expected


def test_methods_share_random_numbers_where_they_can():
    """k = lane x members + member: `parallel` and `step` start the same five networks."""
    plan = _plan()
    states = {
        slug: {n.k: _state(plan, n) for n in _networks(plan) if n.chain == slug and n.pass_ == 1
               and n.iteration == 1 and n.step == 1}
        for slug in ("scratch-1", "scratch-5-mean", "scratch-3-median")
    }  # fmt: skip
    assert states["scratch-1"] == states["scratch-5-mean"]
    assert sorted(states["scratch-3-median"]) == list(range(6))
    assert all(states["scratch-3-median"][k] == states["scratch-1"][k] for k in range(5))


def test_another_study_seed_changes_all():
    one = _plan()
    two = _plan(study={"name": "s", "seed": 12, "passes": 2})
    network = next(iter(_networks(one)))
    assert not set(_state(one, network)) & set(_state(two, network))


# -- growing a study -----------------------------------------------------------------------------


def _layout(plan):
    """Where the results of every network lie, and its seeds."""
    return {
        _coordinates(n): (
            plan.networks_folder(block) / plan.network_file(n),
            plan.logits(block),
            plan.weights(block.group, block.iteration, block.step),
            _state(plan, n),
        )
        for n, block in _networks(plan).items()
    }


@pytest.mark.parametrize("per_job", [1, 5])
def test_more_passes_iterations_and_methods_leave_networks_where_they_are(per_job):
    few = {name: METHODS[name] for name in ("parallel", "hybrid")}
    before = _layout(_plan(few, per_job=per_job))
    grown = _plan(METHODS, passes=4, per_job=per_job, iterations=5)
    after = _layout(grown)
    assert len(after) > len(before)
    assert all(after[key] == value for key, value in before.items())


@pytest.mark.parametrize(("per_job", "lanes"), [(1, 3), (1, 1), (5, 5), (2, 4)])
def test_more_lanes_leave_networks_where_they_are(per_job, lanes):
    """Wherever the lanes that are there fill their jobs."""
    before = _layout(_plan({"parallel": {"lanes": lanes}}, per_job=per_job))
    after = _layout(_plan({"parallel": {"lanes": lanes + 5}}, per_job=per_job))
    assert all(after[key] == value for key, value in before.items())


def test_paths_of_different_results_differ():
    plan = _plan(per_job=2)
    paths = []
    for block in plan.all_blocks():
        paths += [plan.logits(block), plan.history(block), plan.networks_folder(block)]
        names = [plan.network_file(network) for network in block.networks]
        assert len(set(names)) == len(names)
    stages = {(b.group, b.iteration, b.step) for b in plan.all_blocks()}
    paths += [plan.weights(*stage) for stage in stages]
    for method in METHODS:
        paths += [
            plan.unfolded(method, how, p) for how in plan.combinations(method) for p in (1, 2)
        ]
        paths.append(plan.histograms(method))
    paths += [plan.pretrained(), plan.scaling]
    assert len(set(paths)) == len(paths)
    assert all(path.is_relative_to("out/s") for path in paths)


def test_promised_paths():
    plan = _plan()
    assert (
        str(plan.unfolded("parallel", "log_mean", 2))
        == "out/s/unfolded/parallel/log_mean/pass-2.h5"
    )
    assert str(plan.table("report.html")) == "out/s/report.html"
    assert plan.combinations("none") == (NO_COMBINATION,) == ("none",)


# -- combinations --------------------------------------------------------------------------------


def test_truncated_means_need_three_lanes():
    plan = _plan({name: {"lanes": n} for name, n in (("two", 2), ("three", 3), ("five", 5))})
    assert plan.combinations("two") == ("mean", "median", "log_mean")
    assert plan.combinations("three") == ("mean", "median", "truncated_mean", "log_mean")
    notes = "\n".join(plan.notes)
    assert "two: no truncated mean" in notes
    assert "three: the truncated mean" in notes
    assert "five" not in notes


def test_the_median_of_members_is_noted():
    plan = _plan({"m": {"members": 4, "aggregate": "truncated_mean"}}, combine=["mean"])
    assert any("m: the truncated mean of 4 members" in note for note in plan.notes)


# -- dependencies --------------------------------------------------------------------------------


def _block(plan, iteration, step, chain="scratch-1", lane=0, pass_=1):
    return plan.blocks(plan.group_of(chain, pass_, lane), iteration, step)[0]


def test_weights_follow_from_step_to_step():
    plan = _plan()
    group = plan.group_of("scratch-1", 1, 0)
    chain = [(1, 1), (1, 2), (2, 1), (2, 2), (3, 1), (3, 2)]
    assert plan.previous_weights(group, 1, 1) is None
    for before, after in itertools.pairwise(chain):
        assert plan.previous_weights(group, *after) == plan.weights(group, *before)


def _weights_in(plan, block):
    return {path for path in plan.block_inputs(block) if path.name == "weights.h5"}


def test_a_job_needs_the_weights_of_its_own_lanes():
    plan = _plan(per_job=1, restart={"network": "cold"})
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
    plan = _plan()
    first, second = (plan.block_inputs(_block(plan, 1, step)) for step in (1, 2))
    assert set(first) == {
        plan.store("data"),
        plan.store("simulation"),
        plan.features("data", "detector"),
        plan.features("simulation", "detector"),
    }
    assert plan.features("simulation", "particle") in second
    # Real data has no particle level.
    assert not [path for path in second if path.name.startswith("data")]


@pytest.mark.parametrize("step", [1, 2])
def test_warm_restarts_continue_the_same_networks(step):
    plan = _plan(per_job=2)
    for chain, lane in (("scratch-1", 4), ("scratch-3-median", 1), ("pretrained-5-mean", 0)):
        for block in plan.blocks(plan.group_of(chain, 2, lane), 2, step):
            previous = plan.previous_block(block)
            assert (previous.iteration, previous.step) == (1, step)
            assert [(n.lane, n.member) for n in previous.networks] == [
                (n.lane, n.member) for n in block.networks
            ]
            assert plan.networks_folder(previous) in plan.block_inputs(block)
            assert plan.pretrained() not in plan.block_inputs(block)


def test_the_first_iteration_never_continues():
    plan = _plan()
    assert all(plan.previous_block(b) is None for b in plan.all_blocks() if b.iteration == 1)


def test_cold_restarts_start_by_the_start_policy_again():
    plan = _plan(restart={"network": "cold"})
    folders = {plan.networks_folder(block) for block in plan.all_blocks()}
    for block in plan.all_blocks():
        inputs = set(plan.block_inputs(block))
        assert plan.previous_block(block) is None
        assert not inputs & folders
        assert (plan.pretrained() in inputs) == (block.group.chain[:7] != "scratch")


@pytest.mark.parametrize("start", ["pretrained", "backbone"])
def test_pretrained_networks_are_loaded_in_the_first_iteration(start):
    plan = _plan({"m": {"start": start}})
    for block in plan.all_blocks():
        assert (plan.pretrained() in plan.block_inputs(block)) == (block.iteration == 1)


def test_without_pretrained_methods_nothing_is_pretrained():
    plan = _plan({"none": {}})
    assert plan.pretraining_networks == ()
    assert set(plan.samples) == {"data", "simulation"}
    assert set(_plan().samples) == {
        "data",
        "simulation",
        "pretraining-numerator",
        "pretraining-denominator",
    }


def test_jobs_come_after_what_they_need():
    plan = _plan(per_job=2)
    made = set()
    for block in plan.all_blocks():
        previous = plan.previous_block(block)
        assert previous is None or plan.networks_folder(previous) in made
        made.add(plan.networks_folder(block))


def test_combining_needs_every_iteration_of_every_lane():
    plan = _plan(per_job=2)
    expected = {
        plan.weights(group, iteration, 2)
        for group in plan.groups("scratch-1", 2)
        for iteration in (1, 2, 3)
    }
    assert set(plan.combine_inputs("parallel", 2)) == expected | {plan.store("simulation")}


# -- fingerprints --------------------------------------------------------------------------------


def test_combination_binning_and_jobs_retrain_nothing():
    def fingerprint(**changes):
        plan = _plan(**changes)
        block = _block(plan, 2, 1)
        return plan.training_fingerprint(block.networks)

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
        {"restart": {"rate_factor": 0.5}},
        {"study": {"name": "s", "seed": 99}},
    ]
    others = [fingerprint(**changes) for changes in related]
    assert same not in others
    assert len(set(others)) == len(others)
