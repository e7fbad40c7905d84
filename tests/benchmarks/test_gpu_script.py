"""The script for GPUs, in a small form on the CPU: what it checks holds, and every row is there."""

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from omniflow.training import runtime

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
SMALL = {"networks": 2, "xla": "no", "seconds": 0.01, "particles": 2, "batch": 8}
SMALL |= {"width": 4, "blocks": 1, "class-blocks": 1, "precision": "float32"}
OPTIONS = [str(word) for key, value in SMALL.items() for word in (f"--{key}", value)]


@pytest.mark.usefixtures("tensorflow_runtime")
def test_checks_and_rows(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["gpu.py", *OPTIONS])
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.syspath_prepend(BENCHMARKS)
    # It can only be configured before its first operation.
    monkeypatch.setattr(runtime, "configure", lambda *_: None)
    runpy.run_path(str(BENCHMARKS / "gpu.py"), run_name="__main__")
    said = capsys.readouterr().out
    rows = [line.strip("| ").split(" | ") for line in said.splitlines() if "|" in line]
    assert ["two trainings agree bit by bit", "yes"] in rows
    (mixed,) = [row[1] for row in rows if row[0].startswith("mixed_bfloat16 on CPU against")]
    # Eight bits of a bfloat16's fraction, in a network of unit scale.
    outputs, gradient = map(float, re.findall(r"[\d.]+e[-+]\d+", mixed))
    assert 0 < outputs < 0.1
    assert 0 < gradient < 0.1
    rates = {tuple(row[:4]): row[4] for row in rows if len(row) == 5 and row[0].isdigit()}
    assert set(rates) == {("2", "1", "no", "float32"), ("2", "2", "no", "float32")}
    assert all(float(rate.split()[0].replace(",", "")) > 0 for rate in rates.values())


def test_the_script_hands_over_what_it_is_given():
    found = subprocess.run(
        [BENCHMARKS / "gpu.sh", *OPTIONS],
        env=os.environ | {"PYTHON": "/bin/echo"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.splitlines()[-1].split() == ["benchmarks/gpu.py", *OPTIONS]
