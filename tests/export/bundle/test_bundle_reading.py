"""A bundle that is not what it says is refused, in words."""

import hashlib
import os
import shutil

import handmade
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

import omniflow
from omniflow.errors import InputError
from omniflow.export.bundle import safe_yaml


def _change(folder, change):
    """Change metadata by a function."""
    path = folder / "metadata.yaml"
    content = yaml.safe_load(path.read_text("utf-8"))
    change(content)
    path.write_text(yaml.safe_dump(content, sort_keys=False))


def _refused(folder, message):
    with pytest.raises(InputError, match=message):
        omniflow.read_bundle(folder)


def _at(*path, value):
    def change(content):
        *most, last = path
        for key in most:
            content = content[key]
        content[last] = value

    return change


def test_folders_that_are_no_bundles(tmp_path):
    _refused(tmp_path / "nowhere", "is no folder; give the folder of a bundle")
    _refused(tmp_path, r"metadata.yaml: is missing")
    (tmp_path / "file").write_text("")
    _refused(tmp_path / "file", "is no folder")


@pytest.mark.parametrize(
    "name",
    ["events.parquet", "config.yaml", "networks.npy", "covariance.json", "model/events.parquet"],
)
def test_a_changed_byte_is_found(copied, name):
    content = bytearray((copied / name).read_bytes())
    content[len(content) // 2] ^= 1
    (copied / name).write_bytes(content)
    _refused(copied, f"{name}: its SHA-256 is .* changed or cut off")


@pytest.mark.parametrize("name", ["events.parquet", "networks.json", "model"])
def test_what_is_missing_is_named(copied, name):
    path = copied / name
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    _refused(copied, f"{name}: is missing; copy the whole folder")


def test_metadata_of_a_sample_are_part_of_it(copied):
    _change(copied / "model", _at("dataset", "name", value="other"))
    _refused(copied, r"model/metadata.yaml: its SHA-256 is")


OUTSIDE = ["../outside.parquet", "/etc/passwd", "..", ".", "", "a/b", "a\\b", "\0", "~x", ".hidden"]


@pytest.mark.parametrize("name", OUTSIDE)
def test_names_lead_nowhere_else(copied, name):
    (copied.parent / "outside.parquet").write_bytes((copied / "events.parquet").read_bytes())
    _change(copied, _at("publication", "events_file", value=name))
    _refused(copied, "is no plain name of a file in the folder")


@pytest.mark.parametrize("name", OUTSIDE)
def test_names_of_other_files_and_folders_lead_nowhere_else(copied, name):
    told = {"sha256": "0" * 64, "bytes": 1, "holds": "harm"}
    original = (copied / "metadata.yaml").read_text("utf-8")
    _change(copied, _at("omniflow", "files", value={name: told}))
    _refused(copied, "omniflow.files")
    (copied / "metadata.yaml").write_text(original)
    _change(copied, _at("omniflow", "samples", "model", "folder", value=name))
    _refused(copied, r"omniflow\.samples\.model\.folder")


@pytest.mark.parametrize("name", ["events.parquet", "networks.npy", "metadata.yaml", "model"])
def test_links_are_not_followed(copied, name):
    path, there = copied / name, copied.parent / "there"
    path.rename(there)
    path.symlink_to(there)
    _refused(copied, f"{name}: is a link or a device")


def test_pipes_are_not_waited_for(copied):
    (copied / "events.parquet").unlink()
    os.mkfifo(copied / "events.parquet")
    _refused(copied, "events.parquet: is a link or a device")
    (copied / "events.parquet").unlink()
    (copied / "events.parquet").mkdir()
    _refused(copied, "events.parquet: is no file")


def test_samples_have_no_samples(copied):
    shutil.copytree(copied, copied / "inner")
    sha = "f" * 64

    def nest(content):
        sample = content["omniflow"]["samples"]["model"]
        content["omniflow"]["samples"] = {"inner": sample | {"folder": "inner", "sha256": sha}}

    _change(copied, nest)
    digest = hashlib.sha256((copied / "inner" / "metadata.yaml").read_bytes()).hexdigest()
    _change(copied, _at("omniflow", "samples", "inner", "sha256", value=digest))
    _refused(copied, "is a sample of a bundle and names samples itself")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a: 1\na: 2\n", "key 'a' is given twice"),
        (b"a: &x [1]\nb: *x\n", "has anchors"),
        (b"a: !!python/object/apply:os.system ['true']\n", "is not valid YAML"),
        (b"a: !!python/name:os.system\n", "is not valid YAML"),
        (b"[" * 100, "is nested more than 30 times|is not valid YAML"),
        (b"{a: " * 100, "is nested more than 30 times|is not valid YAML"),
        (b"\xff\xfe\x00", "is not valid YAML"),
        (b"a: [1\n", "is not valid YAML"),
        (b"a: 2026-99-99\n", "is not valid YAML"),
        (b"- 1\n", "must be a mapping"),
        (b"", "must be a mapping"),
        (b"? [1, 2]\n: 3\n", "is not valid YAML|format_version"),
        (b"a: " + b"9" * 5_000 + b"\n", "is not valid YAML|format_version"),
    ],
)
def test_texts_that_are_no_metadata(tmp_path, content, message):
    (tmp_path / "metadata.yaml").write_bytes(content)
    _refused(tmp_path, message)


def test_metadata_have_a_largest_size(tmp_path):
    (tmp_path / "metadata.yaml").write_bytes(b"#" * (safe_yaml.LARGEST + 1))
    _refused(tmp_path, r"and metadata at most 4,194,304")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_at("format_version", value="0.3"), "format_version"),
        (_at("publication", "event_count", value=7), "has 60 events, and the metadata say 7"),
        (_at("publication", "event_count", value=-1), "event_count"),
        (_at("publication", "columns", value=["spin"]), "has no column spin"),
        (_at("weights", "nominal", value="w"), "has no column w"),
        (_at("weights", "nominal_convention", value="x"), "nominal_convention"),
        (_at("weights", "families", "stat", "columns", value=["r9"]), "has no column r9"),
        (_at("weights", "families", "stat", "columns", value=[]), "stat.columns"),
        (_at("weights", "families", "stat", "combination", value="max"), "stat.combination"),
        (_at("weights", "families", "dd", "reference_column", value=None), "reference_column"),
        (_at("observables", 0, "name", value="pt"), "names the observable pt twice"),
        (_at("observables", 0, "units", value=3), "units"),
        (_at("observables", 0, "binning", "official", value=[2, 1]), "edges must rise"),
        (_at("normalization", "expected_nominal_sumw", value=1.0), "adds up to .* say 1;"),
        (_at("normalization", "expected_nominal_sumw", value=float("nan")), "expected_nominal"),
        (_at("publication", "event_alignment", value={"method": "column"}), "name of the column"),
        (_at("omniflow", value={"version": 2}), "omniflow.version"),
        (_at("omniflow", value={"run": "harm"}), "omniflow.run: Extra inputs"),
    ],
)
def test_metadata_that_do_not_fit(tmp_path, change, message):
    events = handmade.frame()
    told = handmade.metadata(events)
    change(told)
    _refused(handmade.write(tmp_path / "b", events, told), message)


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("r1", np.nan, "r1: the weight of event 5 is nan, which cannot be"),
        ("unfolded", np.inf, "unfolded: the weight of event 5 is inf"),
        ("r1", 1e200, r"r1: the weight of event 5 is 1e\+200, which cannot be summed"),
        ("mass", "text", "mass: holds .*string, where numbers are needed"),
        ("prior", "text", "prior: holds .*string, where numbers are needed"),
    ],
)
def test_weights_are_numbers(tmp_path, column, value, message):
    events = handmade.frame()
    told = handmade.metadata(events)
    events[column] = events[column].astype(object if isinstance(value, str) else float)
    if isinstance(value, str):
        events[column] = value
    else:
        events.loc[5, column] = value
    _refused(handmade.write(tmp_path / "b", events, told), message)


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ([7, *range(59)], "id: the id 7 is that of several events"),
        (["a", *map(str, range(58)), "a"], "id: the id a is that of several events"),
        ([None, *map(str, range(59))], "id: 1 events have no id"),
    ],
)
def test_ids_differ(tmp_path, ids, message):
    events = handmade.frame()
    events["id"] = pd.Series(ids)
    told = handmade.metadata(events)
    told["publication"]["event_alignment"] = {"method": "column", "column": "id"}
    _refused(handmade.write(tmp_path / "b", events, told), message)
    events["id"] = [f"event-{i}" for i in range(60)]
    assert len(omniflow.read_bundle(handmade.write(tmp_path / "b", events, told))) == 60


def test_files_are_not_larger_than_they_claim(tmp_path):
    """A column of one value compresses to nothing: what it claims is looked at first."""
    events = handmade.frame()
    told = handmade.metadata(events)
    folder = handmade.write(tmp_path / "b", events, told)
    rows = 20_000_000
    with pq.ParquetWriter(folder / "events.parquet", pa.schema([("unfolded", pa.float64())])) as f:
        zeros = pa.table({"unfolded": pa.array(np.zeros(rows // 20))})
        for _ in range(20):
            f.write_table(zeros)
    size = (folder / "events.parquet").stat().st_size
    assert size < rows * 8 / 200
    told["publication"]["event_count"] = rows
    handmade.sign(folder, told)
    _refused(folder, r"claims 20,000,000 rows of 1 columns in [\d,]+ bytes; such a file is not")


def test_bundles_of_format_0_1_are_read(tmp_path):
    events = handmade.frame()
    told = handmade.metadata(events)
    told["format_version"] = "0.1"
    assert len(omniflow.read_bundle(handmade.write(tmp_path / "b", events, told))) == 60


def test_reading_leaves_nothing_behind(copied):
    before = sorted(path.name for path in copied.rglob("*"))
    omniflow.read_bundle(copied).histogram("x")
    assert sorted(path.name for path in copied.rglob("*")) == before
