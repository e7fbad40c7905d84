"""Lines on how far a study is, with a clock of their own."""

import logging
from types import SimpleNamespace

import pytest

from omniflow.config import validate
from omniflow.pace import Handler, Pace, costs
from omniflow.unfolding.plan import Plan


class Clock:
    """Seconds that a test sets."""

    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def ended(pace, clock, rule, seconds):
    clock.now += seconds
    return pace.finished(rule)


def test_time_left_counts_the_work_of_jobs_and_not_their_number(clock):
    """A training is worth ten of the others, of which all but four are done."""
    pace = Pace({"features": 10, "train": 9, "tables": 1}, {"features": 1, "train": 10}, clock)
    for _ in range(10):
        assert ended(pace, clock, "features", 0.5) == ""  # too soon after the start
    pace.started("train", {"iteration": "1", "step": "1b", "pass_": "1"})
    line = ended(pace, clock, "train", 95)
    # 20 of 101 are done in 100 s.
    assert line == "11 of 20 jobs, step 1b of iteration 1, about 7 min left"
    assert ended(pace, clock, "train", 1) == ""
    for _ in range(6):
        ended(pace, clock, "train", 100)
    line = ended(pace, clock, "train", 100)
    pace.started("tables", {})
    assert line.endswith("about 8 s left")
    assert ended(pace, clock, "tables", 3) == "20 of 20 jobs in 13 min"


def test_few_lines_of_many_jobs_and_one_after_a_long_one(clock):
    pace = Pace({"train": 1000}, {"train": 60.0}, clock)
    lines = [line for _ in range(1000) if (line := ended(pace, clock, "train", 12))]
    assert 20 <= len(lines) <= 45
    assert "left" not in lines[0]  # 2.5% of the work tell nothing yet
    pace = Pace({"train": 1000}, {}, clock)
    assert ended(pace, clock, "train", 1) == ""
    assert ended(pace, clock, "train", 400).startswith("2 of 1000 jobs")


def test_events_of_snakemakes_log(clock):
    said = []
    handler = Handler(Pace({"train": 1}, {}, clock), said.append)
    log = logging.Logger("snakemake", logging.INFO)
    log.addHandler(handler)
    info = {"jobid": 3, "rule_name": "train", "wildcards": {"iteration": "2", "step": "1"}}
    log.info("Select jobs to execute...")
    log.info("", extra={"event": SimpleNamespace(value="job_info"), **info})
    log.info("", extra={"event": SimpleNamespace(value="job_finished"), "job_id": 4})
    assert said == []
    clock.now = 40
    log.info("", extra={"event": SimpleNamespace(value="job_finished"), "job_id": 3})
    assert said == ["1 of 1 jobs in 40 s"]


def test_jobs_that_become_known_count_from_then_on(clock):
    said, left = [], []
    pace = Pace({"lanes": 1, "tables": 1}, {}, clock)
    handler = Handler(pace, said.append, lambda: left.append(1) or {"train": 2, "tables": 1})
    log = logging.Logger("snakemake", logging.INFO)
    log.addHandler(handler)
    for job, rule in enumerate(["lanes", "train", "train", "tables"]):
        info = {"jobid": job, "rule_name": rule, "wildcards": {}}
        log.info("", extra={"event": SimpleNamespace(value="job_info"), **info})
        clock.now += 40
        log.info("", extra={"event": SimpleNamespace(value="job_finished"), "job_id": job})
    assert [line.partition(" jobs")[0] for line in said] == [
        *("1 of 2", "2 of 4", "3 of 4", "4 of 4")
    ]
    assert len(left) == 1


def test_every_rule_of_a_study_has_a_cost(tmp_path):
    one = {"source": "pythia", "events": 1000}
    samples = {"data": one | {"seed": 1}, "simulation": one | {"seed": 2}}
    methods = {"none": {}, "many": {"lanes": 8, "until": {"sigma_rel": 0.01}}}
    config = {"study": {"name": "a"}, "samples": samples, "methods": methods}
    found = costs(Plan(validate(config), tmp_path))
    assert {"event_store", "train", "aggregate", "lanes", "tables", "report"} <= set(found)
    assert found["train"] > found["report"] > 0
