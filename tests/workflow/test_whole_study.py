"""A whole study in this process, on the excerpts in tests/data: its files, tables and report.

Snakemake's are the same bit by bit (test_study.py).
"""

import json
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest

from omniflow.api.run import evaluate, run
from omniflow.config import validate
from omniflow.report import page
from omniflow.unfolding.plan import Plan

DATA = Path(__file__).parents[2] / "tests" / "data"
METRICS = [
    *("method", "combine", "iteration", "observable", "bin", "low", "high", "truth", "prior"),
    *("mean", "bias_rel", "sigma_rel", "sigma_rel_paper", "rel_mse", "mse_rel_paper", "passes"),
]


SHAPES = """\
import numpy as np

def scalar_sum(level):
    event = np.repeat(np.arange(len(level)), level.counts)
    return np.bincount(event, level.particles[:, 0], len(level))
"""


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """The folder and configuration of a finished study of pseudo-data with truth."""
    folder = tmp_path_factory.mktemp("whole")
    files = {"data": DATA / "h1_nature.h5", "simulation": DATA / "h1_simulation.h5"}
    (folder / "shapes.py").write_text(SHAPES)
    with h5py.File(folder / "weights.h5", "w") as file:
        file["up"] = np.linspace(0.5, 1.5, 1000)
    weights = {"files": [str(folder / "weights.h5")], "dataset": "up"}
    # By an expression, by jets and in Python, in bins of all kinds.
    define = {
        "ht": {"expression": "sum(pt)", "bins": {"quantiles": 6}, "unit": "GeV"},
        "sum_pt": {"object": "shapes:scalar_sum", "edges": [5, 20]},
        "mass": {"jets": "mass", "radius": 0.8, "pt_min": 5, "edges": [0, 2, 4, 8]},
    }
    config = {
        "study": {"name": "small", "passes": 2, "output": str(folder)},
        "samples": {role: {"source": "h1", "files": [str(f)]} for role, f in files.items()},
        "classifier": {"kind": "deepsets", "width": 8, "blocks": 1},
        "training": {
            **{"optimizer": "adam", "learning_rate": 1e-3, "epochs": 1},
            **{"warmup_epochs": 0, "min_updates": 1},
        },
        "unfolding": {"iterations": 1},
        "methods": {"none": {}, "parallel": {"lanes": 3}},
        "observables": {"names": ["q2", "log10_pt", "jet_pt", *define], "define": define},
        # Two replicas and a variation, of the method `none`.
        "uncertainties": {
            "data_replicas": 2,
            "variations": {"model": {"simulation_weights": weights}},
        },
        "execution": {"networks_per_job": 3},
    }
    plan = Plan(validate(config, root=folder))
    run(plan)
    evaluate(plan)
    return plan.root, config


def test_promised_files(study):
    root = study[0]
    metrics = pd.read_csv(root / "metrics.csv")
    assert list(metrics.columns[: len(METRICS)]) == METRICS
    assert set(metrics["method"]) == {"none", "parallel"}
    assert set(metrics[metrics["method"] == "none"]["combine"]) == {"none"}
    assert set(metrics[metrics["method"] == "parallel"]["combine"]) == {
        "mean",
        "median",
        "truncated_mean",
        "log_mean",
    }
    assert metrics.truth.notna().all()
    summary = pd.read_csv(root / "summary.csv")
    assert {"td_prior", "td", "td_floor"} <= set(summary.columns)
    bayes = pd.read_csv(root / "bayes.csv")
    matched = {"q2", "jet_pt", "ht", "sum_pt", "mass"}  # particles are not
    assert set(bayes.observable) == matched
    assert set(pd.read_csv(root / "bayes_summary.csv").observable) == matched
    acceptance = pd.read_csv(root / "acceptance.csv")
    assert set(acceptance.observable) == {*matched, "log10_pt"}
    mine = metrics[metrics.method == "none"]
    both = bayes.merge(mine, on=["observable", "bin"], suffixes=("", "_omnifold"))
    assert len(both) > 20
    for column in ("low", "high", "truth", "prior"):  # same bins, same inputs
        np.testing.assert_allclose(both[column], both[f"{column}_omnifold"])
    timing = pd.read_csv(root / "timing.csv")
    variants = timing.chain.str.contains(".", regex=False)
    assert sum(~variants) == 2 * 2 * 3  # passes, steps, lanes; `none` costs nothing more
    assert sum(variants) == 3 * 2  # one pass of one lane, twice


def test_observables_of_ones_own(study):
    """A sum of pt in quantiles, and the same in Python in one bin, with what lies outside of it."""
    root = study[0]
    axes = {axis["name"]: axis for axis in json.loads((root / "axes.json").read_text())["axes"]}
    with h5py.File(DATA / "h1_simulation.h5") as file:
        flag, weight = file["reco_event_features"][:, -1] == 1, file["reco_event_features"][:, 5]
        ht = file["reco_particle_features"][:][flag][:, :, 0].astype(float).sum(axis=1)
        true = file["gen_particle_features"][:][file["gen_event_features"][:, -1] == 1]
        true = true[:, :, 0].astype(float).sum(axis=1)
    assert (weight == 1).all()
    edges = axes["ht"]["edges"]
    parts = np.histogram(ht.astype(np.float32), edges)[0]
    assert parts.sum() == len(ht)  # all of the simulation lies inside
    assert np.ptp(parts) <= 1
    assert [axes[name]["kind"] for name in ("ht", "sum_pt", "mass")] == ["event", "event", "jet"]
    metrics = pd.read_csv(root / "metrics.csv").query("method == 'none' and iteration == 1")
    scale = json.loads((root / "study.json").read_text())["scale"]
    found = metrics[metrics.observable == "ht"]
    np.testing.assert_allclose(found.prior, scale * np.histogram(true, edges)[0], rtol=1e-6)
    flows = pd.read_csv(root / "flows.csv", keep_default_na=False)
    row = flows.query("observable == 'sum_pt' and level == 'particle' and sample == 'simulation'")
    row = row[row.method == ""].iloc[0]
    counted = [(true < 5).sum(), ((true >= 5) & (true < 20)).sum(), (true >= 20).sum()]
    np.testing.assert_allclose(
        row[["below", "inside", "above"]].astype(float), scale * np.array(counted)
    )
    assert row.outside == pytest.approx(1 - counted[1] / len(true))
    assert set(flows.method) == {"", "none", "parallel"}
    study_json = json.loads((root / "study.json").read_text())
    labels = [o["label"] for o in study_json["observables"]]
    assert labels[3:] == ["ht", "sum_pt", "mass"]


def test_uncertainties_of_the_study(study):
    root = study[0]

    def q2(name):
        with h5py.File(root / "histograms" / f"{name}.h5") as file:
            return file["particle/none/q2/content"][-1]

    covariance = pd.read_csv(root / "covariance.csv")
    covariance = covariance[(covariance.method == "none") & (covariance.observable == "q2")]
    nominal, replicas = q2("none"), np.concatenate([q2("data-1.none"), q2("data-2.none")])
    shift = q2("model.none")[0] - nominal[0]
    expected = {
        "data": np.cov(replicas.T),
        "training": np.cov(nominal.T) / 2,
        "model": np.outer(shift, shift),
    }
    assert np.all(np.abs(shift).sum() > 0)
    expected["total"] = sum(expected.values())
    assert set(covariance.block) == set(expected)
    for block, matrix in expected.items():
        found = covariance[covariance.block == block].value.to_numpy().reshape(matrix.shape)
        np.testing.assert_allclose(found, matrix, rtol=1e-9, atol=1e-12, err_msg=block)
    # The yield of a replica is that of its data, which fluctuates with sqrt(n).
    with h5py.File(DATA / "h1_nature.h5") as file:
        seen = file["reco_event_features"][:][:, -1].sum()
    for name in ("none", "data-1.none", "data-2.none"):
        with h5py.File(root / "unfolded" / name / "none" / "pass-1.h5") as file:
            assert abs(file.attrs["sum_data"] - seen) < 5 * np.sqrt(seen)
    tests = pd.read_csv(root / "chi2.csv")
    assert set(tests.prediction) == {"truth", "simulation"}
    assert set(pd.read_csv(root / "coverage.csv").kind) == {"pass_total"}


def test_final_weights_of_every_pass(study):
    ids = None
    for how in ("none/none", "parallel/mean", "parallel/median"):
        for pass_ in (1, 2):
            with h5py.File(study[0] / "unfolded" / how / f"pass-{pass_}.h5") as file:
                weight, event_id = file["weight"][:], file["event_id"][:]
            assert weight.dtype == np.float64
            assert event_id.dtype == np.uint64
            assert np.all(np.isfinite(weight))
            assert len(weight) == 1000
            ids = event_id if ids is None else ids
            assert np.array_equal(event_id, ids)
    assert np.array_equal(ids, np.arange(1000))


def test_yield_of_parallel_is_the_mean_of_its_lanes(study):
    # The lanes of pass 1 are not written as results; their yields are, step by step.
    steps = pd.read_csv(study[0] / "steps.csv")
    lanes = steps[(steps["pass"] == 1) & (steps.step == 2)].sum_after
    with h5py.File(study[0] / "unfolded" / "parallel" / "median" / "pass-1.h5") as file:
        assert file["weight"][:].sum() == pytest.approx(lanes.mean(), rel=1e-6)


def test_diagnostics_are_those_of_weights_and_histograms(study):
    root, config = study
    passes, last = config["study"]["passes"], config["unfolding"]["iterations"]
    read = {path.stem: pd.read_csv(path) for path in root.glob("*.csv")}
    first = read["weights"][read["weights"]["combine"].isin(["none", "mean"])]
    both = read["tails"].merge(first, on=["method", "pass", "iteration"])
    assert len(both) == 2 * passes * last
    for name in ("ess", "minimum", "maximum"):
        np.testing.assert_allclose(both[f"{name}_x"], both[f"{name}_y"], rtol=1e-6)
    with h5py.File(root / "unfolded" / "parallel" / "mean" / "pass-1.h5") as file:
        weight, nu = file["weight"][:], file["ratio"][:].astype(float)
    base = weight / nu[-1]
    before = nu[-2] if last > 1 else 1
    row = read["tails"].query(f"method == 'parallel' and `pass` == 1 and iteration == {last}")
    change = (base * abs(nu[-1] - before)).sum() / weight.sum()
    assert row.change.item() == pytest.approx(change)
    largest = np.sort(weight)[-10:].sum() / weight.sum()
    assert row.share_of_largest.item() == pytest.approx(largest)
    with h5py.File(root / "histograms" / "none.h5") as file:
        content, variance = (file[f"particle/none/q2/{n}"][-1] for n in ("content", "variance"))
    sizes = read["effective_sizes"].query("method == 'none' and observable == 'q2'")
    expected = (content[:, sizes.bin] ** 2 / variance[:, sizes.bin]).mean(axis=0)
    np.testing.assert_allclose(sizes.ess, expected)
    fractions = read["weight_distributions"].groupby("method").fraction.sum()
    np.testing.assert_allclose(fractions, 1)
    at_detector = read["convergence"].query("level == 'detector'")
    distances = at_detector.merge(
        read["detector_summary"].rename(columns={"iteration": "to"}),
        on=["method", "combine", "observable", "to"],
    )
    assert len(distances) == len(at_detector)
    assert len(read["convergence"]) == 2 * len(at_detector)
    np.testing.assert_array_equal(distances.td_x, distances.td_y)
    # Passes, iterations, steps, lanes and parts; both levels of two methods and the prior.
    assert len(read["classifiers"]) == passes * last * 2 * 3 * 2
    assert len(read["second_classifier"]) == 2 * 3
    assert read["second_classifier"].failure.isna().all()
    assert read["second_classifier"].auc.between(0.3, 0.7).all()
    assert read["response"].test.tolist() == ["sample", "control"]
    assert read["response"].z.abs().lt(5).all()
    # Both levels of the prior, two methods and the oracle.
    assert len(read["distances"].query("observable == 'q2'")) == 2 * 4
    assert read["distances"].wasserstein.gt(0).all()
    assert set(read["stopping"]["last"]) == {last}


def test_what_the_report_says(study, tmp_path, undrawn):
    page.write(study[0], tmp_path / "report.html")
    report = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert report.lstrip().lower().startswith("<!doctype html>")
    assert "There is no binned (IBU) of log₁₀(p_T / GeV): " in report
    assert "networks have no scores" not in report  # replicas and variations never have any
    assert "sum_pt: " in report
    assert "lies outside of the bins" in report
    assert 'id="uncertainties"' in report
    assert "Correlation of none: Q² (q2)" in report
