import json
import math
from pathlib import Path

import pytest
from plans import PYTHIA, make_plan

from omniflow.config import load
from omniflow.unfolding.limits import BASE, HELD, MARGIN_MEASURED, STARTUP, Limits
from omniflow.unfolding.plan import Plan

DATA = Path(__file__).parents[1] / "data"


def _h1(name, **options):
    return {"source": "h1", "files": [str(DATA / f"{name}.h5")]} | options


def _histories(plan, rates, device="CPU"):
    """Write the first history of either step, with the given events per second."""
    for step, rate in rates.items():
        block = plan.blocks(plan.groups("scratch-1", 1)[0], 1, step)[0]
        epochs = [{"epoch": 0}, {"epoch": 1, "events_per_second": rate}]
        network = {"epochs": epochs, "engine": "native", "ranks": 1}
        content = {"networks": [network], "job": {"device": device, "threads": 1}}
        plan.history(block).parent.mkdir(parents=True, exist_ok=True)
        plan.history(block).write_text(json.dumps(content))


def _plan(tmp_path, **execution):
    return make_plan(
        {"parallel": {"lanes": 5}},
        study={"name": "s", "seed": 11, "passes": 2, "output": str(tmp_path)},
        samples={"data": PYTHIA, "simulation": PYTHIA | {"seed": 92, "events": 100_000}},
        training={"epochs": 9},
        execution={"networks_per_job": 5} | execution,
    )


def test_files_are_asked_for_their_events():
    samples = {"data": _h1("h1_nature", skip=100), "simulation": _h1("h1_simulation", events=10)}
    plan = make_plan({"none": {}}, samples=samples)
    assert Limits(plan).events == {"data": 900, "simulation": 10}


def test_missing_files_count_as_empty(tmp_path):
    missing = {"source": "h1", "files": [str(tmp_path / "missing.h5")]}
    plan = make_plan({"none": {}}, samples={"data": missing, "simulation": PYTHIA})
    assert Limits(plan).events["data"] == 0


def test_more_networks_and_later_attempts_get_more_time(tmp_path):
    limits = Limits(_plan(tmp_path))
    one, five = (limits.training_minutes(n, 2) for n in (1, 5))
    assert five - STARTUP == pytest.approx(5 * (one - STARTUP), abs=5)
    assert limits.training_minutes(5, 2, attempt=3) == 3 * five


def test_conditional_means_have_a_limit(tmp_path):
    limits = Limits(_plan(tmp_path))
    times = [limits.training_minutes(5, step) - STARTUP for step in (3, 4)]
    # They train on matched events, 52 in a hundred.
    assert times == pytest.approx([0.52 * (limits.training_minutes(5, 2) - STARTUP)] * 2, abs=1)


def test_ranks_and_threads_share_the_time(tmp_path):
    one, four = (
        Limits(_plan(tmp_path, **e)) for e in ({}, {"ranks": 2, "threads": 2, "mem_mb": 1001})
    )
    minutes = [limits.training_minutes(5, 2) - STARTUP for limits in (one, four)]
    assert minutes[0] == pytest.approx(4 * minutes[1], abs=4)
    assert four.training_memory() == 2002
    assert four.training_memory(attempt=2) == 4004
    assert four.memory_per_cpu() == 501


def test_measured_rates_replace_the_rule_of_thumb(tmp_path):
    plan = _plan(tmp_path)
    _histories(plan, {1: 500.0, 2: 1000.0})
    # 9 epochs and one for the logits, of 100,000 events at 1000 events/s.
    expected = STARTUP + math.ceil(MARGIN_MEASURED * 5 * 10 * 100 / 60)
    assert Limits(plan).training_minutes(5, 2) == expected


def test_rates_of_other_devices_do_not_count(tmp_path):
    plan = _plan(tmp_path)
    before = Limits(plan).training_minutes(5, 2)
    _histories(plan, {1: 1.0, 2: 1.0}, device="NVIDIA H100")
    assert Limits(plan).training_minutes(5, 2) == before
    _histories(plan, {1: 1.0, 2: 1.0})
    assert Limits(plan).training_minutes(5, 2) > before


def test_one_measured_step_is_not_enough(tmp_path):
    plan = _plan(tmp_path)
    before = Limits(plan).training_minutes(5, 1)
    _histories(plan, {1: 1.0})
    assert Limits(plan).training_minutes(5, 1) == before


def test_a_configured_limit_is_taken_as_it_is(tmp_path):
    limits = Limits(_plan(tmp_path, runtime=7))
    assert limits.training_minutes(5, 2) == limits.training_minutes(5, 2, attempt=3) == 7


def test_memory_follows_the_largest_sample(tmp_path):
    limits = Limits(_plan(tmp_path))
    assert limits.events == {"data": 1000, "simulation": 100_000}
    expected = BASE + math.ceil(0.1 * HELD["combine"])
    assert limits.memory("combine", "data", "simulation") == expected
    assert limits.memory("combine", "simulation", attempt=2) == 2 * expected


def test_no_job_beside_training_asks_for_more_than_4_gb_in_the_papers_study():
    plan = Plan(load(Path(__file__).parents[2] / "config" / "paper.yaml"))
    limits = Limits(plan)
    limits.events = dict.fromkeys(plan.samples, 5_000_000)
    assert max(limits.memory(rule, *plan.samples) for rule in HELD) <= 4000


def test_generating_events_takes_longer_than_reading_them():
    plan = make_plan(
        {"none": {}}, samples={"data": _h1("h1_nature"), "simulation": PYTHIA | {"events": 10_000}}
    )
    limits = Limits(plan)
    assert limits.sample_minutes("simulation") > limits.sample_minutes("data")
