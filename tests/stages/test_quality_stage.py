"""Notes on samples, steps and results with poor weights."""

from dataclasses import replace
from types import SimpleNamespace

import h5py
import numpy as np
import pandas as pd
import pytest
from small_study import ROLE, SIZES, sample

from omniflow.config import validate
from omniflow.events import store
from omniflow.stages import quality, samples, weights
from omniflow.unfolding.plan import Plan


def make_plan(folder, **sections):
    raw = {
        "study": {"name": "weights", "output": str(folder)},
        "samples": {"data": ROLE, "simulation": ROLE | {"seed": 4}},
        "methods": {"none": {}},
        "unfolding": {"iterations": 2},
    }
    return Plan(validate(raw | sections))


def write(plan, **changed):
    """Stores of all samples; changed: role -> function of the weights."""
    for i, role in enumerate(plan.samples):
        events = sample(SIZES["simulation"], 0, i)
        change = changed.get(role, lambda weight: weight)
        events = replace(events, weight=change(events.weight.copy()))
        store.write(events, plan.store(role), {}, 7 + i)
    return plan


def heavy(weight):
    weight[3] = 1e12
    return weight


STEP = {"chain": "scratch-1", "pass": 1, "lane": 0, "iteration": 1, "step": "1"}
GOOD = {"events": 1000, "ess": 800.0, "largest": 0.01, "negative": 0.0}
STEP |= GOOD | {"sum_before": 900.0, "sum_after": 950.0}
RESULT = {"method": "none", "combine": "none", "pass": 1, "iteration": 2}
RESULT |= GOOD | {"sum_before": 900.0, "sum": 950.0}


def notes(plan, steps=({},), results=({},)):
    frames = (pd.DataFrame([STEP | s for s in steps]), pd.DataFrame([RESULT | r for r in results]))
    return quality.notes(plan, *frames)


def test_good_weights_have_no_notes(tmp_path):
    assert notes(write(make_plan(tmp_path))) == []


@pytest.mark.parametrize("role", ["data", "simulation", "background-photo"])
def test_every_sample_is_judged(tmp_path, role):
    background = {"backgrounds": {"photo": {"sample": ROLE | {"seed": 9}}}}
    samples = {"data": ROLE, "simulation": ROLE | {"seed": 4}} | background
    plan = write(make_plan(tmp_path, samples=samples), **{role: heavy})
    (note,) = notes(plan)
    assert note.startswith(f"{role}: poor weights: the effective sample size is 1.0 of 500 events")


def test_factors_of_variations_are_judged(tmp_path):
    path = tmp_path / "factors.h5"
    variation = {"simulation_weights": {"files": [str(path)], "dataset": "factor"}}
    plan = write(make_plan(tmp_path, uncertainties={"variations": {"up": variation}}))
    ids = store.open_store(plan.store("simulation")).event_id
    factors = np.ones(10 * SIZES["simulation"])
    factors[ids[7]] = 1e12
    with h5py.File(path, "w") as file:
        file["factor"] = factors
    (note,) = notes(plan)
    assert note.startswith("simulation with the factors of up: poor weights:")
    assert f"the event with id {ids[7]} carries 100.00%" in note


def test_the_worst_step_of_a_chain_is_named(tmp_path):
    plan = write(make_plan(tmp_path))
    steps = [{}, {"ess": 90.0, "step": "2"}, {"ess": 50.0, "iteration": 2}, {"sum_after": 200.0}]
    (note,) = notes(plan, steps)
    assert note.startswith(
        "steps of scratch-1: 3 of 4; the worst is pass 1 lane 0 iteration 2 step 1: poor weights: "
        "the effective sample size is 50.0 of 1,000 events"
    )
    (note,) = notes(plan, [{"sum_after": 200.0}])
    assert "their sum changed from 900 to 200" in note


def test_results_are_judged_after_the_last_iteration(tmp_path):
    plan = write(make_plan(tmp_path))
    assert notes(plan, results=[{"iteration": 1, "ess": 1.0}, {}]) == []
    (note,) = notes(plan, results=[{"largest": 0.3, "pass": 2}, {}])
    assert note.startswith("result of none (none): 1 of 2; the worst is pass 2: poor weights: one")


def test_limits_are_those_of_the_configuration(tmp_path):
    limits = {"weights": {"effective": 0.0, "largest": 1.0}}
    plan = write(make_plan(tmp_path, diagnostics=limits), data=heavy)
    assert notes(plan, [{"ess": 50.0}]) == []


def test_negative_weights_are_told_of_every_sample(tmp_path):
    def negative(weight):
        weight[:50] *= -1
        return weight

    plan = write(make_plan(tmp_path), simulation=negative)
    assert quality.negative(plan) == ["simulation: 10.00% of the events have negative weights."]
    assert notes(plan) == []


def test_poor_weights_of_a_result_are_told_in_the_log(tmp_path, capsys, monkeypatch):
    """Of weights that a step has made: all but one event have a ratio of almost 0."""
    plan = write(make_plan(tmp_path, unfolding={"iterations": 1}))
    common = weights.setup(plan)
    nu = np.full((1, len(common.weight)), 1e-6)
    nu[0, 5] = 100.0
    lanes = SimpleNamespace(at=lambda places: lambda rows: nu[:, places[rows]])
    monkeypatch.setattr(weights, "_Lanes", lambda *_: lanes)
    weights.combine(plan, "none")
    text = capsys.readouterr().out
    assert "Note: none (none) pass 1: poor weights: the effective sample size is 1.0 of 500" in text
    assert "their sum changed" in text


def test_doubts_of_reading_are_told(tmp_path, monkeypatch, capsys):
    """They are printed when a sample is read, and are told again with the result."""
    plan = write(make_plan(tmp_path))
    assert quality.implausible(plan) == []
    events = sample(SIZES["simulation"], 0, 1)
    found = {"warnings": ["phi is 90 in event 3."]}
    monkeypatch.setattr(
        samples, "ingest", lambda role, path, seed, *_: store.write(events, path, found, seed)
    )
    samples.make_store(plan, "simulation")
    assert "Warning: simulation: phi is 90 in event 3.\n" in capsys.readouterr().out
    assert quality.implausible(plan) == ["simulation: phi is 90 in event 3."]
