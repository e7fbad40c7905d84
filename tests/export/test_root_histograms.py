import json

import boost_histogram
import numpy as np
import pytest
import uproot

from omniflow.export import root_histograms
from omniflow.export.binned import binned, correlation, error


@pytest.fixture(scope="module")
def written(study, tmp_path_factory):
    """The file of a study, and what was said of it."""
    folder = tmp_path_factory.mktemp("root")
    return folder / "histograms.root", root_histograms.write(study, None, None, folder)


@pytest.fixture(scope="module")
def file(written):
    with uproot.open(written[0]) as file:
        yield file


def _members(found):
    """Return contents and errors (B + 2,) as ROOT stores them."""
    sumw2 = found.member("fSumw2")
    raw = np.array(next(base for base in found.bases if hasattr(base, "__array__")))
    return raw, np.sqrt(np.array(sumw2))


def test_what_is_in_the_file(study, written, file):
    assert written[1] == [str(written[0])]
    classes = file.classnames(cycle=False)
    blocks = ["data", "simulation", "training", "model", "scale"]
    named = ["unfolded", *(f"unfolded_{block}" for block in blocks)]
    named += ["varied_model_up", "varied_model_down", "varied_scale"]
    named += ["truth", "prior", "prediction_standard", "prediction_shifted"]
    named += ["measured", "response_measured", "response_truth"]
    matrices = [*(f"covariance_{block}" for block in (*blocks, "total")), "correlation"]
    expected = {f"{o}/{name}": "TH1D" for o in "xy" for name in named}
    expected |= {f"{o}/{name}": "TH2D" for o in ("x", "y", "joint") for name in matrices}
    expected |= {f"{o}/response": "TH2D" for o in "xy"}
    expected |= dict.fromkeys(("x", "y", "joint"), "TDirectory") | {"about": "TObjString"}
    assert classes == expected
    about = json.loads(str(file["about"]))
    assert about["joint_bins"] == {"x": [1, 3], "y": [4, 5]}
    assert (about["method"], about["components"]) == ("none", blocks)


def test_spectra_are_those_of_the_result_with_its_errors(study, file):
    result = binned(study)
    for observable in result.names:
        one = result.of([observable])
        errors = {f"unfolded_{n}": error(b) for n, b in one.blocks.items()}
        for name, expected in {"unfolded": error(one.total), **errors}.items():
            found = file[f"{observable}/{name}"]
            np.testing.assert_allclose(found.values(), one.content)
            np.testing.assert_allclose(found.errors(), expected)
            np.testing.assert_allclose(found.axis().edges(), one.axes[0].edges)
            content, raw = _members(found)
            np.testing.assert_allclose(content, [0, *one.content, 0])
            np.testing.assert_allclose(raw, [0, *expected, 0])
        for name, shift in zip(("up", "down"), one.shifts["model"], strict=True):
            found = file[f"{observable}/varied_model_{name}"].values()
            np.testing.assert_allclose(found, one.content + shift)
        for name, reference in (("truth", "truth"), ("prior", "simulation")):
            found = file[f"{observable}/{name}"].values()
            np.testing.assert_allclose(found, one.references[reference].content)


def test_axes_have_titles_and_units(file):
    axis = file["x/unfolded"].member("fXaxis")
    assert axis.member("fTitle") == "x [GeV]"
    assert axis.member("fNbins") == 3
    response = file["x/response"]
    assert response.member("fXaxis").member("fTitle") == "detector level: x [GeV]"
    assert response.member("fYaxis").member("fTitle") == "particle level: x [GeV]"


@pytest.mark.parametrize("place", ["x", "y", "joint"])
def test_covariances_are_those_of_the_result(study, file, place):
    result = binned(study)
    one = result if place == "joint" else result.of([place])
    for name, block in {**one.blocks, "total": one.total}.items():
        np.testing.assert_allclose(file[f"{place}/covariance_{name}"].values(), block)
    np.testing.assert_allclose(file[f"{place}/correlation"].values(), correlation(one.total))
    edges = file[f"{place}/correlation"].axis("y").edges()
    np.testing.assert_allclose(edges, np.arange(len(one.content) + 1) + 0.5)


def test_hist_reads_them(file):
    found = file["x/unfolded"].to_hist()
    assert found.storage_type is boost_histogram.storage.Weight
    np.testing.assert_allclose(np.sqrt(found.variances()), file["x/unfolded"].errors())


def test_responses_are_those_of_the_events(study, file):
    """Counted by hand: what passes and is unfolded, misses and fakes."""
    simulation = study.simulation
    weight = study.scale * np.asarray(simulation.weight)
    seen, true = np.asarray(simulation.pass_detector), np.asarray(simulation.pass_particle)
    assert (seen & ~true).any()
    assert (true & ~seen).any()
    for column, name in enumerate("xy"):
        levels = [simulation.detector.event[:, column], simulation.particle.event[:, column]]
        edges = file[f"{name}/response"].axis("x").edges()
        wide = [-np.inf, *edges, np.inf]
        both = seen & true
        values = [each[both] for each in levels]
        expected, *_ = np.histogram2d(*values, [wide, wide], weights=weight[both])
        response = file[f"{name}/response"]
        np.testing.assert_allclose(response.values(flow=True), expected, rtol=1e-9)
        squares, *_ = np.histogram2d(*values, [wide, wide], weights=weight[both] ** 2)
        np.testing.assert_allclose(response.variances(flow=True), squares, rtol=1e-9)
        for level, mask, kind in zip(levels, (seen, true), ("measured", "truth"), strict=True):
            expected, _ = np.histogram(level[mask], wide, weights=weight[mask])
            found = file[f"{name}/response_{kind}"]
            np.testing.assert_allclose(found.values(flow=True), expected, rtol=1e-9)
        prior = file[f"{name}/prior"].values()
        np.testing.assert_allclose(file[f"{name}/response_truth"].values(), prior, rtol=1e-9)


def test_the_response_folds_what_is_true_into_what_is_measured(file):
    """As RooUnfold does: columns over all that is true, then fakes."""
    response = file["y/response"].values(flow=True)
    truth = file["y/response_truth"].values(flow=True)
    measured = file["y/response_measured"].values(flow=True)
    filled = truth > 0
    probability = response[:, filled] / truth[filled]
    assert (probability.sum(axis=0) < 1).all()
    fakes = measured - response.sum(axis=1)
    assert (fakes[1:-1] > 0).all()
    np.testing.assert_allclose(probability @ truth[filled] + fakes, measured)


def test_data_at_detector_level_are_those_that_pass(study, file):
    data = study.data
    values = data.detector.event[np.asarray(data.pass_detector), 0]
    expected, _ = np.histogram(values, file["x/measured"].axis().edges())
    np.testing.assert_allclose(file["x/measured"].values(), expected)
    np.testing.assert_allclose(file["x/measured"].errors(), np.sqrt(expected))


def test_what_is_absent_is_said(plain, tmp_path):
    lines = root_histograms.write(plain, None, None, tmp_path)
    assert "absent: simulation: set uncertainties.simulation_replicas" in lines
    with uproot.open(tmp_path / "histograms.root") as file:
        names = {key.partition("/")[2] for key in file.keys(cycle=False)}
        assert "truth" not in names
        assert {"unfolded_training", "covariance_total", "response"} <= names
        assert file["x/unfolded"].values().sum() == pytest.approx(1)
        assert file["x/unfolded"].errors().min() > 0
