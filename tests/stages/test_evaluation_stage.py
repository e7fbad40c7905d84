"""The binned reference of a study, from event files; nothing is trained."""

import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest

from omniflow.config import validate
from omniflow.events import store
from omniflow.stages import evaluation, samples
from omniflow.unfolding.plan import Plan

DATA = Path(__file__).parents[1] / "data"


def make_plan(folder, data, unfolding=None, **observables):
    raw = {
        "study": {"name": "small", "output": str(folder / "results")},
        "samples": {
            "data": {"source": "h1", "files": [str(data)]},
            "simulation": {"source": "h1", "files": [str(DATA / "h1_simulation.h5")]},
        },
        "methods": {"none": {}},
        "unfolding": {"iterations": 3} | (unfolding or {}),
        "observables": {"names": ["q2", "jet_pt", "dphi_jet_e", "eta_e"]} | observables,
    }
    plan = Plan(validate(raw))
    for role in plan.samples:
        samples.make_store(plan, role)
        samples.make_observables(plan, role)
    return plan


@pytest.mark.parametrize("particle_level", ["all", "pass_gen"])
@pytest.mark.parametrize("normalization", ["absolute", "shape"])
def test_simulation_unfolds_to_its_own_truth(tmp_path, particle_level, normalization):
    shutil.copy(DATA / "h1_simulation.h5", tmp_path / "data.h5")
    unfolding = {"particle_level": particle_level, "normalization": normalization}
    if normalization == "shape":
        unfolding["scale"] = 3.0  # must not matter
    plan = make_plan(tmp_path, tmp_path / "data.h5", unfolding)
    unfolded = evaluation.bayes_histograms(plan)
    assert list(unfolded) == ["q2", "dphi_jet_e", "eta_e"]  # jets have several entries
    events = store.open_store(plan.store("simulation"))
    for name, matrix in evaluation.counts(plan, "simulation", "particle").items():
        if name in unfolded:
            truth = matrix.fill(events.weight)
            assert truth.content.sum() > 100
            np.testing.assert_allclose(
                unfolded[name].content, np.tile(truth.content, (3, 1)), rtol=1e-9
            )


def _q2(path):
    """Q2, flags and weights of the records of an H1 file."""
    with h5py.File(path) as file:
        true, seen = file["gen_event_features"][:], file["reco_event_features"][:]
    return true[:, 0], seen[:, 0], seen[:, 6] == 1, seen[:, 5].astype(float)


def test_first_iteration_is_bayes_theorem(tmp_path):
    inner = [160, 200, 300, 500, 900]  # events are below and above
    plan = make_plan(tmp_path, DATA / "h1_nature.h5", region="all", binning={"q2": inner})
    found = evaluation.bayes_histograms(plan)["q2"]
    edges = np.concatenate([[-np.inf], inner, [np.inf]])
    z, x, seen, weight = _q2(DATA / "h1_simulation.h5")
    _, measured, passes, data_weight = _q2(DATA / "h1_nature.h5")
    joint = np.histogram2d(z[seen], x[seen], [edges, edges], weights=weight[seen])[0]
    produced = np.histogram(z, edges, weights=weight)[0]
    expected = joint.sum(axis=0)
    posterior = np.divide(joint, expected, out=np.zeros_like(joint), where=expected > 0)
    efficiency = joint.sum(axis=1) / produced
    data = np.histogram(measured[passes], edges, weights=data_weight[passes])[0]
    variance = np.histogram(measured[passes], edges, weights=data_weight[passes] ** 2)[0]
    assert (efficiency > 0).all()
    assert (data > 0).all()
    inside = slice(1, -1)
    matrix = (posterior / efficiency[:, None])[inside]
    np.testing.assert_allclose(found.content[0], matrix @ data, rtol=1e-9)
    np.testing.assert_allclose(found.variance[0], matrix**2 @ variance, rtol=1e-9)
    total = np.sum((matrix.sum(axis=0)) ** 2 * variance)
    assert found.sum_covariance[0].sum() == pytest.approx(total)
