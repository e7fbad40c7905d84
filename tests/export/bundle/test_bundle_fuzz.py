"""Damaged bundles end in an error in words, within seconds, and leave nothing behind."""

import hashlib
import json
import shutil
import time
from pathlib import Path

import handmade
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import omniflow
from omniflow.errors import OmniflowError

SECONDS = 10  # of a machine that does other things, too
FILES = ("covariance.json", "covariance.npy", "networks.json", "networks.npy", "config.yaml")


def fuzzed(examples):
    return settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )


@st.composite
def damage(draw):
    """Return a function of bytes that returns others."""
    kind = draw(st.sampled_from(["cut", "bytes", "inserted", "footer", "repeated"]))
    place, noise = draw(st.floats(0, 1, exclude_max=True)), draw(st.binary(min_size=1, max_size=40))

    def change(raw: bytes) -> bytes:
        at = int(place * len(raw))
        if kind == "footer":  # where Parquet and npy say what follows
            at = max(len(raw) - 1 - at // 8, 0)
        if kind == "cut":
            return raw[:at]
        if kind == "inserted":
            return raw[:at] + noise + raw[at:]
        if kind == "repeated":
            return raw[:at] + raw[at : at + 200] * 3 + raw[at + 200 :]
        return raw[:at] + noise + raw[at + len(noise) :]

    return change


@pytest.fixture(scope="module")
def small(tmp_path_factory, written):
    """A bundle of 60 events with all kinds of files, and what it says."""
    folder = tmp_path_factory.mktemp("small") / "bundle"
    events = handmade.frame()
    told = handmade.metadata(events)
    handmade.write(folder, events, told)
    theirs = yaml.safe_load((written / "metadata.yaml").read_text("utf-8"))["omniflow"]
    told["omniflow"] = {"version": 1, "files": theirs["files"]}
    for name in FILES:
        shutil.copy(written / name, folder / name)
    handmade.sign(folder, told)
    return folder, told


def _ends_well(folder: Path) -> bool:
    """Read and use a bundle; return whether that succeeded, and allow one kind of failure."""
    begin, before = time.monotonic(), sorted(path.name for path in folder.rglob("*"))
    try:
        bundle = omniflow.read_bundle(folder)
        bundle.histogram(["mass", "pt"], [[0, 1, 3], [0, 5, 100]])
        return True
    except OmniflowError:
        return False
    finally:
        assert time.monotonic() - begin < SECONDS
        assert sorted(path.name for path in folder.rglob("*")) == before


def _with(folder: Path, name: str, content: bytes, sign: dict | None) -> bool:
    """Try a bundle with another file, with its checksum if it is to be read at all."""
    path = folder / name
    raw, metadata = path.read_bytes(), (folder / "metadata.yaml").read_bytes()
    try:
        path.write_bytes(content)
        if sign is not None:
            handmade.sign(folder, sign)
        return _ends_well(folder)
    finally:
        path.write_bytes(raw)
        (folder / "metadata.yaml").write_bytes(metadata)


def test_the_bundle_is_one(small):
    assert _ends_well(small[0])


@fuzzed(120)
@given(change=damage())
def test_damaged_events_with_their_checksum(small, change):
    folder, told = small
    content = change((folder / "events.parquet").read_bytes())
    _with(folder, "events.parquet", content, json.loads(json.dumps(told)))


@fuzzed(40)
@given(change=damage(), name=st.sampled_from(["events.parquet", *FILES]))
def test_damage_is_found_by_checksums(small, change, name):
    folder, _ = small
    raw = (folder / name).read_bytes()
    content = change(raw)
    assert _with(folder, name, content, None) is (content == raw)


@fuzzed(80)
@given(change=damage(), name=st.sampled_from(FILES[:-1]))
def test_damaged_files_with_their_checksum(small, change, name):
    folder, told = small
    content = change((folder / name).read_bytes())
    changed = json.loads(json.dumps(told))
    changed["omniflow"]["files"][name]["sha256"] = hashlib.sha256(content).hexdigest()
    _with(folder, name, content, changed)


@fuzzed(80)
@given(change=damage())
def test_damaged_metadata(small, change):
    folder, _ = small
    _with(folder, "metadata.yaml", change((folder / "metadata.yaml").read_bytes()), None)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)


def _places(content, at=()):
    """Return all places in nested mappings and lists."""
    found = []
    items = content.items() if isinstance(content, dict) else enumerate(content)
    for key, value in items:
        found.append((*at, key))
        if isinstance(value, dict | list):
            found += _places(value, (*at, key))
    return found


@fuzzed(100)
@given(data=st.data(), value=ANYTHING)
def test_metadata_that_say_anything(small, data, value):
    folder, told = small
    changed = json.loads(json.dumps(told))
    *most, last = data.draw(st.sampled_from(_places(changed)))
    place = changed
    for key in most:
        place = place[key]
    place[last] = value
    text = yaml.safe_dump(changed, allow_unicode=True).encode("utf-8", "replace")
    _with(folder, "metadata.yaml", text, None)
