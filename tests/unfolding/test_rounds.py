"""Plans of methods whose lanes are added: groups that stay, and what files of rounds decide."""

import dataclasses
import json

import pytest
from plans import all_networks, make_plan, state

from omniflow.errors import ConfigError, InputError
from omniflow.unfolding import rounds
from omniflow.unfolding.estimate import rates
from omniflow.unfolding.jobs import jobs
from omniflow.unfolding.plan import Plan
from omniflow.unfolding.rounds import Round, Spread

UNTIL = {"sigma_rel": 0.01}
MANY = {"lanes": 12, "until": UNTIL}


def slugs(plan, chain="scratch-1", variant="nominal"):
    return [group.slug for group in plan.groups(chain, 1, variant)]


def test_groups_stay_when_lanes_are_added():
    plan = make_plan({"none": {}, "many": MANY}, per_job=3)
    assert slugs(plan) == [
        *("lanes-0-2", "lanes-3-3", "lanes-4-5", "lanes-6-7", "lanes-8-9", "lanes-10-11")
    ]
    for lanes in (4, 6, 8, 12):
        few = plan.with_lanes({"many": lanes})
        assert slugs(few) == slugs(plan)[: lanes // 2]
        assert [g.lanes for g in few.lane_groups("none", 1)] == [(0, 1, 2)]
        assert few.inputs.combine("many") == few.with_lanes({}).inputs.combine("many")


def test_groups_end_where_any_method_may():
    methods = {
        "fixed": {"lanes": 9},
        "many": MANY,
        "more": {"lanes": 13, "until": UNTIL | {"step": 3}},
    }
    plan = make_plan(methods, per_job=50)
    ends = [group.lanes[-1] + 1 for group in plan.groups("scratch-1", 1)]
    assert ends == [4, 6, 7, 8, 9, 10, 12, 13]
    few = plan.with_lanes({"many": 6, "more": 7})
    assert [g.lanes[-1] + 1 for g in few.groups("scratch-1", 1)] == [4, 6, 7, 8, 9]


def test_studies_without_targets_have_the_groups_that_they_had():
    assert slugs(make_plan({"none": {}, "parallel": {"lanes": 7}}, per_job=3)) == [
        *("lanes-0-2", "lanes-3-5", "lanes-6-6")
    ]


def test_networks_are_those_of_a_given_number_of_lanes():
    added = make_plan({"many": MANY}, per_job=3).with_lanes({"many": 8})
    given = make_plan({"many": {"lanes": 8}}, per_job=3)
    both = [all_networks(plan) for plan in (added, given)]
    assert set(both[0]) == set(both[1])
    assert all(state(added, n) == state(given, n) for n in both[0])
    # What was asked for is kept.
    assert added.given.methods["many"].lanes == 12
    assert given.given == given.config
    names = added.fingerprints, given.fingerprints
    assert names[0].training(tuple(both[0])) == names[1].training(tuple(both[0]))
    assert names[0].combine("many") == names[1].combine("many")


def test_replicas_have_as_many_lanes_as_the_method():
    plan = make_plan({"many": MANY}, uncertainties={"data_replicas": 2})
    few = plan.with_lanes({"many": 6})
    assert len(slugs(plan, variant="data-1")) == 6 - 1  # groups of 4, 2, 2, 2, 2
    assert slugs(few, variant="data-1") == ["data-1.lanes-0-3", "data-1.lanes-4-5"]


def written(plan, number, lanes, wanted, limit=0.02, **more):
    fingerprint = plan.fingerprints.rounds("many")
    found = Round("many", number, lanes, wanted, {"q2": Spread(0.015, limit)}, fingerprint)
    path = plan.round("many", number)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(dataclasses.asdict(found) | more))


@pytest.fixture
def plan(tmp_path):
    return Plan(make_plan({"many": MANY}).config, tmp_path)


def lanes(plan):
    return plan.config.methods["many"].lanes


def test_the_last_round_decides(plan):
    assert rounds.words(plan, "many") == "many: 4 to 12 lanes, until sigma_rel of at most 0.01."
    assert lanes(rounds.decided(plan)) == 12
    assert lanes(rounds.first(plan)) == 4
    written(plan, 1, 4, 8)
    assert lanes(rounds.decided(plan)) == 12  # nothing is
    assert rounds.lanes_in(plan, "many", 2) == 8
    assert "do not meet the target" in rounds.words(plan, "many")
    assert rounds.words(plan, "many").endswith("8 follow.")
    written(plan, 2, 8, 8, limit=0.009)
    few = rounds.decided(plan)
    assert lanes(few) == 8
    assert lanes(rounds.decided(few)) == 8
    assert [each.number for each in rounds.over(few, "many")] == [1, 2]
    assert "8 lanes after 2 round(s) meet the target" in rounds.words(few, "many")


def test_the_limit_ends_rounds_without_the_target(plan):
    written(plan, 1, 4, 40)
    assert rounds.lanes_in(plan, "many", 2) == 12
    written(plan, 2, 12, 60)
    assert lanes(rounds.decided(plan)) == 12
    words = rounds.words(plan, "many")
    assert "do NOT meet the target" in words
    assert words.endswith("it would take about 60.")
    # With more lanes allowed the same rounds go on.
    more = Plan(plan.with_lanes({"many": 100}).config, plan.root)
    assert rounds.lanes_in(more, "many", 2) == 40
    assert [each.number for each in rounds.over(more, "many")] == [1]  # the second had 12


def test_rounds_of_other_settings_do_not_count(plan):
    written(plan, 1, 4, 4, limit=0.009)
    assert lanes(rounds.decided(plan)) == 4
    written(plan, 1, 4, 4, limit=0.009, fingerprint="of another target")
    assert list(rounds.over(plan, "many")) == []
    assert lanes(rounds.decided(plan)) == 12


def test_a_damaged_round_is_named(plan):
    written(plan, 1, 4, 8, spreads=[1])
    with pytest.raises(InputError, match=r"round-1\.json"):
        rounds.decided(plan)


def test_rounds_wait_for_their_lanes_and_for_the_round_before(plan):
    inputs = plan.inputs.round("many", 2, 6)
    assert plan.round("many", 1) in inputs
    groups = [g for p in plan.passes for g in plan.groups("scratch-1", p) if g.lanes[-1] < 6]
    weights = [path for path in inputs if path.name == "weights.h5"]
    assert weights == [plan.final_weights(group, 3) for group in groups]
    assert plan.observables("data") not in inputs
    method = {"lanes": 12, "until": {"statistical": 0.3}}
    assert (
        make_plan({"many": method})
        .inputs.round("many", 1, 4)
        .count(make_plan({"many": method}).observables("data"))
    )


def test_the_graph_of_jobs_has_the_first_round():
    plan = make_plan({"none": {}, "many": MANY})
    found = [job for job in jobs(plan, rates(plan, 1e4)) if job.rule == "lanes"]
    assert [job.outputs for job in found] == [(plan.round("many", 1),)]
    assert found[0].inputs == tuple(plan.inputs.round("many", 1, 4))


def test_statistical_errors_are_of_observables_at_both_levels():
    methods = {"many": {"lanes": 12, "until": {"statistical": 0.3}}}
    own = {"expression": "sqrt(q2)", "edges": [1, 2], "level": "particle"}
    section = {"names": ["q2", "own"], "define": {"own": own}}
    plan = make_plan(methods, observables=section)
    assert rounds.observables(plan, "many") == ("q2",)
    assert rounds.observables(make_plan({"many": MANY}, observables=section), "many") == (
        *("q2", "own"),
    )
    methods["many"]["until"]["observables"] = ["own"]
    with pytest.raises(ConfigError, match=r"methods\.many\.until: own: .* detector and particle"):
        rounds.observables(make_plan(methods, observables=section), "many")
