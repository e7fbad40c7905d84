"""Pace: how far Snakemake is with a study, as lines of a log where no terminal is."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from omniflow.unfolding.plan import Plan

# A line is due when so much more is done, but not more often than once in _SHORTEST seconds, and
# after _LONGEST at the end of the next job in any case.
_SHARE, _SHORTEST, _LONGEST = 0.05, 10.0, 300.0
# Below this share of the work, times of few jobs tell nothing about the rest.
_TOLD = 0.03
# The rule after whose jobs more may become known.
_GROWS = "lanes"


class Pace:
    """Jobs that are done, and the time that the others will take, told by estimates per rule."""

    def __init__(
        self,
        counts: Mapping[str, int],
        costs: Mapping[str, float],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take the jobs that are to run.

        Args:
            counts: their number by rule.
            costs: estimated seconds of one of them; their ratios matter, not their size.
            clock: seconds.
        """
        self._costs = {rule: cost or 1.0 for rule, cost in costs.items()}
        self._clock, self._begin = clock, clock()
        self._done: Counter[str] = Counter()
        self.left(counts)
        self._said = self._begin, 0.0
        self._where = ""

    def _sum(self, counts: Mapping[str, int]) -> float:
        return sum(self._costs.get(rule, 1.0) * count for rule, count in counts.items())

    def left(self, counts: Mapping[str, int]) -> None:
        """Take the jobs that are left, by rule, where more have become known."""
        self._total = self._done.total() + sum(counts.values())
        self._work = self._sum(self._done) + self._sum(counts)

    def started(self, rule: str, wildcards: Mapping[str, str]) -> None:
        """Take note of a job that begins."""
        self._where = rule.replace("_", " ")
        if "iteration" in wildcards:
            self._where = f"step {wildcards['step']} of iteration {wildcards['iteration']}"

    def finished(self, rule: str) -> str:
        """Return the line that is due when a job has ended; nothing where none is."""
        self._done[rule] += 1
        now, share = self._clock(), self._sum(self._done) / self._work
        number, (at, before) = self._done.total(), self._said
        last = number >= self._total
        due = share - before / self._work >= _SHARE and now - at >= _SHORTEST
        if not (due or last or now - at >= _LONGEST):
            return ""
        self._said = now, self._sum(self._done)
        took = now - self._begin
        if last:
            return f"{number} of {self._total} jobs in {_duration(took)}"
        left = f", about {_duration(took * (1 / share - 1))} left" if share >= _TOLD else ""
        return f"{number} of {self._total} jobs, {self._where}{left}"


class Handler(logging.Handler):
    """Tells a pace of the events in Snakemake's log, and says its lines."""

    def __init__(
        self,
        pace: Pace,
        say: Callable[[str], None],
        left: Callable[[], Mapping[str, int]] = dict,
    ) -> None:
        """Take the pace, where its lines go, and what tells the jobs that are left, by rule."""
        super().__init__(logging.INFO)
        self._pace, self._say, self._left = pace, say, left
        self._grown = False
        self._rules: dict[int, str] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Take an event; other records are left alone."""
        event = getattr(getattr(record, "event", None), "value", None)
        found: Mapping[str, Any] = vars(record)
        if event == "job_info":
            if self._grown:
                self._pace.left(self._left())
                self._grown = False
            self._rules[found["jobid"]] = found["rule_name"]
            self._pace.started(found["rule_name"], found["wildcards"] or {})
        elif event == "job_finished" and (rule := self._rules.pop(found["job_id"], "")):
            self._tell(self._pace.finished(rule))
            self._grown |= rule == _GROWS

    def _tell(self, line: str) -> None:
        if line:
            self._say(line)


def costs(plan: Plan) -> dict[str, float]:
    """Return estimated seconds of a job of each rule, the mean over all of a study."""
    from omniflow.unfolding import estimate
    from omniflow.unfolding.jobs import jobs

    seconds: dict[str, float] = {}
    number: Counter[str] = Counter()
    for job in jobs(plan, estimate.estimate(plan, None).rates):
        seconds[job.rule] = seconds.get(job.rule, 0.0) + job.start + job.work
        number[job.rule] += 1
    return {rule: total / number[rule] for rule, total in seconds.items()}


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{max(seconds, 1):.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
