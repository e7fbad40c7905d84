"""Speed of training MLPs and deep sets, beside matrix products and other codes, in turn.

    python benchmarks/tables.py [--peers PYTHON] [--rounds N] [--seconds S]

As bench.py: contenders take turns, ratios are taken within a round.
"""

from __future__ import annotations

import argparse
import sys

from bench import Contender, measure, spread

BATCHES = (256, 1024, 8192)
# The events of an epoch, of which 80% are trained on.
MLP, DEEPSETS, PEER = 400_000, 40_000, 400_000


def main() -> None:
    """Run all rounds and print the tables as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peers", help="python with TensorFlow 2.15 and the omnifold package")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0)
    options = parser.parse_args()
    names = ["native, 2 processes"]
    ours = {names[0]: [Contender(sys.executable, "small.py", "mlp", "native", MLP) for _ in "ab"]}
    teams = dict(ours)
    if options.peers:
        names.append("omnifold, 2 threads")
        teams[names[1]] = [Contender(options.peers, "package_mlp.py", PEER, options.seconds)]
    print("| MLP 64, 128, 64 | batch | events/s | relative to *native* |\n|---|---|---|---|")
    for size in BATCHES:
        rows: dict[str, list[float]] = {}
        for _ in range(options.rounds):
            for label, task, team in (
                ("training", "epoch", teams),
                ("batch in memory", f"batch_{size}", teams),
                ("products alone, own", f"tiles_{size}", ours),
                ("products alone, BLAS", f"blas_{size}", ours),
            ):
                number = size if task == "epoch" else options.seconds
                for name, found in measure(team, task, 1, number).items():
                    rows.setdefault(f"{name}: {label}", []).extend(found)
        first = rows[f"{names[0]}: training"]
        for name, rates in rows.items():
            ratios = [a / b for a, b in zip(rates, first, strict=True)]
            print(
                f"| {name} | {size:,} | {spread(rates, '{:,.0f}')} | {spread(ratios, '{:.2f}')} |",
                flush=True,
            )
    for team in teams.values():
        for contender in team:
            contender.process.kill()
    deep = {
        "native, 2 processes": [
            Contender(sys.executable, "small.py", "deepsets", "native", DEEPSETS) for _ in "ab"
        ],
        "tensorflow, 2 threads": [
            Contender(sys.executable, "small.py", "deepsets", "tensorflow", DEEPSETS)
        ],
    }
    rates = measure(deep, "epoch", options.rounds, BATCHES[0])
    print("\n| deep sets, batch 256 | events/s | native / this |\n|---|---|---|")
    for name, found in rates.items():
        ratios = [a / b for a, b in zip(rates["native, 2 processes"], found, strict=True)]
        print(f"| {name} | {spread(found, '{:,.0f}')} | {spread(ratios, '{:.1f}')} |")


if __name__ == "__main__":
    main()
