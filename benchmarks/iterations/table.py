"""The table of docs/iterations.md from distances that `study.py` has collected.

    python benchmarks/iterations/table.py DISTANCES.csv

Of the last method and its mean: the median of prior / result over seven observables, the average of
distance / floor over all (with the floor of iteration 1), and of the observables that end above
their floor the one that ends farthest above its best iteration.
"""

from __future__ import annotations

import argparse

import pandas as pd

SEVEN = (
    "eta_p_minus_eta_e", "log10_pt", "log10_pt_over_q", "q2", "eta_e", "y", "multiplicity"
)  # fmt: skip


def row(rows: pd.DataFrame) -> list[str]:
    """Return the cells of one study."""
    rows = rows[rows["method"] == rows["method"].iloc[-1]]
    rows = rows[rows["combine"].isin(["mean", "none"])]
    distance = rows.pivot(index="observable", columns="iteration", values="td")
    prior = rows.groupby("observable")["td_prior"].first()
    floor = rows[rows["iteration"] == 1].set_index("observable")["td_floor"]
    improvement = distance.rdiv(prior, axis=0).loc[list(SEVEN)].median()
    far = distance.div(floor, axis=0).mean()
    last = rows[rows["iteration"] == distance.columns[-1]].set_index("observable")
    rise = (last["td"] / distance.min(axis=1))[last["td"] > last["td_floor"]]
    worst = rise.idxmax()
    return [
        ", ".join(f"{value:.1f}" for value in improvement),
        ", ".join(f"{value:.2f}" for value in far),
        f"{worst} {rise[worst]:.2f}",
    ]


def main() -> None:
    """Print the table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("distances")
    found = pd.read_csv(parser.parse_args().distances)
    print("| pair | policy | seed | prior / result | distance / floor | last / best, worst |")
    print("|---|---|---|---|---|---|")
    for (pair, policy, seed), rows in found.groupby(["pair", "policy", "seed"]):
        print(f"| {pair} | {policy} | {seed} | {' | '.join(row(rows))} |")


if __name__ == "__main__":
    main()
