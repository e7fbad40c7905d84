"""Estimated size of a study: networks, jobs, time and disk, before anything has run."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from omniflow.config.schema import Classifier
from omniflow.unfolding.plan import Plan

# Typical of high-Q2 DIS at HERA with the generator and detector of `source: pythia`; only used
# for estimates, and only until event stores exist.
PARTICLES = 17.0
PASSING = 0.52
# Sustained arithmetic of one CPU thread in training, in floating-point operations per second;
# with the native engine; replaced by measured rates as soon as the study has a timing table.
THREAD_RATE = 3e10
PARTICLE_FEATURES, EVENT_FEATURES = 7, 5


@dataclass(frozen=True)
class MethodSize:
    """Size of one method over all passes.

    Attributes:
        networks: trainings that it uses.
        shared: of these, trainings that an earlier method of the study has already asked for.
        jobs: training jobs that hold them.
        seconds: estimated training time of all its networks, one after the other.
    """

    networks: int
    shared: int
    jobs: int
    seconds: float


@dataclass(frozen=True)
class StudySize:
    """Size of a study.

    Attributes:
        events: records per sample; None where the configuration does not say.
        methods: sizes by method.
        networks, jobs: trainings and training jobs of the whole study, pre-training included.
        seconds: estimated training time, one network after the other, if every epoch is run.
        disk: estimated bytes of results that stay.
        measured: whether the time rests on the study's own measured rates.
    """

    events: dict[str, int | None]
    methods: dict[str, MethodSize]
    networks: int
    jobs: int
    seconds: float
    disk: float
    measured: bool


def parameters(settings: Classifier) -> tuple[float, float]:
    """Return the parameters that act once per particle, and those that act once per event."""
    d, f, e = settings.width, PARTICLE_FEATURES, EVENT_FEATURES
    if settings.kind == "mlp":
        return 0.0, e * d + (settings.blocks - 1) * d * d + d
    if settings.kind == "deepsets":
        tail = (settings.blocks - 1) * d * d
        return f * d + tail, (d + 1 + e) * d + tail + d
    local = 2 * f * 2 * d + 2 * d * d + 2 * d * 2 * d + 2 * d * d
    per_particle = f * 2 * d + 2 * d * d + local + settings.blocks * 8 * d * d
    return per_particle, e * 2 * d + settings.class_blocks * 8 * d * d + d


def estimate(plan: Plan) -> StudySize:
    """Return the estimated size of the study."""
    config = plan.config
    events = {role: sample.events for role, sample in plan.samples.items()}
    known = {role: count or 0 for role, count in events.items()}
    per_step = {
        1: PASSING * (known["data"] + known["simulation"]),
        2: float(known["simulation"]),
    }
    rates, measured = _rates(plan)
    seconds = {
        step: config.training.epochs * count / rates[step] for step, count in per_step.items()
    }
    seen: set[tuple[str, int]] = set()
    methods = {}
    for name, method in config.methods.items():
        chain = plan.chain_slug(method)
        lanes = {(chain, lane) for lane in range(method.lanes)}
        repeat = config.study.passes * 2 * config.unfolding.iterations * method.members
        groups = {g for p in plan.passes for g in plan.lane_groups(name, p)}
        stages = config.unfolding.iterations
        methods[name] = MethodSize(
            networks=repeat * len(lanes),
            shared=repeat * len(lanes & seen),
            jobs=sum(len(plan.blocks(g, 1, s)) * stages for g in groups for s in (1, 2)),
            seconds=repeat * len(lanes) / 2 * (seconds[1] + seconds[2]),
        )
        seen |= lanes
    networks = sum(size.networks - size.shared for size in methods.values())
    blocks = sum(1 for _ in plan.all_blocks())
    pretraining = len(plan.pretraining_networks)
    pairs = sum(known[role] for role in plan.pretraining_roles) * PASSING
    total = networks / 2 * (seconds[1] + seconds[2])
    total += pretraining * config.training.epochs * pairs / rates[1]
    return StudySize(
        events,
        methods,
        networks + pretraining,
        blocks + pretraining,
        total,
        _disk(plan, known, networks),
        measured,
    )


def _rates(plan: Plan) -> tuple[dict[int, float], bool]:
    """Return events per second of training in either step, and whether they were measured."""
    path = plan.table("timing.csv")
    if path.is_file():
        found = {step: _measured(path, str(step)) for step in (1, 2)}
        if all(found.values()):
            return found, True
    per_particle, per_event = parameters(plan.config.classifier)
    # Six operations per parameter: two forward, four backward.
    work = 6 * (per_particle * PARTICLES + per_event)
    rate = plan.config.execution.threads * THREAD_RATE / work
    return {1: rate, 2: rate}, False


def _measured(path: Path, step: str) -> float:
    with open(path, encoding="utf-8", newline="") as file:
        rates = [float(r["events_per_second"]) for r in csv.DictReader(file) if r["step"] == step]
    return sum(rates) / len(rates) if rates else 0.0


def _disk(plan: Plan, events: dict[str, int], networks: int) -> float:
    """Return the bytes of stores, features, networks, lane weights and final weights."""
    particle, event = parameters(plan.config.classifier)
    neighbours = plan.config.classifier.neighbours
    # Store: 4 columns per particle at both levels; features: 7 columns and neighbours.
    per_record = PARTICLES * (2 * 16 + 1.5 * (28 + 2 * neighbours)) + 120
    simulation = events["simulation"]
    lanes = sum(chain.lanes for chain in plan.chains.values())
    stages = 2 * len(plan.iterations) * len(plan.passes)
    files = sum(len(plan.combinations(m)) for m in plan.config.methods) * len(plan.passes)
    return (
        sum(events.values()) * per_record
        + networks * (4 * (particle + event) + 60_000)
        + lanes * stages * simulation * 4
        + files * simulation * (16 + 4 * len(plan.iterations))
    )
