import dataclasses
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from omniflow.errors import ConfigError, OutputError
from omniflow.export import hepdata, submission
from omniflow.export.binned import binned, correlation, error

TEXTS = {
    "abstract": "An unfolding.",
    "inspire_id": 2000,
    "keywords": {"cmenergies": [318.0], "reactions": ["E+ P --> X"], "observables": ["SIG"]},
    "location": "Data",
    "tables": {"x": {"description": "Of x.", "location": "Figure 1", "observables": ["DSIG/DX"]}},
    "bundle": "https://doi.org/10.5281/zenodo.1",
    "links": {"Code": "https://example.org/code"},
    "licence": {"name": "CC BY 4.0", "url": "https://creativecommons.org/licenses/by/4.0/"},
}


@pytest.fixture(scope="module")
def written(study, tmp_path_factory):
    """The folder of a submission with texts, and what was said of it."""
    folder = tmp_path_factory.mktemp("hepdata")
    (folder / "texts.yaml").write_text(yaml.safe_dump(TEXTS))
    texts = submission.read(folder / "texts.yaml")
    return folder / "out", hepdata.write(study, None, None, folder / "out", texts)


@pytest.fixture(scope="module")
def documents(written):
    """The documents of submission.yaml: the head, then those of tables by name."""
    text = (written[0] / "submission" / "submission.yaml").read_text("utf-8")
    head, *tables = yaml.safe_load_all(text)
    return head, {table["name"]: table for table in tables}


def _table(written, document):
    text = (written[0] / "submission" / document["data_file"]).read_text("utf-8")
    return yaml.safe_load(text)


def _validate(*arguments):
    """Run HEPData's own validator, in a process of its own."""
    command = [str(Path(sys.executable).parent / "hepdata-validate"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_hepdata_takes_the_archive(written):
    found = _validate("--archive", written[0] / "submission.tar.gz")
    assert found.returncode == 0, found.stdout + found.stderr
    assert "is valid" in found.stdout


def test_hepdata_refuses_one_that_lacks_a_table(written, tmp_path):
    with tarfile.open(written[0] / "submission.tar.gz") as archive:
        archive.extractall(tmp_path, filter="data")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        path.name for path in (written[0] / "submission").iterdir()
    )
    (tmp_path / "001-x.yaml").unlink()
    assert _validate("--directory", tmp_path).returncode != 0


def test_there_is_a_table_of_each_result_and_of_its_correlations(documents):
    kinds = [f"{kind} correlation, " for kind in ("statistical", "total")]
    named = [f"{kind}{of}" for of in ("x", "y", "all observables") for kind in kinds]
    assert list(documents[1]) == ["x", "y", *named]


def test_contents_and_errors_are_those_of_the_result(study, written, documents):
    result = binned(study).of(["x"])
    table = _table(written, documents[1]["x"])
    (bins,) = table["independent_variables"]
    assert bins["header"] == {"name": r"$\text{x}$", "units": "GeV"}
    assert [(b["low"], b["high"]) for b in bins["values"]] == [(-2, 0), (0, 1), (1, 3)]
    unfolded, *beside = table["dependent_variables"]
    np.testing.assert_allclose([v["value"] for v in unfolded["values"]], result.content, rtol=1e-5)
    errors = [{e["label"]: e for e in value["errors"]} for value in unfolded["values"]]
    labels = {"stat,data": "data", "stat,simulation": "simulation", "training": "training"}
    assert {label for each in errors for label in each} == {*labels, "sys,model", "sys,scale"}
    for label, block in labels.items():
        given = [each[label]["symerror"] for each in errors]
        np.testing.assert_allclose(given, error(result.blocks[block]), rtol=1e-5)
    up, down = result.shifts["model"]
    sides = [each["sys,model"]["asymerror"] for each in errors]
    np.testing.assert_allclose([side["plus"] for side in sides], up, rtol=1e-5)
    np.testing.assert_allclose([side["minus"] for side in sides], down, rtol=1e-5)
    (shift,) = result.shifts["scale"]
    assert {np.sign(s) for s in shift} == {-1, 1}
    given = [each["sys,scale"]["symerror"] for each in errors]  # signed
    np.testing.assert_allclose(given, shift, rtol=1e-5)
    names = [each["header"]["name"] for each in beside]
    assert names == [f"Events per bin ({name})" for name in result.references]
    truth = [value["value"] for value in beside[0]["values"]]
    np.testing.assert_allclose(truth, result.references["truth"].content)


@pytest.mark.parametrize("names", [["x"], ["x", "y"]])
def test_correlations_are_those_of_the_result(study, written, documents, names):
    result = binned(study).of(names)
    title = names[0] if len(names) == 1 else "all observables"
    for kind in ("statistical", "total"):
        table = _table(written, documents[1][f"{kind} correlation, {title}"])
        places = [
            [v["value"] - 1 for v in variable["values"]]
            for variable in table["independent_variables"]
        ]
        (found,) = table["dependent_variables"]
        matrix = np.full((len(result.content),) * 2, np.nan)
        matrix[tuple(places)] = [value["value"] for value in found["values"]]
        expected = correlation(getattr(result, kind))
        np.testing.assert_allclose(matrix, expected, rtol=1e-5, atol=1e-12)
    said = documents[1][f"total correlation, {title}"]["description"]
    assert ("x: 1 to 3, y: 4 to 5" in said) == (len(names) == 2)


def test_covariances_are_there_in_full(study, written, documents):
    result = binned(study)
    resources = {each["location"] for each in documents[0]["additional_resources"]}
    assert {"covariance.csv", "bins.csv"} < resources
    rows = np.genfromtxt(
        written[0] / "submission" / "covariance.csv", delimiter=",", names=True, dtype=None
    )
    assert rows.dtype.names == ("bin_i", "bin_j", *result.blocks, "total")
    for name, matrix in {**result.blocks, "total": result.total}.items():
        np.testing.assert_array_equal(matrix[rows["bin_i"] - 1, rows["bin_j"] - 1], rows[name])
    bins = (written[0] / "submission" / "bins.csv").read_text().splitlines()
    assert bins[0] == "bin,observable,low,high,content"
    assert bins[4].startswith("4,y,0.0,1.0,")


def test_figures_are_there_in_two_sizes(written, documents):
    for document in documents[1].values():
        full, small = document["additional_resources"]
        assert full["description"] == "Image file"
        assert small["description"] == "Thumbnail image file"
        for file, size in ((full, (960, 720)), (small, (240, 180))):
            with Image.open(written[0] / "submission" / file["location"]) as image:
                assert image.size == size
                assert len(set(image.convert("L").tobytes())) > 20


def test_texts_are_those_of_the_file(written, documents):
    head, tables = documents
    assert head["comment"] == "An unfolding."
    assert head["record_ids"] == [{"type": "inspire", "id": 2000}]
    assert head["data_license"]["name"] == "CC BY 4.0"
    links = {each["location"]: each["description"] for each in head["additional_resources"]}
    assert links["https://doi.org/10.5281/zenodo.1"].startswith("Unbinned result")
    assert links["https://example.org/code"] == "Code"
    assert (tables["x"]["description"], tables["x"]["location"]) == ("Of x.", "Figure 1")
    assert tables["y"]["location"] == "Data"
    keywords = {each["name"]: each["values"] for each in tables["x"]["keywords"]}
    assert keywords == {
        **{"cmenergies": [318], "reactions": ["E+ P --> X"]},
        "observables": ["DSIG/DX"],
    }
    assert {"name": "observables", "values": ["SIG"]} in tables["y"]["keywords"]
    assert [line for line in written[1] if "placeholder" in line] == [
        "placeholder: keywords.phrases: left out"
    ]


def test_placeholders_and_what_is_absent_are_said(plain, tmp_path):
    lines = hepdata.write(plain, None, None, tmp_path / "out")
    assert lines[0] == f"{tmp_path / 'out' / 'submission.tar.gz'}: 5 tables"
    assert "absent: data: set uncertainties.data_replicas" in lines
    assert "placeholder: abstract: TODO stands there" in lines
    assert "placeholder: bundle: left out" in lines
    text = (tmp_path / "out" / "submission" / "submission.yaml").read_text("utf-8")
    head, first, *_ = yaml.safe_load_all(text)
    assert head["comment"].startswith("TODO: abstract")
    assert "Not varied: data, simulation, systematic." in first["description"]
    found = _validate("--directory", tmp_path / "out" / "submission")
    assert found.returncode == 0, found.stdout


def test_the_same_results_give_the_same_bytes(study, written, monkeypatch, tmp_path):
    """Wherever it is written; and an earlier one is replaced."""
    monkeypatch.chdir(tmp_path)
    Path("again").mkdir()
    (Path("again") / "submission.tar.gz").touch()
    hepdata.write(study, None, None, Path("again"), submission.Submission.model_validate(TEXTS))
    archives = [folder / "submission.tar.gz" for folder in (written[0], Path("again"))]
    assert archives[0].read_bytes() == archives[1].read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["again"]


def test_large_correlations_are_in_the_file_alone(study, monkeypatch, tmp_path):
    monkeypatch.setattr(hepdata, "ROWS", 24)
    lines = hepdata.write(study, None, None, tmp_path / "out")
    assert lines[0].endswith("6 tables")
    assert lines[1] == "joint correlations: too large; see covariance.csv"


def test_names_of_tables_are_not_too_long(study):
    result = binned(study).of(["x"])
    named = dataclasses.replace(result.axes[0], name="x" * 60)
    pages = hepdata._pages(dataclasses.replace(result, axes=(named,)), submission.Submission())
    names = [page.table.name for page in pages]
    assert len(set(names)) == 3
    assert max(map(len, names)) == 64


def test_other_files_are_left_alone(study, tmp_path):
    (tmp_path / "mine").touch()
    with pytest.raises(OutputError, match="holds other files"):
        hepdata.write(study, None, None, tmp_path)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"abstrct": "x"}, "did you mean 'abstract'"),
        ({"bundle": "file.tar"}, "bundle"),
        ({"keywords": {"reaction": []}}, "keywords.reaction: unknown key"),
    ],
)
def test_texts_that_are_none_are_refused(tmp_path, given, text):
    (tmp_path / "texts.yaml").write_text(yaml.safe_dump(given))
    with pytest.raises(ConfigError, match=text):
        submission.read(tmp_path / "texts.yaml")
