"""Histograms of smaller ensembles, from weights of lanes that are made up."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from omniflow.config import validate
from omniflow.events import store
from omniflow.files import create_h5
from omniflow.stages import ensembles, evaluation, samples, weights
from omniflow.unfolding.plan import Plan

DATA = Path(__file__).parents[1] / "data"
LANES, PASSES = 4, 2


def _plan(folder, how):
    raw = {
        "study": {"name": "small", "passes": PASSES, "output": str(folder)},
        "samples": {
            "data": {"source": "h1", "files": [str(DATA / "h1_nature.h5")]},
            "simulation": {"source": "h1", "files": [str(DATA / "h1_simulation.h5")]},
        },
        "methods": {"parallel": {"lanes": LANES}, "none": {}},
        "combine": [how],
        "unfolding": {"iterations": 2, "particle_level": "pass_gen"},
        "observables": {"names": ["q2"], "binning": {"q2": [160, 200, 300, 500, 900]}},
        "execution": {"networks_per_job": 3},
    }
    return Plan(validate(raw))


@pytest.mark.parametrize("how", ["mean", "median"])
def test_ensembles_are_combined_from_the_final_weights(tmp_path, how):
    plan = _plan(tmp_path, how)
    for role in plan.samples:
        samples.make_store(plan, role)
        samples.make_observables(plan, role)
    simulation = store.open_store(plan.store("simulation"))
    rng = np.random.default_rng(3)
    nu = rng.lognormal(0, 0.5, (PASSES, LANES, len(simulation))).astype(np.float32)
    for pass_ in plan.passes:
        for group in plan.groups("scratch-1", pass_):
            for iteration in plan.iterations:
                found = nu[pass_ - 1, list(group.lanes)] + np.float32(2 - iteration)
                with create_h5(plan.weights(group, iteration, 2)) as file:
                    file.create_dataset("ratio", data=found)
    for method in plan.config.methods:
        weights.combine(plan, method)
        evaluation.make_histograms(plan, method)

    (found,) = ensembles.read_ensembles(plan)
    assert (found.method, found.combine, found.members) == ("parallel", how, 1)
    assert len(found.subsets) == 2**LANES - 1
    inside = np.asarray(simulation.pass_particle)
    with h5py.File(plan.store("data")) as file:
        seen = file["pass_detector"][:] == 1
        total = file["weight"][:][seen].sum()
    seen = np.asarray(simulation.pass_detector)
    base = np.asarray(simulation.weight)[inside]
    base = base * total / np.asarray(simulation.weight)[seen].sum()
    q2 = np.asarray(simulation.particle.event)[inside, 0]
    for row, subset in enumerate(found.subsets):
        for pass_ in range(PASSES):
            lanes = nu[pass_][list(subset)][:, inside].astype(float)
            ratio = {"mean": np.mean, "median": np.median}[how](lanes, axis=0)
            weight = base * ratio * (lanes @ base).mean() / (ratio @ base)
            content, _ = np.histogram(q2, [160, 200, 300, 500, 900], weights=weight)
            np.testing.assert_allclose(found.contents["q2"][row, pass_], content, rtol=1e-6)
    # All lanes are the method's own result, whose ratios are stored in float32.
    (*_, last) = evaluation.read_histograms(plan, "parallel", "particle")
    np.testing.assert_allclose(found.contents["q2"][-1], last.histograms["q2"].content, rtol=1e-6)
    with h5py.File(plan.histograms("none")) as file:
        assert "networks" not in file
