"""The graph of a study's jobs, the same that Snakemake runs, with estimated times."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from omniflow.registry import BUILT_IN
from omniflow.unfolding import estimate, limits, rounds
from omniflow.unfolding.coordinates import ORACLE
from omniflow.unfolding.makespan import Task
from omniflow.unfolding.plan import Plan

TRAINING, OTHER = "training", "other"
# Seconds from the start of a job to its work, half of it Python's. Where networks take TensorFlow,
# that is loaded and traces its graph (benchmarks/README.md). Queues come on top.
START, START_TENSORFLOW = 1.0, 14.0
# Seconds to advance the weight of an event by the logits of one network, in `aggregate`: 0.6 to
# 1.8 were measured with 5 million events.
AGGREGATE = 2e-7
# What limits ask for is ten times what was measured.
CONVERT, HISTOGRAM = (seconds / 10 for seconds in (limits.CONVERT, limits.HISTOGRAM))


@dataclass(frozen=True)
class Job:
    """A job of the workflow.

    Attributes:
        rule: its rule.
        inputs, outputs: files and folders that it waits for and makes.
        work: estimated seconds, without its start.
        start: seconds from its start to its work.
    """

    rule: str
    inputs: tuple[Path, ...]
    outputs: tuple[Path, ...]
    work: float
    start: float = START

    @property
    def pool(self) -> str:
        """Where it runs: on the workers that train, or elsewhere."""
        return (
            TRAINING if self.rule in ("pretrain", "train", "second_classifier", "oracle") else OTHER
        )


def jobs(plan: Plan, rates: estimate.Rates) -> list[Job]:
    """Return every job of the study, those first that others wait for."""
    events = {role: sample.records() or 0 for role, sample in plan.samples.items()}
    seconds = estimate.network_seconds(plan, rates)
    by_chain = {c: estimate.network_seconds(plan, rates, c) for c in plan.chains}
    return [
        *_samples(plan, events),
        *_trainings(plan, events, seconds[0], by_chain),
        *_results(plan, events, seconds),
    ]


def tasks(found: list[Job]) -> list[Task]:
    """Return jobs as tasks to be scheduled; inputs that no job makes are there."""
    maker = {path: index for index, job in enumerate(found) for path in job.outputs}
    return [
        Task(
            job.start + job.work,
            tuple({maker[path] for path in job.inputs if path in maker}),
            job.pool,
        )
        for job in found
    ]


def _samples(plan: Plan, events: dict[str, int]) -> Iterator[Job]:
    for role, sample in plan.samples.items():
        per_event = limits.seconds_of(sample) / 10
        files = tuple(Path(file) for file in plan.inputs.files(role))
        yield Job("event_store", files, (plan.store(role),), per_event * events[role])
    scaled = CONVERT * events["simulation"]
    yield Job("scaling", (plan.store("simulation"),), tuple(plan.scalings), scaled)
    for role, level in plan.classifier_inputs:
        inputs = (plan.store(role), plan.scaling(level))
        yield Job("features", inputs, (plan.features(role, level),), CONVERT * events[role])
    for role in plan.evaluated:
        outputs = (plan.observables(role),)
        yield Job("observables", (plan.store(role),), outputs, CONVERT * events[role])
    yield Job("axes", tuple(plan.inputs.axes), (plan.axes,), 0.0)


def _trainings(
    plan: Plan, events: dict[str, int], pretraining: float, seconds: dict[str, dict[int, float]]
) -> Iterator[Job]:
    start = _training_start(plan)
    for network in plan.pretraining_networks:
        inputs = tuple(plan.inputs.pretraining)
        yield Job("pretrain", inputs, (plan.pretrained(network.lane),), pretraining, start)
    for group, iteration, step in plan.stages():
        blocks = plan.blocks(group, iteration, step)
        for block in blocks:
            made = (plan.logits(block), plan.history(block), plan.networks_folder(block))
            work = len(block.networks) * seconds[group.chain][step]
            yield Job("train", tuple(plan.inputs.block(block)), made, work, start)
        networks = sum(len(block.networks) for block in blocks)
        yield Job(
            "aggregate",
            tuple(plan.inputs.weights(group, iteration, step)),
            (plan.weights(group, iteration, step),),
            AGGREGATE * networks * events["simulation"],
        )


def _results(plan: Plan, events: dict[str, int], seconds: dict[int, float]) -> Iterator[Job]:
    second = estimate.second_seconds(seconds)
    for method in plan.adaptive:  # further rounds nobody knows yet
        lanes = rounds.until(plan, method).start
        inputs = tuple(plan.inputs.round(method, 1, lanes))
        work = HISTOGRAM * events["simulation"] * len(plan.passes) * lanes
        yield Job("lanes", inputs, (plan.round(method, 1),), work)
    for method in plan.variants.results:
        passes = len(plan.passes_of(method))
        results = passes * len(plan.iterations) * len(plan.combinations(method))
        per_result = HISTOGRAM * events["simulation"]
        unfolded = plan.path("unfolded", method=method)
        yield Job("combine", tuple(plan.inputs.combine(method)), (unfolded,), results * per_result)
        inputs = tuple(plan.inputs.histograms(method))
        work = per_result * estimate.histogrammed(plan, method)
        yield Job("histograms", inputs, (plan.histograms(method),), work)
    for subject in plan.second_subjects:
        inputs = tuple(plan.inputs.second(subject))
        made = (plan.second(subject),)
        yield Job("second_classifier", inputs, made, second, _training_start(plan))
    if plan.has_oracle:
        inputs, work = tuple(plan.inputs.oracle), seconds[ORACLE]
        yield Job("oracle", inputs, (plan.oracle,), work, _training_start(plan))
    for role in plan.response_roles:
        inputs, work = tuple(plan.inputs.response(role)), estimate.response_seconds(events, role)
        yield Job("response", inputs, (plan.response(role),), work)
    work = CONVERT * events["simulation"]
    yield Job("tables", tuple(plan.inputs.tables()), tuple(plan.tables), work)
    tables = (*plan.tables, *plan.uncertainty_tables)
    if plan.uncertainty_tables:
        inputs = tuple(plan.inputs.uncertainties())
        yield Job("uncertainties", inputs, tuple(plan.uncertainty_tables), work)
    report = plan.table("report.html")
    yield Job("report", tables, (report,), 0.0)
    yield Job("all", (report,), (), 0.0)


def _training_start(plan: Plan) -> float:
    """Return the seconds from the start of a training job to its work."""
    execution, kind = plan.config.execution, plan.config.classifier.kind
    native = execution.engine != "tensorflow" and not execution.gpus
    return START if native and kind in BUILT_IN["classifier"] else START_TENSORFLOW
