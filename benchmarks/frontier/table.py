"""Spread, bias and relative MSE of cheap members against processor time, from finished passes.

    python benchmarks/frontier/table.py FOLDER [FOLDER ...]

Writes OUTPUT (default: table.csv beside this script), and prints it as Markdown. With u the
contents of a pass relative to truth, over passes of a seed, averaged over bins and then seeds:

    sigma    = sqrt(variance of u)
    bias     = sqrt((mean of u - 1)^2 - variance of the mean)
    rel_mse  = (u - 1)^2
    rho      = 1 - W / (V + W (1 - 1/K)), with V the variance of the mean of K members over passes
               and W the variance between members of a pass, so that
               sigma(K)^2 = sigma(1)^2 (rho + (1 - rho) / K)

`rho_first` is that of step 1 of the first iteration, where all passes learn from the same events
and weights, so that independent networks have 0; `rho_last` that of the last step, with all that
earlier steps scatter by. `cost` is the median processor time relative to one network.
`sigma_ratio` and `mse_ratio` divide by what independent networks of the same cost have:
a + b / cost, fitted to the variances (relative MSEs) of 1, 2, 4 and 8 of them. Errors are of a
jackknife over passes.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from study import VARIANTS

REFERENCE = "independent 1"
# Columns, factors, digits, and whether errors stand beside.
FORMS = (
    *(("cost", 1, 1, False), ("sigma", 100, 2, False), ("bias", 100, 2, False)),
    *(("rel_mse", 1e4, 1, False), ("rho_first", 1, 2, False), ("rho_last", 1, 2, False)),
    *(("sigma_ratio", 1, 2, True), ("mse_ratio", 1, 3, True)),
)
FEWEST = 3  # passes of a seed
FRONTIER = tuple(f"independent {count}" for count in (1, 2, 4, 8))


def read(folders: list[Path]) -> pd.DataFrame:
    """Return the passes of variants that have enough of them, with contents as arrays."""
    found = pd.concat([pd.read_csv(folder / "passes.csv") for folder in folders])
    passes = found.groupby(["sample", "seed", "variant"])["pass"].transform("size")
    found = found[passes >= FEWEST].sort_values(["sample", "seed", "pass"], kind="stable")
    for name in ("first", "last"):
        found[name] = [np.array(text.split(), float) for text in found[name]]
    return found


def numbers(passes: list[pd.DataFrame]) -> dict[str, float]:
    """Return the numbers of a variant from its passes by seed."""
    every = [_of_seed(found) for found in passes]
    mean = {name: np.mean([one[name] for one in every]) for name in every[0]}
    result = {"variance": mean["last"], "rel_mse": mean["rel_mse"]}
    result["bias"] = np.sqrt(max(mean["bias_squared"], 0.0))
    for name in ("first", "last"):
        count, within = mean[f"members_{name}"], mean[f"within_{name}"]
        single = mean[name] + within * (1 - 1 / count)
        result[f"rho_{name}"] = 1 - within / single if count > 1 else np.nan
    return result


def _of_seed(passes: pd.DataFrame) -> dict[str, float]:
    """Return means over bins."""
    last, first = np.stack(passes["last"]), np.stack(passes["first"])
    variance = last.var(axis=0, ddof=1)
    return {
        "last": variance.mean(),
        "first": first.var(axis=0, ddof=1).mean(),
        "rel_mse": ((last - 1) ** 2).mean(),
        "bias_squared": ((last.mean(axis=0) - 1) ** 2 - variance / len(last)).mean(),
        **{
            name: passes[name].mean()
            for name in ("within_first", "within_last", "members_first", "members_last")
        },
    }


def table(passes: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of a sample, by variant, with errors."""
    seconds = passes.groupby("variant", sort=False)["seconds"].median()
    cost = seconds / seconds[REFERENCE]
    groups = {
        variant: [one for _, one in found.groupby("seed")]
        for variant, found in passes.groupby("variant", sort=False)
    }
    nominal = _relative({name: numbers(found) for name, found in groups.items()}, cost)
    errors = _errors(groups, cost)
    result = pd.DataFrame({"passes": passes.groupby("variant", sort=False).size(), "cost": cost})
    for name in nominal:
        result[name], result[f"{name}_error"] = nominal[name], errors[name]
    ordered = [name for name in VARIANTS if name in result.index]
    return result.loc[ordered].reset_index(names="variant")


def _errors(groups: dict[str, list[pd.DataFrame]], cost: pd.Series) -> pd.DataFrame:
    """Return the errors of all numbers by variant: a jackknife over passes, group by group."""
    whole = {name: numbers(found) for name, found in groups.items()}
    total: float | pd.DataFrame = 0.0
    for name, seeds in groups.items():
        for seed, passes in enumerate(seeds):
            left = [
                _relative(whole | {name: numbers(_without(seeds, seed, i))}, cost)
                for i in range(len(passes))
            ]
            variance = pd.concat(left).groupby(level=0).var(ddof=1)
            total = total + (len(passes) - 1) ** 2 / len(passes) * variance
    return np.sqrt(total)


def _without(seeds: list[pd.DataFrame], seed: int, number: int) -> list[pd.DataFrame]:
    """Return the passes by seed without one of them."""
    return [
        found.drop(found.index[number]) if i == seed else found for i, found in enumerate(seeds)
    ]


def _relative(found: dict[str, dict[str, float]], cost: pd.Series) -> pd.DataFrame:
    """Return the numbers by variant, with ratios to independent networks of the same cost."""
    result = pd.DataFrame(found).T
    for name, ratio in (("variance", "sigma_ratio"), ("rel_mse", "mse_ratio")):
        own = result.loc[list(FRONTIER), name]
        basis = np.stack([np.ones(len(FRONTIER)), 1 / cost[list(FRONTIER)]], axis=1)
        # Relative errors of variances are alike.
        fitted = np.linalg.lstsq(basis / own.to_numpy()[:, None], np.ones(len(own)), rcond=None)[0]
        result[ratio] = result[name] / (fitted[0] + fitted[1] / cost[result.index])
    result["sigma_ratio"] = np.sqrt(result["sigma_ratio"])
    result.insert(0, "sigma", np.sqrt(result.pop("variance")))
    return result


def markdown(found: dict[str, pd.DataFrame]) -> str:
    """Return a table with the numbers of all samples in each cell; sigma and bias in percent.

    Relative MSEs are in units of 1e-4, and errors stand at the ratios.
    """
    samples = [one.set_index("variant") for one in found.values()]
    lines = [
        "| members | cost | sigma, % | bias, % | rel. MSE, 1e-4 | rho, first | rho, last "
        "| sigma ratio | MSE ratio |",
        "|---" * 9 + "|",
    ]
    for variant in samples[0].index:
        rows = [one.loc[variant] for one in samples]
        cells = [" / ".join(_cell(row, *form) for row in rows) for form in FORMS]
        lines.append(f"| {' | '.join([variant, *cells])} |")
    return "\n".join(lines)


def _cell(row: pd.Series, name: str, factor: float, digits: int, error: bool) -> str:
    if np.isnan(row[name]):
        return "–"
    text = f"{factor * row[name]:.{digits}f}"
    return f"{text} ± {factor * row[f'{name}_error']:.{digits}f}" if error else text


def main() -> None:
    """Write and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--output", type=Path, default=Path(__file__).with_name("table.csv"))
    options = parser.parse_args()
    passes = read(options.folders).groupby("sample")
    found = {sample: table(one) for sample, one in passes}
    rows = pd.concat([one.assign(sample=sample) for sample, one in found.items()])
    rows.insert(0, "sample", rows.pop("sample"))
    rows.to_csv(options.output, index=False, float_format="%.5g")
    print(f"{' / '.join(found)}\n\n{markdown(found)}")


if __name__ == "__main__":
    main()
