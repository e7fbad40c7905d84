"""Stage 5, beside the tables: covariances in blocks, shifts, tests, pulls, coverage.

All of the last iteration and of each method's first combination, as event yields (`absolute`) or
with unit sum (`shape`). Bins count from 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pandas as pd

from omniflow.evaluation import alignment, covariance
from omniflow.evaluation.covariance import Block
from omniflow.events.quality import measure
from omniflow.files import create_h5
from omniflow.stages import evaluation, inputs, predictions
from omniflow.stages.origins import origins
from omniflow.stages.predictions import TRUTH, Prediction
from omniflow.tables.table import Table
from omniflow.tables.uncertainties import (
    CHI2,
    COVARIANCE,
    COVERAGE,
    JOINT_COVARIANCE,
    PULLS,
    SHIFTS,
)
from omniflow.unfolding.coordinates import NOMINAL, prefixed
from omniflow.unfolding.plan import Plan
from omniflow.unfolding.variants import ROLES, TOY, VARIATION

# Kinds of pulls: of passes by the total error; of toys by the blocks that they vary.
PASS_TOTAL, TOY_SAMPLES = "pass_total", "toy_samples"


class Result:
    """One observable of one method, in every variant.

    Attributes:
        passes: (N, B) nominal content of each pass.
        variants: content (P, B) by variant, of each pass that variants run.
    """

    def __init__(self, plan: Plan, passes: np.ndarray, variants: dict[str, np.ndarray]) -> None:
        """Take contents, in units that are compared."""
        self.plan, self.passes, self.variants = plan, passes, variants

    @classmethod
    def joined(cls, results: Iterable[Result]) -> Result:
        """Return all observables as one, their bins after one another."""
        results = list(results)
        variants = {
            name: np.concatenate([result.variants[name] for result in results], axis=1)
            for name in results[0].variants
        }
        passes = np.concatenate([result.passes for result in results], axis=1)
        return cls(results[0].plan, passes, variants)

    def shift(self, variation: str, prediction: Prediction | None = None) -> np.ndarray:
        """Return the shifts (P, B) of a variation from the nominal result of the same pass.

        Or those of the difference to a prediction, which moves if it is scaled to the data.

        Args:
            variation: its name.
            prediction: of which the difference is taken.

        Returns:
            (P, B).
        """
        found = self.variants[variation]
        return found - self.passes[: len(found)] - self._moved(variation, prediction)

    def replicas(self, kind: str) -> np.ndarray:
        """Return the contents (R, P, B) of the variants of a kind.

        Args:
            kind: data, simulation, or toys.

        Returns:
            (R, P, B).
        """
        found = [self.variants[name] for name in self.plan.variants.of_kind(kind)]
        passes = self.plan.config.uncertainties.passes
        return np.array(found).reshape(len(found), passes, self.passes.shape[1])

    def blocks(self, passes: int, prediction: Prediction | None = None) -> dict[str, Block]:
        """Return the covariance of the mean of so many passes, or of its difference to something.

        Replicas and variations have the random numbers of the nominal result. What they still
        scatter by training is measured by several passes.
        """
        blocks = {}
        for kind in ROLES:
            found = self.replicas(kind)
            if len(found):
                moved = [self._moved(name, prediction) for name in self.plan.variants.of_kind(kind)]
                blocks[kind] = covariance.of_replicas(found - np.array(moved)[:, None])
        if len(self.passes) > 1:
            blocks[covariance.TRAINING] = covariance.scatter(self.passes) * (1 / passes)
        for name, sides in self.plan.variants.blocks().items():
            shifts = [self.shift(side, prediction) for side in sides]
            blocks[name] = covariance.of_shifts(shifts, _origins(self.plan, sides))
        return blocks | (prediction.blocks if prediction is not None else {})

    def _moved(self, variant: str, prediction: Prediction | None) -> np.ndarray:
        """Return how far (B,) a prediction moves in a variant."""
        if prediction is None:
            return np.zeros(self.passes.shape[1])
        return prediction.variants[variant] - prediction.content


def make_tables(plan: Plan) -> None:
    """Write covariances, tests, pulls and coverage of all methods that get uncertainties."""
    compared = predictions.make(plan)
    sizes = _relative_sizes(plan)
    truths = _truths_of_toys(plan) if inputs.events(plan, "data").particle is not None else None
    rows: dict[Table, list[tuple]] = {
        table: [] for table in (COVARIANCE, SHIFTS, CHI2, PULLS, COVERAGE)
    }
    results = {method: _results(plan, method) for method in plan.variants.methods}
    write_joint(plan, results)
    for method, observables in results.items():
        for name, result in observables.items():
            keys = (method, plan.combinations(method)[0], name)
            rows[COVARIANCE] += [(*keys, *row) for row in _covariance_rows(result)]
            rows[SHIFTS] += [(*keys, *row) for row in _shift_rows(result, sizes)]
            tests = _test_rows(plan, result, compared[name])
            rows[CHI2] += [(*keys, *row) for row in tests]
            if truths is not None:
                found = make_pulls(plan, result, compared[name][TRUTH], truths[name])
                for kind, pulls in found.items():
                    rows[PULLS] += [
                        (*keys, kind, number + 1, bin_, pull)
                        for (number, bin_), pull in np.ndenumerate(pulls)
                        if not np.isnan(pull)
                    ]
                    summary = covariance.coverage(pulls)
                    if kind == PASS_TOTAL:  # passes are not independent: they share the samples
                        summary["coverage_error"] = np.nan
                    rows[COVERAGE].append((*keys, kind, len(pulls), *summary.values()))
    for table, lines in rows.items():
        table.write(pd.DataFrame(lines, columns=table.names), plan.table(table.name))


def write_joint(plan: Plan, results: dict[str, dict[str, Result]]) -> None:
    """Write the covariance of the bins of all observables together, for fits of several.

    Every variant gives all observables from the same events, so that covariances between their
    bins are those within one.
    """
    sizes = {name: r.passes.shape[1] for name, r in next(iter(results.values())).items()}
    with create_h5(plan.table(JOINT_COVARIANCE.name)) as file:
        file.attrs.update(schema="omniflow-covariance", version=1)
        file["observable"] = np.repeat(list(sizes), list(sizes.values())).astype("S")
        file["bin"] = np.concatenate([np.arange(size) for size in sizes.values()])
        for method, observables in results.items():
            joined = Result.joined(observables.values())
            file[f"{method}/mean"] = joined.passes.mean(axis=0)
            for name, matrix in matrices(joined).items():
                file[f"{method}/covariance/{name}"] = matrix


def matrices(result: Result, passes: int | None = None) -> dict[str, np.ndarray]:
    """Return the blocks (B, B) of the mean of so many passes and, where there are any, their total.

    By default of all passes.

    Args:
        result: with its variants.
        passes: of which the mean is; None: all of them.

    Returns:
        (B, B) by block, and `total` if there is any.
    """
    blocks = result.blocks(passes or len(result.passes))
    found = {name: block.matrix for name, block in blocks.items()}
    return found | ({"total": covariance.total(blocks.values())} if blocks else {})


def _covariance_rows(result: Result) -> Iterator[tuple]:
    for name, matrix in matrices(result).items():
        for (i, j), value in np.ndenumerate(matrix):
            yield name, i, j, value


def _shift_rows(result: Result, sizes: dict[str, dict[str, float]]) -> Iterator[tuple]:
    for name in result.plan.variants.of_kind(VARIATION):
        shifts = result.shift(name)
        columns = (
            shifts.mean(axis=0),
            covariance.training_error(shifts),
            _statistical_error(result, sizes[name]),
        )
        for bin_, numbers in enumerate(zip(*columns, strict=True)):
            yield name, bin_, *numbers


def _statistical_error(result: Result, sizes: dict[str, float]) -> np.ndarray:
    """Return the error (B,) of a shift by the statistics of nominal and varied samples.

    Replicas of the nominal sample measure its own; that of a sample of another size is larger or
    smaller in proportion. NaN for variations without a sample, and without replicas.

    Args:
        result: an observable.
        sizes: effective size of the nominal sample over that of the varied one, by role.
    """
    variance = np.full(result.passes.shape[1], 0.0 if sizes else np.nan)
    for role, size in sizes.items():
        replicas = result.replicas(role)
        if not len(replicas):
            return np.full(len(variance), np.nan)
        own = np.diagonal(covariance.of_replicas(replicas).matrix)
        variance += (1 + size) * np.maximum(own, 0)
    return np.sqrt(variance)


def _relative_sizes(plan: Plan) -> dict[str, dict[str, float]]:
    """Return effective sizes (sum w)^2 / sum w^2, nominal over varied, by variation and role."""

    def size(role: str, variant: str) -> float:
        events = inputs.events(plan, role, variant)
        counted = events.pass_detector if role == "data" else inputs.unfolded(plan, events)
        weight = np.asarray(events.weight)[np.asarray(counted, bool)]
        return measure(weight).effective

    return {
        name: {role: size(role, NOMINAL) / size(role, name) for role in plan.variants[name].roles}
        for name in plan.variants.of_kind(VARIATION)
    }


def _test_rows(plan: Plan, result: Result, compared: dict[str, Prediction]) -> Iterator[tuple]:
    """Yield tests of the mean over passes against each prediction.

    Blocks that contain the tested difference are left out and named, and so are those in use whose
    shifts are parallel to it. There is no p-value where statistics or training are not measured.
    """
    mean, shape = result.passes.mean(axis=0), plan.config.unfolding.normalization == "shape"
    for name, prediction in compared.items():
        shifts = _shifts(plan, result, prediction)
        blocks = result.blocks(len(result.passes), prediction)
        used = covariance.independent(blocks, prediction.origins)
        if not used:
            continue
        found = covariance.chi2_test(
            mean - prediction.content,
            used,
            prediction.origins,
            shape,
            (*ROLES, covariance.TRAINING),
        )
        left_out = " ".join(block for block in blocks if block not in used)
        numbers = (found.chi2, found.bins, found.p_value, found.reason, found.freedom)
        parallel = alignment.aligned(
            mean - prediction.content,
            {block: used[block].measured for block in used},
            {block: shifts[block] for block in shifts if block in used},
        )
        yield name, *numbers, " ".join(used), left_out, " ".join(parallel)


def _shifts(plan: Plan, result: Result, prediction: Prediction) -> dict[str, list[np.ndarray]]:
    """Return the shifts (B,) of each systematic block, one side or both, from a prediction."""
    return {
        name: [result.shift(side, prediction).mean(axis=0) for side in sides]
        for name, sides in plan.variants.blocks().items()
    }


def make_pulls(
    plan: Plan, result: Result, truth: Prediction, toys: np.ndarray
) -> dict[str, np.ndarray]:
    """Return pulls (k, B) by kind: of every toy against its own truth, of every pass against truth.

    Toys differ by their samples and by their training, so that these blocks are their error; it
    takes replicas. Passes are divided by the error of all blocks.

    Args:
        plan: of the study.
        result: with its variants.
        truth: of the study.
        toys: (T, B) truth of each toy.

    Returns:
        (k, B) by kind; only those that errors are known for.
    """
    pulls = {}
    blocks = covariance.independent(result.blocks(1, truth), truth.origins)
    if blocks:
        error = covariance.total(blocks.values())
        pulls[PASS_TOTAL] = covariance.pulls(result.passes - truth.content, error)
    drawn = plan.config.uncertainties.drawn_in_toys
    if len(toys) and all(len(result.replicas(kind)) for kind in drawn):
        blocks = result.blocks(plan.config.uncertainties.passes, truth)
        error = covariance.total(blocks[k] for k in (*drawn, "training") if k in blocks)
        kind = TOY_SAMPLES if plan.config.uncertainties.toy_simulations else TOY
        pulls[kind] = covariance.pulls(result.replicas(TOY).mean(axis=1) - toys, error)
    return pulls


def _results(plan: Plan, method: str) -> dict[str, Result]:
    """Return the results of a method by observable."""
    contents = {v: _last(plan, prefixed(v, method)) for v in plan.variants.names}
    return {
        name: Result(
            plan,
            contents[NOMINAL][name],
            {variant: found[name] for variant, found in contents.items()},
        )
        for name in contents[NOMINAL]
    }


def _last(plan: Plan, result: str) -> dict[str, np.ndarray]:
    """Return the contents (passes, B) of the last iteration and first combination of a result."""
    how, iteration = plan.combinations(result)[0], plan.iterations[-1]
    (found,) = (
        unfolded
        for unfolded in evaluation.read_histograms(plan, result, "particle")
        if (unfolded.combine, unfolded.iteration) == (how, iteration)
    )
    return {name: predictions.units(plan, h.content) for name, h in found.histograms.items()}


def _origins(plan: Plan, variations: Iterable[str]) -> frozenset[str]:
    """Return what made the samples that variations bring in."""
    roles = [role for name in variations for role in plan.variants[name].roles.values()]
    return frozenset().union(*(origins(plan, role) for role in roles))


def _truths_of_toys(plan: Plan) -> dict[str, np.ndarray]:
    """Return the truth (toys, B) of each toy by observable."""
    rows: dict[str, list[np.ndarray]] = {n: [] for n in evaluation.edges(plan, "particle")}
    for toy in plan.variants.of_kind(TOY):
        weight = inputs.events(plan, "data", toy).weight
        filled = evaluation.fill(plan, plan.variants.role("data", toy), "particle", weight)
        for name, histogram in filled.items():
            rows[name].append(predictions.units(plan, histogram.content))
    return {name: np.array(found) for name, found in rows.items()}
