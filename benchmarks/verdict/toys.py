"""Toys of the verdict's tests: false claims, and power to see a true ratio.

    python benchmarks/verdict/toys.py extract STUDY   # keep the passes of a finished study
    python benchmarks/verdict/toys.py table [TOYS]    # Markdown, for docs/method/comparison.md
    python benchmarks/verdict/toys.py apart [TOYS]    # the same of two studies that share nothing
    python benchmarks/verdict/toys.py tails           # whether passes are normal

Passes of a toy are normal, with the covariance between bins and methods of the passes of that study
(study.yaml beside this file). Spreads are scaled so that a method's mean log ratio to the first one
is what a toy asks for.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import h5py
import numpy as np

from omniflow import config
from omniflow.evaluation import comparison
from omniflow.unfolding.plan import Plan

PASSES = Path(__file__).with_name("passes.npz")
TOYS, ROTATIONS = 1000, 400


def extract(folder: Path) -> dict[str, np.ndarray]:
    """Return contents over their mean, (method, pass, bin), and the observable of each bin."""
    plan = Plan(config.load(folder / "config.yaml"))
    names = list(plan.config.observables.names)
    found = []
    for method in plan.config.methods:
        how = plan.combinations(method)[0]
        with h5py.File(plan.histograms(method)) as file:
            groups = [file[f"particle/{how}/{name}/content"][-1] for name in names]
        found.append(np.hstack(groups))
        bins = [group.shape[1] for group in groups]
    contents = np.array(found)
    used = (contents > 0).all(axis=(0, 1))
    contents = contents[:, :, used] / contents[:, :, used].mean(axis=1, keepdims=True)
    observable = np.repeat(np.arange(len(names)), bins)[used]
    return {"contents": contents.astype(np.float32), "observable": observable.astype(np.uint8)}


def scaled(contents: np.ndarray, observable: np.ndarray, ratios: np.ndarray) -> np.ndarray:
    """Return deviations whose mean log spread over that of the first method is of `ratios`."""
    deviations = contents - contents.mean(axis=1, keepdims=True)
    logs = np.log(deviations.std(axis=1))
    means = np.stack([logs[:, observable == o].mean(axis=1) for o in np.unique(observable)])
    logs = means.mean(axis=0)
    return deviations * (ratios * np.exp(logs[0] - logs))[:, None, None]


def draw(rng: np.random.Generator, deviations: np.ndarray, passes: int) -> np.ndarray:
    """Return contents (method, passes, bin) with the sample covariance of deviations."""
    known = deviations.shape[1]
    mixed = rng.normal(size=(passes, known)) / np.sqrt(known - 1)
    return 1 + np.einsum("pk,mkb->mpb", mixed, deviations)


def p_values(contents: np.ndarray, observable: np.ndarray) -> dict[tuple[int, int], float]:
    """Return the p-value of every pair of methods."""
    spreads = [comparison.spreads(own) for own in contents]
    pairs = combinations(range(len(spreads)), 2)
    return {
        (a, b): comparison.compare(spreads[a], spreads[b], observable).p_value[0] for a, b in pairs
    }


def study(
    known: dict[str, np.ndarray], passes: int, ratios: list[float], toys: int, seed: int = 1
) -> dict[str, float]:
    """Return shares of toys: `seen` a pair of different ratios (each by itself, and `corrected`
    for all pairs), and `false`: any claim on methods of equal ratios, corrected."""
    rng = np.random.default_rng(seed)
    deviations = scaled(known["contents"], known["observable"], np.array(ratios))
    seen, corrected, false = [], [], []
    for _ in range(toys):
        found = p_values(draw(rng, deviations, passes), known["observable"])
        adjusted = dict(zip(found, comparison.adjusted(list(found.values())), strict=True))
        different = [pair for pair in found if ratios[pair[0]] != ratios[pair[1]]]
        seen += [found[pair] < 0.05 for pair in different]
        corrected += [adjusted[pair] < 0.05 for pair in different]
        false.append(any(adjusted[pair] < 0.05 for pair in found if pair not in different))
    return {
        "seen": float(np.mean(seen)) if seen else np.nan,
        "corrected": float(np.mean(corrected)) if corrected else np.nan,
        "false": float(np.mean(false)),
    }


def table(known: dict[str, np.ndarray], toys: int) -> Iterator[str]:
    """Yield the lines of the table of docs/method/comparison.md."""
    comparison.ROTATIONS = ROTATIONS
    methods = len(known["contents"])
    yield "| passes | true ratios | any false claim | seen, one comparison | seen, corrected |"
    yield "|---|---|---|---|---|"
    for passes in (5, 10, 3):
        for ratio in (1.0, 0.45, 0.7):
            ratios = [1.0, ratio] + [1.0] * (methods - 2)
            shares = study(known, passes, ratios, toys)
            cells = [f"{100 * shares[name]:.1f}%" for name in ("false", "seen", "corrected")]
            cells = [cell.replace("nan%", "") for cell in cells]
            text = "all 1" if ratio == 1 else f"one {ratio:g}, the others 1"
            yield f"| {passes} | {text} | {' | '.join(cells)} |"


def apart(known: dict[str, np.ndarray], toys: int) -> Iterator[str]:
    """Yield the lines of the table on two studies, whose passes share nothing.

    Every fourth bin is taken, for the sake of time. Passes are those of the first method; in
    distances to truth the bias of a bin is as large as its spread. `tails` are passes of Student's
    t with 5 degrees of freedom, in all bins together, in place of normal ones.
    """
    comparison.ROTATIONS = ROTATIONS
    contents, observable = known["contents"][0][:, ::4], known["observable"][::4]
    deviations = contents - contents.mean(axis=0)
    yield "| passes | they are | true ratio | spread: seen | error | distance: seen | error |"
    yield "|---|---|---|---|---|---|---|"
    for tails, ratios in ((False, (1.0, 0.5)), (True, (1.0,))):
        for passes in ((3, 3), (5, 5), (10, 10), (10, 5)):
            for ratio in ratios:
                rng = np.random.default_rng(1)
                draws = [_two_studies(rng, deviations, passes, ratio, tails) for _ in range(toys)]
                cells = [_seen(draws, observable, metric) for metric in ("spread", "mse")]
                name = "tails" if tails else "normal"
                yield f"| {passes[0]} and {passes[1]} | {name} | {ratio:g} | {' | '.join(cells)} |"


def tails(known: dict[str, np.ndarray]) -> str:
    """Return the excess kurtosis of passes per method, mean over bins, and what is normal."""
    deviations = known["contents"] - known["contents"].mean(axis=1, keepdims=True)
    passes = deviations.shape[1]
    units = deviations / deviations.std(axis=1, keepdims=True)
    found = (units**4).mean(axis=(1, 2)) - 3
    shown = ", ".join(f"{each:.2f}" for each in found)
    return f"excess kurtosis {shown}; of normal passes {-6 / (passes + 1):.2f}"


def _two_studies(
    rng: np.random.Generator,
    deviations: np.ndarray,
    passes: tuple[int, int],
    ratio: float,
    tails: bool,
) -> list[np.ndarray]:
    """Return contents (passes, bin) of two studies over truth, the first scaled by a ratio."""
    bias, rows = deviations.std(axis=0), len(deviations)
    found = []
    for count, size in zip(passes, (ratio, 1.0), strict=True):
        drawn = rng.normal(size=(count, rows))
        if tails:
            drawn *= np.sqrt(3 / rng.chisquare(5, (count, 1)))
        found.append(1 + size * (bias + drawn @ deviations / np.sqrt(rows - 1)))
    return found


def _seen(draws: list[list[np.ndarray]], observable: np.ndarray, metric: str) -> str:
    """Return the share of p < 0.05, and the scatter of log ratios over their error."""
    found = []
    for contents in draws:
        if metric == "spread":
            rows = map(comparison.spreads, contents)
            found.append(comparison.compare_apart(*rows, observable))
        else:
            rows = (comparison.distances(own, np.ones(own.shape[1])) for own in contents)
            found.append(comparison.compare_distances_apart(*rows, observable))
    seen = np.mean([each.p_value[0] < 0.05 for each in found])
    logs = np.log([each.ratio[0] for each in found])
    errors = np.mean([each.log_error[0] for each in found])
    return f"{100 * seen:.1f}% | {logs.std() / errors:.2f}"


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["extract", folder]:
            np.savez_compressed(PASSES, **extract(Path(folder)))
        case ["tails"]:
            print(tails(dict(np.load(PASSES, allow_pickle=False))))
        case [("table" | "apart") as name, *toys]:
            known = dict(np.load(PASSES, allow_pickle=False))
            known["observable"] = known["observable"].astype(int)
            lines = {"table": table, "apart": apart}[name]
            for line in lines(known, int(toys[0]) if toys else TOYS):
                print(line, flush=True)
        case _:
            sys.exit(__doc__)
