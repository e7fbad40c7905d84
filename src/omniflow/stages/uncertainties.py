"""Stage 5, beside the tables: covariances in blocks, shifts, tests, pulls, coverage.

All of the last iteration and of each method's first combination, as event yields (`absolute`) or
with unit sum (`shape`). Bins count from 0.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from omniflow.evaluation import alignment, covariance
from omniflow.evaluation.covariance import Block
from omniflow.evaluation.histograms import CountMatrix
from omniflow.files import create_h5, write_csv
from omniflow.stages import evaluation, inputs
from omniflow.stages.origins import origins
from omniflow.stages.weights import setup
from omniflow.unfolding.coordinates import NOMINAL, prefixed
from omniflow.unfolding.plan import Plan
from omniflow.unfolding.variants import ROLES, TOY, VARIATION

TRUTH, PRIOR = "truth", "simulation"
# A kind of pulls beside toys: of passes, by the total error. The blocks that toys vary.
PASS_TOTAL = "pass_total"
TOYS_VARY = ("data", "training")
KEYS = ("method", "combine", "observable")
COLUMNS = {
    "covariance.csv": (*KEYS, "block", "bin_i", "bin_j", "value"),
    "shifts.csv": (*KEYS, "variation", "bin", "shift", "training_error"),
    "chi2.csv": (
        *KEYS,
        *("prediction", "chi2", "bins", "p_value", "covariance_freedom", "blocks", "left_out"),
        "parallel",
    ),
    "pulls.csv": (*KEYS, "kind", "number", "bin", "pull"),
    "coverage.csv": (
        *KEYS,
        *("kind", "entries", "coverage", "coverage_error", "pull_mean", "pull_width"),
    ),
}


@dataclass(frozen=True)
class Prediction:
    """What an unfolded observable is compared with.

    Attributes:
        content: (B,).
        replicas: (R, B) the same in the replicas of `data` and of `simulation`: a prediction that
            shares events with the result fluctuates with it.
        blocks: its own statistical covariance, where it shares no events with the result.
        origins: what its sample was made by.
    """

    content: np.ndarray
    replicas: dict[str, np.ndarray]
    blocks: dict[str, Block]
    origins: frozenset[str]


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

    def shift(self, variation: str) -> np.ndarray:
        """Return the shifts (P, B) of a variation from the nominal result of the same pass."""
        found = self.variants[variation]
        return found - self.passes[: len(found)]

    def replicas(self, kind: str) -> np.ndarray:
        """Return the contents (R, P, B) of the variants of a kind."""
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
                moved = 0 if prediction is None else prediction.replicas[kind][:, None]
                blocks[kind] = covariance.of_replicas(found - moved)
        if len(self.passes) > 1:
            blocks["training"] = covariance.scatter(self.passes) * (1 / passes)
        for name, sides in self.plan.variants.blocks().items():
            shifts = [self.shift(side) for side in sides]
            blocks[name] = covariance.of_shifts(shifts, _origins(self.plan, sides))
        return blocks | (prediction.blocks if prediction is not None else {})


def make_tables(plan: Plan) -> None:
    """Write covariances, tests, pulls and coverage of all methods that get uncertainties."""
    predictions = _predictions(plan)
    truths = _truths_of_toys(plan) if inputs.events(plan, "data").particle is not None else None
    rows: dict[str, list[tuple]] = {name: [] for name in COLUMNS}
    results = {method: _results(plan, method) for method in plan.variants.methods}
    write_joint(plan, results)
    for method, observables in results.items():
        for name, result in observables.items():
            keys = (method, plan.combinations(method)[0], name)
            rows["covariance.csv"] += [(*keys, *row) for row in _covariance_rows(result)]
            rows["shifts.csv"] += [(*keys, *row) for row in _shift_rows(result)]
            tests = _test_rows(plan, result, predictions[name])
            rows["chi2.csv"] += [(*keys, *row) for row in tests]
            if truths is not None:
                found = make_pulls(plan, result, predictions[name][TRUTH], truths[name])
                for kind, pulls in found.items():
                    rows["pulls.csv"] += [
                        (*keys, kind, number + 1, bin_, pull)
                        for (number, bin_), pull in np.ndenumerate(pulls)
                        if not np.isnan(pull)
                    ]
                    summary = covariance.coverage(pulls)
                    rows["coverage.csv"].append((*keys, kind, len(pulls), *summary.values()))
    for table, columns in COLUMNS.items():
        write_csv(pd.DataFrame(rows[table], columns=list(columns)), plan.table(table))


def write_joint(plan: Plan, results: dict[str, dict[str, Result]]) -> None:
    """Write the covariance of the bins of all observables together, for fits of several.

    Every variant gives all observables from the same events, so that covariances between their
    bins are those within one.
    """
    sizes = {name: r.passes.shape[1] for name, r in next(iter(results.values())).items()}
    with create_h5(plan.table("joint_covariance.h5")) as file:
        file.attrs.update(schema="omniflow-covariance", version=1)
        file["observable"] = np.repeat(list(sizes), list(sizes.values())).astype("S")
        file["bin"] = np.concatenate([np.arange(size) for size in sizes.values()])
        for method, observables in results.items():
            joined = Result.joined(observables.values())
            file[f"{method}/mean"] = joined.passes.mean(axis=0)
            for name, matrix in _matrices(joined).items():
                file[f"{method}/covariance/{name}"] = matrix


def _matrices(result: Result) -> dict[str, np.ndarray]:
    """Return the blocks (B, B) of a result and, where there are any, their total."""
    blocks = result.blocks(len(result.passes))
    found = {name: block.matrix for name, block in blocks.items()}
    return found | ({"total": covariance.total(blocks.values())} if blocks else {})


def _covariance_rows(result: Result) -> Iterator[tuple]:
    for name, matrix in _matrices(result).items():
        for (i, j), value in np.ndenumerate(matrix):
            yield name, i, j, value


def _shift_rows(result: Result) -> Iterator[tuple]:
    for name in result.plan.variants.of_kind(VARIATION):
        shifts = result.shift(name)
        errors = covariance.training_error(shifts)
        for bin_, numbers in enumerate(zip(shifts.mean(axis=0), errors, strict=True)):
            yield name, bin_, *numbers


def _test_rows(plan: Plan, result: Result, predictions: dict[str, Prediction]) -> Iterator[tuple]:
    """Yield tests of the mean over passes against each prediction.

    Blocks that contain the tested difference are left out and named, and so are those in use whose
    shifts are parallel to it.
    """
    mean, shape = result.passes.mean(axis=0), plan.config.unfolding.normalization == "shape"
    shifts = _shifts(plan, result)
    for name, prediction in predictions.items():
        blocks = result.blocks(len(result.passes), prediction)
        used = covariance.independent(blocks, prediction.origins)
        if not used:
            continue
        found = covariance.chi2_test(mean - prediction.content, used, prediction.origins, shape)
        left_out = " ".join(block for block in blocks if block not in used)
        numbers = (found.chi2, found.bins, found.p_value, found.freedom)
        parallel = alignment.aligned(
            mean - prediction.content,
            {block: used[block].measured for block in used},
            {block: shifts[block] for block in shifts if block in used},
        )
        yield name, *numbers, " ".join(used), left_out, " ".join(parallel)


def _shifts(plan: Plan, result: Result) -> dict[str, list[np.ndarray]]:
    """Return the shifts (B,) of each systematic block, of one side or both."""
    return {
        name: [result.shift(side).mean(axis=0) for side in sides]
        for name, sides in plan.variants.blocks().items()
    }


def make_pulls(
    plan: Plan, result: Result, truth: Prediction, toys: np.ndarray
) -> dict[str, np.ndarray]:
    """Return pulls (k, B) by kind: of every toy against its own truth, of every pass against truth.

    Toys differ by their data and by their training, so that these blocks are their error; it takes
    replicas of the data. Passes are divided by the error of all blocks.
    """
    pulls = {}
    blocks = covariance.independent(result.blocks(1, truth), truth.origins)
    if blocks:
        error = covariance.total(blocks.values())
        pulls[PASS_TOTAL] = covariance.pulls(result.passes - truth.content, error)
    if len(toys) and len(result.replicas("data")):
        blocks = result.blocks(plan.config.uncertainties.passes, truth)
        error = covariance.total(blocks[name] for name in TOYS_VARY if name in blocks)
        pulls[TOY] = covariance.pulls(result.replicas(TOY).mean(axis=1) - toys, error)
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
        for name in plan.config.observables.names
    }


def _last(plan: Plan, result: str) -> dict[str, np.ndarray]:
    """Return the contents (passes, B) of the last iteration and first combination of a result."""
    how, iteration = plan.combinations(result)[0], plan.iterations[-1]
    (found,) = (
        unfolded
        for unfolded in evaluation.read_histograms(plan, result, "particle")
        if (unfolded.combine, unfolded.iteration) == (how, iteration)
    )
    return {name: _units(plan, h.content) for name, h in found.histograms.items()}


def _units(plan: Plan, content: np.ndarray) -> np.ndarray:
    shape = plan.config.unfolding.normalization == "shape"
    return covariance.unit(content) if shape else content


def _origins(plan: Plan, variations: Iterable[str]) -> frozenset[str]:
    """Return what made the samples that variations bring in."""
    roles = [role for name in variations for role in plan.variants[name].roles.values()]
    return frozenset().union(*(origins(plan, role) for role in roles))


def _predictions(plan: Plan) -> dict[str, dict[str, Prediction]]:
    """Return predictions by observable and name: truth, simulations, what is only compared."""
    replicas = {kind: [NOMINAL, *plan.variants.of_kind(kind)] for kind in ROLES}
    samples = [(PRIOR, PRIOR, (_prior(plan, name) for name in replicas["simulation"]))]
    if inputs.events(plan, "data").particle is not None:
        weights = (inputs.events(plan, "data", name).weight for name in replicas["data"])
        samples.insert(0, (TRUTH, "data", weights))
    for name in plan.variants.of_kind(VARIATION):
        role = plan.variants.role("simulation", name)
        if role != "simulation":
            samples.append((name, role, iter([_prior(plan, name)])))
    for name, role in plan.variants.predictions.items():
        samples.append((name, role, iter([_prior(plan, NOMINAL, role)])))
    # What replicas do to the scale of other simulations: by the data, and by backgrounds.
    scales = {
        kind: np.array([setup(plan, name).sum_data for name in names])[:, None]
        for kind, names in replicas.items()
    }
    if plan.config.unfolding.scale != "detector":
        scales = {kind: np.ones_like(sums) for kind, sums in scales.items()}
    found: dict[str, dict[str, Prediction]] = {n: {} for n in plan.config.observables.names}
    for name, role, weights in samples:
        matrices = evaluation.counts(plan, role, "particle")
        first = next(weights)
        rows = _contents(matrices, itertools.chain([first], weights))
        for observable, matrix in matrices.items():
            content = rows[observable][0]
            moved = {kind: sums[1:] / sums[0] * content for kind, sums in scales.items()}
            if name == TRUTH:  # not scaled to the data
                moved["simulation"] = np.tile(content, (len(replicas["simulation"]) - 1, 1))
            blocks = {}
            if name in (TRUTH, PRIOR):
                moved[role] = rows[observable][1:]
            else:
                blocks["prediction"] = Block(_statistical(plan, matrix, first, content))
            found[observable][name] = Prediction(
                _units(plan, content),
                {kind: _units(plan, values) for kind, values in moved.items()},
                blocks,
                origins(plan, role),
            )
    return found


def _prior(plan: Plan, variant: str, role: str = PRIOR) -> np.ndarray:
    """Return the weights of a variant's simulation before unfolding, scaled to the data."""
    common = setup(plan, variant, role)
    return common.scale * common.weight


def _truths_of_toys(plan: Plan) -> dict[str, np.ndarray]:
    """Return the truth (toys, B) of each toy by observable."""
    names = plan.config.observables.names
    rows: dict[str, list[np.ndarray]] = {name: [] for name in names}
    for toy in plan.variants.of_kind(TOY):
        matrices = evaluation.counts(plan, plan.variants.role("data", toy), "particle")
        for name, content in _contents(matrices, [inputs.events(plan, "data", toy).weight]).items():
            rows[name].append(_units(plan, content[0]))
    return {name: np.array(found) for name, found in rows.items()}


def _contents(
    matrices: dict[str, CountMatrix], weights: Iterable[np.ndarray]
) -> dict[str, np.ndarray]:
    """Return contents (k, B) by observable for k weights of every event, taken one by one."""
    rows = [{name: m.fill(each).content for name, m in matrices.items()} for each in weights]
    return {name: np.stack([row[name] for row in rows]) for name in matrices}


def _statistical(
    plan: Plan, matrix: CountMatrix, weights: np.ndarray, content: np.ndarray
) -> np.ndarray:
    found = covariance.statistical(matrix.counts, weights)
    shape = plan.config.unfolding.normalization == "shape"
    return covariance.of_unit(content, found) if shape else found
