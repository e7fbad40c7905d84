"""Tables of uncertainties from made-up histograms, against NumPy on the event files."""

import shutil
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from scipy import stats

from omniflow.config import validate
from omniflow.evaluation.varied import Prediction, Varied
from omniflow.events import slices
from omniflow.hdf5 import create_h5
from omniflow.stages import samples, uncertainties
from omniflow.unfolding.plan import Plan
from omniflow.unfolding.variants import replica_weights

DATA = Path(__file__).parents[1] / "data"
EDGES = [150, 200, 300, 500, 5000]
BINS, PASSES, REPLICAS = 4, 5, 9
METHOD = "parallel"
TABLES = ("covariance.csv", "shifts.csv", "chi2.csv", "pulls.csv", "coverage.csv")


@pytest.fixture(autouse=True, scope="module")
def several_slices():
    """Every sample is several slices."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(slices, "EVENTS", 130)
        yield


def make_plan(folder, normalization, passes=PASSES, **changes):
    simulation = {"source": "h1", "files": [str(DATA / "h1_simulation.h5")]}
    raw = {
        "study": {"name": "small", "passes": passes, "output": str(folder)},
        "samples": {
            "data": {"source": "h1", "files": [str(DATA / "h1_nature.h5")], "events": 300},
            "simulation": simulation | {"events": 600},
        },
        "methods": {"none": {}, METHOD: {"lanes": 3}},
        "combine": ["median", "mean"],
        "unfolding": {"iterations": 2, "normalization": normalization},
        "observables": {"names": ["q2", "log10_pt"], "binning": {"q2": EDGES}},
        "uncertainties": {
            "methods": [METHOD],
            "passes": 2,
            "data_replicas": REPLICAS,
            "simulation_replicas": REPLICAS + 1,
            "toys": 2,
            "variations": {
                "model": {"simulation": simulation | {"skip": 600}},
                "nature": {"simulation": {"source": "h1", "files": [str(DATA / "h1_nature.h5")],
                                         "skip": 900}},
                "jes_up": {"simulation_weights": {"files": ["w.h5"], "dataset": "up"}},
                "jes_down": {"simulation_weights": {"files": ["w.h5"], "dataset": "down"}},
            },
        },
    }  # fmt: skip
    raw["uncertainties"] |= changes
    return Plan(validate(raw))


def histograms(plan):
    """Write made-up results and return q2 of the last iteration, (passes, B) by variant."""
    rng = np.random.default_rng(1)
    found = {}
    for result in plan.variants.results:
        variant = result.rpartition(".")[0] or "nominal"
        if not result.endswith(METHOD):
            continue
        with create_h5(plan.histograms(result)) as file:
            for level in ("particle", "detector"):
                for how in plan.combinations(result):
                    for name in ("q2", "log10_pt"):
                        bins = BINS if name == "q2" else 22
                        shape = (2, len(plan.passes_of(result)), bins)
                        content = 50 + 5 * rng.normal(size=bins) + 0.5 * rng.normal(size=shape)
                        for part in ("content", "variance", "sum_covariance", "flow"):
                            file[f"{level}/{how}/{name}/{part}"] = content
                        if (level, how, name) == ("particle", "median", "q2"):
                            found[variant] = content[-1]
    return found


@pytest.fixture(scope="module", params=["absolute", "shape"])
def study(request, tmp_path_factory):
    plan = make_plan(tmp_path_factory.mktemp("study"), request.param)
    for role in plan.samples:
        samples.make_store(plan, role)
        samples.make_observables(plan, role)
    samples.make_axes(plan)
    content = histograms(plan)
    uncertainties.make_tables(plan)
    scaled = {k: _unit(plan, v) for k, v in content.items()}
    return plan, scaled, {n: pd.read_csv(plan.table(n)) for n in TABLES}


def _unit(plan, content):
    if plan.config.unfolding.normalization == "absolute":
        return content
    return content / content.sum(axis=-1, keepdims=True)


def _records(name, first, last):
    """Event ids, Q2, flags at particle and at detector level, weights of records of a file."""
    with h5py.File(DATA / f"h1_{name}.h5") as file:
        true, seen = file["gen_event_features"][first:last], file["reco_event_features"][first:last]
    ids = np.arange(first, first + len(true)).astype(np.uint64)
    return ids, true[:, 0], true[:, -1] == 1, seen[:, -1] == 1, seen[:, 5].astype(float)


def _histogram(events, factor=1.0):
    _, q2, inside, _, weight = events
    return np.histogram(q2[inside], EDGES, weights=(weight * factor)[inside])[0]


def _drawn(plan, kind, ids):
    names = plan.variants.of_kind(kind)
    return [replica_weights(plan.config.study.seed, plan.variants[name], ids) for name in names]


def _seen(events, factor=1.0):
    return np.sum((events[4] * factor)[events[3]])


def _expected(plan, content, as_measured=False):
    """Blocks of the result, of differences to truth, and of differences to the simulation.

    With what scatter of training adds where `as_measured`.
    """
    data, simulation = _records("nature", 0, 300), _records("simulation", 0, 600)
    mean = {name: found.mean(axis=0) for name, found in content.items()}
    of = {k: np.array([mean[f"{k}-{n}"] for n in range(1, count + 1)])
          for k, count in (("data", REPLICAS), ("simulation", REPLICAS + 1))}  # fmt: skip
    drawn = {"data": _drawn(plan, "data", data[0])}
    drawn["simulation"] = _drawn(plan, "simulation", simulation[0])
    truths = _unit(plan, np.array([_histogram(data, w) for w in drawn["data"]]))
    # The simulation is scaled to the data.
    by_data = np.array(
        [_histogram(simulation) * _seen(data, w) / _seen(simulation) for w in drawn["data"]]
    )
    by_simulation = np.array(
        [
            _histogram(simulation, w) * _seen(data) / _seen(simulation, w)
            for w in drawn["simulation"]
        ]
    )
    common = {"training": np.cov(content["nominal"].T) / PASSES}
    for name in ("model", "nature"):
        common[name] = _systematic(content, name, as_measured)
    common["jes"] = sum(_systematic(content, f"jes_{s}", as_measured) for s in ("up", "down")) / 2
    noise = {kind: 0 if as_measured else _training(plan, content, kind) for kind in of}
    own = {kind: np.cov(rows.T) - noise[kind] for kind, rows in of.items()}
    to_truth = own | {"data": np.cov((of["data"] - truths).T) - noise["data"]}
    to_prior = {
        "data": np.cov((of["data"] - _unit(plan, by_data)).T) - noise["data"],
        "simulation": np.cov((of["simulation"] - _unit(plan, by_simulation)).T)
        - noise["simulation"],
    }
    return tuple(blocks | common for blocks in (own, to_truth, to_prior))


def test_blocks_are_those_of_numpy(study):
    plan, content, tables = study
    own = _expected(plan, content)[0]
    rows = tables["covariance.csv"]
    assert set(rows.method) == {METHOD}
    assert set(rows["combine"]) == {"median"}
    rows = rows[rows.observable == "q2"]
    assert list(rows.block.unique()) == [
        *("data", "simulation", "training", "jes", "model", "nature", "total"),
    ]
    for block, matrix in (own | {"total": sum(own.values())}).items():
        found = rows[rows.block == block].value.to_numpy().reshape(BINS, BINS)
        np.testing.assert_allclose(found, matrix, rtol=1e-9, atol=1e-15, err_msg=block)


def test_the_joint_covariance_holds_all_observables(study):
    plan, _, tables = study
    content = {}
    for result in plan.variants.results:
        if result.endswith(METHOD):
            with h5py.File(plan.histograms(result)) as file:
                parts = [file[f"particle/median/{name}/content"][-1] for name in ("q2", "log10_pt")]
            variant = result.rpartition(".")[0] or "nominal"
            content[variant] = np.concatenate([_unit(plan, part) for part in parts], axis=1)
    with h5py.File(plan.table("joint_covariance.h5")) as file:
        names, bins = file["observable"].asstr()[:], file["bin"][:]
        mean = file[f"{METHOD}/mean"][:]
        found = {name: matrix[:] for name, matrix in file[f"{METHOD}/covariance"].items()}
    assert names.tolist() == ["q2"] * BINS + ["log10_pt"] * 22
    assert bins.tolist() == [*range(BINS), *range(22)]
    nominal = content["nominal"]
    np.testing.assert_allclose(mean, nominal.mean(axis=0), rtol=1e-12)
    replicas = np.array([content[name] for name in plan.variants.of_kind("data")])
    expected = {
        "training": np.cov(nominal.T) / PASSES,
        "model": _systematic(content, "model", as_measured=False),
        "data": np.cov(replicas.mean(axis=1).T) - _training(plan, content, "data"),
    }
    for name, matrix in expected.items():
        np.testing.assert_allclose(found[name], matrix, rtol=1e-9, atol=1e-13, err_msg=name)
    # The bins of one observable have the covariance that its own table holds.
    rows = tables["covariance.csv"]
    for name in ("q2", "log10_pt"):
        here = np.ix_(names == name, names == name)
        for block in set(found) - {"total"}:
            own = rows[(rows.observable == name) & (rows.block == block)].value
            np.testing.assert_allclose(found[block][here].ravel(), own, rtol=1e-12, atol=1e-16)
    assert np.linalg.eigvalsh(found["total"])[0] > -1e-9 * found["total"].max()


def _systematic(content, name, as_measured):
    """Products of the shifts of two passes: of different ones only, or of the mean shift."""
    one, two = content[name] - content["nominal"][:2]
    if as_measured:
        return np.outer(one + two, one + two) / 4
    return (np.outer(one, two) + np.outer(two, one)) / 2


def _training(plan, content, kind):
    """What differs from pass to pass within replicas, more than between passes: in a loop."""
    rows = [content[name] for name in plan.variants.of_kind(kind)]
    halves = [(one - two) / 2 for one, two in rows]  # of two passes
    common = sum(halves) / len(halves)
    left = sum(np.outer(half - common, half - common) for half in halves)
    return left / (len(rows) - 1)


def test_a_study_may_have_variations_alone(study, tmp_path):
    plan, content, _ = study
    shutil.copytree(plan.root, tmp_path / "small", dirs_exist_ok=True)
    config = plan.config.model_dump(mode="json")
    config["study"]["output"] = str(tmp_path)
    config["uncertainties"] |= {"data_replicas": 0, "simulation_replicas": 0, "toys": 0}
    alone = Plan(validate(config))
    uncertainties.make_tables(alone)
    rows = pd.read_csv(alone.table("covariance.csv"))
    assert list(rows.block.unique()) == ["training", "jes", "model", "nature", "total"]
    found = rows[(rows.observable == "q2") & (rows.block == "model")].value.to_numpy()
    expected = _expected(plan, content)[0]["model"]
    np.testing.assert_allclose(found.reshape(BINS, BINS), expected, rtol=1e-9)
    assert set(pd.read_csv(alone.table("coverage.csv")).kind) == {"pass_total"}
    tests = pd.read_csv(alone.table("chi2.csv"))
    assert tests.p_value.isna().all()
    for kind in ("data", "simulation"):
        assert tests.no_p_value.str.contains(f"{kind}: no replicas measure its statistics").all()


def _chi2(plan, difference, covariance):
    """With any one bin of a shape left out."""
    keep = slice(0, BINS - (plan.config.unfolding.normalization == "shape"))
    return difference[keep] @ np.linalg.inv(covariance[keep, keep]) @ difference[keep]


def test_tests_leave_out_what_contains_the_difference(study):
    plan, content, tables = study
    _, to_truth, to_prior = _expected(plan, content, as_measured=True)
    rows = tables["chi2.csv"]
    rows = rows[rows.observable == "q2"].set_index("prediction")
    assert list(rows.index) == ["truth", "simulation", "model", "nature"]
    mean = content["nominal"].mean(axis=0)
    truth = _unit(plan, _histogram(_records("nature", 0, 300)))
    simulation = _records("simulation", 0, 600)
    scale = _seen(_records("nature", 0, 300)) / _seen(simulation)
    prior = _unit(plan, scale * _histogram(simulation))
    for name, target, blocks, out in (
        ("truth", truth, to_truth, "nature"),
        ("simulation", prior, to_prior, "model"),
    ):
        row = rows.loc[name]
        used = sum(matrix for block, matrix in blocks.items() if block != out)
        assert row.left_out == out
        assert row.chi2 == pytest.approx(_chi2(plan, mean - target, used), rel=1e-6)
        assert row.bins == BINS - (plan.config.unfolding.normalization == "shape")
        assert stats.chi2.sf(row.chi2, row.bins) <= row.p_value


def test_dashes_have_their_reason(study):
    """Nine and ten replicas do for 4 bins and not for 22; they are more than bins by 2 or more."""
    rows = study[2]["chi2.csv"].set_index("observable")
    assert rows.loc["q2"].no_p_value.isna().all()
    found = rows.loc["log10_pt"]
    bins = 22 - (study[0].config.unfolding.normalization == "shape")
    assert found.p_value.isna().all()
    assert set(found.no_p_value) == {
        f"data: 9 replicas are too few for {bins} bins, {bins + 2} would do; "
        f"simulation: 10 replicas are too few for {bins} bins, {bins + 2} would do"
    }


def test_pulls_are_those_of_numpy(study):
    plan, content, tables = study
    blocks = _expected(plan, content)[1]
    known = sum(m for name, m in blocks.items() if name not in ("training", "nature"))
    training = blocks["training"] * PASSES
    truth = _unit(plan, _histogram(_records("nature", 0, 300)))
    toys = [_unit(plan, _histogram(_records("nature", 300 * n, 300 * n + 300))) for n in (1, 2)]
    expected = {
        "pass_total": (content["nominal"] - truth) / np.sqrt(np.diag(known + training)),
        "toy": (np.array([content[f"toy-{n}"].mean(axis=0) for n in (1, 2)]) - toys)
        / np.sqrt(np.diag(blocks["data"] + training / 2)),
    }
    pulls, coverage = tables["pulls.csv"], tables["coverage.csv"]
    for kind, wanted in expected.items():
        rows = pulls[(pulls.observable == "q2") & (pulls.kind == kind)]
        assert list(rows.number.unique()) == list(range(1, len(wanted) + 1))
        np.testing.assert_allclose(rows.pull.to_numpy().reshape(wanted.shape), wanted, rtol=1e-6)
        (row,) = coverage[(coverage.observable == "q2") & (coverage.kind == kind)].itertuples()
        assert row.entries == len(wanted)
        assert row.coverage == pytest.approx((np.abs(wanted) <= 1).mean())
        assert np.isnan(row.coverage_error) == (kind == "pass_total")
        assert row.pull_mean == pytest.approx(wanted.mean())
        assert row.pull_width == pytest.approx(wanted.std())


def test_shifts_have_a_sign_and_an_error(study):
    _, content, tables = study
    rows = tables["shifts.csv"]
    rows = rows[rows.observable == "q2"]
    assert list(rows.variation.unique()) == ["model", "nature", "jes_up", "jes_down"]
    for name, found in rows.groupby("variation"):
        one, two = content[name] - content["nominal"][:2]
        assert list(found.bin) == list(range(BINS))
        np.testing.assert_allclose(found["shift"], (one + two) / 2, rtol=1e-9, atol=1e-15)
        # Half the difference of two is the error of their mean.
        np.testing.assert_allclose(found.training_error, np.abs(one - two) / 2, rtol=1e-9)


def test_shifts_know_the_statistics_of_their_samples(study):
    """Twice the variance of replicas where the varied sample has the same size."""
    plan, content, tables = study
    own = np.diag(_expected(plan, content)[0]["simulation"]).clip(0)
    weights = {  # of all events: particle_level is all
        "nominal": _records("simulation", 0, 600)[-1],
        "model": _records("simulation", 600, None)[-1],
        "nature": _records("nature", 900, None)[-1],
    }
    size = {name: weight.sum() ** 2 / np.sum(weight**2) for name, weight in weights.items()}
    rows = tables["shifts.csv"]
    rows = rows[rows.observable == "q2"].set_index("variation")
    for name in ("model", "nature"):
        expected = np.sqrt((1 + size["nominal"] / size[name]) * own)
        found = rows.loc[name].statistical_error
        np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert rows.loc[["jes_up", "jes_down"]].statistical_error.isna().all()


@pytest.mark.parametrize("kind", ["toy", "toy_samples"])
def test_pulls_of_toys_know_what_toys_vary(kind, tmp_path, monkeypatch):
    """Toys of known scatter, beside a large variation and a large block of the simulation."""
    simulated = kind == "toy_samples"
    monkeypatch.setattr(uncertainties, "origins", lambda plan, role: frozenset({role}))
    passes, count, bins = 40, 300, 5
    settings = {"data_replicas": count, "simulation_replicas": count, "toys": count}
    settings["toy_simulations"] = simulated
    settings["variations"] = {"large": {"simulation_weights": {"files": ["w.h5"], "dataset": "w"}}}
    plan = make_plan(tmp_path, "absolute", passes, **settings)
    rng = np.random.default_rng(6)
    truth = np.linspace(1000, 2000, bins)

    def results(runs=2, own=0.0, **sizes):
        """Contents around truth, with scatter of training 2 from pass to pass."""
        common = own + sum(rng.normal(0, size, bins) for size in sizes.values())
        return truth + common + rng.normal(0, 2, (runs, bins))

    contents = {}
    # Truth moves with the replica and differs between toys.
    moved = {kind: truth + rng.normal(0, 20, (count, bins)) for kind in ("data", "toy")}
    for name, own in zip(plan.variants.of_kind("data"), moved["data"] - truth, strict=True):
        contents[name] = results(own=own, statistical=3)
    for name, own in zip(plan.variants.of_kind("toy"), moved["toy"] - truth, strict=True):
        contents[name] = results(own=own, statistical=3, simulation=30 * simulated)
    for name in plan.variants.of_kind("simulation"):
        contents[name] = results(simulation=30)
    for name in plan.variants.of_kind("variation"):
        contents[name] = results(own=100)
    result = Varied(uncertainties.scheme(plan), results(passes), contents)
    of_truth = dict.fromkeys(contents, truth)
    of_truth |= dict(zip(plan.variants.of_kind("data"), moved["data"], strict=True))
    prediction = Prediction(truth, of_truth, {}, frozenset())
    found = result.pulls(prediction, moved["toy"])
    assert set(found) == {kind, "pass_total"}
    pulls = found[kind]
    assert pulls.shape == (count, bins)
    # Scatter of 1500 numbers, errors from 300 replicas each and 40 passes.
    assert pulls.std() == pytest.approx(1, abs=0.06)
    assert abs(pulls.mean()) < 0.1
    assert np.mean(np.abs(pulls) < 1) == pytest.approx(0.683, abs=0.04)
    assert found["pass_total"].std() < 0.2


def test_varied_data_are_a_block_and_no_prediction(tmp_path):
    """Data as measured with another energy scale: a file, and so an origin, of their own."""
    path = tmp_path / "energy.h5"
    with h5py.File(DATA / "h1_nature.h5") as source, h5py.File(path, "w") as file:
        for name in source:
            file[name] = source[name][:300]
        file["reco_event_features"][:, 2:5] *= 1.02
    variations = {"energy": {"data": {"source": "h1", "files": [str(path)]}}}
    none = {"data_replicas": 0, "simulation_replicas": 0, "toys": 0}
    plan = make_plan(tmp_path, "absolute", variations=variations, **none)
    for role in plan.samples:
        samples.make_store(plan, role)
        samples.make_observables(plan, role)
    samples.make_axes(plan)
    content = histograms(plan)
    uncertainties.make_tables(plan)
    tables = {name: pd.read_csv(plan.table(name)) for name in TABLES}
    rows = {name: table[table.observable == "q2"] for name, table in tables.items()}
    found = rows["covariance.csv"]
    assert list(found.block.unique()) == ["training", "energy", "total"]
    block = found[found.block == "energy"].value.to_numpy().reshape(BINS, BINS)
    np.testing.assert_allclose(block, _systematic(content, "energy", False), rtol=1e-9, atol=1e-15)
    one, two = content["energy"] - content["nominal"][:2]
    shifts = rows["shifts.csv"]
    assert set(shifts.variation) == {"energy"}
    np.testing.assert_allclose(shifts["shift"], (one + two) / 2, rtol=1e-9, atol=1e-15)
    # Varied data are nothing that could be predicted, and contain no difference to truth.
    tests = rows["chi2.csv"].set_index("prediction")
    assert list(tests.index) == ["truth", "simulation"]
    assert tests.left_out.isna().all()
    covariance = np.cov(content["nominal"].T) / PASSES + _systematic(content, "energy", True)
    difference = content["nominal"].mean(axis=0) - _histogram(_records("nature", 0, 300))
    assert tests.chi2["truth"] == pytest.approx(_chi2(plan, difference, covariance), rel=1e-6)
