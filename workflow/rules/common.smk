"""What rules ask the plan about the job that wildcards name, and how trainings start."""

import os
import sys
from collections import Counter
from functools import lru_cache

from omniflow.pace import Handler, Pace, costs
from omniflow.unfolding import rounds
from omniflow.unfolding.coordinates import parted, step_number

EXECUTION = PLAN.config.execution

# What trainings ask for beside memory and time. Resources and not parameters, so that a study moves
# from one machine to another without training again.
TRAINING = {"gpu": EXECUTION.gpus, "cpus_per_task": EXECUTION.threads}
if EXECUTION.ranks > 1:
    # Without tasks_per_gpu=0 the executor multiplies tasks by GPUs; memory goes with the ranks to
    # whatever node they get.
    TRAINING |= {
        "mpi": "srun",
        "tasks": EXECUTION.ranks,
        "tasks_per_gpu": 0,
        "mem_mb_per_cpu": lambda wildcards, attempt: LIMITS.memory_per_cpu(attempt),
    }


# Rules whose jobs train networks.
TRAINED = ("pretrain", "train", "second_classifier", "oracle", "response")


def refuse_untrainable():
    """Refuse trainings that nothing here can do; jobs elsewhere, or in environments, may."""
    trained = {job.rule.name for job in workflow.dag.needrun_jobs()} & set(TRAINED)
    if trained and not workflow.deployment_settings.deployment_method:
        for line in preflight.untrainable(PLAN):
            if not workflow.non_local_exec:
                raise WorkflowError(line)
            logger.warning(f"On this machine: {line}")


def show_pace():
    """Say how far the study is, line by line; at a terminal Snakemake's own lines are seen."""
    if sys.stderr.isatty():
        return
    if counts := jobs_left():
        pace = Pace(counts, costs(PLAN))
        say = lambda line: print(line, file=sys.stderr, flush=True)
        logger.addHandler(Handler(pace, say, jobs_left))


def jobs_left():
    """Return the number of jobs that are known and not done, by rule."""
    left = workflow.dag.needrun_jobs(exclude_finished=True)
    return Counter(job.rule.name for job in left)


def name_jobs():
    """Put the study before the names of Slurm jobs, which are one random number of the run.

    Chain, pass, iteration and step are in the comment of each.
    """
    executor = workflow.scheduler._executor
    if hasattr(executor, "run_uuid"):
        executor.run_uuid = f"{PLAN.config.study.name}_{executor.run_uuid}"


def path_of(name):
    """Return the parameter that is the path of a script.

    Snakemake compares no parameter that takes resources: a study goes on with another installation.
    """
    return lambda wildcards, resources: SCRIPTS / name


# What tables wait for whatever rounds decide. Named by itself, so that its jobs do not wait for them.
KNOWN = rounds.first(PLAN).inputs.tables()


def noted(files):
    """Return files, with their notes in place of those that no job makes."""
    return [NOTES.get(Path(file), file) for file in files]


def launcher(wildcards):
    """Return the command that starts the ranks of a training."""
    if EXECUTION.ranks == 1:
        return "python"
    if "SLURM_JOB_ID" in os.environ:
        gpus = " --gpus-per-task=1" if EXECUTION.gpus else ""
        return (
            f"srun --ntasks={EXECUTION.ranks} --cpus-per-task={EXECUTION.threads}{gpus}"
            " --kill-on-bad-exit=1 python"
        )
    return f"horovodrun -np {EXECUTION.ranks} --gloo python"


def block(wildcards):
    """Return the training job that the wildcards name."""
    group = PLAN.group(wildcards.chain, int(wildcards.pass_), wildcards.group)
    blocks = PLAN.blocks(group, int(wildcards.iteration), step_number(wildcards.step))
    return blocks[int(wildcards.block)]


def stage_inputs(wildcards):
    """Return what the weights of a group of lanes are made from in one step."""
    group = PLAN.group(wildcards.chain, int(wildcards.pass_), wildcards.group)
    step = step_number(wildcards.step)
    return PLAN.inputs.weights(group, int(wildcards.iteration), step)


def lanes_in(method, round):
    """Return the lanes of a round; Snakemake asks again when the one before it is over."""
    number = int(round)
    if number > 1:
        checkpoints.lanes.get(method=method, round=number - 1)
    return rounds.lanes_in(PLAN, method, number)


def rounds_of(method):
    """Return the rounds of a method; Snakemake asks again after each, until the last is over."""
    found, most = [], PLAN.config.methods[method].lanes
    while not found or found[-1].following(most):
        number = len(found) + 1
        checkpoints.lanes.get(method=method, round=number)
        found.append(rounds.read(PLAN, method, number))
    return found


@lru_cache
def plan_with(lanes):
    """Return the plan with lanes of methods, pairs; one for all jobs."""
    return PLAN.with_lanes(dict(lanes)) if lanes else PLAN


def decided(*methods):
    """Return the plan with as many lanes of these methods as rounds have decided on."""
    lanes = ((m, rounds_of(m)[-1].lanes) for m in methods if m in PLAN.adaptive)
    return plan_with(tuple(lanes))


def decided_of(result):
    """Return the plan with as many lanes of the method of a result as it has."""
    return decided(parted(result)[1])


def later_table_inputs(wildcards):
    """Return what tables wait for beside KNOWN, when rounds are over: nothing without any."""
    if not PLAN.adaptive:
        return []
    over = ((m, each.number) for m in PLAN.adaptive for each in rounds_of(m))
    found = [PLAN.round(*each) for each in over]
    known, tables = set(KNOWN), decided(*PLAN.adaptive).inputs.tables()
    return found + [path for path in tables if path not in known]
