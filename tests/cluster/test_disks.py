"""Full and read-only disks: a message that helps, nothing half-written, and on it goes."""

import re
import subprocess

import clusters
import pytest


@pytest.fixture
def disk(tmp_path, reference):
    """A fresh study whose results are on a small disk of their own."""
    clusters.write_config(tmp_path, clusters.config())
    results = tmp_path / "results"
    results.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=700k", "tmpfs", results], check=True)
    yield tmp_path
    subprocess.run(["umount", results], check=True)


def _remount(study, option):
    subprocess.run(["mount", "-o", f"remount,{option}", study / "results"], check=True)


def test_a_full_disk(disk, reference):
    samples = disk / "results" / "small" / "samples"
    result = clusters.run(disk, "local", "--until", "event_store")
    said = result.stdout + clusters.logs(disk)
    assert result.returncode != 0
    assert "results/small/samples/" in said
    assert "cannot be written: no space is left on the device" in said
    assert not clusters.left_over(disk)
    _remount(disk, "size=200m")
    written = {path: path.stat().st_mtime_ns for path in samples.glob("*.h5")}
    clusters.finish(disk, "local", "--", clusters.STEP_1)
    # A sample that had fitted is not made again.
    assert all(path.stat().st_mtime_ns == time for path, time in written.items())
    clusters.assert_same_file(disk / clusters.STEP_1, reference / clusters.STEP_1)


def test_a_read_only_folder(disk, reference):
    _remount(disk, "size=200m,ro")
    result = clusters.run(disk, "local")
    assert result.returncode != 0
    assert re.search(
        r"results/small/\S+: cannot be written: the file system is read-only", result.stdout
    )
    assert "Traceback" not in result.stdout
    _remount(disk, "rw")
    clusters.finish(disk, "local", "--until", "scaling")
