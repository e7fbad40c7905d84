"""The other studies of examples/, in a small form and in this process."""

import runpy
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import uproot

import omniflow
from omniflow.api import evaluate, run
from omniflow.config import load
from omniflow.unfolding.plan import Plan

EXAMPLES = Path(__file__).parents[2] / "examples"


def _run(folder, name, *settings):
    """Run a study in its folder, as Snakemake's jobs do; return it."""
    plan = Plan(load(folder / name, settings=settings))
    run(plan)
    evaluate(plan)
    study = omniflow.read(plan.root)
    assert study.report(folder / "report.html").stat().st_size > 100_000
    return study


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """The measurement from ROOT ntuples: folder and study."""
    folder = tmp_path_factory.mktemp("measured") / "ntuples"
    shutil.copytree(
        EXAMPLES / "ntuples", folder, ignore=shutil.ignore_patterns("*.root", "results")
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(sys, "argv", ["make.py", "2000"])
        runpy.run_path("make.py", run_name="__main__")
        study = _run(
            folder,
            "measurement.yaml",
            "study={passes: 1}",
            "methods={ensemble: {lanes: 1}}",
            "unfolding={iterations: 1}",
            "training={epochs: 2, min_updates: 10}",
            "uncertainties={data_replicas: 2, simulation_replicas: 2}",
            "diagnostics={second_classifier: false, oracle: false, response: false}",
        )
        yield folder, study


def test_ntuples_have_what_measurements_meet(measured):
    _, study = measured
    data, simulation = study.data, study.simulation
    for events in (data, simulation):
        seen, fiducial = np.asarray(events.pass_detector), np.asarray(events.pass_particle)
        assert (seen & ~fiducial).sum() > 50  # fakes
        assert (~seen & fiducial).sum() > 50  # misses
    weight = np.asarray(simulation.weight)
    assert 0.02 < (weight < 0).mean() < 0.1
    assert set(np.abs(weight)) == {1}


def test_the_yield_of_ntuples_is_that_of_nature(measured):
    folder, study = measured
    with uproot.open(folder / "data.root") as file:
        truth = file["events"].arrays(["gen_pt", "gen_y"], library="np")
    fiducial = (truth["gen_pt"] > 25) & (np.abs(truth["gen_y"]) < 2)
    with pytest.warns(omniflow.CovarianceWarning, match="data: 2 replicas are too few for 8 bins"):
        histogram, covariance = study.histogram("y", with_covariance=True)
    assert set(covariance) == {"data", "simulation", "scale", "other", "total"}
    error = np.sqrt(covariance["total"].sum() + fiducial.sum())
    assert histogram.values().sum() == pytest.approx(fiducial.sum(), abs=4 * error)
    assert error < 0.1 * fiducial.sum()


def test_the_spectrum_of_ntuples_comes_closer_to_truth(measured):
    _, study = measured
    spectrum = study.summary.set_index("observable").loc["pt"]
    assert spectrum["td_prior"] > 8
    assert spectrum["td"] < 0.8 * spectrum["td_prior"]


def test_source_classifier_and_observable_of_ones_own(tmp_path, monkeypatch):
    folder = tmp_path / "outside"
    shutil.copytree(EXAMPLES / "outside", folder)
    monkeypatch.chdir(folder)
    study = _run(
        folder,
        "thrust.yaml",
        "study={passes: 1}",
        "samples={data: {events: 1000}, simulation: {events: 2000}}",
        "unfolding={iterations: 1}",
        "training={epochs: 3, min_updates: 30}",
        "diagnostics={second_classifier: false, oracle: false, response: false}",
    )
    assert study.plan.config.classifier.kind == f"{folder}/classifier.py:small"
    thrust = study.summary.set_index("observable").loc["thrust"]
    assert thrust["td_prior"] > 30
    assert thrust["td"] < thrust["td_prior"] / 2
