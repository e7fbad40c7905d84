"""The jobs that `omniflow plan` counts are those that Snakemake plans."""

from collections import Counter
from pathlib import Path

import pytest
import snakemakes

from omniflow.config import validate
from omniflow.unfolding.estimate import rates
from omniflow.unfolding.jobs import jobs
from omniflow.unfolding.plan import Plan

ROOT = Path(__file__).parents[2]
DATA = ROOT / "tests" / "data"
SAMPLE = {"source": "h1", "files": [str(DATA / "h1_simulation.h5")]}


def _config(**pretraining):
    """Every strategy, lanes cut into several jobs, and pre-trained models."""
    return {
        "study": {"name": "small", "passes": 2},
        "samples": {
            "data": {"source": "h1", "files": [str(DATA / "h1_nature.h5")], "events": 600},
            "simulation": SAMPLE | {"events": 600},
            "pretraining": pretraining,
        },
        "classifier": {"kind": "deepsets", "width": 8, "blocks": 1},
        "unfolding": {"iterations": 2},
        "methods": {
            "none": {},
            "parallel": {"lanes": 3},
            "pretrained-step": {"members": 3, "start": "pretrained"},
            "two-models": {"lanes": 2, "start": "backbone", "transfer": {"models": 2}},
        },
        "observables": {"names": ["q2", "log10_pt"]},
        "execution": {"networks_per_job": 2},
    }


@pytest.mark.parametrize(
    "pretraining",
    [
        {
            "numerator": SAMPLE | {"skip": 600, "events": 200},
            "denominator": SAMPLE | {"skip": 800},
        },
        {"simulation": SAMPLE | {"skip": 600}},
    ],
)
def test_jobs_are_those_of_the_workflow(tmp_path, pretraining):
    config = _config(**pretraining)
    result = snakemakes.forked(tmp_path, config, "--dry-run", "--quiet", "rules")
    assert result.returncode == 0, result.stdout + result.stderr
    rows = [line.split() for line in result.stdout.splitlines()]
    planned = {row[0]: int(row[1]) for row in rows if len(row) == 2 and row[1].isdigit()}
    plan = Plan(validate(config))
    found = Counter(job.rule for job in jobs(plan, rates(plan)))
    assert planned == {**found, "total": sum(found.values())}
