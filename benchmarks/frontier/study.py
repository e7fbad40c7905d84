"""Cheap members of a step compared with independent networks: passes of OmniFold on known truth.

    python benchmarks/frontier/study.py FOLDER --sample gauss --seeds 1 2 --passes 12
    python benchmarks/frontier/study.py FOLDER --sample zjets --jets JETS --seeds 1 2 --passes 12

Each pass of each variant is a row of FOLDER/passes.csv, and none is made twice: a run can be
stopped at any time. `table.py` makes tables of the rows. JETS holds data/*.npz and
simulation/*.npz, as `python -m omniflow.physics.zjets` writes them. Variants take turns, so that
what else the machine does hits all of them.
"""

from __future__ import annotations

import argparse
import csv
import time
import zlib
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path

import numpy as np
from packed import Classes, Fit, Shape, logits, train

from omniflow.unfolding import steps, weights

ITERATIONS, CLIP, BINS = 3, 15.0, 10
KEY = ("sample", "seed", "variant", "pass")


@dataclass(frozen=True)
class Variant:
    """How the members of a step are made.

    Attributes:
        shape: of one training; the number of inputs is the sample's.
        fit: how it is trained.
        trainings: independent ones per step, by iteration.
        warm: whether networks start from those of the iteration before, in step 1 with a head that
            begins at a ratio of 1, as `unfolding.restart.network: warm`. Where there are more than
            before, several start from one.
    """

    shape: Shape = field(default_factory=lambda: Shape(0))
    fit: Fit = field(default_factory=Fit)
    trainings: tuple[int, ...] = (1,) * ITERATIONS
    warm: bool = False


def independent(count: int, width: int = 32) -> Variant:
    """Return `count` networks that differ in initial weights and order of batches."""
    return Variant(Shape(0, widths=(width,) * 2), trainings=(count,) * ITERATIONS)


def packed(members: int, *kinds: str, signs: str = "inputs", **fit: object) -> Variant:
    """Return `members` members of one training."""
    return Variant(Shape(0, members, kinds=kinds, signs=signs), Fit(**fit))


def one(**fit: object) -> Variant:
    """Return one network, trained otherwise."""
    return Variant(fit=Fit(**fit))


E = Fit().epochs
VARIANTS = {
    "independent 1": independent(1),
    "independent 2": independent(2),
    "independent 4": independent(4),
    "independent 8": independent(8),
    "wide 1 x 64": independent(1, 64),
    "narrow 4 x 16": independent(4, 16),
    "narrow 16 x 16": independent(16, 16),
    "shared batches 4": packed(4, "own", "own"),
    "heads 8": packed(8, "shared", "shared"),
    "heads 8, bootstrap": packed(8, "shared", "shared", bootstrap=True),
    "layer and heads 4": packed(4, "shared", "own"),
    "TabM 4": packed(4, "scaled", "scaled"),
    "BatchEnsemble 4": packed(4, "scaled", "scaled", signs="all"),
    "snapshots 4": one(cycles=4, kept=4),
    "snapshots 4, last 3": one(cycles=4, kept=3),
    "snapshots 4, twice as long": one(epochs=2 * E, cycles=4, kept=4),
    "snapshots 4, four times as long": one(epochs=4 * E, cycles=4, kept=4),
    "twice as long": one(epochs=2 * E),
    "four times as long": one(epochs=4 * E),
    "2, twice as long": Variant(fit=Fit(epochs=2 * E), trainings=(2,) * ITERATIONS),
    "constant rate": one(cycles=0),
    "constant rate, epochs averaged": one(cycles=0, swa=E // 2),
    "constant rate, ratios of epochs averaged": one(cycles=0, kept=E // 2),
    "constant rate, EMA": one(cycles=0, ema=0.99),
    "constant low rate": one(cycles=0, rate=1e-3),
    "constant low rate, epochs averaged": one(cycles=0, rate=1e-3, swa=E // 2),
    "constant low rate, EMA": one(cycles=0, rate=1e-3, ema=0.99),
    "EMA": one(ema=0.99),
    "dropout": one(dropout=0.1),
    "dropout, copies 8": one(dropout=0.1, copies=8),
    "2, 2, 8": replace(independent(4), trainings=(2, 2, 8)),
    "warm 1": replace(independent(1), warm=True),
    "warm 4": replace(independent(4), warm=True),
    "warm 2, 2, 8": replace(independent(4), trainings=(2, 2, 8), warm=True),
    "1, 1, 10": replace(independent(4), trainings=(1, 1, 10)),
    "1, 1, 4": replace(independent(2), trainings=(1, 1, 4)),
}


@dataclass(frozen=True)
class Sample:
    """Events of known truth, all of which pass at both levels.

    Attributes:
        data: (m, F) float32, detector level.
        detector, particle: (n, F) float32, of the simulation.
        truth: (m, F) of the data.
        edges: of each observable.
    """

    data: np.ndarray
    detector: np.ndarray
    particle: np.ndarray
    truth: np.ndarray
    edges: list[np.ndarray] = field(default_factory=list)

    def spectra(self, events: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """Return the weighted contents of all bins of all observables, one after the other."""
        columns = zip(events.T, self.edges, strict=True)
        bins = [np.searchsorted(edges, column, "right") for column, edges in columns]
        counts = [
            np.bincount(found, weight, len(edges) + 1)
            for found, edges in zip(bins, self.edges, strict=True)
        ]
        return np.concatenate(counts)


def gauss(seed: int, events: int) -> Sample:
    """Return six smeared Gaussian columns, as `small_study.py`; truth is shifted by 0.3."""
    rng = np.random.default_rng([seed, 1])
    truth = rng.normal(0.3, 1, (events, 6))
    particle = rng.normal(0, 1, (2 * events, 6))
    data, detector = (values + rng.normal(0, 0.5, values.shape) for values in (truth, particle))
    return _sample(data, detector, particle, truth)


def zjets(folder: Path, seed: int, events: int) -> Sample:
    """Return six observables of jets; seeds have events of their own."""
    data, simulation = (_jets(folder / role) for role in ("data", "simulation"))
    some, more = ((slice((seed - 1) * n, seed * n)) for n in (events, 2 * events))
    return _sample(data[1][some], simulation[1][more], simulation[0][more], data[0][some])


def _jets(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return the observables (n, 6) of jets that pass at both levels, at either of them."""
    with np.load(next(iter(sorted(folder.glob("*.npz"))))) as file:
        passed = (file["gen_jets"][:, 0] > 150) & (file["sim_jets"][:, 0] > 150)
        return _observables(file, "gen", passed), _observables(file, "sim", passed)


def _observables(file: np.lib.npyio.NpzFile, level: str, passed: np.ndarray) -> np.ndarray:
    """Return mass, multiplicity, width, groomed mass, zg and tau21 of examples/zjets."""
    jets = file[f"{level}_jets"][passed]
    mults, widths, masses, zgs, taus = (
        file[f"{level}_{name}"][passed] for name in ("mults", "widths", "sdms", "zgs", "tau2s")
    )
    ln_rho = np.log(np.maximum(masses, 0.01) ** 2 / jets[:, 0] ** 2)
    tau21 = np.divide(taus, widths, out=np.zeros(len(taus)), where=widths > 0)
    return np.stack([jets[:, 3], mults, widths, ln_rho, zgs, tau21], axis=1)


def _sample(
    data: np.ndarray, detector: np.ndarray, particle: np.ndarray, truth: np.ndarray
) -> Sample:
    """Return events standardised by the simulation, with bins of about equal truth."""
    scaled = []
    for levels in ((data, detector), (truth, particle)):
        mean, width = levels[1].mean(axis=0), levels[1].std(axis=0)
        scaled.append([np.ascontiguousarray((v - mean) / width, np.float32) for v in levels])
    (data, detector), (truth, particle) = scaled
    inner = np.linspace(0, 1, BINS + 1)[1:-1]
    edges = [np.unique(np.quantile(column, inner)) for column in truth.T]
    edges = [own[own > column.min()] for own, column in zip(edges, truth.T, strict=True)]
    return Sample(data, detector, particle, truth, edges)


@dataclass(frozen=True)
class Found:
    """What members of one step gave, relative to what the step learns.

    Attributes:
        contents: (B,) of all bins of their mean.
        within: mean over bins of the variance between members.
        members: how many.
    """

    contents: np.ndarray
    within: float
    members: int


def one_pass(
    sample: Sample, variant: Variant, entropy: list[int]
) -> tuple[Found, Found, float, int]:
    """Return what the first and the last step of a pass found, processor seconds, and trainings."""
    n, m = len(sample.detector), len(sample.data)
    yes, ones = np.ones(n, bool), np.ones(n)
    setup = steps.Setup(ones, yes, yes, np.ones(m, bool), np.ones(m), m / n, m, n, True)
    seconds, push, found = 0.0, ones, []
    states: dict[int, list[np.ndarray]] = {}
    for iteration in range(ITERATIONS):
        count = variant.trainings[iteration]
        classes = _step_one(sample, push)
        rows, took = _members(variant, count, classes, [*entropy, iteration, 1], states)
        rows, seconds = rows[:, m:], seconds + took
        pull, check = steps.pull(setup, push, rows, "mean", CLIP, "step 1")
        if iteration == 0:
            found.append(_found(sample, sample.detector, sample.data, check.yields, rows, pull))
        classes = Classes(sample.particle, pull, ones)
        rows, took = _members(variant, count, classes, [*entropy, iteration, 2], states)
        seconds += took
        push, check = steps.push(setup, pull, rows, "mean", CLIP, "step 2")
    found.append(_found(sample, sample.particle, sample.truth, check.yields, rows, push))
    return found[0], found[1], seconds, 2 * sum(variant.trainings)


def _members(
    variant: Variant,
    count: int,
    classes: Classes,
    entropy: list[int],
    states: dict[int, list[np.ndarray]],
) -> tuple[np.ndarray, float]:
    """Return the logits (members, n) of `count` trainings, and their processor seconds.

    The last states of each are left in `states`, by step, for warm starts of the next iteration.
    """
    begin, rng, step = time.process_time(), np.random.default_rng(entropy), entropy[-1]
    shape, fit = replace(variant.shape, inputs=classes.events.shape[1]), variant.fit
    starts: list[np.ndarray | None] = [None]
    if variant.warm and step in states:
        starts = [_neutral(shape, state) if step == 1 else state for state in states[step]]
    found = [
        train(shape, fit, classes, rng, starts[number % len(starts)]) for number in range(count)
    ]
    rows = [logits(shape, fit, kept, classes.events, rng) for kept in found]
    states[step] = [kept[-1] for kept in found]
    return np.concatenate(rows), time.process_time() - begin


def _neutral(shape: Shape, state: np.ndarray) -> np.ndarray:
    """Return the parameters (d,) of a network of one member with a head of zeros."""
    head = shape.widths[-1] + 1
    return np.concatenate([state[:-head], np.zeros(head, np.float32)])


def _step_one(sample: Sample, push: np.ndarray) -> Classes:
    """Return data against simulation, data first."""
    m, n = len(sample.data), len(sample.detector)
    events = np.concatenate([sample.data, sample.detector])
    return Classes(events, np.repeat([1.0, 0.0], [m, n]), np.concatenate([np.zeros(m), push]))


def _found(
    sample: Sample,
    events: np.ndarray,
    target: np.ndarray,
    yields: float,
    rows: np.ndarray,
    ratios: np.ndarray,
) -> Found:
    """Compare (n,) `ratios`, the mean of those of logits (members, n), with `target` events."""
    wanted = sample.spectra(target, np.ones(len(target)))
    scale = len(target) / len(events)
    every = [weights.ratio(row, CLIP, yields)[0] for row in rows]
    mean, *own = (sample.spectra(events, scale * one) / wanted for one in (ratios, *every))
    within = np.var(own, axis=0, ddof=1).mean() if len(own) > 1 else 0.0
    return Found(mean, float(within), len(own))


def read(path: Path) -> set[tuple[str, ...]]:
    """Return which passes are in a file: sample, seed, variant and pass."""
    if not path.exists():
        return set()
    with open(path, encoding="utf-8", newline="") as file:
        return {tuple(row[name] for name in KEY) for row in csv.DictReader(file)}


def row_of(key: tuple[str, ...], first: Found, last: Found, seconds: float, count: int) -> dict:
    """Return a row of the file of passes."""
    row = dict(zip(KEY, key, strict=True)) | {"seconds": f"{seconds:.4f}", "trainings": count}
    for name, found in (("first", first), ("last", last)):
        row[f"members_{name}"] = found.members
        row[f"within_{name}"] = f"{found.within:.6g}"
        row[name] = " ".join(f"{content:.6f}" for content in found.contents)
    return row


def append(row: dict[str, object], path: Path) -> None:
    """Append a row to a file, which gets its header from the first one."""
    with open(path, "a", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, row)
        if file.tell() == 0:
            writer.writeheader()
        writer.writerow(row)


def sample_of(options: argparse.Namespace, seed: int) -> Sample:
    """Return the events of a seed."""
    if options.sample == "gauss":
        return gauss(seed, options.events)
    return zjets(options.jets, seed, options.events)


def main() -> None:
    """Make the passes that are named on the command line and not there yet."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sample", choices=("gauss", "zjets"), required=True)
    parser.add_argument("--jets", type=Path, help="folder of the jets")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--passes", type=int, default=12)
    parser.add_argument("--events", type=int, default=10_000, help="data; twice as many simulated")
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    path = options.folder / "passes.csv"
    done = read(path)
    samples = {seed: sample_of(options, seed) for seed in options.seeds}
    for number, seed, name in product(range(options.passes), options.seeds, options.variants):
        key = (options.sample, str(seed), name, str(number))
        if key not in done:
            entropy = [seed, number, zlib.crc32(name.encode())]
            append(row_of(key, *one_pass(samples[seed], VARIANTS[name], entropy)), path)


if __name__ == "__main__":
    main()
