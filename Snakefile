"""OmniFold with ensembles: from event files to one report. See README.md."""

import atexit
import gc
from contextlib import ExitStack
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.logging import logger
from snakemake.utils import min_version

from omniflow import config as settings
from omniflow.checksums import notes, update
from omniflow.errors import OmniflowError
from omniflow.files import write_text
from omniflow.lock import Lock
from omniflow.refusals import advice
from omniflow.stages import conversion, preflight
from omniflow.unfolding.estimate import refuse_impossible_toys
from omniflow.unfolding.limits import Limits
from omniflow.unfolding.plan import Plan

min_version("9.20")

# Plans of many jobs are many objects that stay: looking for garbage less often saves a sixth.
gc.set_threshold(100_000, 50, 100)

# Snakemake would merge a `configfile` named here with those of the command line, and it reads
# numbers in its own way: omniflow reads all of them itself.
FILES = workflow.configfiles or [Path(workflow.basedir, "config", "demo.yaml")]

try:
    PLAN = Plan(
        settings.load(*FILES, settings=workflow.config_settings.config_args or ())
    )
    LOCK = Lock(PLAN.root)
    NOTES = notes(PLAN.inputs.given, PLAN.path("checksums"))
    if workflow.is_main_process:
        refuse_impossible_toys(PLAN)
        preflight.refuse(PLAN, ", ".join(map(str, FILES)))
        conversion.refuse_outdated(PLAN)
        update(NOTES, logger.warning)
    else:  # Snakemake inside a job of a cluster: it removes and checks outputs, too
        JOB = ExitStack()
        JOB.enter_context(LOCK.joined())
        atexit.register(JOB.close)
except OmniflowError as error:
    raise WorkflowError(str(error)) from None


LIMITS = Limits(PLAN)
SCRIPTS = Path(workflow.basedir, "workflow", "scripts")
ENVIRONMENT = (
    "../../envs/gpu.yaml" if PLAN.config.execution.gpus else "../../envs/cpu.yaml"
)


wildcard_constraints:
    role="|".join(PLAN.samples),
    level="detector|particle",
    chain="[a-z0-9-]+",
    pass_=r"\d+",
    group=r"(?:[a-z0-9_-]+\.)?lanes-\d+-\d+",
    iteration=r"\d+",
    step="1|1b|2|2b",
    block=r"\d+",
    model=r"\d+",
    round=r"\d+",
    method=r"(?:[a-z0-9_-]+\.)?[a-z0-9][a-z0-9_-]*",
    subject="_?[a-z0-9][a-z0-9_-]*",


# A few seconds and 1 GB at millions of events: a queue would take longer.
localrules:
    aggregate,
    report,


include: "workflow/rules/common.smk"
include: "workflow/rules/samples.smk"
include: "workflow/rules/training.smk"
include: "workflow/rules/diagnostics.smk"
include: "workflow/rules/results.smk"


if PLAN.adaptive:

    include: "workflow/rules/lanes.smk"


if PLAN.uncertainty_tables:

    include: "workflow/rules/uncertainties.smk"


# The configuration is what scripts read. It is no rule's output: a change of it must not rerun
# everything. Dry runs and jobs do not come here.
onstart:
    refuse_untrainable()
    name_jobs()
    try:
        LOCK.acquire(logger.warning)
        atexit.register(LOCK.release)
        write_text(settings.dump(PLAN.config), PLAN.path("config"))
        show_pace()
    except OmniflowError as error:
        raise WorkflowError(str(error)) from None


onsuccess:
    LOCK.release()


onerror:
    LOCK.release()
    said = "".join(Path(path).read_text(encoding="utf-8") for path in log)
    for line in advice(said):
        logger.error(line)


rule all:
    default_target: True
    input:
        PLAN.table("report.html"),
