"""Tables of finished studies, small enough to be kept: ratios of methods, averages, costs.

    python benchmarks/study/collect.py dis-strategies results/study-strategies
    python benchmarks/study/collect.py zjets-optimizers results/zjets/study-optimizers*

Of several studies with the same samples and seeds, methods of the later ones are called by study
and method, or by its folder where the study has the same name; passes of all of them share random
numbers, so they are compared in pairs as well.
"""

from __future__ import annotations

import argparse
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd

from omniflow import config as settings
from omniflow.evaluation.comparison import ALL, compare, distances, spreads
from omniflow.evaluation.histograms import Unfolded, normalise
from omniflow.stages.finished import Finished
from omniflow.unfolding.plan import Plan

TABLES = Path(__file__).parents[2] / "docs" / "study" / "tables"
AVERAGES = ["bias_rel", "sigma_rel", "rel_mse"]
DIGITS = 5


def main() -> None:
    """Write ratios, averages and costs of studies under a name."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", help="events and question, such as dis-strategies")
    parser.add_argument("studies", nargs="+", type=Path)
    given = parser.parse_args()
    studies = {label(path, given.studies): opened(path) for path in given.studies}
    tables = {
        "ratios": ratios(studies),
        "averages": averages(given.studies),
        "costs": costs(given.studies),
        "networks": networks(given.studies),
    }
    TABLES.mkdir(parents=True, exist_ok=True)
    for kind, table in tables.items():
        path = TABLES / f"{given.name}-{kind}.csv"
        table.to_csv(path, index=False, float_format=f"%.{DIGITS}g")
        print(f"{path}: {len(table)} rows")


def opened(path: Path) -> Finished:
    """Return a finished study; paths in its configuration are those of where it ran."""
    config = settings.load(path / "config.yaml")
    moved = config.study.model_copy(update={"output": str(path.parent)})
    return Finished(Plan(config.model_copy(update={"study": moved})))


def label(path: Path, studies: list[Path]) -> str:
    """Return what stands before the methods of a study; nothing before those of the first.

    The last word of its name, or of its folder if the name is that of the first.
    """
    if path == studies[0]:
        return ""
    other = path.parent if path.name == studies[0].name else path
    return f"{other.name.rpartition('-')[2]}/"


def ratios(studies: dict[str, Finished]) -> pd.DataFrame:
    """Compare all pairs of methods in every iteration, and combinations of lanes with the first."""
    found: dict[tuple[int, str], tuple[str, dict]] = {}
    for prefix, study in studies.items():
        for result in study.results("particle"):
            main = result.combine == study.first[result.method]
            name = f"{prefix}{result.method}" + ("" if main else f"/{result.combine}")
            found[result.iteration, name] = (prefix + result.method, deviations(result, study))
    last = max(iteration for iteration, _ in found)
    rows = []
    for iteration in sorted({iteration for iteration, _ in found}):
        names = [name for number, name in found if number == iteration]
        for one, other in combinations(names, 2):
            (method, a), (second, b) = found[iteration, one], found[iteration, other]
            if method != second and (one, other) != (method, second):
                continue  # two combinations of two methods
            rows += [
                {"iteration": iteration, "method": other, "against": one, **row}
                for row in pair(b, a)
                if iteration == last or row["observable"] == ALL
            ]
    return pd.DataFrame(rows)


def deviations(result: Unfolded, study: Finished) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return deviations (n, B) by metric, and the number of each bin's observable (B,)."""
    names = list(result.histograms)
    shape = study.plan.config.unfolding.normalization == "shape"
    scaled = normalise if shape else lambda histogram: histogram
    contents = np.hstack([scaled(result.histograms[name]).content for name in names])
    truth = np.hstack([scaled(study.truth[name]).content for name in names])
    bins = [result.histograms[name].bins for name in names]
    observable = np.repeat(np.arange(len(names)), bins)
    return {
        "names": [ALL, *names],
        "sigma_rel": (spreads(contents), observable),
        "rel_mse": (distances(contents, truth), observable),
    }


def pair(first: dict, second: dict) -> list[dict[str, object]]:
    """Return ratios of the first to the second, of all observables and of each."""
    rows = []
    for metric, power in (("sigma_rel", 1), ("rel_mse", 2)):
        (a, observable), (b, _) = first[metric], second[metric]
        shared = min(len(a), len(b))
        found = compare(a[:shared], b[:shared], observable)
        for place, name in enumerate(first["names"]):
            rows.append(
                {
                    "metric": metric,
                    "observable": name,
                    "ratio": found.ratio[place] ** power,
                    "log_error": found.log_error[place] * power,
                    "p_value": found.p_value[place],
                    "passes": shared + (metric == "sigma_rel"),
                }
            )
    return rows


def averages(paths: list[Path]) -> pd.DataFrame:
    """Return bias, spread, relative MSE and distances by method, combination and iteration."""
    frames = []
    for path in paths:
        table = pd.read_csv(path / "summary.csv")
        table["method"] = label(path, paths) + table["method"]
        table["td_excess"] = table["td"] / table["td_floor"]
        columns = [*AVERAGES, "td_excess", "passes"]
        frames.append(table.groupby(["method", "combine", "iteration"], sort=False)[columns].mean())
    return pd.concat(frames).reset_index()


def costs(paths: list[Path]) -> pd.DataFrame:
    """Return networks, seconds and epochs of training per pass."""
    frames = []
    for path in paths:
        table = pd.read_csv(path / "cost.csv").set_index("method")
        trained = pd.read_csv(path / "timing.csv")
        trained = trained[trained["purpose"] == "unfolding"]
        plan = opened(path).plan
        for name, method in plan.config.methods.items():
            own = (trained["chain"] == plan.chain_slug(method)) & (trained["lane"] < method.lanes)
            table.loc[name, "epochs_per_pass"] = trained.loc[own, "epochs"].sum() / len(plan.passes)
        frames.append(table.rename(index=lambda name, path=path: label(path, paths) + name))
    return pd.concat(frames).reset_index()


def networks(paths: list[Path]) -> pd.DataFrame:
    """Return the spread against the number of networks, averaged over observables."""
    frames = []
    for path in paths:
        table = pd.read_csv(path / "networks.csv")
        table["method"] = label(path, paths) + table["method"]
        keys = ["method", "combine", "varied", "lanes", "members"]
        columns = ["sigma_rel", "expected", "ratio", "floor_squared", "passes"]
        frames.append(table.groupby(keys, sort=False)[columns].mean())
    return pd.concat(frames).reset_index()


if __name__ == "__main__":
    main()
