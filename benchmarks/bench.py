"""Speed of training and inference as ratios to other codes, measured in turn on this machine.

    python benchmarks/bench.py [--peers PYTHON [--h1-code DIR]] [--rounds N] [--seconds S]

Contenders are processes that stay ready and work one at a time, round after round, so that what
else the machine does hits all of them. Ratios are taken within a round; the tables give their
median, lowest and highest. See benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from omniflow import config as settings
from omniflow.events import store
from omniflow.events.batches import Source
from omniflow.events.features import open_features
from omniflow.files import write_text
from omniflow.stages import samples
from omniflow.unfolding import estimate
from omniflow.unfolding.plan import Plan

HERE = Path(__file__).parent
DATA = HERE.parent / "tests" / "data"
PARTICLES = 132  # what the H1 code pads to
# arXiv:2503.20753 and the code behind it: width 64, 4 heads, 4 blocks, batch 256, Lion.
CONFIG = {
    "study": {"name": "bench"},
    "samples": {
        "data": {"source": "h1", "files": [str(DATA / "h1_nature.h5")]},
        "simulation": {"source": "h1", "files": [str(DATA / "h1_simulation.h5")]},
    },
    "training": {"batch_size": 256, "micro_batches": 4},
    "methods": {"none": {}},
}
# Records of the closure study's samples (docs/closure.md): those in step 1, and simulated ones.
STEP_1, SIMULATED = 93_000, 120_000


class Contender:
    """A worker process that answers how much it did in so many seconds."""

    def __init__(self, python: str, worker: str, *arguments: object) -> None:
        """Start the process and wait until it is ready."""
        self.process = subprocess.Popen(
            [python, HERE / "workers" / worker, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "STARTED": str(time.time())},
        )
        while not (line := self.process.stdout.readline()).startswith("ready "):
            if not line:
                sys.exit(f"{worker} {arguments}: ended with {self.process.wait()}; run it by hand.")
        self.start = float(line.split()[1])

    def ask(self, task: str, seconds: float) -> None:
        """Let it work."""
        print(task, seconds, file=self.process.stdin, flush=True)

    def rate(self) -> float:
        """Return units of work per second of the last question."""
        answer = json.loads(self.process.stdout.readline())
        return answer["events"] / answer["seconds"]


def main() -> None:
    """Prepare inputs, run all rounds, print the tables as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peers", help="python with TensorFlow 2.15 and the omnifold package")
    parser.add_argument("--h1-code", type=Path, help="checkout of the H1 code, step_ensemble")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=6.0)
    options = parser.parse_args()
    if options.h1_code and not (options.peers and (options.h1_code / "scripts").is_dir()):
        parser.error("--h1-code takes a checkout with its folder scripts, and --peers to run it.")
    with tempfile.TemporaryDirectory() as folder:
        plan, counts = prepare(Path(folder))
        ours = [folder, "native"]
        teams = {
            "native, 2 processes": [Contender(sys.executable, "ours.py", *ours, 1) for _ in "ab"],
            "native, 2 threads": [Contender(sys.executable, "ours.py", *ours, 2)],
            "tensorflow, 2 threads": [
                Contender(sys.executable, "ours.py", folder, "tensorflow", 2)
            ],
            "(a) padded to 132, no identities": [Contender(sys.executable, "padded.py", folder, 2)],
        }
        if options.peers:
            peers = {
                "(b) omnifold's PET, padded to 132": ("package.py", folder, "pet"),
                "(b) omnifold's MLP on event features": ("package.py", folder, "mlp"),
            }
            if options.h1_code:
                code = options.h1_code.resolve()
                peers["(c) H1 code, padded to 132"] = ("h1.py", folder, code)
            for name, arguments in peers.items():
                teams[name] = [Contender(options.peers, *arguments)]
        rates = {
            task: measure(teams, task, options.rounds, options.seconds)
            for task in ("train", "infer")
        }
        matrix = {
            task: measure(
                {"matrix": teams["native, 2 processes"]}, task, options.rounds, options.seconds / 3
            )["matrix"]
            for task in ("matrix", "shape")
        }
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores,")
    mean = counts.mean()
    print(f"{options.rounds} rounds of {options.seconds} s; {mean:.1f} particles per event.\n")
    table(rates)
    print("\n| code | process start to first update, s |\n|---|---|")
    for name, team in teams.items():
        print(f"| {name} | {team[0].start:.1f} |")
    arithmetic(plan, counts, rates["train"]["native, 2 processes"], matrix)


def prepare(folder: Path) -> tuple[Plan, np.ndarray]:
    """Write store, features and the padded arrays of other codes; return multiplicities (n,)."""
    config = settings.validate(CONFIG | {"study": {"name": "bench", "output": str(folder)}})
    plan = Plan(config)
    write_text(settings.dump(config), folder / "config.yaml")
    samples.make_store(plan, "simulation")
    samples.make_scaling(plan)
    samples.make_features(plan, "simulation", "particle")
    features = open_features(plan.features("simulation", "particle"))
    events = store.open_store(plan.store("simulation"))
    yes = np.ones(len(events), bool)
    source = Source(features, events.event_id, yes, (), ())
    batch = source.batch(np.arange(len(events)), PARTICLES)
    np.savez(
        folder / "padded.npz",
        particle=batch.particles,
        mask=batch.mask[..., None],
        event=batch.event,
    )
    return plan, np.diff(features.offsets)


def measure(
    teams: dict[str, list[Contender]], task: str, rounds: int, seconds: float
) -> dict[str, list[float]]:
    """Return per team its rate in each round; the members of a team work side by side."""
    rates: dict[str, list[float]] = {name: [] for name in teams}
    for _ in range(rounds):
        for name, team in teams.items():
            for contender in team:
                contender.ask(task, seconds)
            rates[name].append(sum(contender.rate() for contender in team))
    return rates


def table(rates: dict[str, dict[str, list[float]]]) -> None:
    """Print rates, and ratios of the first contender to each."""
    first = next(iter(rates["train"]))
    print("| code | training, events/s | inference, events/s | iteration-epoch, s |")
    print("|---|---|---|---|")
    epochs = {}
    for name in rates["train"]:
        # In step 2 the public codes evaluate every event twice, once per class.
        twice = 2 if name.startswith("(") else 1
        epochs[name] = [(STEP_1 + twice * SIMULATED) / rate for rate in rates["train"][name]]
        values = [spread(rates[task][name], "{:,.0f}") for task in ("train", "infer")]
        print(f"| {name} | {values[0]} | {values[1]} | {spread(epochs[name], '{:,.0f}')} |")
    print(
        f"\n| ratio of *{first}* to | training | inference | iteration-epoch |\n|---|---|---|---|"
    )
    for name in list(rates["train"])[1:]:
        columns = [
            [a / b for a, b in zip(rates[task][first], rates[task][name], strict=True)]
            for task in ("train", "infer")
        ]
        columns.append([b / a for a, b in zip(epochs[first], epochs[name], strict=True)])
        print(f"| {name} | " + " | ".join(spread(c, "{:.1f}") for c in columns) + " |")


def arithmetic(
    plan: Plan, counts: np.ndarray, rates: list[float], matrix: dict[str, list[float]]
) -> None:
    """Print the arithmetic that training achieves beside TensorFlow's own matrix products."""
    settings = plan.config.classifier
    particle, event = estimate.parameters(settings)
    # A multiplication and an addition per parameter, forward and twice as much backward.
    dense = 6 * (particle * counts.mean() + event)
    # Two products of n x n x width per block, and twice as much backward.
    attention = 12 * np.mean(counts.astype(float) ** 2) * settings.width * settings.blocks
    print(
        f"\nUnpadded arithmetic per event: {dense / 1e6:.1f} MFLOP in dense layers, "
        f"{attention / 1e6:.1f} MFLOP in products of attention.\n"
    )
    print("| two processes of one thread | GFLOP/s |\n|---|---|")
    shape = [rate / 1e9 for rate in matrix["shape"]]
    shares = []
    for label, operations in (("dense layers", dense), ("with attention", dense + attention)):
        achieved = [rate * operations / 1e9 for rate in rates]
        share = [a / m for a, m in zip(achieved, shape, strict=True)]
        print(f"| training, {label} | {spread(achieved, '{:.0f}')} |")
        shares.append(f"| training, {label} / TensorFlow's shape | {spread(share, '{:.2f}')} |")
    for task, label in (("shape", "4608 x 64 x 128"), ("matrix", "4096^3")):
        print(f"| TensorFlow, {label} | {spread([r / 1e9 for r in matrix[task]], '{:.0f}')} |")
    print("\n".join(shares))


def spread(values: list[float], form: str) -> str:
    """Median with lowest and highest value."""
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{form.format(middle)} ({form.format(low)} to {form.format(high)})"


if __name__ == "__main__":
    main()
