"""Toys of lanes: their measured scatter beside the true one, and where rounds of them stop.

    python tests/evaluation/stopping_toys.py rounds|combinations [--toys 1000]

`rounds`: lanes are normal with the same scatter in all bins, in part in common. Without the upper
limit, the measured scatter itself has to meet the target. `combinations`: ratios of events scatter
in common and by themselves, and are combined.
"""

from __future__ import annotations

import argparse
from unittest import mock

import numpy as np

from omniflow.evaluation import lanes
from omniflow.evaluation.lanes import average, draws, upper_factor, variance, wanted
from omniflow.unfolding.combine import combine

START, STEP, MOST = 4, 2, 300


def stop(
    rng: np.random.Generator, passes: int, bins: int, common: float, need: int
) -> tuple[int, int]:
    """Return the lanes where rounds stop, and the rounds, if `need` lanes have the target."""
    shared = np.sqrt(common) * rng.normal(size=(passes, MOST, 1))
    own = np.sqrt(1 - common) * rng.normal(size=(passes, MOST, bins))
    contents, count, rounds = np.sqrt(need) * (shared + own), START, 1
    while True:
        value = average(variance(contents[:, :count], count, "mean"), np.ones(bins))
        following = min(wanted([value], 1, passes, count, STEP), MOST)
        if following == count:
            return count, rounds
        count, rounds = following, rounds + 1


def measured(
    rng: np.random.Generator, how: str, count: int, toys: int, passes: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the scatter of a combination by bin: over many passes (B,), from lanes (toys, B)."""
    events, bins = 400, 4
    common, base = rng.normal(0, 0.5, size=(2, events)), np.ones(events)
    fill = np.eye(bins)[np.arange(events) % bins]

    def made() -> np.ndarray:
        moved = rng.normal(0, 0.2, size=(count, 2)) @ common
        return np.exp(moved + rng.normal(0, 0.1, size=moved.shape))

    true = np.std([combine(made(), how, base) @ fill for _ in range(passes)], axis=0, ddof=1)
    found = []
    for _ in range(toys):
        ratios = made()
        drawn = [combine(ratios[list(some)], how, base) @ fill for some in draws(count, how)]
        found.append(variance(np.array(drawn)[None], count, how))
    return true, np.sqrt(found)


def combinations(toys: int) -> None:
    """Print the measured scatter over the true one."""
    rng = np.random.default_rng(1)
    for how in ("mean", "log_mean", "median", "truncated_mean"):
        for count in (4, 8, 20):
            true, found = measured(rng, how, count, toys, 10 * toys)
            print(
                f"{how} of {count} lanes: {np.mean(np.sqrt(np.mean(found**2, axis=0)) / true):.2f}",
                flush=True,
            )


def at_the_stop(toys: int) -> None:
    """Print the true scatter at the stop over the target, and what that took."""
    plain = mock.patch.object(lanes, "upper_factor", lambda passes, n: np.ones(np.shape(n)))
    print("passes bins need limit | mean, 95%, share above 1.1 | lanes / need, rounds")
    for passes, bins, need in [(p, b, n) for p in (1, 3) for b in (1, 10) for n in (6, 12, 30)]:
        for limit in (False, True):
            rng = np.random.default_rng(1)
            with mock.patch.object(lanes, "upper_factor", upper_factor) if limit else plain:
                found = [stop(rng, passes, bins, 0.5, need) for _ in range(toys)]
            count, rounds = np.array(found).T
            true = np.sqrt(need / count)
            print(
                f"{passes} {bins} {need} {'yes' if limit else 'no'} | {true.mean():.2f}, "
                f"{np.quantile(true, 0.95):.2f}, {np.mean(true > 1.1):.3f} | "
                f"{np.mean(count / need):.2f}, {rounds.mean():.1f}",
                flush=True,
            )


def main() -> None:
    """Print what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["rounds", "combinations"])
    parser.add_argument("--toys", type=int, default=1000)
    options = parser.parse_args()
    {"rounds": at_the_stop, "combinations": combinations}[options.what](options.toys)


if __name__ == "__main__":
    main()
