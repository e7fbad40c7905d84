import hashlib

import pytest
from plans import BOTH, METHODS, all_networks, coordinates, make_plan, state

from omniflow.unfolding.results import NO_COMBINATION

# -- seeds ---------------------------------------------------------------------------------------


def test_every_network_has_its_own_seeds():
    plan = make_plan(restart={"split": "fresh"})
    networks = [n for n in all_networks(plan) if n.chain == "scratch-1"]
    networks += plan.pretraining_networks
    found = [each for network in networks for each in state(plan, network)]
    assert len(set(found)) == len(found) == 3 * (2 * 6 * 5 + 1)


def test_a_fixed_split_leaves_only_the_iteration_out():
    fixed, fresh = (make_plan(restart={"split": split}) for split in ("fixed", "fresh"))

    def splits(plan):
        return {
            coordinates(n): tuple(plan.seed("split", n).generate_state(4))
            for n in all_networks(plan)
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
        return {coordinates(n): state(plan, n) for n in all_networks(plan)}

    plan = make_plan()
    expected = states(plan)
    renamed = {f"other-{i}": method for i, method in enumerate(METHODS.values())}
    assert states(make_plan(renamed)) == expected
    for per_job in (1, 2, 7, 100):
        assert states(make_plan(per_job=per_job)) == expected
    backwards = dict(reversed(METHODS.items()))
    assert states(make_plan(backwards)) == expected


def test_methods_share_random_numbers_where_they_can():
    """k = lane x members + member: `parallel` and `step` start the same five networks."""
    plan = make_plan()
    states = {
        slug: {n.k: state(plan, n) for n in all_networks(plan) if n.chain == slug and n.pass_ == 1
               and n.iteration == 1 and n.step == 1}
        for slug in ("scratch-1", "scratch-5-mean", "scratch-3-median")
    }  # fmt: skip
    assert states["scratch-1"] == states["scratch-5-mean"]
    assert sorted(states["scratch-3-median"]) == list(range(6))
    assert all(states["scratch-3-median"][k] == states["scratch-1"][k] for k in range(5))


def test_another_study_seed_changes_all():
    one = make_plan()
    two = make_plan(study={"name": "s", "seed": 12, "passes": 2})
    network = next(iter(all_networks(one)))
    assert not set(state(one, network)) & set(state(two, network))


# -- growing a study -----------------------------------------------------------------------------


def _layout(plan):
    """Where the results of every network lie, and its seeds."""
    return {
        coordinates(n): (
            plan.networks_folder(block) / plan.network_file(n),
            plan.logits(block),
            plan.weights(block.group, block.iteration, block.step),
            state(plan, n),
        )
        for n, block in all_networks(plan).items()
    }


@pytest.mark.parametrize("per_job", [1, 5])
def test_more_passes_iterations_and_methods_leave_networks_where_they_are(per_job):
    few = {name: METHODS[name] for name in ("parallel", "hybrid")}
    before = _layout(make_plan(few, per_job=per_job))
    grown = make_plan(METHODS, passes=4, per_job=per_job, iterations=5)
    after = _layout(grown)
    assert len(after) > len(before)
    assert all(after[key] == value for key, value in before.items())


def test_steps_1_and_2_never_change():
    """Paths, inputs and seeds are those of version 0.1: finished studies can be continued."""
    plan = make_plan(per_job=2)
    found = []
    for network, block in all_networks(plan).items():
        found += [
            plan.networks_folder(block) / plan.network_file(network),
            plan.checkpoint(network),
        ]
        found += [plan.logits(block), *plan.inputs.block(block), network.name, state(plan, network)]
        found.append(plan.weights(block.group, block.iteration, block.step))
        found += plan.inputs.weights(block.group, block.iteration, block.step)
    found += [path for method in METHODS for path in plan.inputs.combine(method)]
    lines = "\n".join(map(str, found)).encode()
    assert hashlib.sha256(lines).hexdigest()[:16] == "65407df17e9bec22"


def test_conditional_means_leave_steps_1_and_2_where_they_are():
    before, after = (_layout(make_plan(acceptance=acceptance)) for acceptance in ({}, BOTH))
    assert len(after) == 2 * len(before)
    assert all(after[key] == value for key, value in before.items())
    for step, name in ((3, "step-1b"), (4, "step-2b")):
        assert all(after[key][2].parent.name == name for key in after if key[5] == step)
    one_chain = [states for key, (*_, states) in after.items() if key[0] == "scratch-1"]
    assert len(set(one_chain)) == len(one_chain)


@pytest.mark.parametrize(("per_job", "lanes"), [(1, 3), (1, 1), (5, 5), (2, 4)])
def test_more_lanes_leave_networks_where_they_are(per_job, lanes):
    """Wherever the lanes that are there fill their jobs."""
    before = _layout(make_plan({"parallel": {"lanes": lanes}}, per_job=per_job))
    after = _layout(make_plan({"parallel": {"lanes": lanes + 5}}, per_job=per_job))
    assert all(after[key] == value for key, value in before.items())


def test_paths_of_different_results_differ():
    plan = make_plan(per_job=2)
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
    paths += [plan.pretrained(), *plan.scalings]
    assert len(set(paths)) == len(paths)
    assert all(path.is_relative_to("out/s") for path in paths)


def test_promised_paths():
    plan = make_plan()
    assert (
        str(plan.unfolded("parallel", "log_mean", 2))
        == "out/s/unfolded/parallel/log_mean/pass-2.h5"
    )
    assert str(plan.table("report.html")) == "out/s/report.html"
    assert plan.combinations("none") == (NO_COMBINATION,) == ("none",)


def test_stacked_members_of_a_lane_hold_the_same_events_out():
    """And share nothing else, with each other or with members of other lanes."""
    methods = {"stack": {"lanes": 2, "members": 3, "aggregate": "stacking"}, "step": {"members": 3}}
    plan = make_plan(methods, passes=1, iterations=2)
    networks = [n for n in all_networks(plan) if n.chain == "scratch-3-stacking"]
    found = {n: state(plan, n) for n in networks}
    splits = {}
    for network, (initial, split, order) in found.items():
        key = (network.lane, network.iteration, network.step)
        assert splits.setdefault(key, split) == split
        others = [f for n, f in found.items() if n != network]
        assert all(initial != other[0] and order != other[2] for other in others)
    assert len(set(splits.values())) == len(splits) == 2 * 2 * 2
    # The first member of the first lane is that of any other aggregation.
    mean = {coordinates(n)[1:]: n for n in all_networks(plan) if n.chain == "scratch-3-mean"}
    first = next(n for n in networks if n.k == 0)
    assert found[first] == state(plan, mean[coordinates(first)[1:]])


def test_identical_starts_are_those_of_the_members_of_a_lane_and_nothing_else_is_shared():
    methods = {
        "same": {"lanes": 2, "members": 3, "diversity": "identical_starts"},
        "step": {"members": 3},
    }
    plan = make_plan(methods, passes=2, iterations=2)
    assert set(plan.chains) == {"scratch-3-mean-identical-starts", "scratch-3-mean"}
    networks = [n for n in all_networks(plan) if n.chain == "scratch-3-mean-identical-starts"]
    found = {n: state(plan, n) for n in networks}
    starts = {}
    for network, (initial, *others) in found.items():
        place = (network.pass_, network.lane, network.iteration, network.step)
        assert starts.setdefault(place, initial) == initial
        assert not {*others} & {each for n, f in found.items() if n != network for each in f}
    assert len(set(starts.values())) == len(starts) == 2 * 2 * 2 * 2
    # The first member of the first lane is that of independent networks.
    mean = {coordinates(n)[1:]: n for n in all_networks(plan) if n.chain == "scratch-3-mean"}
    first = next(n for n in networks if n.k == 0)
    assert found[first] == state(plan, mean[coordinates(first)[1:]])


def test_a_network_draws_the_same_events_in_all_steps():
    bagged = {"members": 2, "diversity": "bootstrap"}
    plan = make_plan({"bagged": bagged | {"lanes": 2}, "step": {"members": 2}}, iterations=2)
    assert set(plan.chains) == {"scratch-2-mean-bootstrap", "scratch-2-mean"}
    draws = {}
    for network in all_networks(plan):
        place = (network.pass_, network.k)
        drawn = tuple(plan.seed("resample", network).generate_state(4))
        assert draws.setdefault(place, drawn) == drawn
        assert drawn not in state(plan, network)
    assert len(set(draws.values())) == len(draws) == 2 * 4
    # All else is that of networks that see every event once.
    found = {coordinates(n): state(plan, n) for n in all_networks(plan)}
    for key, values in found.items():
        if key[0] == "scratch-2-mean":
            assert found["scratch-2-mean-bootstrap", *key[1:]] == values
