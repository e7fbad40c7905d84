"""Checkpoints of finished jobs: removed by the next stage, when nothing can undo the job any more.

Snakemake deletes the outputs of a job that it did not see end, for instance because it was killed
itself. The job then takes its networks from their checkpoints.
"""

from __future__ import annotations

import json
from pathlib import Path

from omniflow.training import checkpoint
from omniflow.unfolding.coordinates import Network
from omniflow.unfolding.plan import Plan


def remove(plan: Plan, history: Path) -> None:
    """Remove the checkpoints of the networks in a job's history, those of failed attempts too."""
    records = json.loads(history.read_text(encoding="utf-8"))["networks"]
    checkpoint.remove(
        plan.checkpoint(Network(**record["network"]), attempt)
        for record in records
        for attempt in range(record["attempt"] + 1)
    )
