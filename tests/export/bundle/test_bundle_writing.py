"""What a bundle holds, read without omniflow: pandas, yaml, jsonschema and numpy."""

import hashlib
import json
from pathlib import Path

import export_samples
import h5py
import jsonschema
import numpy as np
import pandas as pd
import pytest
import yaml

import omniflow
from omniflow.errors import InputError
from omniflow.export.bundle import write
from omniflow.export.bundle.more import About, Limits

SCHEMA = json.loads(Path(__file__).with_name("format_0_2.schema.json").read_text("utf-8"))


def _metadata(folder):
    return yaml.safe_load((folder / "metadata.yaml").read_text("utf-8"))


def _frame(folder):
    return pd.read_parquet(folder / "events.parquet").set_index("event_id")


@pytest.fixture(scope="module")
def jagged(tmp_path_factory):
    return export_samples.jagged(tmp_path_factory.mktemp("jagged") / "jagged")


@pytest.mark.parametrize("inner", ["", "model"])
def test_metadata_and_events_are_of_the_format(written, inner):
    folder = written / inner
    metadata, frame = _metadata(folder), _frame(folder)
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.validate(metadata, SCHEMA)
    published = metadata["publication"]
    assert published["event_count"] == len(frame)
    assert sorted(published["columns"]) == sorted(["event_id", *frame.columns])
    assert frame.index.is_unique
    digest = hashlib.sha256((folder / "events.parquet").read_bytes()).hexdigest()
    assert published["checksum_sha256"] == digest
    weights = metadata["weights"]
    families = weights["families"].values()
    named = {c for f in families for c in f["columns"]} | {"weights_nominal", "weight_mc"}
    assert np.isfinite(frame[sorted(named)]).all(axis=None)
    total = metadata["normalization"]["expected_nominal_sumw"]
    assert frame["weights_nominal"].sum() == pytest.approx(total, rel=1e-12)
    assert {each["name"] for each in metadata["observables"]} == {"x", "square"}


def test_the_schema_refuses_what_is_not_of_the_format(written):
    for path, value in (
        (("weights", "families", "passes", "combination"), "mean"),
        (("publication", "format"), "csv"),
        (("observables", 0, "units"), None),
    ):
        metadata = _metadata(written)
        *most, last = path
        place = metadata
        for key in most:
            place = place[key]
        place[last] = value
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(metadata, SCHEMA)


def test_columns_are_the_weights_of_the_study(study, written):
    frame, ids = _frame(written), study.simulation.event_id
    inside = study.simulation.pass_particle
    assert set(frame.index) == set(ids[inside])
    frame = frame.loc[ids[inside]]

    def same(column, expected):
        np.testing.assert_allclose(frame[column], expected[inside], rtol=1e-6)

    np.testing.assert_array_equal(frame["weights_nominal"], study.weights[inside])
    same("factor_nominal", study.ratios_of())
    same("weight_mc", study.scale * study.simulation.weight)
    np.testing.assert_allclose(
        frame["weight_mc"] * frame["factor_nominal"], frame["weights_nominal"], rtol=1e-6
    )
    same("weights_pass_2", study.weights_of(pass_=2))
    same("weights_bootstrap_data_3", study.weights_of("data-3.hybrid"))
    same("weights_bootstrap_data_3_pass_2", study.weights_of("data-3.hybrid", pass_=2))
    same("weights_bootstrap_mc_1", study.weights_of("simulation-1.hybrid"))
    same("weights_variation_prior_down", study.weights_of("prior_down.hybrid"))
    same("weights_lane_1_pass_2", study.lanes_of(pass_=2)[1])
    x, y = study.simulation.particle.event.T
    same("x", x)
    same("y", y)
    np.testing.assert_allclose(frame["square"], np.where(y > 0.5, x * x, np.nan)[inside], rtol=1e-6)
    # Members are combined by the median, which of two is the mean.
    members = [frame[f"weights_member_{m}_lane_0_pass_1"] for m in range(2)]
    lane = np.mean(members, axis=0)
    ratio = lane / frame["weights_lane_0_pass_1"]
    np.testing.assert_allclose(ratio, ratio.iloc[0], rtol=1e-5)


def test_families_have_kind_rule_and_alignment(written):
    metadata = _metadata(written)
    families = metadata["weights"]["families"]
    kinds = {
        name: (f["type"], f["kind"], f["alignment"], len(f["columns"]))
        for name, f in families.items()
    }
    assert kinds == {
        "passes": ("ensemble", "training", "rows", 2),
        "bootstrap_data": ("bootstrap", "statistical", "rows", 3),
        "bootstrap_mc": ("bootstrap", "statistical", "rows", 2),
        "prior": ("systematic", "systematic", "rows", 1),
    }
    assert families["prior"]["opposite"] == "weights_variation_prior_down"
    more = metadata["omniflow"]
    assert {name: len(s["columns"]) for name, s in more["spreads"].items()} == {
        "lanes": 4,
        "members": 8,
    }
    sample = more["samples"]["model"]
    assert (sample["alignment"], sample["kind"]) == ("none", "systematic")


def test_variations_with_other_events_are_bundles_of_their_own(study, written):
    frame, events = _frame(written / "model"), study.events("model.simulation")
    inside = events.pass_particle
    expected = study.weights_of("model.hybrid")[inside]
    found = frame.loc[events.event_id[inside], "weights_nominal"]
    np.testing.assert_array_equal(found, expected)


def test_what_stands_beside_the_events(study, written):
    more = _metadata(written)["omniflow"]
    assert set(more["files"]) == {
        *("config.yaml", "covariance.json", "covariance.npy"),
        *("networks.json", "networks.npy"),
    }
    for name, told in more["files"].items():
        content = (written / name).read_bytes()
        assert told["sha256"] == hashlib.sha256(content).hexdigest()
        assert told["bytes"] == len(content)
    config = yaml.safe_load((written / "config.yaml").read_text("utf-8"))
    assert config["study"]["passes"] == 2
    assert more["origin"]["seeds"]["study"] == config["study"]["seed"]
    assert more["origin"]["versions"]["omniflow"] == omniflow.__version__
    told = json.loads((written / "networks.json").read_text("utf-8"))
    numbers = np.load(written / "networks.npy", allow_pickle=False)
    assert numbers.shape[:4] == (2, 2, 2, 1)  # passes, lanes, members, folds
    sizes = [int(np.prod(shape)) for _, shape in told["parameters"]]
    assert numbers.shape[4] == sum(sizes)
    assert list(told["features"]["event"]) == ["x", "y"]
    assert told["event_columns"] == ["x", "y"]


def test_the_covariance_file_is_that_of_the_study(study, written):
    told = json.loads((written / "covariance.json").read_text("utf-8"))
    numbers = np.load(written / "covariance.npy", allow_pickle=False)
    ours = {"passes": "training", "bootstrap_data": "data", "bootstrap_mc": "simulation"}
    with h5py.File(study.folder / "joint_covariance.h5") as file:
        there = file["hybrid/covariance"]
        for block, matrix in zip(told["blocks"], numbers, strict=True):
            expected = there[ours.get(block["name"], block["name"])][:]
            scale = np.abs(expected).max()
            np.testing.assert_allclose(matrix, expected, rtol=1e-3, atol=1e-5 * scale)
        assert set(there) == {ours.get(b["name"], b["name"]) for b in told["blocks"]}
        np.testing.assert_allclose(told["content"], file["hybrid/mean"][:], rtol=1e-7)
    assert {block["kind"] for block in told["blocks"]} == {
        *("statistical", "training", "systematic", "total")
    }


def test_limits_of_validity_are_told_and_printed(study, tmp_path):
    lenient = Limits(effective=1, data_error=10)
    notes = write(study, "hybrid", output=tmp_path / "b", limits=lenient).notes
    assert notes == ("no licence: give it by --about", "no citation: give it by --about")
    validity = _metadata(tmp_path / "b")["omniflow"]["validity"]
    assert validity["warnings"] == []
    strict = Limits(effective=1e6, data_error=1e-9)
    notes = write(study, "hybrid", output=tmp_path / "b", limits=strict, over=True).notes
    validity = _metadata(tmp_path / "b")["omniflow"]["validity"]
    assert list(notes[2:]) == validity["warnings"]
    x = _frame(tmp_path / "b")["x"]
    weight = _frame(tmp_path / "b")["weights_nominal"]
    sums, squares = (
        np.histogram(x, export_samples.EDGES, weights=w)[0] for w in (weight, weight**2)
    )
    effective = validity["observables"]["x"]["effective"]
    np.testing.assert_allclose(effective, sums**2 / squares, atol=0.06)
    assert "fewer than 1e+06 effective events in 4 of 4 bins" in validity["warnings"][0]
    assert "the statistics of the data are 0% or more in 4 of 4 bins" in validity["warnings"][1]
    np.testing.assert_allclose(validity["support"]["x"], [x.min(), x.max()], rtol=1e-6)


def test_observables_with_several_entries_are_lists(jagged, tmp_path):
    about = About(licence="CC0-1.0", citation="none", title="A study", experiment="none")
    notes = write(jagged, output=tmp_path / "b", about=about)
    assert not any("licence" in note for note in notes.notes)
    frame, metadata = _frame(tmp_path / "b"), _metadata(tmp_path / "b")
    jsonschema.validate(metadata, SCHEMA)
    assert (metadata["dataset"]["name"], metadata["dataset"]["experiment"]) == ("A study", "none")
    assert [each["name"] for each in metadata["observables"]] == ["x"]
    assert set(metadata["omniflow"]["jagged"]) == {"pt"}
    level = jagged.simulation.particle
    starts = dict(zip(jagged.simulation.event_id, level.offsets, strict=False))
    for event_id, row in frame.iterrows():
        start = starts[event_id]
        np.testing.assert_array_equal(row["pt"], level.particles[start : start + len(row["pt"]), 0])
    # The column of the same name is not the observable.
    np.testing.assert_allclose(frame["x"], 2 * frame["event.x"], rtol=1e-6)
    # What else measures the training: one pass does not.
    assert metadata["weights"]["families"]["lanes"]["type"] == "ensemble"
    assert json.loads((tmp_path / "b/covariance.json").read_text("utf-8"))["normalised"] is True


def test_columns_of_single_networks_may_be_left_out(study, tmp_path):
    write(study, "none", output=tmp_path / "b", leave_out=["members", "lanes"])
    assert _metadata(tmp_path / "b")["omniflow"]["spreads"] == {}
    notes = write(study, "none", output=tmp_path / "b", over=True).notes
    assert "the study has no replicas and variations of none" in notes


def test_nothing_is_written_over(study, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("...")
    (tmp_path / "mine" / "metadata.yaml").write_text("title: mine")
    for over in (False, True):
        with pytest.raises(InputError, match="is there, and is no bundle; name another folder"):
            write(study, "none", output=tmp_path / "mine", over=over)
    assert (tmp_path / "mine" / "thesis.tex").is_file()
    write(study, "none", output=tmp_path / "b")
    (tmp_path / "link").symlink_to(tmp_path / "b")
    with pytest.raises(InputError, match="b: is there; name another folder, or add --force"):
        write(study, "none", output=tmp_path / "b")
    with pytest.raises(InputError, match="is there, and is no bundle"):
        write(study, "none", output=tmp_path / "link", over=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b", "link", "mine"]


@pytest.mark.parametrize(
    ("method", "combine", "message"),
    [("hybird", None, "there is no method 'hybird'"), ("none", "mean", "there is no combination")],
)
def test_methods_and_combinations_that_are_not_there(study, tmp_path, method, combine, message):
    with pytest.raises(InputError, match=message):
        write(study, method, combine, tmp_path / "b")
    assert list(tmp_path.iterdir()) == []


def test_a_variation_has_no_name_of_a_family(study, tmp_path, monkeypatch):
    blocks = {"passes": ("prior_up",)}
    monkeypatch.setattr(type(study.plan.variants), "blocks", lambda self: blocks)
    with pytest.raises(InputError, match="variation passes: has the name of a family of bundles"):
        write(study, "hybrid", output=tmp_path / "b")
    assert list(tmp_path.iterdir()) == []
