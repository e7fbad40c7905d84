"""Time limits and memory of jobs, which schedulers want to know before a job starts."""

from __future__ import annotations

import math
from functools import cached_property

from omniflow.config.samples import Sample
from omniflow.unfolding import estimate
from omniflow.unfolding.coordinates import ORACLE, Block
from omniflow.unfolding.plan import Plan

# Starting Python and TensorFlow, compiling the native engine, opening files; in minutes.
STARTUP = 10
# A training job gets so many times its estimated time: nodes differ, and a job that dies at its
# limit costs another wait in the queue.
MARGIN_MEASURED, MARGIN_RULE_OF_THUMB = 2, 4
# Seconds to generate an event with its detector; to convert one or compute its observables; to
# histogram it once. Ten times what was measured.
GENERATE, CONVERT, HISTOGRAM = 2e-2, 1e-3, 4e-5
# Memory of any job that does not train, in MB: Python, libraries, and slices of events.
BASE = 1000
# What a job holds of every event of the largest sample that it reads, in bytes, by rule.
HELD = {
    "event_store": 600,
    "scaling": 100,
    "features": 200,
    "observables": 200,
    "axes": 600,
    "aggregate": 200,
    "combine": 150,
    "histograms": 150,
    "tables": 200,
    "uncertainties": 150,
}


class Limits:
    """What the jobs of a study ask a scheduler for.

    All numbers are estimates with a margin. A job that fails gets `attempt` times as much when it
    is tried again, except for a time limit that the configuration names.
    """

    def __init__(self, plan: Plan) -> None:
        """Take the limits from the plan, its input files and what it has measured so far."""
        self.plan = plan

    @cached_property
    def events(self) -> dict[str, int]:
        """Events by role; 0 where nobody knows yet."""
        samples = self.plan.samples.items()
        return {role: sample.records() or 0 for role, sample in samples}

    @cached_property
    def _seconds(self) -> dict[int, float]:
        """Seconds of one network by step, margin included."""
        measured = estimate.measured_rates(self.plan)
        rates = measured or estimate.rule_of_thumb(self.plan)
        margin = MARGIN_MEASURED if measured else MARGIN_RULE_OF_THUMB
        # One epoch more for the loss before training and the logits after it.
        epochs = margin * (self.plan.config.training.epochs + 1)
        counts = estimate.trained_events(self.plan, self.events)
        # Pre-training goes as step 1, steps 1b and 2b as step 2.
        return {
            step: epochs
            * max(count, estimate.epoch_events(self.plan, count))
            / rates[min(max(step, 1), 2)]
            for step, count in counts.items()
        }

    def training_minutes(self, networks: int, step: int, attempt: int = 1) -> int:
        """Return the time limit of a job that trains `networks` of a step; pre-training: step 0."""
        fixed = self.plan.config.execution.runtime
        return fixed or attempt * _minutes(networks * self._seconds[step])

    def block_minutes(self, block: Block, attempt: int = 1) -> int:
        """Return the time limit of the job of a block."""
        return self.training_minutes(len(block.networks), block.step, attempt)

    def second_minutes(self, attempt: int = 1) -> int:
        """Return the time limit of a job that trains the second classifiers of a subject."""
        fixed = self.plan.config.execution.runtime
        return fixed or attempt * _minutes(estimate.second_seconds(self._seconds))

    def oracle_minutes(self, attempt: int = 1) -> int:
        """Return the time limit of the job that trains the oracle."""
        return self.training_minutes(1, ORACLE, attempt)

    def response_minutes(self, role: str, attempt: int = 1) -> int:
        """Return the time limit of the test of a sample's detector response."""
        seconds = MARGIN_RULE_OF_THUMB * estimate.response_seconds(self.events, role)
        return self.plan.config.execution.runtime or attempt * _minutes(seconds)

    def training_memory(self, attempt: int = 1) -> int:
        """Return the memory of a training job, in MB."""
        execution = self.plan.config.execution
        return attempt * execution.ranks * execution.mem_mb

    def memory_per_cpu(self, attempt: int = 1) -> int:
        """Return the memory of a training job for each of its processors, in MB."""
        execution = self.plan.config.execution
        return attempt * math.ceil(execution.mem_mb / execution.threads)

    def sample_minutes(self, role: str, attempt: int = 1) -> int:
        """Return the time limit of a job that goes through the events of a sample once."""
        return attempt * _minutes(seconds_of(self.plan.samples[role]) * self.events[role])

    def results_minutes(self, method: str, attempt: int = 1) -> int:
        """Return the time limit of combining or histogramming the lanes of a method."""
        results = estimate.histogrammed(self.plan, method)
        return attempt * _minutes(HISTOGRAM * results * self.events["simulation"])

    def memory(self, rule: str, *roles: str, attempt: int = 1) -> int:
        """Return the memory, in MB, of a job that goes through samples one after the other."""
        largest = max(self.events[role] for role in roles)
        return attempt * (BASE + math.ceil(HELD[rule] * largest / 1e6))


def seconds_of(sample: Sample) -> float:
    """Return generous seconds per event of reading, or generating, a sample."""
    return GENERATE if sample.generated else CONVERT


def _minutes(seconds: float) -> int:
    return STARTUP + math.ceil(seconds / 60)
