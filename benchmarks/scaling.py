"""Cost of training against numbers of networks, events, particles and ranks, as ratios.

    python benchmarks/scaling.py [networks] [ensembles] [events] [particles] [ranks]
                                 [--rounds N] [--threads N]

Every measurement is a real training job of step 1 (`omniflow.stages.training.train_block`) that
reads its events from memory-mapped files. The points of a table take turns, round after round (of
`events`, they work beside a reference), and ratios are taken within a round; tables give their
median, lowest and highest. See benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import itertools
import shutil
import statistics
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import studies
from studies import Job

from omniflow.unfolding.plan import Plan

NETWORKS = (1, 5)
# Small networks in a job, events that they train on, epochs of a short and a longer training.
MEMBERS, SMALL, LENGTHS, WIDTHS = (1, 5, 20, 100), 100_000, (3, 30), (32, 64)
RECORDS = 10_000  # per network of the table of networks
EVENTS = (10_000, 30_000, 100_000, 300_000, 1_000_000)
REFERENCE = 100_000
FEW = 4  # particles per event where events are many
RANKS = (1, 2)
PARTICLES = (5, 10, 20, 40, 80, 132)
ROWS = 200_000  # particles in all where events differ in their number


def main() -> None:
    """Measure what is asked for, print each table as Markdown."""
    tables = {"networks": networks, "ensembles": ensembles, "events": events}
    tables |= {"particles": particles, "ranks": ranks}
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tables", nargs="*", choices=[[], *tables], help="all, if none is named")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1, help="of each training job")
    options = parser.parse_args()
    print(f"{options.rounds} rounds, {options.threads} thread(s).")
    for name in options.tables or tables:
        with tempfile.TemporaryDirectory() as folder:
            tables[name](Path(folder), options.rounds, options.threads)


def networks(folder: Path, rounds: int, threads: int) -> None:
    """Print the cost of one job of several networks."""
    plans = {
        count: _repeated(
            folder / str(count),
            methods={"parallel": {"lanes": count}} if count > 1 else {"none": {}},
            execution={"networks_per_job": count, "threads": threads},
        )
        for count in NETWORKS
    }
    jobs = measure(plans, rounds)
    print("\n| networks in a job | job, s | relative to one network | waiting for input |")
    print("|---|---|---|---|")
    for count, found in jobs.items():
        print(
            f"| {count} | {spread([job.seconds for job in found], '{:.1f}')} | "
            f"{ratios(found, jobs[1], lambda job: job.seconds)} | {waiting(found)} |",
            flush=True,
        )


def ensembles(folder: Path, rounds: int, threads: int) -> None:
    """Print the cost of one job of K small networks, relative to K jobs of one.

    In seconds of the processor, and in those of the wall.
    """
    print("\n| epochs | width | K | job, processor s | cost(K) / K cost(1) | by the wall |")
    print("|---|---|---|---|---|---|")
    for epochs, width in itertools.product(LENGTHS, WIDTHS):
        plans = {
            count: _small(folder / f"{epochs}-{width}-{count}", count, width, epochs, threads)
            for count in MEMBERS
        }
        jobs = measure(plans, rounds)
        for count, found in jobs.items():
            print(
                f"| {epochs} | {width} | {count} | "
                f"{spread([job.processor for job in found], '{:.1f}')} | "
                f"{ratios(found, jobs[1], lambda job: job.processor, 1 / count)} | "
                f"{ratios(found, jobs[1], lambda job: job.seconds, 1 / count)} |",
                flush=True,
            )
        for plan in plans.values():
            shutil.rmtree(plan.root)


def _small(folder: Path, count: int, width: int, epochs: int, threads: int) -> Plan:
    """Write SMALL events for a job of `count` MLPs."""
    plan = studies.make(
        folder,
        classifier={"kind": "mlp", "width": width, "blocks": 2, "features": "columns"},
        training=_training(epochs),
        methods={"parallel": {"lanes": count}} if count > 1 else {"none": {}},
        execution={"networks_per_job": count, "threads": threads},
    )
    halves = {"data": 1, "simulation": 2}
    found = {role: studies.synthetic(SMALL // 2, 1, seed) for role, seed in halves.items()}
    studies.write(plan, found, ("detector",))
    return plan


def events(folder: Path, rounds: int, threads: int) -> None:
    """Print the cost per event against the number of events, each beside REFERENCE events.

    Long jobs and short ones would see another machine; those side by side see the same.
    """
    print("\n| events | on disk, MB | per event, µs | relative cost per event | waiting |")
    print("|---|---|---|---|---|")
    for count in EVENTS:
        work = max(count, 2 * REFERENCE)
        plans = {
            name: synthetic(folder / f"{count}-{name}", n, FEW, work // n, threads)
            for name, n in (("measured", count), ("reference", REFERENCE))
        }
        with ThreadPoolExecutor(len(plans)) as pool:
            pairs = [list(pool.map(studies.job, plans.values())) for _ in range(rounds)]
        found, reference = (list(jobs) for jobs in zip(*pairs, strict=True))
        print(
            f"| {count:,} | {_megabytes(plans['measured']):,.0f} | "
            f"{spread([1e6 * job.per_event for job in found], '{:.0f}')} | "
            f"{ratios(found, reference, lambda job: job.per_event)} | {waiting(found)} |",
            flush=True,
        )
        for plan in plans.values():
            shutil.rmtree(plan.root)


def particles(folder: Path, rounds: int, threads: int) -> None:
    """Print the cost per event and per particle against the particles per event."""
    plans = {
        count: synthetic(folder / str(count), ROWS // count, count, 3, threads)
        for count in PARTICLES
    }
    jobs = measure(plans, rounds)
    print("\n| particles per event | per event, ms | relative cost per particle | waiting |")
    print("|---|---|---|---|")
    for count, found in jobs.items():
        print(
            f"| {count} | {spread([1e3 * job.per_event for job in found], '{:.2f}')} | "
            f"{ratios(found, jobs[20], lambda job: job.per_event, 20 / count)} | "
            f"{waiting(found)} |",
            flush=True,
        )


def ranks(folder: Path, rounds: int, threads: int) -> None:
    """Print the rate of training against the number of Horovod ranks."""
    if not studies.HOROVODRUN.is_file():
        print("\nRanks are left out: Horovod is not installed (envs/build_horovod.sh).")
        return
    plans = {
        count: _repeated(folder / str(count), execution={"ranks": count, "threads": threads})
        for count in RANKS
    }
    jobs = measure(plans, rounds)
    print("\n| ranks | training, events/s | relative to one rank |\n|---|---|---|")
    for count, found in jobs.items():
        print(
            f"| {count} | {spread([job.rate for job in found], '{:,.0f}')} | "
            f"{ratios(found, jobs[1], lambda job: job.rate)} |",
            flush=True,
        )


def measure(plans: dict[int, Plan], rounds: int) -> dict[int, list[Job]]:
    """Run the job of each plan in turn, round after round."""
    jobs: dict[int, list[Job]] = {key: [] for key in plans}
    for _ in range(rounds):
        for key, plan in plans.items():
            jobs[key].append(studies.job(plan))
    return jobs


def spread(values: list[float], form: str) -> str:
    """Median with lowest and highest value."""
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{form.format(middle)} ({form.format(low)} to {form.format(high)})"


def ratios(found: list[Job], reference: list[Job], value, factor: float = 1.0) -> str:
    """Ratios of `value`, round by round."""
    pairs = zip(found, reference, strict=True)
    return spread([factor * value(job) / value(other) for job, other in pairs], "{:.2f}")


def waiting(found: list[Job]) -> str:
    """Fraction of the training's time, in percent."""
    return spread([100 * job.waiting for job in found], "{:.1f}%")


def _repeated(folder: Path, **sections: dict) -> Plan:
    """Write RECORDS of each sample, those of tests/data over and over."""
    plan = studies.make(folder, training=_training(3), **sections)
    events = {role: studies.repeated(role, RECORDS) for role in studies.FILES}
    studies.write(plan, events, ("detector",))
    return plan


def synthetic(
    folder: Path, count: int, length: int, epochs: int, threads: int, **classifier: int
) -> Plan:
    """Write `count` events of `length` particles, half data and half simulation."""
    plan = studies.make(
        folder,
        classifier={"features": "columns"} | classifier,
        training=_training(epochs),
        execution={"threads": threads},
    )
    halves = {"data": 1, "simulation": 2}
    found = {role: studies.synthetic(count // 2, length, seed) for role, seed in halves.items()}
    studies.write(plan, found, ("detector",))
    return plan


def _training(epochs: int) -> dict[str, float]:
    # An epoch of few events is one pass over them, as one of many is.
    return {"epochs": epochs, "patience": epochs, "min_updates": 1}


def _megabytes(plan: Plan) -> float:
    return sum(path.stat().st_size for path in plan.root.rglob("*.h5")) / 1e6


if __name__ == "__main__":
    main()
