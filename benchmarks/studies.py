"""Small studies for benchmarks: events on disk, as a study has them, and its training jobs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from omniflow import config as settings
from omniflow.events import store
from omniflow.events.sample import Events, Level
from omniflow.files import write_text
from omniflow.physics.dis import h1_file
from omniflow.physics.dis.kinematics import DIS_EVENT, DIS_PARTICLE
from omniflow.stages import samples, training
from omniflow.unfolding.plan import Plan

DATA = Path(__file__).parents[1] / "tests" / "data"
HOROVODRUN = Path(sys.executable).parent / "horovodrun"
_SPENT = "processor seconds: "
FILES = {"data": DATA / "h1_nature.h5", "simulation": DATA / "h1_simulation.h5"}


def make(folder: Path, **sections: dict) -> Plan:
    """Write the configuration of a study in `folder` and return its plan."""
    sources = {role: {"source": "h1", "files": [str(path)]} for role, path in FILES.items()}
    study = {"name": "bench", "passes": 1, "output": str(folder)}
    given = {"study": study, "samples": sources, "methods": {"none": {}}} | sections
    config = settings.validate(given)
    write_text(settings.dump(config), folder / "config.yaml")
    return Plan(config)


def write(plan: Plan, events: dict[str, Events], levels: tuple[str, ...]) -> None:
    """Write event stores, scaling and the classifier inputs at `levels`."""
    for role, sample in events.items():
        store.write(sample, plan.store(role), {"source": "benchmark"}, seed=1)
    samples.make_scaling(plan)
    for role, sample in events.items():
        for level in levels:
            if getattr(sample, level) is not None:
                samples.make_features(plan, role, level)


def repeated(role: str, records: int) -> Events:
    """Return so many records: those of tests/data, over and over, each with an id of its own."""
    events = Events.joined(list(h1_file.read([str(FILES[role])])))
    index = np.arange(records) % len(events)
    return replace(events.take(index), event_id=np.arange(records).astype(np.uint64))


def synthetic(records: int, particles: int, seed: int) -> Events:
    """Return detector-level DIS events with so many particles each, of plausible numbers."""
    rng = np.random.default_rng(seed)
    rows = records * particles
    event = np.column_stack(
        [
            150 * rng.lognormal(0.5, 0.5, records),
            rng.uniform(0.2, 0.7, records),
            *rng.normal(0, 10, (3, records)),
        ]
    )
    particle = np.column_stack(
        [
            0.1 + rng.lognormal(-0.5, 0.8, rows),
            rng.uniform(-1.5, 2.75, rows),
            rng.uniform(-np.pi, np.pi, rows),
            rng.choice([-1, 0, 1], rows),
        ]
    )
    level = Level(
        event.astype(np.float32),
        particle.astype(np.float32),
        np.arange(records + 1) * particles,
        DIS_EVENT,
        DIS_PARTICLE,
    )
    yes = np.ones(records, bool)
    ids = np.arange(records).astype(np.uint64)
    return Events(ids, rng.uniform(0.5, 1.5, records), yes, None, level, None)


@dataclass(frozen=True)
class Job:
    """A training job that has run.

    Attributes:
        seconds: from the start of its process to its end.
        processor: seconds of the processor, which other work on the machine changes less.
        networks: their records in history.json.
    """

    seconds: float
    processor: float
    networks: list[dict]

    @property
    def per_event(self) -> float:
        """Seconds per event and epoch of the first network, held-out events too.

        The mean over epochs: in a median, a disturbance would weigh more where epochs are long.
        """
        summary = self.networks[0]["summary"]
        epochs = [epoch["seconds"] for epoch in self.networks[0]["epochs"][1:]]
        return sum(epochs) / len(epochs) / (summary["train_events"] + summary["held_out_events"])

    @property
    def rate(self) -> float:
        """Events trained on per second, by all ranks together; median over epochs."""
        epochs = self.networks[0]["epochs"][1:]
        return float(np.median([epoch["events_per_second"] for epoch in epochs]))

    @property
    def waiting(self) -> float:
        """Fraction of the time of training spent waiting for input, over networks and epochs."""
        found = [epoch["waiting"] for network in self.networks for epoch in network["epochs"][1:]]
        return float(np.mean(found))


def job(plan: Plan) -> Job:
    """Train the first block of step 1 in a process of its own and remove what it wrote."""
    begin = time.perf_counter()
    return finished(plan, start(plan), begin)


def start(plan: Plan) -> subprocess.Popen:
    """Start a process that trains the first block of step 1."""
    ranks = plan.config.execution.ranks
    launcher = [HOROVODRUN, "-np", str(ranks), "--gloo"] if ranks > 1 else []
    return subprocess.Popen(
        [*launcher, sys.executable, __file__, plan.config.study.output],
        env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finished(plan: Plan, process: subprocess.Popen, begin: float) -> Job:
    """Wait for a process that `start` started at `begin`, return its job, remove what it wrote."""
    printed, said = process.communicate()
    seconds = time.perf_counter() - begin
    if process.returncode:
        sys.exit(f"a training job ended with {process.returncode}:\n{said[-2000:]}")
    history = plan.history(_block(plan))
    networks = json.loads(history.read_text(encoding="utf-8"))["networks"]
    # Else the next job would take these networks over.
    shutil.rmtree(history.parent)
    shutil.rmtree(plan.root / "checkpoints")
    return Job(seconds, _processor(printed), networks)


def _processor(printed: str) -> float:
    """Sum what the ranks of a job have printed last; horovodrun puts the rank in front."""
    lines = [line for line in printed.splitlines() if _SPENT in line]
    return sum(float(line.partition(_SPENT)[2]) for line in lines)


def load(folder: Path) -> Plan:
    """Return the plan of the study that `make` has written in `folder`."""
    return Plan(settings.load(folder / "config.yaml"))


def _block(plan: Plan):
    (chain,) = plan.chains
    return plan.blocks(plan.groups(chain, 1)[0], 1, 1)[0]


if __name__ == "__main__":
    found = load(Path(sys.argv[1]))
    training.train_block(found, _block(found))
    print(f"{_SPENT}{time.process_time()}")
