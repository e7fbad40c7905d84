"""What `omniflow plan` prints: the size of a study, its cost, and how long it takes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from rich.table import Table

from omniflow.errors import ConfigError
from omniflow.unfolding import estimate, makespan, rounds
from omniflow.unfolding.coordinates import NOMINAL, parted
from omniflow.unfolding.footprint import footprint
from omniflow.unfolding.jobs import OTHER, TRAINING, Job, jobs, tasks
from omniflow.unfolding.plan import Plan

WORKERS = (1, 4, 16, 64, 256)
# Jobs beside trainings that run at the same time: `local-cores` of profiles/slurm.
OTHERS = 2


def forecast(plan: Plan, workers: int | None, rate: float | None) -> Iterator[Table | str]:
    """Yield tables and lines about a study.

    Args:
        plan: of the study.
        workers: GPUs, or processes where there are none, that train at the same time; None: the
            wall time is given for a range of them.
        rate: events per second of one training; None: measured or guessed.

    Raises:
        ConfigError: fewer workers than one training needs, or toys of data without truth or of
            too few records.
    """
    ranks = plan.config.execution.ranks
    if workers is not None and workers < ranks:
        raise ConfigError(
            f"--workers {workers}: one training needs {ranks} (execution.ranks); give more."
        )
    estimate.refuse_impossible_toys(plan)
    size = estimate.estimate(plan, rate)
    found = jobs(plan, size.rates)
    yield _samples(plan, size)
    yield from _assumptions(plan, size)
    yield _methods(plan, size)
    for method in plan.adaptive:
        most = plan.config.methods[method].lanes
        yield f"{rounds.words(plan, method)} Counted with {most}, as if all were trained at once."
    yield (
        f"{size.networks:,} networks in {size.jobs:,} jobs over {len(plan.passes)} passes: at most "
        f"{_hours(plan, size.seconds)} of training, from {size.rates.source}: {_per_second(size)}. "
        "Patience may stop trainings earlier."
    )
    if size.variants:
        yield (
            f"Of these networks {size.variants:,} are for uncertainties: "
            f"{len(plan.variants.names) - 1:,} replicas, variations and toys."
        )
    yield from _wall(plan, found, workers)
    yield from _disk(plan, found)
    for note in plan.notes:
        yield f"Note: {note}"


def _samples(plan: Plan, size: estimate.StudySize) -> Table:
    table = Table("sample", "source", "records", title=f"Study {plan.config.study.name}")
    for role, events in size.events.items():
        shown = "all in its files" if events is None else f"{events:,}"
        table.add_row(role, plan.samples[role].source, shown)
    return table


def _assumptions(plan: Plan, size: estimate.StudySize) -> Iterator[str]:
    for role, sample in plan.samples.items():
        missing = estimate.missing_files(sample)
        if not missing:
            continue
        events = size.events[role]
        taken = "nothing" if events is None else f"the {events:,} records of the configuration"
        yield f"{role}: {missing[0]} is missing; counted as {taken}."
    yield _occupancies(plan)


def _occupancies(plan: Plan) -> str:
    """Return what the estimates take for an average record, and where it comes from."""
    found = plan.occupancy("simulation")
    particles, passing = found.particles, found.passing
    if not found.records:
        where = "" if len(set(particles.values())) == 1 else " at one level and none at the other"
        text = (
            f"Taken for granted: {max(particles.values()):g} particles per event{where}, "
            f"{passing['detector']:.0%} of the records pass at detector level."
        )
    else:
        file = plan.samples["simulation"].inputs()[0]
        text = (
            f"Measured in the first {found.records:,} records of the simulation ({file}): "
            f"{particles['detector']:.3g} particles per event at detector level and "
            f"{particles['particle']:.3g} at particle level; {passing['detector']:.0%} of the "
            f"records pass at detector level and {passing['particle']:.0%} at particle level."
        )
    others = {role: plan.occupancy(role) for role in plan.samples if role != "simulation"}
    shown = ", ".join(
        f"{role} {each.passing['detector']:.0%}"
        for role, each in others.items()
        if each.records and parted(role)[0] == NOMINAL
    )
    return f"{text} Measured too, detector level: {shown}." if shown else text


def _methods(plan: Plan, size: estimate.StudySize) -> Table:
    table = Table("method", "chain", "lanes x members", "networks", "shared", "jobs", "training")
    folds = plan.config.training.folds
    for name, method in plan.config.methods.items():
        found = size.methods[name]
        table.add_row(
            name,
            plan.chain_slug(method),
            f"{method.lanes} x {method.members}" + (f" x {folds} folds" if folds > 1 else ""),
            f"{found.networks:,}",
            f"{found.shared:,}",
            f"{found.jobs:,}",
            _duration(found.seconds),
        )
    return table


def _wall(plan: Plan, found: list[Job], workers: int | None) -> Iterator[Table | str]:
    ranks = plan.config.execution.ranks
    several = WORKERS if workers is None else [workers * f // 4 for f in (1, 2, 4, 8, 16)]
    todo = tasks(found)
    what = _worker(plan)
    table = Table(what, "wall time", "busy", title="Wall time, without waiting in queues")
    for number in several:
        slots = number // ranks
        if slots:
            run = makespan.run(todo, {TRAINING: slots, OTHER: OTHERS})
            busy = run.busy[TRAINING] * ranks / (number * run.wall)
            table.add_row(f"{number:,}", _duration(run.wall), f"{busy:.0%}")
    yield table
    longest = _duration(makespan.critical_path(todo))
    yield (
        f"Simulated with all dependencies, {ranks} of the {what} for a training, {OTHERS} other "
        f"jobs at a time. However many there are, not below {longest}: the longest chain of jobs."
    )


def _disk(plan: Plan, found: list[Job]) -> Iterator[Table | str]:
    rules = Counter(job.rule for job in found)
    kinds = footprint(plan, found)
    table = Table("files", "number", "size", title="Disk")
    for kind in kinds:
        name = f"{kind.name} (temporary, at most)" if kind.temporary else kind.name
        table.add_row(name, f"{kind.files:,}", _bytes(kind.size))
    yield table
    stay = [kind for kind in kinds if not kind.temporary]
    yield (
        f"{sum(k.files for k in stay):,} files with {_bytes(sum(k.size for k in stay))} in the "
        f"end, at most {sum(k.files for k in kinds):,} with {_bytes(sum(k.size for k in kinds))}."
    )
    shown = ", ".join(f"{count:,} {rule}" for rule, count in rules.items() if rule != "all")
    yield f"{len(found):,} jobs of {len(rules)} rules: {shown}, 1 all."


def _worker(plan: Plan) -> str:
    execution = plan.config.execution
    if execution.gpus:
        return "GPUs"
    if execution.threads == 1:
        return "processes"
    return f"processes of {execution.threads} threads"


def _hours(plan: Plan, seconds: float) -> str:
    """Return seconds of training, one network after the other, as hours of the machine."""
    execution = plan.config.execution
    if execution.gpus:
        return f"{seconds * execution.ranks / 3600:,.1f} GPU hours"
    return f"{seconds * execution.ranks * execution.threads / 3600:,.1f} core hours"


def _per_second(size: estimate.StudySize) -> str:
    one, two = (size.rates.events_per_second[step] for step in (1, 2))
    if one == two:
        return f"{one:,.0f} events/s"
    return f"{one:,.0f} events/s in step 1, {two:,.0f} in step 2"


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:,.1f} h"


def _bytes(size: float) -> str:
    if size < 1e6:
        return f"{size / 1e3:.0f} kB"
    return f"{size / 1e6:.0f} MB" if size < 1e9 else f"{size / 1e9:.1f} GB"
