"""All stages of a plan in one process, in an order in which Snakemake could start its jobs."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, redirect_stderr, redirect_stdout

from omniflow.config import dump
from omniflow.errors import ConfigError
from omniflow.files import write_text
from omniflow.stages import (
    evaluation,
    oracle,
    pretraining,
    response,
    samples,
    second,
    tables,
    training,
    weights,
)
from omniflow.stages import lanes as measuring
from omniflow.stages import uncertainties as covariances
from omniflow.training.engines import require, shared
from omniflow.unfolding import rounds
from omniflow.unfolding.coordinates import STEP_NAMES, Group
from omniflow.unfolding.plan import Plan

# Calls a function of a stage with arguments, under a name.
Step = Callable[..., None]
# Lanes, iteration and step that are trained together.
Stage = tuple[Group, int, int]


def run(plan: Plan, *, verbose: bool = False, jobs_apart: bool = False) -> None:
    """Run the stages of a plan up to the final weights, in this process.

    What Snakemake runs as jobs is called one after the other; the numbers are the same. Trainings
    that the study's folder holds already, of the same settings and events, are taken over.

    Args:
        plan: its samples are read as configured.
        verbose: print a line per step.
        jobs_apart: make the engine of networks anew for each job, as processes of their own do.

    Raises:
        ConfigError: the plan wants several ranks, which are processes.
        OmniflowError: as the jobs raise.
    """
    if plan.config.execution.ranks > 1:
        raise ConfigError(
            f"execution.ranks is {plan.config.execution.ranks}, but this is one process: leave it "
            "out, or run the study with Snakemake"
        )
    # What does not fit together is told before anything is trained.
    _ = plan.features_seen, plan.observed
    for method in plan.adaptive:
        rounds.observables(plan, method)
    require(plan.config)
    with _steps(plan, verbose) as step:
        write_text(dump(plan.config), plan.path("config"))
        for role in plan.samples:
            step(f"events of {role}", samples.make_store, plan, role)
    train(plan, verbose=verbose, jobs_apart=jobs_apart)


def train(plan: Plan, *, verbose: bool = False, jobs_apart: bool = False) -> None:
    """Run the stages between event stores, which are there, and final weights.

    Args:
        plan: of the study.
        verbose: as of `run`.
        jobs_apart: as of `run`.

    Raises:
        OmniflowError: as the jobs raise.
    """
    with _steps(plan, verbose) as step:
        step("scaling of features", samples.make_scaling, plan)
        for role, level in plan.classifier_inputs:
            step(f"features of {role}, {level} level", samples.make_features, plan, role, level)
        for network in plan.pretraining_networks:
            step(f"pre-training {network.lane}", pretraining.pretrain, plan, network.lane)
        with nullcontext() if jobs_apart else shared():
            plan = _train_in_rounds(plan, step)
        for result in plan.variants.results:
            step(f"weights of {result}", weights.combine, plan, result)


def _train_in_rounds(plan: Plan, step: Step) -> Plan:
    """Train the lanes of all methods; return the plan with as many as there are in the end."""
    if plan.adaptive:  # rounds measure observables
        _observe(plan, step)
    now, number, trained = rounds.first(plan), 1, set[Stage]()
    going = list(plan.adaptive)
    while True:
        for stage in now.stages():
            if stage not in trained:
                _train_stage(now, step, *stage)
        trained |= set(now.stages())
        lanes = {}
        for method in going:
            step(f"round {number} of {method}", measuring.measure, plan, method, number)
            most = plan.config.methods[method].lanes
            if more := rounds.read(plan, method, number).following(most):
                lanes[method] = more
        if not lanes:
            return now
        now, going, number = now.with_lanes(lanes), list(lanes), number + 1


def _train_stage(plan: Plan, step: Step, group: Group, iteration: int, number: int) -> None:
    where = f"{group.chain} pass {group.pass_} {group.slug}"
    where = f"{where} iteration {iteration} step {STEP_NAMES[number]}"
    blocks = plan.blocks(group, iteration, number)
    for block in blocks:
        networks = f"{len(block.networks)} network(s)"
        step(f"{where}: {networks}", training.train_block, plan, block)
    step(None, weights.aggregate, plan, group, iteration, number)
    for block in blocks:  # as Snakemake does, when nobody needs them any more
        plan.logits(block).unlink()


def evaluate(plan: Plan, *, verbose: bool = False) -> None:
    """Run the stages of a plan behind the final weights: histograms, diagnostics and tables.

    Args:
        plan: `run` has been called with it.
        verbose: print a line per step.

    Raises:
        OmniflowError: as the jobs raise.
    """
    plan = rounds.decided(plan)
    with _steps(plan, verbose) as step, shared():
        if not plan.adaptive:
            _observe(plan, step)
        for result in plan.variants.results:
            step(f"histograms of {result}", evaluation.make_histograms, plan, result)
        for subject in plan.second_subjects:
            step(f"second classifiers of {subject}", second.train, plan, subject)
        if plan.has_oracle:
            step("oracle", oracle.train, plan)
        for role in plan.response_roles:
            step(f"detector response of {role}", response.train, plan, role)
        step("tables", tables.make_tables, plan)
        if plan.uncertainty_tables:
            step("covariances", covariances.make_tables, plan)


def _observe(plan: Plan, step: Step) -> None:
    """Write the observables of all samples, and the axes of histograms."""
    for role in plan.evaluated:
        step(f"observables of {role}", samples.make_observables, plan, role)
    step("axes", samples.make_axes, plan)


@contextmanager
def _steps(plan: Plan, verbose: bool) -> Iterator[Step]:
    """Yield what calls a function of a stage; what it prints goes to a log, as that of a job."""
    out = sys.stdout
    log = plan.path("log", job="unfold")
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(log, "a", encoding="utf-8") as file:

        def step(name: str | None, function: Callable[..., None], *arguments: object) -> None:
            begin = time.monotonic()
            with redirect_stdout(file), redirect_stderr(file):
                function(*arguments)
            if verbose and name:
                print(f"{name} ({time.monotonic() - begin:.1f} s)", file=out, flush=True)

        yield step
