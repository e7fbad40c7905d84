"""The commands that give results to others."""

import json

import export_samples
import handmade
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

import omniflow
from omniflow.cli import main


@pytest.fixture
def run():
    def invoke(*arguments):
        return CliRunner().invoke(main, [str(each) for each in arguments])

    return invoke


@pytest.fixture
def bundle(tmp_path):
    events = handmade.frame()
    return handmade.write(tmp_path / "b", events, handmade.metadata(events))


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("thinned") / "thinned"
    export_samples.thinned(folder)
    return folder


def test_a_study_becomes_a_bundle(run, study, tmp_path):
    (tmp_path / "about.yaml").write_text("authors: [A. Author]\ndoi: 10.1234/5\n")
    options = ["--about", tmp_path / "about.yaml", "--licence", "CC-BY-4.0"]
    output = ["--output", tmp_path / "new"]
    result = run("export", study, "--method", "stacked", *options, *output)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith(f"{tmp_path / 'new'} (")
    assert "Note: no citation: give it by --about" in result.stderr
    assert "licence" not in result.stderr
    assert "fewer than 5,000 effective events" in result.stderr
    about = omniflow.read_bundle(tmp_path / "new").metadata.omniflow.about
    assert (about.licence, about.authors, about.doi) == ("CC-BY-4.0", ("A. Author",), "10.1234/5")
    again = run("export", study, "--method", "stacked", *output)
    assert again.exit_code == 1
    assert "is there; name another folder, or add --force" in again.stderr
    lenient = ["--effective", 0, "--data-error", 9, "--leave-out", "members"]
    again = run("export", study, "--method", "stacked", *output, "--force", *lenient)
    assert again.exit_code == 0
    assert "effective" not in again.stderr


def test_a_bundle_lies_in_the_study_by_default(run, study):
    assert run("export", study).exit_code == 0
    assert len(omniflow.read_bundle(study / "bundles" / "copies")) > 0


def test_what_is_told_about_a_bundle_has_known_keys(run, study, tmp_path):
    (tmp_path / "about.yaml").write_text("license: MIT\n")
    result = run("export", study, "--about", tmp_path / "about.yaml")
    assert result.exit_code == 1
    assert "about.yaml: license: Extra inputs are not permitted" in result.stderr
    result = run("export", study, "--about", tmp_path / "nowhere.yaml")
    assert "nowhere.yaml: cannot be read" in result.stderr


def test_histograms_are_printed_and_written(run, bundle, tmp_path):
    result = run("histogram", bundle, "mass", "mass * pt")
    assert result.exit_code == 1
    assert "mass * pt has no edges of its authors" in result.stderr
    result = run("histogram", bundle, "mass", "0 - pt", "--bins", "0,1,3", "--bins", "2:-20:0")
    assert result.exit_code == 0, result.output
    assert "Warning: mass: fewer than 5,000 effective events" in result.stderr
    assert result.stdout.split()[:6] == ["observable", "bin", "low", "high", "content", "error"]
    assert "-20" in result.stdout
    for name in ("h.json", "h.csv"):
        written = run("histogram", bundle, "mass", "--bins", "0,1,3", "--output", tmp_path / name)
        assert written.exit_code == 0
    content = json.loads((tmp_path / "h.json").read_text("utf-8"))
    table = pd.read_csv(tmp_path / "h.csv")
    covariance = pd.read_csv(tmp_path / "h.covariance.csv")
    np.testing.assert_allclose(table["content"], content["content"])
    total = covariance.loc[covariance["block"] == "total", "value"]
    np.testing.assert_allclose(total, np.ravel(content["covariance"]["total"]["matrix"]))
    expected = omniflow.read_bundle(bundle).histogram("mass", [0, 1, 3], where="pt > 5")
    result = run("histogram", bundle, "mass", "--bins", "0,1,3", "--where", "pt > 5", "--normalise")
    assert result.exit_code == 0
    shares = expected.content / expected.content.sum()
    assert f"{shares[0]:.6g}" in result.stdout


@pytest.mark.parametrize(
    ("bins", "message"),
    [
        (["a"], "--bins a: give edges such as 0,10,20, or N:LOW:HIGH"),
        (["1:2"], "--bins 1:2: give edges"),
        (["0:1:2"], "--bins 0:1:2: give edges"),
        (["9999999999:1:2"], "give edges such as"),
        (["1,0"], "edges of mass must be numbers that rise"),
        (["0,1", "0,1"], "--bins: is given 2 times for 3 expressions"),
    ],
)
def test_bins_that_are_none(run, bundle, bins, message):
    options = [part for each in bins for part in ("--bins", each)]
    result = run("histogram", bundle, "mass", "pt", "2 * pt", *options)
    assert result.exit_code == 1
    assert message in result.stderr


def test_a_release_is_imported(run, tmp_path):
    frame = handmade.frame()[["pt", "prior", "unfolded", "r0"]]
    frame.columns = ["pT_ll", "weight_mc", "weights_nominal", "weights_lumi"]
    frame.to_hdf(tmp_path / "f.h5", key="df")
    output = ["--output", tmp_path / "b", "--licence", "CC0-1.0", "--citation", "arXiv:2405.20041"]
    result = run("import-release", tmp_path / "f.h5", *output, "--other", f"sherpa={tmp_path}/f.h5")
    assert (result.exit_code, result.stderr) == (0, "")
    assert list(omniflow.read_bundle(tmp_path / "b").samples) == ["sherpa"]
    result = run("import-release", tmp_path / "f.h5", *output, "--other", "sherpa", "--force")
    assert "--other sherpa: give NAME=FILE" in result.stderr
