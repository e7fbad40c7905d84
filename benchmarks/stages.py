"""Time and memory of every stage of a study, from files to report.

    python benchmarks/stages.py [--events N ...] [--particles P] [--lanes L]
                                [--iterations I] [--passes S] [--epochs E] [--keep FOLDER]

N simulated and N / 5 data events with three numbers and P particles on average (pt, eta, phi) at
either level are written to HDF5 files. The study has L lanes (none: 1 lane), I iterations, E
epochs, an MLP on the numbers of the event with the native engine, and five observables: of events,
jets and particles. Its jobs are the workflow's scripts, one after the other, each in a process of
its own. Times are those of the processor, which others on the machine disturb little; a job's start
is part of it. Memory is the largest that belongs to the process alone (anonymous) and the largest
with the pages of files that it has mapped, which the system takes back when it needs room.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from omniflow import config
from omniflow.files import write_text
from omniflow.unfolding.coordinates import STEP_NAMES
from omniflow.unfolding.plan import Plan

SCRIPTS = Path(__file__).parents[1] / "workflow" / "scripts"
BLOCK = 100_000


@dataclass
class Spent:
    """What the jobs of a stage took: processor seconds, and largest memory in MB."""

    jobs: int = 0
    seconds: float = 0.0
    anonymous: float = 0.0
    resident: float = 0.0


def main() -> None:
    """Print a table of stages for each number of events."""
    parser = argparse.ArgumentParser(description="Time and memory of the stages of a study.")
    parser.add_argument("--events", type=int, nargs="+", default=[1_000_000])
    parser.add_argument("--particles", type=int, default=4)
    parser.add_argument("--lanes", type=int, default=2)
    parser.add_argument("--iterations", type=int, default=2)
    parser.add_argument("--passes", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="folder that the study stays in")
    given = parser.parse_args()
    for events in given.events:
        with tempfile.TemporaryDirectory() as folder:
            where = given.keep / str(events) if given.keep else Path(folder)
            plan = make(where, events, given)
            print(
                f"\n{events:,} events, {given.particles} particles, {given.lanes} lanes, "
                f"{given.epochs} epochs\n"
            )
            print_table(run(plan))


def make(folder: Path, events: int, given: argparse.Namespace) -> Plan:
    """Write files and configuration, and return the plan."""
    folder.mkdir(parents=True, exist_ok=True)
    samples = {}
    for role, n, mean in (("data", events // 5, 0.2), ("simulation", events, 0.0)):
        path = folder / f"{role}.h5"
        write(path, n, given.particles, mean)
        samples[role] = {
            "source": "hdf5",
            "files": [str(path)],
            "counts": {
                f"{level}/{column}": f"{level}/n"
                for level in ("reco", "gen")
                for column in ("pt", "eta", "phi")
            },
            **{
                level: {
                    "event": {name: f"{group}.{name}" for name in "xyz"},
                    "particles": {name: f"{group}.{name}" for name in ("pt", "eta", "phi")},
                    "selection": f"{group}.x > -1.5",
                }
                for level, group in (("detector", "reco"), ("particle", "gen"))
            },
        }
    jets = {"radius": 0.4, "pt_min": 2}
    bins = {"count": 20, "range": [0, 20]}
    plan = Plan(
        config.validate(
            {
                "study": {"name": "stages", "output": str(folder), "passes": given.passes},
                "samples": samples,
                "classifier": {
                    "kind": "mlp",
                    "width": 64,
                    "blocks": 2,
                    "features": {"event": list("xyz")},
                },
                "training": {"epochs": given.epochs, "min_updates": 1, "batch_size": 1000},
                "unfolding": {"iterations": given.iterations},
                "methods": {"none": {}, "parallel": {"lanes": given.lanes}},
                "combine": ["mean", "median"],
                "execution": {"engine": "native"},
                "observables": {
                    "define": {
                        "x": {"expression": "x", "bins": {"quantiles": 20}},
                        "ht": {"expression": "sum(pt)", "bins": bins},
                        "lead": {"expression": "max(pt)", "bins": bins},
                        "pt": {"expression": "pt", "bins": bins},
                        "jet_pt": {"jets": "pt", **jets, "bins": bins},
                    }
                },
            }
        )
    )
    write_text(config.dump(plan.config), plan.path("config"))
    return plan


def write(path: Path, events: int, particles: int, mean: float) -> None:
    """Write a sample in blocks: normal numbers, particles with exponential pt, all smeared."""
    rng = np.random.default_rng(1 + events)
    with h5py.File(path, "w") as file:
        for start in range(0, events, BLOCK):
            n = min(BLOCK, events - start)
            counts = rng.poisson(particles, n)
            total = counts.sum()
            gen = {name: rng.normal(mean, 1, n) for name in "xyz"} | {"n": counts}
            gen |= {"pt": rng.exponential(2, total) + 0.1, "eta": rng.normal(0, 1, total)}
            gen["phi"] = rng.uniform(-3, 3, total)
            reco = {
                name: values if name == "n" else values * rng.normal(1, 0.1, len(values))
                for name, values in gen.items()
            }
            for level, columns in (("gen", gen), ("reco", reco)):
                for name, values in columns.items():
                    _append(file, f"{level}/{name}", values)


def _append(file: h5py.File, name: str, values: np.ndarray) -> None:
    kind = np.int32 if values.dtype.kind == "i" else np.float32
    if name not in file:
        file.create_dataset(name, (0,), kind, maxshape=(None,), chunks=(BLOCK,))
    dataset = file[name]
    dataset.resize(len(dataset) + len(values), axis=0)
    dataset[-len(values) :] = values


def jobs(plan: Plan) -> Iterator[tuple[str, list[str]]]:
    """Yield script and options of every job, in an order in which they can run."""
    for role in plan.samples:
        yield "event_store", ["--role", role]
    yield "scaling", []
    for role, level in plan.classifier_inputs:
        yield "features", ["--role", role, "--level", level]
    for group, iteration, step in plan.stages():
        stage = ["--chain", group.chain, "--pass", str(group.pass_), "--group", group.slug]
        stage += ["--iteration", str(iteration), "--step", STEP_NAMES[step]]
        for block in plan.blocks(group, iteration, step):
            yield "train", [*stage, "--block", str(block.index)]
        yield "aggregate", stage
    for method in plan.config.methods:
        yield "combine", ["--method", method]
    for role in plan.evaluated:
        yield "observables", ["--role", role]
    yield "axes", []
    for method in plan.config.methods:
        yield "histograms", ["--method", method]
    for subject in plan.second_subjects:
        yield "second_classifier", ["--subject", subject]
    if plan.has_oracle:
        yield "oracle", []
    for role in plan.response_roles:
        yield "response", ["--role", role]
    yield "tables", []
    yield "report", []


def run(plan: Plan) -> dict[str, Spent]:
    """Run the jobs of a study; return what each stage took."""
    found: dict[str, Spent] = {}
    for script, options in jobs(plan):
        command = [sys.executable, SCRIPTS / f"{script}.py", "--config", plan.path("config")]
        process = subprocess.Popen([*command, *options], stdout=subprocess.DEVNULL)
        spent = found.setdefault(script, Spent())
        status = 0
        while not status:
            own, resident = memory(process.pid)
            spent.anonymous = max(spent.anonymous, own)
            spent.resident = max(spent.resident, resident)
            time.sleep(0.01)
            status, code, usage = os.wait4(process.pid, os.WNOHANG)
        process.returncode = code
        if code:
            sys.exit(f"{script} {' '.join(options)}: ended with {code}")
        spent.jobs += 1
        spent.seconds += usage.ru_utime + usage.ru_stime
    return found


def memory(pid: int) -> tuple[float, float]:
    """Return anonymous and largest resident memory of a process in MB; 0 when it has ended."""
    try:
        text = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    except OSError:
        return 0.0, 0.0
    sizes = dict(line.split(":", 1) for line in text.splitlines())
    return tuple(int(sizes.get(key, "0 kB").split()[0]) / 1e3 for key in ("RssAnon", "VmHWM"))


def print_table(found: dict[str, Spent]) -> None:
    """Print stages with their shares."""
    total = sum(spent.seconds for spent in found.values())
    print("| stage | jobs | processor, s | share | anonymous memory, MB | with mapped files, MB |")
    print("|---|---|---|---|---|---|")
    for name, spent in found.items():
        print(
            f"| {name} | {spent.jobs} | {spent.seconds:.1f} | {spent.seconds / total:.1%} | "
            f"{spent.anonymous:,.0f} | {spent.resident:,.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
