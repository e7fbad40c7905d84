import pytest
from plans import PYTHIA, make_plan

from omniflow.unfolding import makespan
from omniflow.unfolding.estimate import estimate, network_seconds, rates
from omniflow.unfolding.jobs import OTHER, START, START_TENSORFLOW, TRAINING, jobs, tasks

PLANS = {
    "all strategies": lambda: make_plan(),
    "cut lanes": lambda: make_plan(per_job=2),
    "cold": lambda: make_plan(restart={"network": "cold"}),
    "variants": lambda: make_plan(
        {"parallel": {"lanes": 2}, "step": {"members": 3}},
        uncertainties={
            "methods": ["step", "parallel"],
            "data_replicas": 2,
            "toys": 1,
            "variations": {"model": {"simulation": PYTHIA | {"seed": 5}}},
        },
    ),
    "real events": lambda: make_plan(
        {"none": {}}, samples={"data": {"source": "h1", "files": ["a.h5"]}, "simulation": PYTHIA}
    ),
    "files of every kind": lambda: make_plan(
        {"none": {"start": "pretrained"}},
        samples={
            "data": {"source": "h1", "files": ["a.h5", "b.h5"]},
            "simulation": PYTHIA,
            "pretraining": {"weights": ["net.weights.h5"]},
        },
        uncertainties={
            "variations": {"up": {"simulation_weights": {"files": ["w.h5"], "dataset": "w"}}},
            "predictions": {"other": {"source": "h1", "files": ["c.h5"]}},
        },
    ),
}


@pytest.fixture(params=PLANS, ids=list(PLANS))
def plan(request):
    return PLANS[request.param]()


def _jobs(plan):
    return jobs(plan, rates(plan))


def test_every_input_is_made_by_an_earlier_job_or_given(plan):
    given, made = {str(path) for path in plan.inputs.given}, set()
    for job in _jobs(plan):
        assert {str(path) for path in job.inputs} - made <= given, job.rule
        outputs = {str(path) for path in job.outputs}
        assert not outputs & made, job.rule
        made |= outputs
    assert given == {str(path) for job in _jobs(plan) for path in job.inputs} - made


def test_trainings_take_what_the_estimate_says(plan):
    size = estimate(plan)
    trainings = [job for job in _jobs(plan) if job.pool == TRAINING]
    assert len(trainings) == size.jobs
    assert sum(job.work for job in trainings) == pytest.approx(size.seconds)


def test_the_longest_chain_goes_through_all_iterations():
    plan = make_plan({"parallel": {"lanes": 4}}, per_job=2, iterations=3, passes=2)
    found = _jobs(plan)
    seconds = network_seconds(plan, rates(plan))
    work = {rule: [job.work for job in found if job.rule == rule][-1] for rule in _rules(found)}
    # Store, scaling and features; in every step two networks in one job, then their weights.
    before = work["event_store"] + work["scaling"] + work["features"]
    steps = 3 * (2 * seconds[1] + 2 * seconds[2] + 2 * work["aggregate"])
    # The second classifier of the method takes longer than its histograms.
    after = work["combine"] + work["second_classifier"] + work["tables"]
    starts = (7 + 3 + 6 + 4) * START
    assert makespan.critical_path(tasks(found)) == pytest.approx(before + steps + after + starts)


@pytest.mark.parametrize(
    ("execution", "expected"),
    [({}, START), ({"engine": "tensorflow"}, START_TENSORFLOW), ({"gpus": 1}, START_TENSORFLOW)],
)
def test_trainings_start_later_where_they_load_tensorflow(execution, expected):
    found = _jobs(make_plan({"none": {}}, execution={"networks_per_job": 1} | execution))
    starts = {job.pool: job.start for job in found}
    assert starts == {TRAINING: expected, OTHER: START}


def test_more_workers_than_groups_do_not_help():
    off = {"second_classifier": False, "oracle": False, "response": False}
    plan = make_plan(
        {"parallel": {"lanes": 4}}, per_job=2, passes=2, diagnostics=off
    )  # four groups
    todo = tasks(_jobs(plan))
    walls = [makespan.run(todo, {TRAINING: n, OTHER: 100}).wall for n in (1, 2, 4, 8)]
    assert walls[0] > 1.5 * walls[1] > 2 * walls[2]
    assert walls[2] == pytest.approx(walls[3])


def _rules(found):
    return {job.rule for job in found}
