"""What rules ask the plan about the job that wildcards name, and how trainings start."""

import os
import sys
from collections import Counter

from omniflow.pace import Handler, Pace, costs
from omniflow.unfolding.coordinates import step_number

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
    counts = Counter(job.rule.name for job in workflow.dag.needrun_jobs())
    if counts:
        pace = Pace(counts, costs(PLAN))
        logger.addHandler(
            Handler(pace, lambda line: print(line, file=sys.stderr, flush=True))
        )


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
