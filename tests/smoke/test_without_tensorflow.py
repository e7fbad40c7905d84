"""The package's main job does without TensorFlow; `make smoke` runs this where there is none."""

import os
import subprocess
import sys

import native_study


def _run(*command, **environment):
    return subprocess.run(
        [sys.executable, *command],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_study_runs_from_events_to_the_report(tmp_path):
    done = _run(native_study.__file__, str(tmp_path), "auto")
    assert done.returncode == 0, done.stderr
    assert "</html>" in (tmp_path / "report.html").read_text(encoding="utf-8")
    networks = list(tmp_path.rglob("*.weights.h5"))
    # 2 passes x 2 steps x 4 networks, and the oracle.
    assert len(networks) == 17


def test_where_tensorflow_is_needed_the_error_names_the_remedy(tmp_path):
    done = _run(native_study.__file__, str(tmp_path), "tensorflow")
    assert done.returncode == 1
    error = done.stderr.strip().splitlines()[-1]
    assert "execution.engine is tensorflow. Install it with `pip install 'omniflow[cpu]'`" in error


def test_without_a_compiler_too_the_error_names_both_remedies(tmp_path):
    nowhere = {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    done = _run(native_study.__file__, str(tmp_path), "auto", CXX="/bin/false", **nowhere)
    assert done.returncode == 1
    error = done.stderr.partition("EngineError: ")[2]
    # Before anything has been read.
    assert not (tmp_path / "study" / "samples").exists()
    for part in ("the native engine cannot be had: /bin/false", "pip install", "apt install g++"):
        assert part in error
