"""Whether "trained too short" is true: its estimate beside trainings of twice the length.

    python benchmarks/iterations/length.py FOLDER --pairs a g --epochs 2 4 8 16 32

One iteration is unfolded with trainings of each length, and of twice the longest. The estimate of
`omniflow.evaluation.saturation` after one length stands beside what twice the epochs added to
what the networks had learned. Nothing that is finished is done again.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd
from study import SHARED, plan_of, prepare, unfold

from omniflow.evaluation.saturation import saturation
from omniflow.stages import tables
from omniflow.training.losses import LOSSES

NETWORKS = {
    "deep sets": {"kind": "deepsets", "width": 32, "features": "dis_sums"},
    "PET": {"kind": "pet", "width": 16, "heads": 2, "blocks": 1, "class_blocks": 1},
}


def learned(folder: Path, pair: str, network: str, epochs: int, seed: int, options) -> pd.DataFrame:
    """Return `saturation` of a study with trainings of so many epochs, by step."""
    events = plan_of(folder / pair / "events", pair, {}, options, 1)
    prepare(events)
    policy = {
        "classifier": NETWORKS[network],
        "training": {"epochs": epochs, "patience": epochs},
    }
    place = folder / pair / f"{network}-{epochs}".replace(" ", "-") / f"seed-{seed}"
    plan = plan_of(place, pair, policy, options, seed)
    plan.root.mkdir(parents=True, exist_ok=True)
    for part in SHARED:
        if not (plan.root / part).exists():
            (plan.root / part).symlink_to((events.root / part).resolve())
    unfold(plan)
    found = saturation(tables.histories(plan)[1], LOSSES[plan.config.training.loss].uninformed)
    return found.set_index("step")


def main() -> None:
    """Run the studies named on the command line and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pairs", nargs="+", required=True)
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--epochs", nargs="+", type=int, default=[2, 4, 8, 16])
    parser.add_argument("--seeds", nargs="+", type=int, default=[1])
    options = parser.parse_args()
    options.iterations = options.lanes = 1
    print("| network | pair | seed | step | epochs | learned | estimate | twice the epochs added |")
    print("|---|---|---|---|---|---|---|---|")
    for network in options.networks:
        for pair in options.pairs:
            for seed in options.seeds:
                found = {
                    epochs: learned(options.folder, pair, network, epochs, seed, options)
                    for epochs in sorted({*options.epochs, *(2 * n for n in options.epochs)})
                }
                for epochs in options.epochs:
                    now, twice = found[epochs], found[2 * epochs]
                    for step in now.index:
                        before, after = now.loc[step, "learned"], twice.loc[step, "learned"]
                        print(
                            f"| {network} | {pair} | {seed} | {step} | {epochs} | "
                            f"{1e3 * before:.2f} | {now.loc[step, 'gain']:.0%} | "
                            f"{(after - before) / before:.0%} |",
                            flush=True,
                        )


if __name__ == "__main__":
    main()
