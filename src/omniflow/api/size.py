"""Size: what a study will cost, as `omniflow plan` prints it, for programs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omniflow.config import load, validate
from omniflow.errors import ConfigError

if TYPE_CHECKING:
    from omniflow.unfolding.makespan import Task


@dataclass(frozen=True)
class Size:
    """What a study will run, at most: patience may end trainings earlier.

    Attributes:
        name: of the study.
        networks: trainings.
        jobs: all jobs of the workflow, by rule.
        core_hours: of trainings, if every epoch is run, on CPUs; of GPUs where the study has them.
        rate: what the hours rest on.
        disk: bytes that stay in the end.
        disk_at_most: bytes while it runs.
        files: number of files in the end.
        notes: what is doubtful of its settings.
    """

    name: str
    networks: int
    jobs: Mapping[str, int]
    core_hours: float
    rate: str
    disk: float
    disk_at_most: float
    files: int
    notes: tuple[str, ...] = ()
    _tasks: tuple[Task, ...] = field(default=(), repr=False)
    _ranks: int = field(default=1, repr=False)

    def wall_hours(self, workers: int = 1) -> float:
        """Return hours from start to end, without waiting in queues.

        Args:
            workers: GPUs, or processes where there are none, that train at the same time.

        Raises:
            ConfigError: fewer workers than one training needs.
        """
        from omniflow.forecast import OTHERS
        from omniflow.unfolding import makespan
        from omniflow.unfolding.jobs import OTHER, TRAINING

        if workers < self._ranks:
            raise ConfigError(f"one training needs {self._ranks} workers (execution.ranks)")
        slots = {TRAINING: workers // self._ranks, OTHER: OTHERS}
        return makespan.run(list(self._tasks), slots).wall / 3600

    def __str__(self) -> str:
        """Return it in words."""
        rules = ", ".join(f"{count:,} {rule}" for rule, count in self.jobs.items())
        lines = [
            f"Study {self.name}: {self.networks:,} networks in {sum(self.jobs.values()):,} jobs",
            f"  jobs: {rules}",
            f"  training: at most {self.core_hours:,.2f} core hours, from {self.rate}",
            f"  wall time: {self.wall_hours(self._ranks):,.2f} h with {self._ranks} worker(s)",
            f"  disk: {self.disk / 1e6:,.0f} MB in {self.files:,} files, at most "
            f"{self.disk_at_most / 1e6:,.0f} MB",
        ]
        return "\n".join([*lines, *(f"  note: {note}" for note in self.notes)])

    __repr__ = __str__


def plan(
    config: str | Path | Mapping[str, Any], *more: str | Path, rate: float | None = None
) -> Size:
    """Return what a study will run: networks, jobs, core hours, wall time and disk.

    Args:
        config: a YAML file, or a configuration as a mapping.
        more: further files, each on top of those before.
        rate: events per second of one training; None: measured or guessed.

    Returns:
        Its size; printed, in words.

    Raises:
        ConfigError: the configuration is not valid.

    Examples:
        >>> import omniflow
        >>> sample = {"source": "pythia", "events": 10_000}
        >>> size = omniflow.plan(
        ...     {
        ...         "study": {"name": "small", "passes": 2},
        ...         "samples": {"data": sample | {"seed": 1}, "simulation": sample | {"seed": 2}},
        ...         "unfolding": {"iterations": 3},
        ...         "methods": {"parallel": {"lanes": 5}},
        ...         "diagnostics": {"second_classifier": False},
        ...     }
        ... )
        >>> size.networks  # 5 lanes x 2 passes x 3 iterations x 2 steps, and the oracle
        61
        >>> size.wall_hours(workers=4) < size.wall_hours(workers=1)
        True
        >>> print(size)
        Study small: 61 networks in ... jobs
        ...
    """
    from omniflow.unfolding import estimate
    from omniflow.unfolding.footprint import footprint
    from omniflow.unfolding.jobs import jobs, tasks
    from omniflow.unfolding.plan import Plan

    settings = validate(config) if isinstance(config, Mapping) else load(config, *more)
    made = Plan(settings)
    size = estimate.estimate(made, rate)
    found = jobs(made, size.rates)
    kinds = footprint(made, found)
    stay = [kind for kind in kinds if not kind.temporary]
    execution = settings.execution
    each = execution.ranks * (1 if execution.gpus else execution.threads)
    return Size(
        name=settings.study.name,
        networks=size.networks,
        jobs=dict(Counter(job.rule for job in found if job.rule != "all")),
        core_hours=size.seconds * each / 3600,
        rate=size.rates.source,
        disk=sum(kind.size for kind in stay),
        disk_at_most=sum(kind.size for kind in kinds),
        files=sum(kind.files for kind in stay),
        notes=tuple(made.notes),
        _tasks=tuple(tasks(found)),
        _ranks=execution.ranks,
    )
