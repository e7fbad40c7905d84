"""Predictions that real data are only compared with, and guards of their tests, against NumPy."""

import shutil
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest

from omniflow.config import validate
from omniflow.errors import InputError
from omniflow.hdf5 import create_h5
from omniflow.stages import origins, predictions, samples, uncertainties
from omniflow.unfolding.plan import Plan

DATA = Path(__file__).parents[1] / "data"
EDGES = [150, 200, 300, 500, 5000]
BINS, PASSES = 4, 30
WEIGHTS = {"files": ["unused.h5"], "dataset": "factor"}


def _real(folder):
    """Data without particle level."""
    path = folder / "data.h5"
    with h5py.File(DATA / "h1_nature.h5") as source, h5py.File(path, "w") as file:
        for name in source:
            if name.startswith("reco_"):
                source.copy(name, file)
    return {"source": "h1", "files": [str(path)]}


def _plan(folder, normalization="absolute", **wanted):
    simulation = {"source": "h1", "files": [str(DATA / "h1_simulation.h5")]}
    other = {"source": "h1", "files": [str(DATA / "h1_nature.h5")]}
    raw = {
        "study": {"name": "small", "passes": PASSES, "output": str(folder)},
        "samples": {"data": _real(folder), "simulation": simulation},
        "methods": {"none": {}},
        "unfolding": {"iterations": 1, "normalization": normalization},
        "observables": {"names": ["q2"], "binning": {"q2": EDGES}},
        "uncertainties": {"predictions": {"other": other}} | wanted,
    }
    return Plan(validate(raw))


def _run(plan, contents):
    """Write made-up contents (passes, B) by variant, and the tables."""
    for role in plan.evaluated:
        samples.make_store(plan, role)
        samples.make_observables(plan, role)
    samples.make_axes(plan)
    for result in plan.variants.results:
        with create_h5(plan.histograms(result)) as file:
            content = contents[result.rpartition(".")[0] or "nominal"][None]
            for part in ("content", "variance", "sum_covariance", "flow"):
                file[f"particle/none/q2/{part}"] = content
    uncertainties.make_tables(plan)
    return {
        name: pd.read_csv(plan.table(name), keep_default_na=False)
        for name in ("covariance.csv", "chi2.csv", "coverage.csv")
    }


def _passes(seed=1):
    rng = np.random.default_rng(seed)
    return np.array([100.0, 150, 120, 60]) + rng.normal(size=(PASSES, BINS))


def _records(name):
    """Q2 and flag at particle level, flag and weight at detector level."""
    with h5py.File(DATA / f"h1_{name}.h5") as file:
        true, seen = file["gen_event_features"][:], file["reco_event_features"][:]
    return true[:, 0], true[:, -1] == 1, seen[:, -1] == 1, seen[:, 5].astype(float)


def _other():
    """Content and covariance of the prediction, scaled to the data."""
    q2, inside, _, weight = _records("nature")
    # The real data are the same records at detector level: the scale is that of their weights, 1.
    content = np.histogram(q2[inside], EDGES, weights=weight[inside])[0]
    square = np.histogram(q2[inside], EDGES, weights=weight[inside] ** 2)[0]
    return content, np.diag(square)


def _of_scaled():
    """Covariance of its content, whose sum at detector level is that of the data, event by event.

    One event more of weight w adds to its bin, and lowers the scale of all bins if it passes.
    """
    q2, inside, seen, weight = _records("nature")
    content, _ = _other()
    moves = np.zeros((len(q2), BINS))
    for event in range(len(q2)):
        if inside[event] and EDGES[0] <= q2[event] < EDGES[-1]:
            moves[event, np.searchsorted(EDGES, q2[event], side="right") - 1] += 1
        moves[event] -= seen[event] * content / weight[seen].sum()
    return (weight[:, None] * moves).T @ (weight[:, None] * moves)


@pytest.mark.parametrize("normalization", ["absolute", "shape"])
def test_results_are_tested_against_predictions(tmp_path, normalization):
    plan = _plan(tmp_path, normalization)
    passes = _passes()
    tables = _run(plan, {"nominal": passes})
    # Nothing is trained for it, and it is no block.
    assert plan.variants.results == ["none"]
    assert set(tables["covariance.csv"].block) == {"training", "total"}
    assert tables["coverage.csv"].empty
    rows = tables["chi2.csv"].set_index("prediction")
    assert list(rows.index) == ["simulation", "other"]
    assert rows.loc["other"].blocks == "training prediction"
    content, statistics = _other()
    if normalization == "absolute":
        statistics = _of_scaled()
    else:
        passes = passes / passes.sum(axis=1, keepdims=True)
        total = content.sum()
        jacobian = np.eye(BINS) / total - np.outer(content, np.ones(BINS)) / total**2
        content, statistics = content / total, jacobian @ statistics @ jacobian.T
    covariance = np.cov(passes.T) / PASSES + statistics
    keep = slice(0, BINS - (normalization == "shape"))
    d = (passes.mean(axis=0) - content)[keep]
    expected = d @ np.linalg.solve(covariance[keep, keep], d)
    assert float(rows.loc["other"].chi2) == pytest.approx(expected, rel=1e-6)
    assert (tables["chi2.csv"].parallel == "").all()


def test_predictions_follow_the_scale_of_the_data(tmp_path):
    """Its yield at detector level is theirs, and moves with their replicas."""
    plan = _plan(tmp_path, data_replicas=3, simulation_replicas=2)
    for role in plan.evaluated:
        samples.make_store(plan, role)
        samples.make_observables(plan, role)
    samples.make_axes(plan)
    found = predictions.make(plan)["q2"]["other"]
    content, _ = _other()
    np.testing.assert_allclose(found.content, content, rtol=1e-6)
    np.testing.assert_allclose(found.blocks["prediction"].matrix, _of_scaled(), rtol=1e-6)
    moved = np.array([found.variants[f"data-{n}"] for n in (1, 2, 3)]) / content
    assert np.ptp(moved, axis=1).max() < 1e-9
    assert 0.8 < moved.min() < moved.max() < 1.2
    assert np.ptp(moved[:, 0]) > 1e-3
    for name in ("simulation-1", "simulation-2"):
        np.testing.assert_allclose(found.variants[name], content, rtol=1e-6)


def test_a_scaled_prediction_fluctuates_less_than_its_events(tmp_path):
    """Its covariance is that of samples drawn anew, each scaled to the data."""
    q2, inside, seen, weight = _records("nature")
    _, unscaled = _other()
    rng, rows = np.random.default_rng(4), []
    for _ in range(4000):
        drawn = weight * rng.poisson(1.0, len(weight))
        found = np.histogram(q2[inside], EDGES, weights=drawn[inside])[0]
        rows.append(found * weight[seen].sum() / drawn[seen].sum())
    expected = np.cov(np.transpose(rows))
    plan = _plan(tmp_path)
    for role in plan.evaluated:
        samples.make_store(plan, role)
        samples.make_observables(plan, role)
    samples.make_axes(plan)
    matrix = predictions.make(plan)["q2"]["other"].blocks["prediction"].matrix
    error = np.sqrt(np.diag(expected))
    np.testing.assert_allclose(
        matrix / np.outer(error, error), expected / np.outer(error, error), atol=0.1
    )
    total = np.ones(BINS)
    assert total @ matrix @ total < 0.5 * total @ unscaled @ total
    assert total @ matrix @ total == pytest.approx(total @ expected @ total, rel=0.1)


def test_a_scaled_prediction_moves_with_what_is_subtracted(tmp_path):
    background = {"source": "h1", "files": [str(DATA / "h1_simulation.h5")], "skip": 900}
    plan = _plan(tmp_path)
    raw = plan.config.model_dump(mode="json")
    raw["samples"]["simulation"] |= {"events": 900}
    raw["samples"]["backgrounds"] = {
        "beam": {"sample": background, "factor": 0.5, "uncertainty": 0.4}
    }
    raw["uncertainties"]["data_replicas"] = 2
    plan = Plan(validate(raw))
    for role in plan.evaluated:
        samples.make_store(plan, role)
        samples.make_observables(plan, role)
    samples.make_axes(plan)
    found = predictions.make(plan)["q2"]["other"]
    _, _, seen, weight = _records("nature")
    _, _, background_seen, background_weight = (part[900:] for part in _records("simulation"))
    subtracted = 0.5 * background_weight[background_seen].sum()
    data = weight[seen].sum()
    for side, factor in (("up", 1.4), ("down", 0.6)):
        expected = (data - factor * subtracted) / (data - subtracted)
        np.testing.assert_allclose(
            found.variants[f"beam_{side}"] / found.content, expected, rtol=1e-6
        )


def test_a_prediction_without_particle_level_is_refused(tmp_path):
    real = _real(tmp_path) | {"skip": 500}
    data = {"source": "h1", "files": [str(tmp_path / "data.h5")], "events": 500}
    plan = _plan(tmp_path)
    raw = plan.config.model_dump(mode="json")
    raw["samples"]["data"] = data
    raw["uncertainties"]["predictions"] = {"real": real}
    plan = Plan(validate(raw))
    samples.make_store(plan, "prediction-real")
    with pytest.raises(InputError, match="prediction-real has no particle level"):
        samples.make_observables(plan, "prediction-real")


def test_a_copied_file_is_the_same_origin(tmp_path):
    """A variation by a copy of the prediction's file contains the tested difference."""
    copy = tmp_path / "renamed.h5"
    shutil.copy(DATA / "h1_nature.h5", copy)
    variation = {"simulation": {"source": "h1", "files": [str(copy)]}}
    plan = _plan(tmp_path, variations={"model": variation})
    tables = _run(plan, {"nominal": _passes(), "model": _passes(2)[:1] + 5})
    rows = tables["chi2.csv"].set_index("prediction")
    assert dict(rows.left_out) == {"simulation": "", "model": "model", "other": "model"}


def test_shifts_along_the_difference_are_flagged(tmp_path):
    """A variation by weights that goes halfway to a prediction: nothing but its shift tells."""
    plan = _plan(tmp_path, variations={"half": {"simulation_weights": WEIGHTS}})
    passes = _passes()
    nominal, (content, _) = passes[0], _other()
    halfway = nominal + (content - passes.mean(axis=0)) / 2
    tables = _run(plan, {"nominal": passes, "half": halfway[None]})
    rows = tables["chi2.csv"].set_index("prediction")
    assert rows.loc["other"].parallel == "half"
    assert rows.loc["other"].left_out == ""


def test_copies_that_should_be_other_events_are_noted(tmp_path):
    copy = tmp_path / "renamed.h5"
    shutil.copy(DATA / "h1_simulation.h5", copy)
    sample = {"source": "h1", "files": [str(copy)]}
    plan = _plan(tmp_path, predictions={"copy": sample, "part": sample | {"skip": 500}})
    raw = plan.config.model_dump(mode="json")
    raw["samples"]["simulation"]["events"] = 500
    plan = Plan(validate(raw))
    for role in plan.samples:
        samples.make_store(plan, role)
    (note,) = [n for n in origins.overlaps(plan) if "prediction-part" not in n]
    assert note.startswith("simulation and prediction-copy hold the same events")
    # Two predictions of the same records are refused by nobody, but they are named too.
    assert len(origins.overlaps(plan)) == 2


def test_copies_of_toys_and_of_what_networks_learn_from_are_noted(tmp_path):
    """Toys are records 300 to 499 of nature; all others are read from copies of the file."""

    def copy(name, skip, events=100):
        shutil.copy(DATA / "h1_nature.h5", tmp_path / name)
        return {"source": "h1", "files": [str(tmp_path / name)], "skip": skip, "events": events}

    raw = _plan(tmp_path).config.model_dump(mode="json")
    data = copy("nature.h5", 200)
    raw["samples"] |= {
        "data": data,
        "simulation": copy("simulation.h5", 450),
        "backgrounds": {"photo": {"sample": copy("photo.h5", 600)}},
        "pretraining": {"simulation": copy("pretraining.h5", 700)},
    }
    raw["methods"] = {"none": {"start": "pretrained"}}
    varied = {"one": copy("one.h5", 650), "two": copy("two.h5", 380)}
    raw["uncertainties"] = {
        "toys": 2,
        "variations": {name: {"simulation": sample} for name, sample in varied.items()},
    }
    plan = Plan(validate(raw))
    for role in plan.samples:
        samples.make_store(plan, role)
    found = [note.partition(" hold the same events")[0] for note in origins.overlaps(plan)]
    assert sorted(found) == [
        "one.simulation and background-photo",
        "one.simulation and pretraining-simulation",
        "simulation and toy-2.data",
        "two.simulation and toy-1.data",
        "two.simulation and toy-2.data",
    ]
    raw["samples"]["pretraining"]["allow_overlap"] = True
    assert not any("pretraining" in note for note in origins.overlaps(Plan(validate(raw))))


def test_samples_that_share_records_are_noted(tmp_path):
    """Other files, of which some records are equal at detector level: the rest is another's."""
    with h5py.File(DATA / "h1_simulation.h5") as old, h5py.File(tmp_path / "x.h5", "w") as new:
        for name, values in old.items():
            new[name] = values[600:]
        passes = np.flatnonzero(old["reco_event_features"][600:, 6] == 1)[:2]
    raw = _plan(tmp_path).config.model_dump(mode="json")
    raw["samples"]["data"] = {"source": "h1", "files": [str(tmp_path / "x.h5")], "events": 300}
    raw["samples"]["simulation"]["events"] = 601 + int(passes[1])
    plan = Plan(validate(raw))
    for role in plan.samples:
        samples.make_store(plan, role)
    (note,) = origins.overlaps(plan)
    first, second = passes
    assert note.startswith(
        "data and simulation hold the same events: 2 events of data (ids "
        f"{first}, {second}) have the detector level of events of simulation."
    )
