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
from omniflow.events import h1, store
from omniflow.events.sample import Events, Level
from omniflow.files import write_text
from omniflow.stages import samples, training
from omniflow.unfolding.plan import Plan

DATA = Path(__file__).parents[1] / "tests" / "data"
HOROVODRUN = Path(sys.executable).parent / "horovodrun"
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
    events = h1.read([str(FILES[role])])
    index = np.arange(records) % len(events)
    return replace(events.take(index), event_id=np.arange(records).astype(np.uint64))


def synthetic(records: int, particles: int, seed: int) -> Events:
    """Return detector-level events with so many particles each, of normal numbers."""
    rng = np.random.default_rng(seed)
    level = Level(
        rng.normal(size=(records, 5)).astype(np.float32),
        rng.normal(size=(records * particles, 4)).astype(np.float32),
        np.arange(records + 1) * particles,
    )
    yes = np.ones(records, bool)
    ids = np.arange(records).astype(np.uint64)
    return Events(ids, rng.uniform(0.5, 1.5, records), yes, None, level, None)


@dataclass(frozen=True)
class Job:
    """A training job that has run.

    Attributes:
        seconds: from the start of its process to its end.
        networks: their records in history.json.
    """

    seconds: float
    networks: list[dict]

    @property
    def epoch(self) -> float:
        """Seconds of an epoch of the first network, with its held-out events; median."""
        return float(np.median([epoch["seconds"] for epoch in self.networks[0]["epochs"][1:]]))

    @property
    def events(self) -> int:
        """Events of the first network, held-out ones too."""
        summary = self.networks[0]["summary"]
        return summary["train_events"] + summary["held_out_events"]

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
    block = _block(plan)
    begin = time.perf_counter()
    ranks = plan.config.execution.ranks
    launcher = [HOROVODRUN, "-np", str(ranks), "--gloo"] if ranks > 1 else []
    done = subprocess.run(
        [*launcher, sys.executable, __file__, plan.config.study.output],
        env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        check=False,
    )
    seconds = time.perf_counter() - begin
    if done.returncode:
        sys.exit(f"a training job ended with {done.returncode}:\n{done.stderr[-2000:]}")
    history = plan.history(block)
    networks = json.loads(history.read_text(encoding="utf-8"))["networks"]
    # Else the next job would take these networks over.
    shutil.rmtree(history.parent)
    shutil.rmtree(plan.root / "checkpoints")
    return Job(seconds, networks)


def _block(plan: Plan):
    (chain,) = plan.chains
    return plan.blocks(plan.groups(chain, 1)[0], 1, 1)[0]


if __name__ == "__main__":
    found = Plan(settings.load(Path(sys.argv[1]) / "config.yaml"))
    training.train_block(found, _block(found))
