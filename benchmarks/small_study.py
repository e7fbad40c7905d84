"""Time of a whole small study beside the `omnifold` package, each in one process.

    python benchmarks/small_study.py --peers PYTHON [--members 13] [--rounds 3] [--events 10000]

Six smeared Gaussian columns; step ensembles, four iterations, so 8 networks per member (104 by
default), all with hidden layers of 64, 128 and 64 units, Adam and the same number of epochs. The
time is from the start of the process to the weights. Rounds take turns; ratios are within a round.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
COLUMNS, SHIFT = 6, 0.3


def arrays(events: int) -> dict[str, np.ndarray]:
    """Return data, and simulation at both levels, (n, 6) each; truth is shifted by `SHIFT`."""
    rng = np.random.default_rng(1)
    truth, particle = rng.normal(size=(2, events, COLUMNS)).astype(np.float32)
    smeared = [values + rng.normal(0, 0.5, values.shape) for values in (truth + SHIFT, particle)]
    data, detector = (values.astype(np.float32) for values in smeared)
    return {"data": data, "detector": detector, "particle": particle}


def run(python: str, worker: str, *arguments: object) -> tuple[float, float]:
    """Return seconds of the process, and the unfolded mean of the first column."""
    found = subprocess.run(
        [python, HERE / "workers" / worker, *map(str, arguments)],
        env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "STARTED": str(time.time())},
        capture_output=True,
        text=True,
    )
    lines = [line.split() for line in found.stdout.splitlines() if line.startswith("result ")]
    if not lines:
        sys.exit(f"{worker} ended with {found.returncode}:\n{found.stderr[-2000:]}")
    return float(lines[-1][1]), float(lines[-1][2])


def main() -> None:
    """Run all rounds and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--peers", required=True, help="python with the omnifold package")
    parser.add_argument("--members", type=int, default=13)
    parser.add_argument("--iterations", type=int, default=4)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--events", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "arrays.npz"
        np.savez(path, **arrays(options.events))
        sizes = (path, options.members, options.iterations, options.epochs, options.batch)
        ours, worker = (sys.executable, "small_study_ours.py"), "small_study_package.py"
        contenders = {
            "native": (*ours, *sizes, "native"),
            "tensorflow": (*ours, *sizes, "tensorflow"),
            "omnifold package": (options.peers, worker, *sizes),
        }
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in contenders}
        for _ in range(options.rounds):
            for name, arguments in contenders.items():
                found[name].append(run(*arguments))
    networks = 2 * options.iterations * options.members
    print(f"{networks} networks, {options.events} events of each sample, {options.epochs} epochs,")
    print(f"batches of {options.batch}; the mean of the first column is {SHIFT} in truth.\n")
    print("| code | seconds | relative to *native* | mean |\n|---|---|---|---|")
    for name, results in found.items():
        seconds = [result[0] for result in results]
        ratios = [a / b[0] for a, b in zip(seconds, found["native"], strict=True)]
        print(
            f"| {name} | {spread(seconds, '{:.1f}')} | {spread(ratios, '{:.2f}')} | "
            f"{results[0][1]:.3f} |"
        )


def spread(values: list[float], form: str) -> str:
    """Median with lowest and highest value."""
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{form.format(middle)} ({form.format(low)} to {form.format(high)})"


if __name__ == "__main__":
    main()
