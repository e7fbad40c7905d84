"""Estimated size of a study: networks, jobs and training time, before anything has run."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from omniflow.config.execution import Execution
from omniflow.config.samples import Sample
from omniflow.errors import ConfigError
from omniflow.files import read_json, understood
from omniflow.sources.source import FileSource
from omniflow.unfolding.coordinates import FAKES, LEVELS, MISSES, NOMINAL, ORACLE, SECOND
from omniflow.unfolding.plan import Plan
from omniflow.unfolding.results import RESPONSE_EVENTS, SECOND_SIMULATION

# Sustained arithmetic of one CPU thread in training, in floating-point operations per second;
# with the native engine; replaced by measured rates as soon as the study has some.
THREAD_RATE = 3e10
# The same for a GPU: a cautious guess, not measured.
GPU_RATE = 1e12
# How much faster events are evaluated than trained on (benchmarks/README.md: 2.3 to 2.9).
EVALUATION = 2.5
# Seconds of a test of the detector response, its six small networks together: of any, and per event
# of either sample.
RESPONSE, RESPONSE_EVENT = 1.0, 2e-5


@dataclass(frozen=True)
class Rates:
    """How fast networks train.

    Attributes:
        events_per_second: of training, by step, for one network that all ranks of a job train;
            for networks trained together, of all of them.
        source: where the numbers come from, for the reader.
    """

    events_per_second: dict[int, float]
    source: str


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
        variants: trainings of replicas, variations and toys.
        networks, jobs: trainings and training jobs of the whole study, pre-training included.
        seconds: estimated training time, one network after the other, if every epoch is run.
        rates: what the time rests on.
    """

    events: dict[str, int | None]
    methods: dict[str, MethodSize]
    variants: int
    networks: int
    jobs: int
    seconds: float
    rates: Rates


def parameters(plan: Plan, level: str) -> tuple[float, float]:
    """Return how many parameters of a network of a level act once per particle, and per event.

    A classifier of the user's own counts as deep sets: only building it would tell more.
    """
    settings, seen = plan.classifiers[level], plan.features_seen[level]
    d, f, e = settings.width, len(seen.particles), len(seen.event)
    if settings.kind != "pet":
        widths = settings.widths
        tail, last = sum(a * b for a, b in pairwise(widths)), widths[-1]
        if settings.kind == "mlp":
            return 0.0, e * widths[0] + tail + last
        return f * widths[0] + tail, (last + 1 + e) * widths[0] + tail + last
    local = 2 * f * 2 * d + 2 * d * d + 2 * d * 2 * d + 2 * d * d
    per_particle = f * 2 * d + 2 * d * d + local + settings.blocks * 8 * d * d
    return per_particle, e * 2 * d + settings.class_blocks * 8 * d * d + d


def estimate(plan: Plan, rate: float | None = None) -> StudySize:
    """Return the estimated size of the study; `rate` as in `rates`."""
    config = plan.config
    found = rates(plan, rate)
    seconds = network_seconds(plan, found)
    by_chain = {chain: network_seconds(plan, found, chain) for chain in plan.chains}
    stages = len(plan.steps) * len(plan.iterations)
    seen: set[tuple[str, int]] = set()
    methods = {}
    for name, method in config.methods.items():
        chain = plan.chain_slug(method)
        lanes = {(chain, lane) for lane in range(method.lanes)}
        each = plan.chains[chain].networks * len(plan.folds)
        repeat = config.study.passes * stages * each
        groups = {g for p in plan.passes for g in plan.lane_groups(name, p)}
        per_stage = sum(by_chain[chain][step] for step in plan.steps) / len(plan.steps)
        methods[name] = MethodSize(
            networks=repeat * len(lanes),
            shared=repeat * len(lanes & seen),
            jobs=sum(len(plan.blocks(g, 1, 1)) * stages for g in groups),
            seconds=repeat * len(lanes) * per_stage,
        )
        seen |= lanes
    trained, variants = 0.0, 0
    for group, _, step in plan.stages():
        networks = len(group.lanes) * plan.chains[group.chain].networks * len(plan.folds)
        trained += networks * by_chain[group.chain][step]
        variants += 0 if group.variant == NOMINAL else networks
    networks = variants + sum(size.networks - size.shared for size in methods.values())
    pretraining, second = len(plan.pretraining_networks), len(plan.second_subjects)
    return StudySize(
        {role: sample.records() for role, sample in plan.samples.items()},
        methods,
        variants,
        networks + pretraining + 2 * second + plan.has_oracle,
        sum(1 for _ in plan.all_blocks()) + pretraining + second + plan.has_oracle,
        trained
        + pretraining * seconds[0]
        + second * second_seconds(seconds)
        + plan.has_oracle * seconds[ORACLE],
        found,
    )


def rates(plan: Plan, given: float | None = None) -> Rates:
    """Return how fast networks train: as `given` (events per second), measured, or guessed."""
    if given is not None:
        return Rates({1: given, 2: given}, "the given rate")
    measured = measured_rates(plan)
    if measured is not None:
        return Rates(measured, "rates measured in this study")
    return Rates(rule_of_thumb(plan), "a rule of thumb for this network")


def network_seconds(plan: Plan, rates: Rates, chain: str | None = None) -> dict[int, float]:
    """Return seconds of one network by step, if every epoch is run; step 0 is pre-training.

    Events held out are evaluated before the first and after every epoch, all others trained on; in
    the end all are evaluated for their logits. In a `chain` whose members are stacked those held
    out are evaluated once more, and copies of one network have logits each.
    """
    training = plan.config.training
    held = training.validation
    evaluated = (training.epochs + 1) * held
    # Of k folds a network is trained on all but one, and gives logits for that one.
    logits = 1 / (len(plan.folds) - 1) if plan.folds[0] else 1.0
    more = 0.0
    if chain is not None:
        found = plan.chains[chain]
        logits *= found.members // found.networks
        more = held if found.aggregate == "stacking" else 0.0
    events = {role: sample.records() or 0 for role, sample in plan.samples.items()}
    per_second = rates.events_per_second
    return {
        step: (
            training.epochs * epoch_events(plan, count)
            + (evaluated + (logits + more if step else 1.0)) * count / EVALUATION
        )
        / per_second[min(max(step, 1), 2)]
        for step, count in trained_events(plan, events).items()
    }


def histogrammed(plan: Plan, result: str) -> int:
    """Return how often events are histogrammed for a result: smaller ensembles count too.

    The mean is linear, so that the histograms of its subsets are means of those of single lanes.
    """
    each = len(plan.iterations) * len(plan.combinations(result))
    mean = plan.combinations(result)[0] == "mean"
    subsets = plan.subsets(result)
    smaller = min(len(subsets), plan.variants.method(result).lanes) if mean else len(subsets)
    return len(plan.passes_of(result)) * (each + smaller)


def second_seconds(seconds: dict[int, float]) -> float:
    """Return seconds of the two second classifiers of a subject, from those of networks by step."""
    return sum(seconds[step] for step in SECOND.values())


def response_seconds(events: dict[str, int], role: str) -> float:
    """Return seconds of the networks that test the detector response of a sample.

    Args:
        events: by role.
        role: of the sample.
    """
    used = sum(min(events[each], RESPONSE_EVENTS) for each in (role, "simulation"))
    return RESPONSE + RESPONSE_EVENT * used


def missing_files(sample: Sample) -> list[str]:
    """Return those files of a sample that are not there."""
    return [path for path in sample.inputs() if not Path(path).is_file()]


def refuse_impossible_toys(plan: Plan) -> None:
    """Refuse toys of data without particle level, or of too few records, before any training.

    Toys are further records of the data, compared with their own truth, and of the simulation
    where they take simulations of their own. Files that are not there are not asked.

    Raises:
        ConfigError: toys are asked for and the data have no truth, or not as many records.
    """
    toys = plan.config.uncertainties.toys
    for role in plan.config.uncertainties.drawn_in_toys if toys else ():
        sample = getattr(plan.config.samples, role)
        if sample.inputs() and not missing_files(sample):
            _refuse_impossible_toys(sample, role, toys)


def _refuse_impossible_toys(sample: Sample, role: str, toys: int) -> None:
    every = sample.model_copy(update={"events": None, "skip": 0})
    truth, records = sample.has_truth(), every.records()
    if truth is None or records is None:
        return  # the job that reads the sample says what is wrong with it
    if not truth:
        raise ConfigError(
            f"uncertainties.toys: {sample.inputs()[0]} of samples.{role} has no particle level "
            "that toys could be compared with. Leave toys out, and measure pulls and coverage in a "
            "study whose data are pseudo-data"
        )
    if not isinstance(sample, FileSource) or sample.events is None:
        return  # others have no records that follow
    last = sample.skip + (toys + 1) * sample.events
    if last > records:
        enough = max(0, (records - sample.skip) // sample.events - 1)
        raise ConfigError(
            f"uncertainties.toys: samples.{role} and {toys} toys of {sample.events} records each "
            f"end at record {last - 1}, but its files hold {records}: enough for {enough} toys. "
            f"Lower toys or samples.{role}.events, or add files"
        )


def trained_events(plan: Plan, events: dict[str, int]) -> dict[int, float]:
    """Return the events of one epoch by step; step 0 is pre-training, which has no folds.

    Second classifiers, without folds, count at particle level too, though real data have none.
    """
    share = 1 - 1 / len(plan.folds) if plan.folds[0] else 1.0
    measured = {role: plan.occupancy(role).passing["detector"] * n for role, n in events.items()}
    inside = 1.0
    if plan.config.unfolding.particle_level == "pass_gen":
        inside = plan.occupancy("simulation").passing["particle"]
    simulated = min(events["simulation"], SECOND_SIMULATION * events["data"])
    passing = plan.occupancy("simulation").passing["detector"]
    return {
        0: sum(measured[role] for role, _ in plan.pretraining_classes),
        1: share * sum(measured[role] for role in plan.roles),
        2: share * inside * events["simulation"],
        MISSES: share * measured["simulation"],
        FAKES: share * measured["simulation"],
        SECOND["detector"]: measured["data"] + passing * simulated,
        SECOND["particle"]: inside * (events["data"] + simulated),
        ORACLE: inside * (events["data"] + events["simulation"]),
    }


def epoch_events(plan: Plan, events: float) -> float:
    """Return how many events an epoch trains on, of a step with so many: small samples go round."""
    training = plan.config.training
    least = training.min_updates * training.batch_size
    return max((1 - training.validation) * events, least) if events else 0.0


def rule_of_thumb(plan: Plan) -> dict[int, float]:
    """Return events per second of training in steps 1 and 2, from the size of the network.

    Steps 1b and 2b evaluate each event once for both classes, as step 2 does.
    """
    execution = plan.config.execution
    rate = GPU_RATE if execution.gpus else execution.threads * THREAD_RATE
    found = {}
    for step, level in zip((1, 2), LEVELS, strict=True):
        per_particle, per_event = parameters(plan, level)
        # Six operations per parameter: two forward, four backward.
        work = 6 * (per_particle * plan.occupancy("simulation").particles[level] + per_event)
        found[step] = execution.ranks * rate / work
    return found


def measured_rates(plan: Plan) -> dict[int, float] | None:
    """Return events per second of training in either step, as the study's own jobs measured them.

    They come from the timing table, or else from the first histories, as far as jobs ran as the
    configuration says now; None where either step has no such measurement yet.
    """
    rates: dict[int, list[float]] = {1: [], 2: []}
    for step, found, job in _measurements(plan):
        if step in rates and _as_configured(plan.config.execution, job):
            rates[step] += found
    if not all(rates.values()):
        return None
    return {step: sum(found) / len(found) for step, found in rates.items()}


def _measurements(plan: Plan) -> Iterator[tuple[int, list[float], dict]]:
    """Yield steps, events per second of networks or their epochs, and how their jobs ran."""
    table = plan.table("timing.csv")
    if table.is_file():
        with understood(table):
            text = table.read_text(encoding="utf-8")
            rows = [row for row in csv.DictReader(text.splitlines()) if row["step"] in ("1", "2")]
            rates = [float(row["events_per_second"]) for row in rows]
        for row, rate in zip(rows, rates, strict=True):
            yield int(row["step"]), [rate], row
        return
    # All passes and lanes are alike: those of the first are looked at, where there are any.
    for group in (g for chain in plan.chains for g in plan.groups(chain, 1)[:1]):
        for step in (1, 2):
            path = plan.history(plan.blocks(group, 1, step)[0])
            if path.is_file():
                content = read_json(path)
                with understood(path):
                    networks = [content["job"] | network for network in content["networks"]]
                    # Nothing is trained in epoch 0.
                    epochs = [network["epochs"][1:] for network in networks]
                    found = [[float(e["events_per_second"]) for e in each] for each in epochs]
                for network, rates in zip(networks, found, strict=True):
                    yield step, rates, network


def _as_configured(execution: Execution, job: dict) -> bool:
    """Return whether a job ran on the device, engine, ranks and threads of the configuration."""
    gpu = job["device"] != "CPU"
    return (
        gpu == (execution.gpus > 0)
        and (execution.engine == "auto" or job["engine"].startswith(execution.engine))
        and int(job["ranks"]) == execution.ranks
        # Threads hardly matter beside a GPU; earlier versions did not note them.
        and (gpu or not job.get("threads") or float(job["threads"]) == execution.threads)
    )
