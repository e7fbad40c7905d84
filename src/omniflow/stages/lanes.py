"""Rounds of lanes: are those that there are enough, and if not, how many does the target take?

Truth takes no part: what it decides would be in the weights.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from functools import wraps

import numpy as np

from omniflow.errors import WeightError
from omniflow.evaluation import lanes as scatter
from omniflow.evaluation.histograms import Histogram, normalise, stack
from omniflow.files import write_json
from omniflow.hdf5 import memory_map
from omniflow.stages import evaluation
from omniflow.stages.ensembles import Ratios, combined
from omniflow.stages.weights import setup
from omniflow.unfolding import rounds
from omniflow.unfolding.plan import Plan
from omniflow.unfolding.rounds import Round, Spread
from omniflow.unfolding.steps import Setup


def decided(job: Callable[..., None]) -> Callable[..., None]:
    """Return a job of a plan, done with as many lanes as rounds have decided on."""

    @wraps(job)
    def with_lanes(plan: Plan, *arguments: object, **coordinates: object) -> None:
        job(rounds.decided(plan), *arguments, **coordinates)

    return with_lanes


def measure(plan: Plan, method: str, round_: int) -> None:
    """Measure the scatter of the lanes of a method, and decide how many there have to be.

    Logits of these lanes are removed: Snakemake keeps temporary files until no more jobs can
    become known.

    Raises:
        WeightError: an observable has no content.
    """
    lanes, until = rounds.lanes_in(plan, method, round_), rounds.until(plan, method)
    few = plan.with_lanes({method: lanes})
    passes, factor = len(plan.passes), float(scatter.upper_factor(len(plan.passes), lanes))
    values = _values(few, method)
    for name, value in values.items():
        if not np.isfinite(value):
            raise WeightError(
                f"methods.{method}.until: {name} has no bin with content; name other observables "
                "by until.observables, or give it other bins"
            )
    found = Round(
        method,
        round_,
        lanes,
        scatter.wanted(values.values(), until.target, passes, lanes, until.step),
        {name: Spread(value, value * factor) for name, value in values.items()},
        plan.fingerprints.rounds(method),
    )
    write_json(asdict(found), plan.round(method, round_))
    print(rounds.words(plan, method))
    remove_logits(few, method)


def _values(plan: Plan, method: str) -> dict[str, float]:
    """Return the scatter of one pass by observable, of all lanes of the plan."""
    lanes, how = plan.config.methods[method].lanes, plan.combinations(method)[0]
    contents = _histograms(plan, method)
    errors = _errors(plan) if rounds.until(plan, method).quantity == "statistical" else {}
    found = {}
    for name in rounds.observables(plan, method):
        histogram = _scaled(plan, contents[name])
        drawn, whole = histogram.content[:, :-1], histogram.content[:, -1].mean(axis=0)
        unit = whole
        if errors:
            simulated = histogram.variance[:, -1].mean(axis=0)
            unit = np.abs(whole) * np.hypot(errors[name], _relative(np.sqrt(simulated), whole))
        found[name] = scatter.average(scatter.variance(drawn, lanes, how), unit)
    return found


def _histograms(plan: Plan, method: str) -> dict[str, Histogram]:
    """Return histograms (pass, draw, bin) of draws of lanes, the last one of all lanes."""
    common = setup(plan)
    base, chosen = common.scale * common.weight, common.particle
    passes = [_ensembles(plan, method, pass_, common) for pass_ in plan.passes]
    totals: dict[tuple[str, int], Histogram] = {}
    for rows, matrices in evaluation.counts(plan, "simulation", "particle"):
        inside = np.flatnonzero(chosen[rows])
        for number, ensembles in enumerate(passes):
            weights = np.repeat(base[rows, None], len(ensembles), axis=1)
            for column, ratios in enumerate(ensembles):
                weights[inside, column] *= ratios(rows.start + inside)
            for name, matrix in matrices.items():
                key = name, number
                totals[key] = matrix.fill(weights).plus(totals.get(key))
    names = dict.fromkeys(name for name, _ in totals)
    return {name: stack(totals[name, number] for number in range(len(passes))) for name in names}


def _ensembles(plan: Plan, method: str, pass_: int, common: Setup) -> list[Ratios]:
    """Return what gives the ratios of draws of lanes in a pass, and of all lanes."""
    settings, how = plan.config.methods[method], plan.combinations(method)[0]
    rows = [
        row.__getitem__
        for group in plan.lane_groups(method, pass_)
        for row in memory_map(plan.final_weights(group, plan.iterations[-1]), "ratio")
    ]
    drawn = [*scatter.draws(settings.lanes, how), tuple(range(settings.lanes))]
    return [combined([rows[lane] for lane in each], how, common) for each in drawn]


def _errors(plan: Plan) -> dict[str, np.ndarray]:
    """Return the relative statistical error (B,) of data at detector level, by observable."""
    measured = evaluation.measured(plan)
    scaled = {name: _scaled(plan, found) for name, found in measured.items()}
    return {name: _relative(found.error, found.content) for name, found in scaled.items()}


def _scaled(plan: Plan, histogram: Histogram) -> Histogram:
    return normalise(histogram) if plan.config.unfolding.normalization == "shape" else histogram


def _relative(error: np.ndarray, content: np.ndarray) -> np.ndarray:
    return error / np.where(content == 0, np.nan, np.abs(content))


def remove_logits(plan: Plan, method: str) -> None:
    """Remove logits of the lanes of a method, whose weights are there already."""
    for pass_ in plan.passes:
        for group in plan.lane_groups(method, pass_):
            for iteration in plan.iterations:
                for step in plan.steps:
                    for block in plan.blocks(group, iteration, step):
                        plan.logits(block).unlink(missing_ok=True)
