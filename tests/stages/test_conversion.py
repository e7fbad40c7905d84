import os
from pathlib import Path

import pytest

from omniflow import config
from omniflow.errors import ConfigError, LockError, OutputError
from omniflow.events import store
from omniflow.lock import Lock
from omniflow.stages import conversion, samples
from omniflow.unfolding.plan import Plan

DATA = Path(__file__).parents[1] / "data"


def plan_of(folder, events=100, seed=1):
    files = {"data": "h1_nature.h5", "simulation": "h1_simulation.h5"}
    raw = {
        "study": {"name": "s", "output": str(folder), "seed": seed},
        "samples": {
            role: {"source": "h1", "files": [str(DATA / name)], "events": events}
            for role, name in files.items()
        },
        "methods": {"none": {}},
    }
    return Plan(config.validate(raw))


def times(plan):
    return [plan.store(role).stat().st_mtime_ns for role in plan.samples]


def test_stores_are_those_of_the_workflow(tmp_path):
    plan, other = plan_of(tmp_path / "a"), plan_of(tmp_path / "b")
    conversion.convert(plan)
    for role in plan.samples:
        samples.make_store(other, role)
        assert store.checksum(plan.store(role)) == store.checksum(other.store(role))


def test_what_is_there_stays(tmp_path, capsys):
    """Those of Snakemake too, so that nothing is trained anew."""
    plan = plan_of(tmp_path)
    samples.make_store(plan, "data")
    conversion.convert(plan)
    before = times(plan)
    assert "data.h5 is there" in capsys.readouterr().out
    conversion.convert(plan)
    assert times(plan) == before
    changed = plan_of(tmp_path, seed=2)
    conversion.convert(changed, ["data"])
    assert times(plan)[0] > before[0]
    assert times(plan)[1] == before[1]


def test_files_that_have_changed_are_read_again(tmp_path):
    copy = tmp_path / "copy.h5"
    copy.write_bytes((DATA / "h1_nature.h5").read_bytes())
    plan = plan_of(tmp_path)
    sample = plan.samples["data"].with_files([str(copy)])
    plan.__dict__["samples"] = plan.samples | {"data": sample}
    conversion.convert(plan, ["data"])
    before = plan.store("data").stat().st_mtime_ns
    os.utime(copy)  # the same bytes
    conversion.convert(plan, ["data"])
    assert plan.store("data").stat().st_mtime_ns == before
    copy.write_bytes((DATA / "h1_simulation.h5").read_bytes())
    conversion.convert(plan, ["data"])
    assert plan.store("data").stat().st_mtime_ns > before


def test_a_store_of_other_settings_is_refused(tmp_path):
    plan = plan_of(tmp_path)
    conversion.convert(plan)
    conversion.refuse_outdated(plan)
    other = plan_of(tmp_path, events=99)
    with pytest.raises(
        OutputError, match=r"data\.h5: was written by `omniflow convert` with other"
    ):
        conversion.refuse_outdated(other)
    # Snakemake knows its own stores.
    samples.make_store(plan, "data")
    samples.make_store(plan, "simulation")
    conversion.refuse_outdated(other)


def test_the_lock_is_taken_and_given_back(tmp_path, monkeypatch):
    plan = plan_of(tmp_path)
    lock = Lock(plan.root)
    lock.acquire(print)
    with pytest.raises(LockError, match="somebody works on this study"):
        conversion.convert(plan)
    lock.release()
    conversion.convert(plan, ["data"])
    assert not (plan.root / "lock").exists()
    with pytest.raises(
        ConfigError, match=r"--samples other: there is no such sample; there are data"
    ):
        conversion.convert(plan, ["other"])
