"""Toys of unfolded results without a true difference, or with a known one, and their p-values.

    python tests/evaluation/null_toys.py shares|others|power [--toys 1000]

A toy is the mean over passes of: statistics of data and of simulation, N(0, covariance) each, three
smooth systematic shapes times one unit normal each, and training: smooth modes of random size in
every pass. Replicas scatter about it by statistics; shifts are the systematic shapes.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from scipy import stats

from omniflow.evaluation import covariance
from omniflow.evaluation.covariance import Block

SYSTEMATICS = 3
# Systematic size over that of the statistics of data.
RATIOS = (0, 0.3, 0.7, 2, 10)
PASSES = (2, 3, 5, 10)


@dataclass(frozen=True)
class Toy:
    """Settings of toys.

    Attributes:
        bins, replicas, passes: numbers; replicas of data and of simulation, each.
        ratio: size of each systematic shape (root mean square over bins).
        training: size of each mode of training in one pass; their number is `modes`.
        simulation: statistical error of the simulation; without replicas of it where 0.
        correlation: of neighbouring bins, falling by powers with distance.
        sigmas: true difference, smooth, in units of the true error in its direction.
    """

    bins: int = 15
    replicas: int = 30
    passes: int = 2
    ratio: float = 0.7
    training: float = 0.3
    modes: int = 3
    simulation: float = 1.0
    correlation: float = 0.0
    sigmas: float = 0.0

    def statistical(self) -> np.ndarray:
        """Return the covariance (B, B) of the statistics of data."""
        index = np.arange(self.bins)
        return np.power(self.correlation, np.abs(index - index[:, None]), dtype=float)

    def covariance(self) -> np.ndarray:
        """Return the true covariance (B, B) of a result."""
        shapes = self.ratio * smooth(self.bins, SYSTEMATICS)
        training = self.training * smooth(self.bins, self.modes, 0.5)
        statistical = (1 + self.simulation**2) * self.statistical()
        return statistical + shapes.T @ shapes + training.T @ training / self.passes

    def difference(self) -> np.ndarray:
        """Return the true difference (B,)."""
        direction = smooth(self.bins, 1, 0.25)[0]
        length = direction @ np.linalg.solve(self.covariance(), direction)
        return self.sigmas * direction / np.sqrt(length)


OTHERS = {
    "one mode of training of size 1": Toy(training=1, modes=1),
    "one mode of size 10": Toy(training=10, modes=1),
    "one mode of size 10, 8 bins": Toy(8, training=10, modes=1),
    "one mode of size 10, 22 bins, 100+100": Toy(22, 100, training=10, modes=1),
    "three modes of size 1": Toy(training=1),
    "three modes of size 10": Toy(training=10),
    "replicas of data only": Toy(simulation=0),
    "simulation of a tenth of the error": Toy(simulation=0.1),
    "neighbouring bins correlated by 0.8": Toy(correlation=0.8),
    "neighbouring bins correlated by -0.5": Toy(correlation=-0.5),
}


@cache
def smooth(bins: int, count: int, phase: float = 0.0) -> np.ndarray:
    """Return smooth functions (count, B) of unit root mean square."""
    place = (np.arange(bins) + 0.5) / bins
    found = np.cos(np.pi * (np.arange(1, count + 1)[:, None] + phase) * place)
    return found / np.sqrt(np.mean(found**2, axis=1, keepdims=True))


@cache
def known(toy: Toy) -> tuple[np.ndarray, np.ndarray]:
    """Return the true difference (B,), and a root (B, B) of the covariance of statistics."""
    return toy.difference(), np.linalg.cholesky(toy.statistical())


def draw(rng: np.random.Generator, toy: Toy) -> tuple[np.ndarray, dict[str, Block]]:
    """Return a result minus what it is compared with (B,), and blocks as studies make them."""
    difference, root = known(toy)
    shapes = toy.ratio * smooth(toy.bins, SYSTEMATICS)
    modes = toy.training * smooth(toy.bins, toy.modes, 0.5)
    kinds = {"data": 1.0} | ({"simulation": toy.simulation} if toy.simulation else {})

    def statistics(size: float, *shape: int) -> np.ndarray:
        return size * rng.normal(size=(*shape, toy.bins)) @ root.T

    common = difference + rng.normal(size=SYSTEMATICS) @ shapes
    common = common + sum(statistics(size) for size in kinds.values())
    results = common + rng.normal(size=(toy.passes, toy.modes)) @ modes
    blocks = {
        kind: covariance.of_replicas(results + statistics(size, toy.replicas, 1))
        for kind, size in kinds.items()
    }
    if toy.passes > 1:
        blocks["training"] = covariance.scatter(results) * (1 / toy.passes)
    for number, shape in enumerate(shapes if toy.ratio else []):
        blocks[f"shape_{number}"] = covariance.of_shifts([np.tile(shape, (toy.passes, 1))])
    return results.mean(axis=0), blocks


@cache
def p_values(toy: Toy, toys: int, seed: int = 1) -> np.ndarray:
    """Return the p-values (toys,)."""
    rng = np.random.default_rng(seed)
    return np.array([covariance.chi2_test(*draw(rng, toy)).p_value for _ in range(toys)])


def share(toy: Toy, toys: int, seed: int = 1) -> float:
    """Return the share of p-values below 0.05; NaN where none are printed."""
    found = p_values(toy, toys, seed)
    return float(np.mean(found < 0.05)) if np.isfinite(found).all() else np.nan


def shares(toys: int) -> Iterator[list[str]]:
    """Yield rows: lowest and highest share over ratios, by bins, replicas and passes."""
    yield ["bins", "replicas", *(f"{number} passes" for number in PASSES)]
    for bins in (4, 8, 15, 17, 22, 30):
        for replicas in (5, 10, 20, 30, 100):
            base = Toy(bins, replicas)
            if not np.isnan(share(base, 1)):
                yield [str(bins), f"{replicas}+{replicas}", *_by_passes(base, toys)]


def others(toys: int) -> Iterator[list[str]]:
    """Yield rows: lowest and highest share over ratios, by passes, of other toys."""
    yield ["toys", *(f"{number} passes" for number in PASSES)]
    for name, toy in OTHERS.items():
        yield [name, *_by_passes(toy, toys)]


def power(toys: int) -> Iterator[list[str]]:
    """Yield rows: share of p < 0.05 with a true difference, and with a covariance known exactly."""
    sigmas = (3, 4, 5, 7)
    yield ["toys", *(f"{number} sigma" for number in sigmas)]
    for bins in (8, 15):
        known = stats.ncx2.sf(stats.chi2.isf(0.05, bins), bins, np.square(sigmas))
        yield [f"{bins} bins, covariance known", *(f"{each:.2f}" for each in known)]
        for replicas, passes in ((30, 2), (30, 5), (100, 2), (100, 5), (100, 10)):
            base = Toy(bins, replicas, passes)
            found = [share(replace(base, sigmas=s), toys, s) for s in sigmas]
            name = f"{bins} bins, {replicas}+{replicas} replicas, {passes} passes"
            yield [name, *(f"{each:.2f}" for each in found)]


def _by_passes(base: Toy, toys: int) -> Iterator[str]:
    for passes in PASSES:
        cells = (replace(base, passes=passes, ratio=ratio) for ratio in RATIOS)
        found = [share(cell, toys, 10 * passes + number) for number, cell in enumerate(cells)]
        yield f"{min(found):.2f} to {max(found):.2f}"


def main() -> None:
    """Print a table."""
    tables = {"shares": shares, "others": others, "power": power}
    parser = argparse.ArgumentParser(description="Shares of p-values below 0.05 on toys.")
    parser.add_argument("table", choices=tables)
    parser.add_argument("--toys", type=int, default=1000, help="of each kind")
    options = parser.parse_args()
    for number, row in enumerate(tables[options.table](options.toys)):
        print(f"| {' | '.join(row)} |", flush=True)
        if not number:
            print("|" + "---|" * len(row), flush=True)


if __name__ == "__main__":
    main()
