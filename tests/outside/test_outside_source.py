"""A source that lies outside the package: its module beside a configuration."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from omniflow import outside, registry
from omniflow.config import dump, load, validate
from omniflow.errors import ConfigError
from omniflow.events import store
from omniflow.events.ingest import ingest
from omniflow.unfolding.plan import Plan

EXAMPLE = Path(__file__).parents[2] / "examples" / "outside"


@pytest.fixture
def folder(tmp_path):
    """A copy of the example."""
    shutil.copytree(EXAMPLE, tmp_path / "own")
    return tmp_path / "own"


def test_its_events_are_read_as_those_of_any_source(folder, tmp_path):
    config = load(folder / "study.yaml")
    sample = config.samples.simulation
    ingest(sample, tmp_path / "store.h5", 1)
    events = store.open_store(tmp_path / "store.h5")
    assert len(events) == 8000
    order = np.argsort(events.event_id)
    truth = np.random.default_rng(2).normal(0.0, 1.0, 8000).astype(np.float32)
    np.testing.assert_array_equal(np.asarray(events.particle.event)[order, 0], truth)
    assert Plan(config).features_seen["detector"].event == {"x": 'column("event.x")'}


def test_its_keys_are_checked_as_those_of_any_source(folder):
    raw = {"source": "toys:Gaussians", "events": 0, "seed": 1, "smering": 2}
    samples = {"data": raw, "simulation": {"source": "toys:Gausians", "events": 1, "seed": 1}}
    with pytest.raises(ConfigError) as error:
        validate({"study": {"name": "s"}, "samples": samples, "methods": {"a": {}}}, root=folder)
    for line in (
        "samples.data.events: Input should be greater than or equal to 1 (got 0)",
        "samples.data.smering: unknown key; did you mean 'smearing'?",
        "has no 'Gausians'; it has",
    ):
        assert line in str(error.value)


def test_the_same_events_twice_are_refused(folder):
    text = (folder / "study.yaml").read_text(encoding="utf-8").replace("seed: 2", "seed: 1")
    (folder / "study.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"hold the same events \(seed 1; seed 1\)"):
        load(folder / "study.yaml")


def test_a_resolved_configuration_finds_it_from_another_folder(folder, tmp_path):
    """Jobs read the resolved configuration, which lies elsewhere."""
    (tmp_path / "jobs").mkdir()
    resolved = tmp_path / "jobs" / "config.yaml"
    resolved.write_text(dump(load(folder / "study.yaml")), encoding="utf-8")
    code = "import sys; from omniflow.config import load; print(load(sys.argv[1]).samples.data)"
    found = subprocess.run(
        [sys.executable, "-c", code, str(resolved)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "mean=0.4" in found.stdout


def _fingerprints(folder):
    plan = Plan(load(folder / "study.yaml"))
    return plan.fingerprints.store("data"), plan.fingerprints.training()


def test_editing_it_changes_what_comes_from_it_and_nothing_else(folder):
    """Its text counts; a module is loaded once in a process, whatever becomes of its file."""
    before = _fingerprints(folder)
    with open(folder / "toys.py", "a", encoding="utf-8") as file:
        file.write("\n# changed\n")
    after = _fingerprints(folder)
    assert before[0] != after[0]
    assert before[1] == after[1]  # trainings depend on the stores' content


def test_where_it_lies_changes_nothing(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "moved")
    assert _fingerprints(folder) == _fingerprints(tmp_path / "moved")


def test_it_is_loaded_when_it_is_named_and_not_before(tmp_path):
    (tmp_path / "loud.py").write_text("raise RuntimeError('loaded')\n", encoding="utf-8")
    raw = {"study": {"name": "s"}, "methods": {"a": {}}}
    sample = {"source": "pythia", "events": 10, "seed": 1}
    samples = {"data": sample, "simulation": sample | {"seed": 2}}
    validate(raw | {"samples": samples}, root=tmp_path)
    own = {"data": sample, "simulation": {"source": "loud:Any"}}
    with pytest.raises(ConfigError, match=r"loud\.py: fails when .*RuntimeError: loaded"):
        validate(raw | {"samples": own}, root=tmp_path)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("pytha", r"there is no source 'pytha'; did you mean 'pythia'\? .*`module:object`"),
        ("nowhere:Any", "nowhere: no such module, neither beside the configuration nor installed"),
        ("omniflow.errors:ConfigError", "is not a class of a source"),
        (7, "needs the key 'source'"),
    ],
)
def test_names_that_lead_nowhere_are_told(name, message):
    sample = {"source": "pythia", "events": 10, "seed": 1}
    samples = {"data": sample, "simulation": {"source": name}}
    raw = {"study": {"name": "s"}, "methods": {"a": {}}, "samples": samples}
    with pytest.raises(ConfigError, match=message):
        validate(raw)


def test_packages_and_modules_within_them(tmp_path):
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack" / "__init__.py").write_text("value = 1\n", encoding="utf-8")
    (tmp_path / "pack" / "inner.py").write_text("value = 2\n", encoding="utf-8")
    whole, inner = (outside.located(n, tmp_path) for n in ("pack:value", "pack.inner:value"))
    assert (outside.load(whole), outside.load(inner)) == (1, 2)
    before = outside.digest(whole), outside.digest(inner)
    (tmp_path / "pack" / "inner.py").write_text("value = 3\n", encoding="utf-8")
    after = outside.digest(whole), outside.digest(inner)
    assert all(a != b for a, b in zip(before, after, strict=True))


def test_modules_beside_it_can_be_imported(tmp_path):
    (tmp_path / "helper_of_mine.py").write_text("number = 5\n", encoding="utf-8")
    (tmp_path / "user.py").write_text("from helper_of_mine import number\n", encoding="utf-8")
    try:
        assert outside.load(outside.located("user:number", tmp_path)) == 5
    finally:
        sys.modules.pop("helper_of_mine", None)
    assert str(tmp_path) not in sys.path


def test_entry_points_of_installed_packages(tmp_path, monkeypatch):
    """A distribution that was installed into a folder, as pip writes it."""
    info = tmp_path / "thing-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: thing\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[omniflow.features]\nshapes = thing_of_mine:preset\n")
    (tmp_path / "thing_of_mine.py").write_text("preset = 'a preset'\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert "shapes" in registry.names("features")
    assert registry.find("features", "shapes") == "a preset"
    assert registry.digest("features", "shapes") == outside.digest("thing_of_mine:preset")
    assert registry.digest("features", "columns") is None


def test_a_study_runs_through_a_job_of_its_own(folder, tmp_path):
    """The script of the store's rule, as Snakemake calls it."""
    root = Path(__file__).parents[2]
    config = load(folder / "study.yaml", settings=[f"study={{output: {tmp_path}}}"])
    resolved = tmp_path / "resolved.yaml"
    resolved.write_text(dump(config), encoding="utf-8")
    script = root / "workflow" / "scripts" / "event_store.py"
    subprocess.run(
        [sys.executable, str(script), "--config", str(resolved), "--role", "data"],
        cwd=tmp_path,
        check=True,
        env=dict(os.environ),
        capture_output=True,
    )
    assert len(store.open_store(Plan(config).store("data"))) == 4000


def test_a_module_that_is_edited_is_loaded_anew(tmp_path):
    path = tmp_path / "changing.py"
    path.write_text("value = 1\n", encoding="utf-8")
    reference = outside.located("changing:value", tmp_path)
    assert outside.load(reference) == 1
    path.write_text("value = 2\n", encoding="utf-8")
    assert outside.load(reference) == 2


def test_samples_have_the_same_columns_and_units():
    def raw(data):
        sample = {"source": "npz", "files": ["a.npz"]}
        simulation = sample | {"files": ["b.npz"], "detector": {"event": {"met": "met"}}}
        simulation["particle"] = {"event": {"met": "true_met"}}
        samples = {"data": sample | {"detector": {"event": data}}, "simulation": simulation}
        study = {"study": {"name": "s"}, "methods": {"none": {}}, "classifier": {"kind": "mlp"}}
        return study | {"samples": samples}

    validate(raw({"met": "met"}))
    with pytest.raises(
        ConfigError, match=r"samples\.data has the event columns ht at .* met; give"
    ):
        validate(raw({"ht": "ht"}))
    with pytest.raises(ConfigError, match=r"samples\.data: met is in GeV, and in no unit in sam"):
        validate(raw({"met": {"expression": "met", "unit": "MeV"}}))


def test_an_mlp_needs_features_of_events():
    level = {"particles": ["pt", "eta"]}
    sample = {"source": "npz", "files": ["a.npz"], "detector": level}
    samples = {"data": sample, "simulation": sample | {"files": ["b.npz"], "particle": level}}
    raw = {"study": {"name": "s"}, "methods": {"none": {}}, "samples": samples}
    plan = Plan(validate(raw | {"classifier": {"kind": "mlp"}}))
    with pytest.raises(ConfigError, match="mlp reads features of events alone, of which there are"):
        _ = plan.features_seen


def test_a_class_that_lacks_methods_is_told(tmp_path):
    (tmp_path / "half.py").write_text(
        "from omniflow.sources.source import Source\n"
        "class Half(Source):\n"
        "    def extent(self):\n"
        "        return 'all'\n",
        encoding="utf-8",
    )
    samples = {"data": {"source": "half:Half"}, "simulation": {"source": "half:Half"}}
    raw = {"study": {"name": "s"}, "methods": {"none": {}}, "samples": samples}
    message = r"samples\.data: 'half:Half' lacks the method\(s\) columns, next, read of a source"
    with pytest.raises(ConfigError, match=message):
        validate(raw, root=tmp_path)


def test_features_of_ones_own_need_no_more_than_their_columns():
    def level(*columns):
        return {"event": list(columns)}

    data = {"source": "npz", "files": ["a.npz"], "detector": level("met")}
    simulation = data | {"files": ["b.npz"], "detector": level("met", "tag")}
    samples = {"data": data, "simulation": simulation | {"particle": level("met", "tag")}}
    study = {"study": {"name": "s"}, "methods": {"none": {}}, "samples": samples}
    with pytest.raises(ConfigError, match="give the same to all samples, or say by"):
        validate(study | {"classifier": {"kind": "mlp"}})
    own = {"kind": "mlp", "features": {"event": ["met"]}}
    seen = Plan(validate(study | {"classifier": own})).features_seen
    assert [list(seen[level].event) for level in ("detector", "particle")] == [["met"], ["met"]]
