"""The script for GPUs, in a small form on the CPU: what it checks holds, and every row is there."""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
SMALL = {"networks": 2, "xla": "no", "seconds": 0.01, "particles": 2, "batch": 8}
SMALL |= {"width": 4, "blocks": 1, "class-blocks": 1}


def test_gpu_script(tmp_path):
    options = [str(word) for key, value in SMALL.items() for word in (f"--{key}", value)]
    found = subprocess.run(
        [ROOT / "benchmarks" / "gpu.sh", *options],
        env=os.environ
        | {"PYTHON": sys.executable, "TMPDIR": str(tmp_path), "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    rows = [line.strip("| ").split(" | ") for line in found.stdout.splitlines() if "|" in line]
    assert ["two trainings agree bit by bit", "yes"] in rows
    (mixed,) = [row[1] for row in rows if row[0].startswith("mixed_bfloat16 on CPU against")]
    # Eight bits of a bfloat16's fraction, in a network of unit scale.
    outputs, gradient = map(float, re.findall(r"[\d.]+e[-+]\d+", mixed))
    assert 0 < outputs < 0.1
    assert 0 < gradient < 0.1
    rates = {tuple(row[:4]): row[4] for row in rows if len(row) == 5 and row[0].isdigit()}
    precisions = ("float32", "mixed_bfloat16")
    wanted = {("2", "1"), ("2", "2")}
    assert set(rates) == {(*pair, "no", precision) for pair in wanted for precision in precisions}
    assert all(float(rate.split()[0].replace(",", "")) > 0 for rate in rates.values())
