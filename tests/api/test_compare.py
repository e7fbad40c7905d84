"""What `omniflow.compare` tells of finished studies, and what it refuses."""

import json

import numpy as np
import pytest
from made_studies import EDGES, Made, write

import omniflow
from omniflow.errors import InputError
from omniflow.evaluation import comparison
from omniflow.tables.results import METRICS


@pytest.fixture(autouse=True)
def _few_rotations(monkeypatch):
    monkeypatch.setattr(comparison, "ROTATIONS", 200)
    comparison._rotations.cache_clear()
    yield
    comparison._rotations.cache_clear()


TWO = {"none": (0.01, 0.002), "parallel": (0.006, 0.002)}
ADAM = {"training": {"optimizer": "adam"}}


@pytest.fixture(scope="module")
def lion(tmp_path_factory):
    return write(tmp_path_factory.mktemp("studies") / "lion", Made("lion", TWO))


@pytest.fixture
def other(tmp_path):
    """Write another study beside it, of half the spread."""

    def make(name="adam", methods=None, **settings):
        halves = {method: (size / 2, bias) for method, (size, bias) in TWO.items()}
        made = {"settings": ADAM, "draws": 2} | settings
        return write(tmp_path / name, Made(name, methods or halves, **made))

    return make


def _row(compared, metric, method="none", observable=""):
    table = compared.table
    keys = (table["metric"] == metric) & (table["method"] == method)
    (row,) = table[keys & (table["observable"] == observable)].to_dict("records")
    return row


def test_studies_with_equal_seeds_and_samples_are_paired(lion, other):
    found = omniflow.compare(lion, other(seconds=180.0))
    (against,) = found.others
    assert (found.reference, against.study) == ("lion", "adam")
    assert [str(each) for each in against.differences] == ["training.optimizer: lion -> adam"]
    assert against.test == "paired"
    assert against.tested == "Paired: same seed, samples and number of passes."
    assert against.methods == (("none", "none"), ("parallel", "parallel"))
    row = _row(found, "sigma_rel")
    assert abs(np.log(row["ratio"] / 0.5)) < 3 * row["log_error"]
    assert row["p_adjusted"] < 0.05
    assert (row["test"], row["bins"], row["passes"]) == ("paired", 14, 8)
    # 2 steps of 180 and of 360 s on two cores, and pass i adds i seconds.
    assert _row(found, "core_hours_per_pass")["value"] == pytest.approx(4 * 184.5 / 3600)
    assert _row(found, "core_hours_per_pass")["ratio"] == pytest.approx(184.5 / 364.5)
    assert _row(found, "networks_per_pass")["value"] == 2


def test_two_methods_of_one_study_are_those_of_its_own_table(lion):
    """The numbers of comparisons.csv, with the order of the methods turned."""
    found = omniflow.compare(lion, lion, methods=[("none", "parallel")])
    (against,) = found.others
    assert against.differences == ()
    assert (found.reference, against.study) == ("lion (1)", "lion (2)")
    metrics = METRICS.read(lion / "metrics.csv")
    wide = metrics.pivot(index=["observable", "bin"], columns="method", values="sigma_rel")
    logs = np.log(wide["parallel"] / wide["none"]).groupby("observable").mean()
    row = _row(found, "sigma_rel", "parallel")
    assert np.log(row["ratio"]) == pytest.approx(logs.mean())
    assert (row["reference_method"], row["test"]) == ("none", "paired")
    assert set(found.rows("sigma_rel")["result"]) == {"lion (2): parallel / none"}


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"seed": 2}, "study.seed (1 and 2)"),
        ({"passes": 5}, "study.passes (8 and 5)"),
        (
            {"checksum": "sha256:" + "ab" * 32},
            "events of data (checksums 5e5e5e5e and abababab); "
            "events of simulation (checksums 5e5e5e5e and abababab)",
        ),
    ],
)
def test_what_differs_keeps_passes_apart(lion, other, settings, reason):
    found = omniflow.compare(lion, other(**settings))
    assert found.others[0].tested == f"Unpaired, because of different {reason}."
    row = _row(found, "sigma_rel")
    assert row["test"] == "unpaired"
    assert abs(np.log(row["ratio"] / 0.5)) < 3 * row["log_error"]


def test_the_first_is_the_reference_of_all_others(lion, other):
    found = omniflow.compare(lion, other(), other("ecd", seed=3))
    assert [each.study for each in found.others] == ["adam", "ecd"]
    assert [each.test for each in found.others] == ["paired", "unpaired"]
    rows = found.rows("sigma_rel")
    assert list(rows["result"].unique()) == [
        *("adam: none", "adam: parallel", "ecd: none", "ecd: parallel")
    ]
    assert set(rows["reference"]) == {"lion"}


def test_observables_that_do_not_fit_are_left_out(lion, other):
    edges = {"x": EDGES["x"], "y": EDGES["y"] * 2, "z": EDGES["x"]}
    found = omniflow.compare(lion, other(edges=edges))
    assert found.others[0].left_out == {"y": "other bin edges", "z": "only in adam"}
    assert [one.name for one in found.observables] == ["x"]
    assert set(found.table["observable"]) == {"", "x"}
    assert set(found.bins["observable"]) == {"x"}


def test_data_without_truth_have_a_spread_alone(lion, other):
    found = omniflow.compare(lion, other(truth=None))
    assert found.metrics == ["sigma_rel"]
    assert "bias_rel" not in set(found.table["metric"])
    assert found.others[0].notes == ("No bias and no MSE: adam without truth.",)


def test_combinations_of_lanes_are_chosen(tmp_path):
    a, b = (write(tmp_path / n, Made(n, lanes=2, draws=d)) for n, d in (("a", 1), ("b", 2)))
    assert _row(omniflow.compare(a, b), "sigma_rel")["combine"] == "mean"
    found = omniflow.compare(a, b, combine="log_mean")
    assert _row(found, "sigma_rel")["reference_combine"] == "log_mean"
    assert set(found.bins["combine"]) == {"log_mean"}
    with pytest.raises(InputError, match=r"no combination of none in .*/a 'best': mean, "):
        omniflow.compare(a, b, combine="best")


def test_hours_on_other_devices_are_said(lion, other):
    found = omniflow.compare(lion, other(device="NVIDIA"))
    assert found.others[0].notes == ("Trained on CPU and NVIDIA: hours are not of one kind.",)
    # Hours of a GPU, which its threads do not multiply.
    assert _row(found, "core_hours_per_pass")["value"] == pytest.approx(2 * 364.5 / 3600)


def test_long_values_are_shortened_and_absent_ones_are_dashes(lion, other):
    given = ADAM | {"combine": ["mean"], "diagnostics": {"oracle": False}}
    methods = {"none": (0.01, 0.0), "step": (0.01, 0.0)}
    found = omniflow.compare(lion, other(methods=methods, settings=given))
    shown = {each.key: each for each in found.others[0].differences}
    assert (shown["diagnostics.oracle"].old, shown["diagnostics.oracle"].new) == ("true", "false")
    assert shown["methods.parallel"].new == shown["methods.step"].old == "–"
    assert shown["methods.step"].new.endswith("…")
    assert len(shown["methods.step"].new) == 60


def test_what_cannot_be_compared_is_refused(lion, other):
    with pytest.raises(InputError, match="one study alone cannot be compared"):
        omniflow.compare(lion)
    cases = [
        ({"passes": 1}, "one: has one pass, so that there is no spread to compare; set study"),
        ({"truth": 900.0}, r"lion and .*/two: .* \(x: another truth; y: another truth\)"),
        ({"region": "all"}, "lion and .*/three: count different things, region is fiducial and"),
        ({"methods": {"step": (1e-2, 0)}}, r"lion and .*/four: have no method in common \(none, p"),
        ({"edges": {"z": EDGES["x"]}}, r"five: .* \(x: only in lion; y: only in lion; z: only in"),
    ]
    for name, (settings, message) in zip(
        ("one", "two", "three", "four", "five"), cases, strict=True
    ):
        with pytest.raises(InputError, match=message):
            omniflow.compare(lion, other(name, **settings))
    with pytest.raises(InputError, match=r"no method in .*/lion: 'step': none, parallel"):
        omniflow.compare(lion, lion, methods=["step"])


def test_studies_that_are_not_finished_are_refused(lion, other):
    folder = other()
    (folder / "study.json").unlink()
    (folder / "cost.csv").unlink()
    with pytest.raises(
        InputError, match=r"adam: is not finished, it has no study\.json, cost\.csv"
    ):
        omniflow.compare(lion, folder)
    with pytest.raises(InputError, match=r"has no config\.yaml; give the folder"):
        omniflow.compare(lion, folder.parent)


def test_studies_of_one_name_are_told_apart_by_their_folders(lion, other):
    folder = other()
    record = json.loads((folder / "study.json").read_text("utf-8")) | {"name": "lion"}
    (folder / "study.json").write_text(json.dumps(record), "utf-8")
    found = omniflow.compare(lion, folder)
    assert (found.reference, found.others[0].study) == ("lion", "adam")
