"""Studies that Snakemake refuses before it starts a job."""

import os

import numpy as np
import pytest
import snakemakes

# Makes Python as if there were no TensorFlow.
NO_TENSORFLOW = """
import sys

class Refuse:
    def find_spec(self, name, *_):
        if name == "tensorflow":
            raise ImportError(name)

sys.meta_path.insert(0, Refuse())
"""


@pytest.fixture
def study(tmp_path):
    """A folder with the files of a study of one column, and what its configuration says."""
    for name in ("data", "simulation"):
        np.savez(tmp_path / f"{name}.npz", met=np.ones(9))
    sample = {"source": "npz", "detector": {"event": ["met"]}, "particle": {"event": ["met"]}}
    samples = {role: sample | {"files": f"{role}.npz"} for role in ("data", "simulation")}
    return tmp_path, {
        "study": {"name": "s"},
        "samples": samples,
        "classifier": {"kind": "mlp"},
        "methods": {"none": {}},
    }


def test_what_nothing_here_can_train_is_told_before_any_job(study, monkeypatch):
    """Neither a compiler nor TensorFlow; the remedies are named."""
    folder, config = study
    (folder / "python").mkdir()
    (folder / "python" / "sitecustomize.py").write_text(NO_TENSORFLOW)
    path = os.pathsep.join([str(folder / "python"), os.environ.get("PYTHONPATH", "")])
    nowhere = {"HOME": str(folder), "XDG_CACHE_HOME": str(folder / "cache"), "PYTHONPATH": path}
    nowhere["CXX"] = "/bin/false"
    for name, value in nowhere.items():
        monkeypatch.setenv(name, value)
    result = snakemakes.run(folder, config)
    assert result.returncode != 0
    said = result.stdout + result.stderr
    for part in ("/bin/false --version failed", "apt install g++", "pip install 'omniflow[cpu]'"):
        assert part in said
    assert not (folder / "results" / "s" / "samples").exists()
    assert not (folder / "results" / "s" / "lock").exists()


def test_unknown_columns_are_told_before_any_job(tmp_path):
    """Those of observables and of files, at once."""
    for name in ("data", "simulation"):
        np.savez(tmp_path / f"{name}.npz", met=np.ones(9))
    sample = {"source": "npz", "detector": {"event": ["met"]}}
    simulation = sample | {"files": "simulation.npz", "weight": "mett"}
    config = {
        "study": {"name": "s"},
        "samples": {"data": sample | {"files": "data.npz"}, "simulation": simulation},
        "classifier": {"kind": "mlp"},
        "methods": {"none": {}},
        "observables": {"define": {"mine": {"expression": "metz"}}},
    }
    result = snakemakes.forked(tmp_path, config)
    assert result.returncode != 0
    said = result.stdout + result.stderr
    assert "config.yaml: 2 problem(s)" in said
    assert "samples.simulation: simulation.npz: has no column 'mett'; did you mean met?" in said
    assert "observables.define.mine: unknown column 'metz': did you mean met?" in said
    assert not (tmp_path / "results").exists()
