"""Memory of the stages behind training, per event: no lanes, passes or observables are in it."""

import json
import tracemalloc
from functools import partial
from itertools import chain

import numpy as np
import pytest
from small_study import ROLE, SOURCE

from omniflow.config import validate
from omniflow.evaluation.event_weights import tails_tables, weights_table
from omniflow.events import slices, store
from omniflow.events.sample import Events, Level
from omniflow.hdf5 import create_h5
from omniflow.stages import binned, evaluation, response, samples, uncertainties, weights
from omniflow.stages.diagnostics import distances, overtraining
from omniflow.stages.finished import Finished
from omniflow.unfolding.limits import HELD
from omniflow.unfolding.plan import Plan

FEW, MANY, SLICE = 3_000, 9_000, 1_500
LANES, MEMBERS, PASSES, ITERATIONS = 5, 3, 2, 3


def _level(rng, n):
    offsets = np.concatenate([[0], np.cumsum(rng.integers(0, 7, n))])
    pt, eta = rng.exponential(2, offsets[-1]) + 0.1, rng.normal(0, 2, offsets[-1])
    particles = np.stack([pt, eta, rng.uniform(-3, 3, offsets[-1])], axis=1).astype(np.float32)
    event = rng.normal(0, 1, (n, 1)).astype(np.float32)
    return Level(event, particles, offsets, ("x",), ("pt", "eta", "phi"))


def _sample(n, seed):
    rng = np.random.default_rng(seed)
    ids = rng.permutation(2 * n)[:n].astype(np.uint64)
    flags = rng.random(n) < 0.8, rng.random(n) < 0.9
    return Events(ids, rng.uniform(0.5, 1.5, n), *flags, _level(rng, n), _level(rng, n))


def _plan(folder):
    role = ROLE | {"source": SOURCE.replace("OneNumber", "WithParticles")}
    bins = {"count": 10, "range": [0, 10]}
    raw = {
        "study": {"name": "small", "passes": PASSES, "output": str(folder)},
        "samples": {"data": role | {"seed": 1}, "simulation": role | {"seed": 2}},
        "classifier": {"kind": "mlp", "features": {"event": ["x"]}},
        "unfolding": {"iterations": ITERATIONS, "particle_level": "pass_gen"},
        "methods": {
            "parallel": {"lanes": LANES},
            "step": {"members": MEMBERS, "aggregate": "median"},
        },
        "combine": ["median", "mean", "truncated_mean"],
        "observables": {
            "define": {
                "x": {"expression": "x", "edges": [-3, -1, 0, 1, 3]},
                "pt": {"expression": "pt", "bins": bins},
                "jet_pt": {"jets": "pt", "radius": 0.8, "pt_min": 1, "bins": bins},
            }
        },
        "uncertainties": {"data_replicas": 2, "simulation_replicas": 2},
        "diagnostics": {"second_classifier": False, "oracle": False, "response": False},
        "execution": {"networks_per_job": LANES},
    }
    return Plan(validate(raw))


def _weights(plan, group, iteration, step, n, rng):
    """Write weights of a step that no network has made."""
    with create_h5(plan.weights(group, iteration, step)) as file:
        for name in ("ratio", "members"):
            shape = (len(group.lanes), n)
            if name == "members":
                shape = (len(group.lanes), plan.chains[group.chain].members, n)
                if not plan.keeps_members(group, iteration, step):
                    continue
            file[name] = rng.lognormal(0, 0.3, shape).astype(np.float32)
        checks = [
            {"lane": lane, "sum_before": 1.0, "sum_after": 1.0, "events": n, "ess": n}
            | {"largest": 0.0, "negative": 0.0}
            for lane in group.lanes
        ]
        file.attrs["checks"] = json.dumps(checks)


def _study(folder, n):
    """Write everything that trainings of n simulated events leave."""
    plan, rng = _plan(folder), np.random.default_rng(3)
    for seed, (role, events) in enumerate({"data": n // 4, "simulation": n}.items()):
        store.write(_sample(events, seed), plan.store(role), {"source": "test"}, seed=1)
        samples.make_observables(plan, role)
    samples.make_axes(plan)
    for stage in plan.stages():
        _weights(plan, *stage, n, rng)
    return plan


def _tables(plan):
    """Return what the tables make of events; the frames themselves are as large for any number."""
    study, simulation = Finished(plan), binned.Simulation(plan)
    return [
        lambda: study.particle_level,
        lambda: study.detector_level,
        lambda: binned.reference(simulation),
        lambda: binned.acceptance_table(simulation),
        lambda: weights_table(study.weights(plan.combinations)),
        lambda: tails_tables(study.headline_weights()),
        lambda: overtraining.tables(study),
        lambda: distances.tables(study),
    ]


def _parts(plan, n):
    """Return the parts of each stage."""
    group = plan.groups("scratch-3-median", 1)[0]
    (block,) = plan.blocks(group, ITERATIONS, 2)
    with create_h5(plan.logits(block)) as file:
        file["logits"] = np.random.default_rng(4).normal(size=(MEMBERS, n)).astype(np.float32)
    results = plan.variants.results
    return {
        "aggregate": [lambda: weights.aggregate(plan, group, ITERATIONS, 2)],
        "combine": [partial(weights.combine, plan, result) for result in results],
        "histograms": [partial(evaluation.make_histograms, plan, result) for result in results],
        "response": [lambda: response.read(plan, "simulation")],
        "tables": _tables(plan),
        "uncertainties": [lambda: uncertainties.make_tables(plan)],
    }


def _peak(part):
    """Return the largest memory of a part, in bytes."""
    tracemalloc.start()
    try:
        part()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.fixture(scope="module")
def per_event(tmp_path_factory):
    """Bytes by which the largest memory of the parts of each stage grows with one event."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(slices, "EVENTS", SLICE)
        first, few, many = (
            _parts(_study(tmp_path_factory.mktemp("study"), n), n) for n in (SLICE, FEW, MANY)
        )
        for part in chain.from_iterable(first.values()):
            part()  # imports modules, which is not to be counted
        return {
            name: max(
                (_peak(large) - _peak(small)) / (MANY - FEW)
                for small, large in zip(few[name], many[name], strict=True)
            )
            for name in few
        }


@pytest.mark.parametrize("stage", ["aggregate", "combine", "histograms", "tables", "uncertainties"])
def test_memory_hardly_grows_with_events(per_event, stage):
    """By half of what a job asks for: some numbers per event, whatever is made of them."""
    print(stage, per_event[stage])
    assert per_event[stage] < HELD[stage] / 2


def test_tests_of_the_response_hold_the_events_that_they_take(per_event):
    """Their number is bounded (`RESPONSE_EVENTS`); these are three inputs of either level."""
    assert per_event["response"] < 60
