"""Studies of files in layouts of their users: columns of events, and jets."""

import h5py
import numpy as np
import pandas as pd
import pytest
import uproot

from omniflow.api.run import evaluate, run
from omniflow.config import validate
from omniflow.report import page
from omniflow.unfolding.plan import Plan

TRAINING = {
    **{"optimizer": "adam", "learning_rate": 5e-3, "beta_1": 0.9, "beta_2": 0.999},
    **{"warmup_epochs": 0.2, "epochs": 4, "patience": 2},
}
UNTRAINED = {"second_classifier": False, "oracle": False, "response": False}


def _run(config):
    """Run a study in this process; return its folder."""
    plan = Plan(validate(config))
    run(plan)
    evaluate(plan)
    return plan.root


def _smeared(rng, n, mean):
    """Two columns with a detector that smears them and loses a tenth: truth, reco (NaN: lost)."""
    truth = rng.normal([mean, 0], 1, (n, 2))
    reco = truth + rng.normal(0, 0.5, (n, 2))
    return truth, np.where(rng.random((n, 1)) < 0.9, reco, -99.0)


@pytest.fixture(scope="module")
def columns(tmp_path_factory):
    """A study of two columns per event, in ten lines of YAML."""
    folder = tmp_path_factory.mktemp("columns")
    for name, n, mean, seed in (("data", 4000, 0.4, 1), ("simulation", 8000, 0.0, 2)):
        truth, reco = _smeared(np.random.default_rng(seed), n, mean)
        with uproot.recreate(folder / f"{name}.root") as file:
            file["events"] = {
                **{"reco_mass": reco[:, 0], "reco_width": reco[:, 1]},
                **{"true_mass": truth[:, 0], "true_width": truth[:, 1]},
                "number": np.arange(n) + 10**12,
            }
    mapping = {
        "source": "root",
        "detector": {"event": {"mass": "reco_mass", "width": "reco_width"}},
        "particle": {"event": {"mass": "true_mass", "width": "true_width"}},
        **{"id": "number", "missing": [-99]},
    }
    config = {
        "study": {"name": "columns", "passes": 1, "output": str(folder / "results")},
        "samples": {
            role: mapping | {"files": str(folder / f"{role}.root")}
            for role in ("data", "simulation")
        },
        "classifier": {"kind": "mlp", "width": 32, "blocks": 2},
        "training": TRAINING,
        "unfolding": {"iterations": 2},
        "methods": {"none": {}},
        "diagnostics": UNTRAINED,
    }
    return _run(config)


def test_columns_are_unfolded_and_compared_without_a_word_on_them(columns):
    """The default observables are the columns, in quantiles; the mean comes back to the truth."""
    summary = pd.read_csv(columns / "summary.csv")
    last = summary[summary["iteration"] == 2].set_index("observable")
    assert set(last.index) == {"mass", "width"}
    assert last.loc["mass", "td_prior"] > 20
    assert last.loc["mass", "td"] < last.loc["mass", "td_prior"] / 8
    with (
        h5py.File(columns / "unfolded" / "none" / "none" / "pass-1.h5") as file,
        h5py.File(columns / "samples" / "simulation.h5") as store,
    ):
        order = np.argsort(file["event_id"])
        weight = file["weight"][:][order]
        assert file["event_id"][:].min() == 10**12
        mass = store["particle/event"][:, 0][np.argsort(store["event_id"])]
    assert np.average(mass, weights=weight) == pytest.approx(0.4, abs=0.06)  # prior 0


def test_the_report_names_them(columns, tmp_path, undrawn):
    page.write(columns, tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "mass" in text
    assert "width" in text


@pytest.fixture(scope="module")
def jets(tmp_path_factory):
    """Jagged branches of jets; observables by expressions and by clustering."""
    folder = tmp_path_factory.mktemp("jets")
    for name, n, scale, seed in (("data", 1500, 35.0, 3), ("simulation", 3000, 30.0, 4)):
        rng = np.random.default_rng(seed)
        counts = rng.integers(1, 6, n)
        total = counts.sum()
        pt = rng.exponential(scale, total) + 20
        import awkward as ak

        def jagged(values, counts=counts):
            return ak.unflatten(values.astype(np.float32), counts)

        eta, phi = rng.uniform(-2, 2, total), rng.uniform(-np.pi, np.pi, total)
        smeared = pt * rng.normal(1, 0.1, total)
        with uproot.recreate(folder / f"{name}.root") as file:
            file["Events"] = {
                **{
                    "Jet_pt": jagged(smeared * 1000),
                    "Jet_eta": jagged(eta),
                    "Jet_phi": jagged(phi),
                },
                **{"GenJet_pt": jagged(pt * 1000), "GenJet_eta": jagged(eta)},
                "GenJet_phi": jagged(phi),
                **{"run": np.ones(n, int), "event": np.arange(n)},
            }

    def level(prefix):
        momentum = {"expression": f"{prefix}_pt", "unit": "MeV"}
        return {
            "particles": {"pt": momentum, "eta": f"{prefix}_eta", "phi": f"{prefix}_phi"},
            **{"keep": f"{prefix}_pt > 20000", "selection": f"any({prefix}_pt > 25000)"},
        }

    mapping = {
        "source": "root",
        **{"detector": level("Jet"), "particle": level("GenJet"), "id": ["run", "event"]},
    }
    config = {
        "study": {"name": "jets", "passes": 1, "output": str(folder / "results")},
        "samples": {
            role: mapping | {"files": [str(folder / f"{role}.root")]}
            for role in ("data", "simulation")
        },
        "classifier": {"kind": "deepsets", "width": 16, "blocks": 1},
        "training": TRAINING,
        "unfolding": {"iterations": 1, "particle_level": "pass_gen"},
        "methods": {"none": {}},
        "observables": {
            "define": {
                "ht": {"expression": "sum(pt)", "unit": "GeV", "bins": {"quantiles": 8}},
                "leading": {
                    "expression": "max(pt)",
                    "unit": "GeV",
                    "edges": [20, 40, 60, 100, 300],
                },
                "fat": {"jets": "mass", "radius": 1.0, "pt_min": 20, "bins": {"quantiles": 5}},
            }
        },
        "diagnostics": UNTRAINED,
    }
    return _run(config)


def test_jets_are_unfolded_with_the_preset_of_particles(jets):
    summary = pd.read_csv(jets / "summary.csv").set_index("observable")
    assert set(summary.index) == {"ht", "leading", "fat"}
    assert summary.loc["ht", "td"] < summary.loc["ht", "td_prior"] / 2
    with h5py.File(jets / "samples" / "simulation.h5") as store:
        pt = store["particle/particles"][:, 0]
        assert 20 < pt.min() < 25  # GeV
        units = store["detector/particles"].attrs["units"]
    assert "GeV" in units
    with h5py.File(jets / "features" / "simulation-detector.h5") as file:
        assert file["particles"].shape[1] == 8
        assert file["event"].shape[1] == 3
