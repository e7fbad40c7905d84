"""A whole study through Snakemake, as a user runs it, on the excerpts in tests/data."""

import json
import os
import re
import shutil
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import snakemakes

from omniflow.api.run import evaluate, run
from omniflow.config import validate
from omniflow.report import page
from omniflow.unfolding.estimate import rates
from omniflow.unfolding.footprint import footprint
from omniflow.unfolding.jobs import jobs
from omniflow.unfolding.plan import Plan

ROOT = Path(__file__).parents[2]
DATA = ROOT / "tests" / "data"
METRICS = [
    *("method", "combine", "iteration", "observable", "bin", "low", "high", "truth", "prior"),
    *("mean", "bias_rel", "sigma_rel", "sigma_rel_paper", "rel_mse", "mse_rel_paper", "passes"),
]

# Kinds of files, by the folders that they are in; whatever else lies above them is a table.
FOLDERS = {
    "event stores": "samples/*.h5",
    "checksums of given files": "checksums/*.json",
    "classifier inputs": "features/*",
    "observables": "observables/*/*",
    "networks": "training/**/*.weights.h5",
    "histories": "training/**/history.json",
    "weights of steps": "training/**/step-?/weights.h5",
    "logits": "**/logits.h5",
    "checkpoints": "checkpoints/**/*.h5",
    "final weights": "unfolded/**/*.h5",
    "weights for histograms": "histograms/.*",
    "histograms": "histograms/*",
    "scores": "**/scores.h5",
    "second classifiers": "second_classifier/*",
    "oracle": "oracle/*",
    "tests of the response": "response/*",
    "tables and report": "*.*",
    "time stamps of folders": "**/.snakemake_timestamp",
}
STAMP = ".snakemake_timestamp"


def _without_truth(source: Path, target: Path) -> None:
    with h5py.File(source) as old, h5py.File(target, "w") as new:
        for name in old:
            if name.startswith("reco"):
                old.copy(name, new)


def _config(folder: Path, data: Path) -> dict:
    return {
        "study": {"name": "small", "passes": 2, "output": str(folder / "results")},
        "samples": {
            "data": {"source": "h1", "files": [str(data)]},
            "simulation": {"source": "h1", "files": [str(DATA / "h1_simulation.h5")]},
        },
        "classifier": {"kind": "deepsets", "width": 8, "blocks": 1},
        "training": {
            **{"optimizer": "adam", "learning_rate": 1e-3, "epochs": 1},
            **{"warmup_epochs": 0, "min_updates": 1},
        },
        "unfolding": {"iterations": 1},
        "methods": {"none": {}, "parallel": {"lanes": 3}},
        "observables": {"names": ["q2", "log10_pt", "jet_pt"]},
        "execution": {"networks_per_job": 3},
    }


SHAPES = """\
import numpy as np

def scalar_sum(level):
    event = np.repeat(np.arange(len(level)), level.counts)
    return np.bincount(event, level.particles[:, 0], len(level))
"""


def _of_ones_own(folder: Path) -> dict:
    """Observables by an expression, by jets and in Python, in bins of all kinds."""
    (folder / "shapes.py").write_text(SHAPES)
    define = {
        "ht": {"expression": "sum(pt)", "bins": {"quantiles": 6}, "unit": "GeV"},
        "sum_pt": {"object": "shapes:scalar_sum", "edges": [5, 20]},
        "mass": {"jets": "mass", "radius": 0.8, "pt_min": 5, "edges": [0, 2, 4, 8]},
    }
    return {"names": ["q2", "log10_pt", "jet_pt", *define], "define": define}


def _uncertainties(folder: Path) -> dict:
    """Two replicas of the data and a variation, of the method `none`."""
    with h5py.File(folder / "weights.h5", "w") as file:
        file["up"] = np.linspace(0.5, 1.5, 1000)
    weights = {"files": [str(folder / "weights.h5")], "dataset": "up"}
    return {"data_replicas": 2, "variations": {"model": {"simulation_weights": weights}}}


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A finished study of pseudo-data with truth: its working folder and configuration."""
    folder = tmp_path_factory.mktemp("study")
    shutil.copy(DATA / "h1_nature.h5", folder / "data.h5")
    config = _config(folder, folder / "data.h5")
    config["uncertainties"] = _uncertainties(folder)
    config["observables"] = _of_ones_own(folder)
    result = snakemakes.run(folder, config)
    assert result.returncode == 0, result.stdout + result.stderr
    done = re.findall(r"^(\d+) of (\d+) jobs in ", result.stderr, re.MULTILINE)
    assert len(done) == 1
    assert done[0][0] == done[0][1]
    return folder, config


def _results(study) -> Path:
    return study[0] / "results" / "small"


def test_promised_files(study):
    root = _results(study)
    report = (root / "report.html").read_text(encoding="utf-8")
    assert report.lstrip().lower().startswith("<!doctype html>")
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
    assert "There is no binned (IBU) of log₁₀(p_T / GeV): " in report
    assert "networks have no scores" not in report  # replicas and variations never have any
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
    root = _results(study)
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
    report = (root / "report.html").read_text(encoding="utf-8")
    assert "sum_pt: " in report
    assert "lies outside of the bins" in report
    study_json = json.loads((root / "study.json").read_text())
    labels = [o["label"] for o in study_json["observables"]]
    assert labels[3:] == ["ht", "sum_pt", "mass"]


def test_uncertainties_of_the_study(study):
    root = _results(study)

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
    with h5py.File(study[0] / "data.h5") as file:
        seen = file["reco_event_features"][:][:, -1].sum()
    for name in ("none", "data-1.none", "data-2.none"):
        with h5py.File(root / "unfolded" / name / "none" / "pass-1.h5") as file:
            assert abs(file.attrs["sum_data"] - seen) < 5 * np.sqrt(seen)
    tests = pd.read_csv(root / "chi2.csv")
    assert set(tests.prediction) == {"truth", "simulation"}
    assert set(pd.read_csv(root / "coverage.csv").kind) == {"pass_total"}
    report = (root / "report.html").read_text(encoding="utf-8")
    assert 'id="uncertainties"' in report
    assert "Correlation of none: Q² (q2)" in report


def test_files_are_those_that_the_plan_counts(study):
    plan = Plan(validate(study[1], root=study[0]))
    predicted = {kind.name: kind for kind in footprint(plan, jobs(plan, rates(plan)))}
    assert set(predicted) == {*FOLDERS, "logs and benchmarks", "Snakemake's notes"}
    total = predicted["logs and benchmarks"].files
    for name, pattern in FOLDERS.items():
        stamps = name == "time stamps of folders"
        files = [path for path in plan.root.glob(pattern) if path.is_file()]
        files = [path for path in files if (path.name == STAMP) == stamps]
        if predicted[name].temporary:
            assert files == [], name
            continue
        assert len(files) == predicted[name].files, name
        size = sum(path.stat().st_size for path in files)
        assert size / 3 <= predicted[name].size <= 3 * size, (name, size, predicted[name].size)
        total += len(files)
    assert total == sum(path.is_file() for path in plan.root.rglob("*"))
    notes = [path for path in study[0].glob(".snakemake/metadata/**/*") if path.is_file()]
    assert len(notes) == predicted["Snakemake's notes"].files


def test_final_weights_of_every_pass(study):
    ids = None
    for how in ("none/none", "parallel/mean", "parallel/median"):
        for pass_ in (1, 2):
            with h5py.File(_results(study) / "unfolded" / how / f"pass-{pass_}.h5") as file:
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
    steps = pd.read_csv(_results(study) / "steps.csv")
    lanes = steps[(steps["pass"] == 1) & (steps.step == 2)].sum_after
    with h5py.File(_results(study) / "unfolded" / "parallel" / "median" / "pass-1.h5") as file:
        assert file["weight"][:].sum() == pytest.approx(lanes.mean(), rel=1e-6)


def test_diagnostics_are_those_of_weights_and_histograms(study):
    root, config = _results(study), study[1]
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


def test_nothing_is_left_to_do(study):
    result = snakemakes.forked(*study, "--dry-run")
    assert result.returncode == 0, result.stderr
    assert "Nothing to be done" in result.stdout + result.stderr


def test_another_binning_trains_nothing(study):
    folder, config = study
    changed = config | {"observables": {"names": ["q2", "eta_e"]}, "combine": ["median", "mean"]}
    result = snakemakes.forked(folder, changed, "--dry-run")
    planned = result.stdout + result.stderr
    assert result.returncode == 0, planned
    assert "rule histograms:" in planned
    for rule in ("train", "aggregate", "event_store", "features"):
        assert f"rule {rule}:" not in planned


def test_another_definition_trains_nothing(study):
    """Changed text of a module runs again what rests on it; a label and edges cluster nothing."""
    folder, config = study
    (folder / "shapes.py").write_text(SHAPES.replace("0], len", "0] * 2, len"))
    edited = snakemakes.forked(folder, config, "--dry-run").stdout
    (folder / "shapes.py").write_text(SHAPES)
    define = config["observables"]["define"]
    bins = {"ht": define["ht"] | {"bins": {"quantiles": 5}, "label": "H_T"}}
    section = config["observables"] | {"define": define | bins}
    binned = snakemakes.forked(folder, config | {"observables": section}, "--dry-run").stdout
    for planned, computed in ((edited, True), (binned, False)):
        assert ("rule observables:" in planned) == computed
        assert "rule axes:" in planned
        assert "rule histograms:" in planned
        for rule in ("train", "aggregate", "event_store", "features", "combine"):
            assert f"rule {rule}:" not in planned


def test_more_passes_and_replicas_train_only_new_ones(study):
    folder, config = study
    changed = config | {
        "study": config["study"] | {"passes": 3},
        "uncertainties": config["uncertainties"] | {"data_replicas": 3},
    }
    planned = snakemakes.forked(folder, changed, "--dry-run").stdout
    wildcards = [line for line in planned.splitlines() if "wildcards: chain=" in line]
    replicas = [line for line in wildcards if "group=data-3.lanes-0-0" in line]
    assert len(replicas) == 2 * 2  # training and weights of two steps
    passes = [line for line in wildcards if line not in replicas]
    assert passes
    assert all("pass_=3" in line for line in passes)


def test_given_files_count_by_their_bytes(study):
    """As large files do, which Snakemake takes for changed when they have a new time stamp."""
    folder, config = study
    files = [folder / name for name in ("data.h5", "weights.h5")]
    content = [file.read_bytes() for file in files]
    for file, old in zip(files, content, strict=True):
        file.unlink()
        file.write_bytes(old)
    result = snakemakes.forked(folder, config, "--dry-run", "--max-checksum-file-size", "0")
    assert "Nothing to be done" in result.stdout + result.stderr
    for file, old in zip(files, content, strict=True):
        file.write_bytes(old[:-1] + bytes([old[-1] ^ 1]))
        os.utime(file, ns=(10**18, 10**18))  # older than all that was made of it
    planned = snakemakes.forked(folder, config, "--dry-run").stdout
    for file, old in zip(files, content, strict=True):
        file.write_bytes(old)
    lines = planned.splitlines()
    assert [line for line in lines if "wildcards: role=" in line and "level" not in line] == [
        "    wildcards: role=data"
    ] * 3  # event store, observables, and the test of the detector response
    variation = [line for line in lines if "wildcards: chain=" in line and "=model." in line]
    assert len(variation) == 2 * 2
    # Bytes that are back are those that everything was made of.
    assert "Nothing to be done" in snakemakes.forked(folder, config, "--dry-run").stdout


def test_snakemake_report_carries_ours(study):
    folder, config = study
    report = folder / "snakemake-report.html"
    result = snakemakes.forked(folder, config, "--report", str(report))
    assert result.returncode == 0, result.stderr
    assert "report.html" in report.read_text(encoding="utf-8")


def test_wrong_configuration_names_key_and_remedy(tmp_path):
    config = _config(tmp_path, DATA / "h1_nature.h5")
    config["training"]["learning_rat"] = 1
    result = snakemakes.forked(tmp_path, config, "--dry-run")
    assert result.returncode != 0
    message = result.stdout + result.stderr
    assert "training.learning_rat: unknown key; did you mean 'learning_rate'?" in message
    assert "Traceback" not in message


def test_data_without_particle_level_conditional_means_and_folds(tmp_path, undrawn):
    _without_truth(DATA / "h1_nature.h5", tmp_path / "data.h5")
    config = _config(tmp_path, tmp_path / "data.h5")
    config["methods"] = {"none": {}}
    config["study"]["passes"] = 1
    config["training"]["folds"] = 2
    # And with every step that there is.
    config["unfolding"] |= {
        "particle_level": "pass_gen",
        "misses": "conditional_mean",
        "fakes": "conditional_mean",
    }
    planned = snakemakes.forked(tmp_path, config, "--dry-run")
    assert planned.returncode == 0, planned.stdout + planned.stderr
    for step in ("1", "1b", "2", "2b"):
        assert f"step={step}, block=0" in planned.stdout
    # The jobs themselves in this process, which saves their starts.
    plan = Plan(validate(config))
    run(plan)
    evaluate(plan)
    page.write(plan.root, plan.table("report.html"))
    root = plan.root
    metrics = pd.read_csv(root / "metrics.csv")
    assert metrics[["truth", "bias_rel", "rel_mse", "mse_rel_paper"]].isna().all().all()
    assert metrics[["mean", "prior"]].notna().all().all()
    bayes = pd.read_csv(root / "bayes.csv")
    assert bayes[["truth", "bias_rel"]].isna().all().all()
    assert bayes[["content", "error", "prior"]].notna().all().all()
    assert pd.read_csv(root / "detector_summary.csv").td.notna().all()
    assert json.loads((root / "study.json").read_text())["has_truth"] is False
    report = (root / "report.html").read_text(encoding="utf-8")
    for step in ("1", "1b", "2", "2b"):
        assert f"scratch-1, step {step}" in report
    steps, timing = (pd.read_csv(root / f"{name}.csv", dtype=str) for name in ("steps", "timing"))
    assert sorted(steps.step) == ["1", "1b", "2", "2b"]
    assert sorted(timing.step + timing.fold) == ["11", "12", "1b1", "1b2", "21", "22", "2b1", "2b2"]
    assert set(steps[steps.step == "1b"].events) == {"25"}
    assert set(steps[steps.step == "2b"].events) == {"200"}
    assert " lacks " not in report
    assert "learns the mean step-1 ratio" in report
    assert "networks have no scores" not in report
    classifiers = pd.read_csv(root / "classifiers.csv")
    assert sorted(zip(classifiers.step, classifiers.fold, strict=True)) == [
        (step, fold) for step in (1, 2) for fold in (1, 1, 2, 2)
    ]
