"""Studies that Snakemake refuses before it starts a job."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import yaml

ROOT = Path(__file__).parents[2]


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
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")]
    command += ["--configfile", "study.yaml", "--cores", "1", "--directory", str(tmp_path)]
    result = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, env=dict(os.environ), check=False
    )
    assert result.returncode != 0
    said = result.stdout + result.stderr
    assert "study.yaml: 2 problem(s)" in said
    assert "samples.simulation: simulation.npz: has no column 'mett'; did you mean met?" in said
    assert "observables.define.mine: unknown column 'metz': did you mean met?" in said
    assert not (tmp_path / "results").exists()
