"""Speed of training and inference as ratios to other codes, measured in turn on this machine.

    python benchmarks/bench.py [--peers PYTHON [--h1-code DIR]] [--rounds N] [--seconds S]
                               [--epochs N]
    python benchmarks/bench.py --vectors [--rounds N] [--seconds S]

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
import studies

from omniflow.events import store
from omniflow.events.batches import Source
from omniflow.events.features import Features, open_features
from omniflow.events.sample import Events
from omniflow.unfolding import estimate
from omniflow.unfolding.plan import Plan

HERE = Path(__file__).parent
PARTICLES = 132  # what the H1 code pads to
# arXiv:2503.20753 and the code behind it: width 64, 4 heads, 4 blocks, batch 256, Lion.
TRAINING = {"batch_size": 256, "micro_batches": 4, "epochs": 1}
# The closure study's samples (docs/closure.md).
RECORDS = {"data": 60_000, "simulation": 120_000}
# Vectors of half the length, on a processor that has AVX-512.
AVX2 = "-mno-avx512f -mprefer-vector-width=256"
# What slow codes run through of an iteration-epoch.
TENSORFLOW, PADDED, TREES = 0.1, 0.02, 0.1


class Contender:
    """A worker process that answers how much it did in so many seconds."""

    def __init__(
        self,
        python: str,
        worker: str,
        *arguments: object,
        fraction: float = 1.0,
        flags: str = "",
    ) -> None:
        """Start the process and wait until it is ready.

        Args:
            python: the interpreter.
            worker: a module in workers/.
            arguments: of the worker.
            fraction: of the events that it runs through in an iteration-epoch.
            flags: more of the compiler of the native engine.
        """
        self.fraction = fraction
        self.process = subprocess.Popen(
            [python, HERE / "workers" / worker, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=os.environ
            | {"TF_CPP_MIN_LOG_LEVEL": "3", "STARTED": str(time.time())}
            | {"OMNIFLOW_CXXFLAGS": flags},
        )
        while not (line := self.process.stdout.readline()).startswith("ready "):
            if not line:
                sys.exit(f"{worker} {arguments}: ended with {self.process.wait()}; run it by hand.")
        self.start = float(line.split()[1])

    def ask(self, task: str, how_much: float) -> None:
        """Let it work: so many seconds, or on an epoch of this fraction of the events."""
        print(task, how_much, file=self.process.stdin, flush=True)

    def answer(self) -> dict[str, float]:
        """Return events and seconds of the last question."""
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"{self.process.args[1:]}: ended with {self.process.wait()}; run it by hand.")
        return json.loads(line)

    def rate(self) -> float:
        """Return units of work per second of the last question."""
        answer = self.answer()
        return answer["events"] / answer["seconds"]


def main() -> None:
    """Prepare inputs, run all rounds, print the tables as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peers", help="python with TensorFlow 2.15 and the omnifold package")
    parser.add_argument("--h1-code", type=Path, help="checkout of the H1 code, step_ensemble")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--epochs", type=int, default=3, help="rounds of whole iteration-epochs")
    parser.add_argument("--vectors", action="store_true", help="the native engine by AVX2 alone")
    options = parser.parse_args()
    if options.h1_code and not (options.peers and (options.h1_code / "scripts").is_dir()):
        parser.error("--h1-code takes a checkout with its folder scripts, and --peers to run it.")
    with tempfile.TemporaryDirectory() as folder:
        plan, counts = prepare(Path(folder))
        ours, padded = (folder, "native"), {"fraction": PADDED}
        if options.vectors:
            teams = {
                name: [Contender(sys.executable, "ours.py", *ours, 1, flags=flags)]
                for name, flags in (("native", ""), ("native, AVX2", AVX2))
            }
            table(
                {
                    task: measure(teams, task, options.rounds, options.seconds)
                    for task in ("train", "infer")
                }
            )
            return
        teams = {
            "native, 2 processes": [Contender(sys.executable, "ours.py", *ours, 1) for _ in "ab"],
            "native, 2 threads": [Contender(sys.executable, "ours.py", *ours, 2)],
            "tensorflow, 2 threads": [
                Contender(sys.executable, "ours.py", folder, "tensorflow", 2, fraction=TENSORFLOW)
            ],
            "tensorflow with XLA, 2 threads": [
                Contender(sys.executable, "ours.py", folder, "tensorflow-xla", 2, **padded)
            ],
            "(a) padded to 132, no identities": [
                Contender(sys.executable, "padded.py", folder, 2, **padded)
            ],
        }
        if options.peers:
            python = options.peers
            teams["(b) omnifold's PET, padded to 132"] = [
                Contender(python, "package.py", folder, "pet", **padded)
            ]
            teams["(b) omnifold's MLP on event features"] = [
                Contender(python, "package.py", folder, "mlp")
            ]
            teams["(d) gradient-boosted trees on event features"] = [
                Contender(python, "bdt.py", folder, fraction=TREES)
            ]
            if options.h1_code:
                teams["(c) H1 code, padded to 132"] = [
                    Contender(python, "h1.py", folder, options.h1_code.resolve(), **padded)
                ]
        rates = {
            task: measure(teams, task, options.rounds, options.seconds)
            for task in ("train", "infer")
        }
        native = {"native": teams["native, 2 processes"]}
        # Side by side in time, because their ratio is what counts.
        matrix: dict[str, list[float]] = {"train": [], "shape": [], "matrix": []}
        for _ in range(options.rounds):
            for task, found in matrix.items():
                found += measure(native, task, 1, options.seconds / 2)["native"]
        own = {name: teams[name] for name in list(teams)[:3]}
        passes: dict[str, list[float]] = {name: [] for name in own}
        for _ in range(options.rounds):
            infer, forward = (
                measure(own, task, 1, options.seconds / 2) for task in ("infer", "forward")
            )
            for name, found in passes.items():
                found.append(infer[name][0] / forward[name][0])
        epochs = iteration_epochs(teams, options.epochs)
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores,")
    mean = counts.mean()
    print(f"{options.rounds} rounds of {options.seconds} s; {mean:.1f} particles per event.\n")
    table(rates)
    if options.epochs:
        epoch_table(teams, epochs)
    print("\n| code | process start to first update, s |\n|---|---|")
    for name, team in teams.items():
        print(f"| {name} | {team[0].start:.1f} |")
    print("\n| code | rate of inference / of training's forward pass |\n|---|---|")
    for name, found in passes.items():
        print(f"| {name} | {spread(found, '{:.2f}')} |")
    arithmetic(plan, counts, matrix)


def prepare(folder: Path) -> tuple[Plan, np.ndarray]:
    """Write the study and the other codes' arrays; return particles per generated event (n,)."""
    plan = studies.make(folder, training=TRAINING)
    events = {role: studies.repeated(role, count) for role, count in RECORDS.items()}
    studies.write(plan, events, ("detector", "particle"))
    inputs = {
        (role, level): open_features(plan.features(role, level))
        for role, level in (
            ("data", "detector"),
            ("simulation", "detector"),
            ("simulation", "particle"),
        )
    }
    opened = {role: store.open_store(plan.store(role)) for role in RECORDS}
    rng = np.random.default_rng(1)
    # Per step class A and class B, which in step 2 are the same events twice.
    data, simulation = (opened[role].pass_detector for role in ("data", "simulation"))
    everything = np.ones(len(simulation), bool)
    pairs = {
        1: (("data", "detector", data), ("simulation", "detector", simulation)),
        2: (("simulation", "particle", everything),) * 2,
    }
    for step, pair in pairs.items():
        for name, fraction in (("all", 1.0), ("padded", PADDED)):
            parts = [
                arrays(opened[role], inputs[role, level], select, fraction, name == "padded")
                for role, level, select in pair
            ]
            label = np.repeat([1.0, 0.0], [len(part["event"]) for part in parts])
            order = rng.permutation(len(label))
            joined = {key: np.concatenate([p[key] for p in parts])[order] for key in parts[0]}
            np.savez(folder / f"{name}-{step}.npz", label=label[order], **joined)
    particle = inputs["simulation", "particle"]
    return plan, np.diff(particle.offsets)


def arrays(
    events: Events, inputs: Features, select: np.ndarray, fraction: float, particles: bool
) -> dict[str, np.ndarray]:
    """Return event features and, padded, particles of the first `fraction` of the records."""
    index = np.flatnonzero(select[: round(fraction * len(select))])
    if not particles:
        return {"event": inputs.event[index]}
    batch = Source(inputs, events.event_id, select, (), ()).batch(index, PARTICLES)
    return {"event": batch.event, "particle": batch.particles, "mask": batch.mask[..., None]}


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


def iteration_epochs(teams: dict[str, list[Contender]], rounds: int) -> dict[str, list[float]]:
    """Return per team, in each round, the seconds of one iteration-epoch of all events.

    Teams run through a fraction of the events. Every member of a team has an iteration-epoch of
    its own, side by side with the others.
    """
    seconds: dict[str, list[float]] = {name: [] for name in teams}
    for _ in range(rounds):
        for name, team in teams.items():
            for contender in team:
                contender.ask("epoch", contender.fraction)
            longest = max(contender.answer()["seconds"] for contender in team)
            seconds[name].append(longest / team[0].fraction / len(team))
    return seconds


def table(rates: dict[str, dict[str, list[float]]]) -> None:
    """Print rates, and ratios of the first contender to each."""
    first = next(iter(rates["train"]))
    print("| code | training, events/s | inference, events/s |\n|---|---|---|")
    for name in rates["train"]:
        columns = [spread(rates[task][name], "{:,.0f}") for task in rates]
        print(f"| {name} | " + " | ".join(columns) + " |")
    print(f"\n| ratio of *{first}* to | training | inference |\n|---|---|---|")
    for name in list(rates["train"])[1:]:
        columns = [
            spread([a / b for a, b in zip(found[first], found[name], strict=True)], "{:.3g}")
            for found in rates.values()
        ]
        print(f"| {name} | " + " | ".join(columns) + " |")


def epoch_table(teams: dict[str, list[Contender]], epochs: dict[str, list[float]]) -> None:
    """Print the time of an iteration-epoch, how much of it was run, and ratios to the first."""
    first = next(iter(epochs))
    print(f"\n| code | events run through | iteration-epoch, s | relative to *{first}* |")
    print("|---|---|---|---|")
    for name, seconds in epochs.items():
        ratios = [a / b for a, b in zip(seconds, epochs[first], strict=True)]
        print(
            f"| {name} | {100 * teams[name][0].fraction:.0f}% | {spread(seconds, '{:,.0f}')} | "
            f"{spread(ratios, '{:.3g}')} |"
        )


def arithmetic(plan: Plan, counts: np.ndarray, rates: dict[str, list[float]]) -> None:
    """Print the arithmetic that training achieves beside TensorFlow's own matrix products."""
    settings = plan.config.classifier
    particle, event = estimate.parameters(plan, "detector")
    # A multiplication and an addition per parameter, forward and twice as much backward.
    dense = 6 * (particle * counts.mean() + event)
    # Two products of n x n x width per block, and twice as much backward.
    attention = 12 * np.mean(counts.astype(float) ** 2) * settings.width * settings.blocks
    print(
        f"\nUnpadded arithmetic per event: {dense / 1e6:.1f} MFLOP in dense layers, "
        f"{attention / 1e6:.1f} MFLOP in products of attention.\n"
    )
    print("| two processes of one thread | GFLOP/s |\n|---|---|")
    shares = []
    for label, operations in (("dense layers", dense), ("with attention", dense + attention)):
        achieved = [rate * operations / 1e9 for rate in rates["train"]]
        share = [1e9 * a / rate for a, rate in zip(achieved, rates["shape"], strict=True)]
        print(f"| training, {label} | {spread(achieved, '{:.0f}')} |")
        shares.append(f"| training, {label} / TensorFlow's shape | {spread(share, '{:.2f}')} |")
    for task, label in (("shape", "4608 x 64 x 128"), ("matrix", "4096^3")):
        print(f"| TensorFlow, {label} | {spread([rate / 1e9 for rate in rates[task]], '{:.0f}')} |")
    print("\n".join(shares))


def spread(values: list[float], form: str) -> str:
    """Median with lowest and highest value."""
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{form.format(middle)} ({form.format(low)} to {form.format(high)})"


if __name__ == "__main__":
    main()
