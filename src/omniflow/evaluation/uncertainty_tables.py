"""Tables of uncertainties: covariances in blocks, shifts, tests, pulls and coverage."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np
import pandas as pd

from omniflow.evaluation import alignment, covariance
from omniflow.evaluation.varied import PASS_TOTAL, Prediction, Varied
from omniflow.tables.table import Table
from omniflow.tables.uncertainties import CHI2, COVARIANCE, COVERAGE, PULLS, SHIFTS
from omniflow.unfolding.variants import ROLES, VARIATION

# Method, combination and observable.
Key = tuple[str, str, str]


def covariance_table(results: Mapping[Key, Varied]) -> pd.DataFrame:
    """Build covariance.csv.

    Args:
        results: by method, combination and observable.
    """
    return _table(COVARIANCE, results, lambda key: _covariance_rows(results[key]))


def _table(
    table: Table, results: Mapping[Key, Varied], rows: Callable[[Key], Iterator[tuple]]
) -> pd.DataFrame:
    found = [(*key, *row) for key in results for row in rows(key)]
    return table.build(pd.DataFrame(found, columns=table.names))


def _covariance_rows(result: Varied) -> Iterator[tuple]:
    for name, matrix in result.matrices().items():
        for (i, j), value in np.ndenumerate(matrix):
            yield name, i, j, value


def shifts_table(
    results: Mapping[Key, Varied], sizes: Mapping[str, Mapping[str, float]]
) -> pd.DataFrame:
    """Build shifts.csv.

    Args:
        results: by method, combination and observable.
        sizes: by variation and role, effective size of the nominal sample over the varied one.
    """
    return _table(SHIFTS, results, lambda key: _shift_rows(results[key], sizes))


def _shift_rows(result: Varied, sizes: Mapping[str, Mapping[str, float]]) -> Iterator[tuple]:
    for name in result.scheme.kinds[VARIATION]:
        shifts = result.shift(name)
        columns = (
            shifts.mean(axis=0),
            covariance.training_error(shifts),
            _statistical_error(result, sizes[name]),
        )
        for bin_, numbers in enumerate(zip(*columns, strict=True)):
            yield name, bin_, *numbers


def _statistical_error(result: Varied, sizes: Mapping[str, float]) -> np.ndarray:
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


def chi2_table(
    results: Mapping[Key, Varied],
    compared: Mapping[str, Mapping[str, Prediction]],
    shape: bool,
) -> pd.DataFrame:
    """Build chi2.csv: tests of the mean over passes against each prediction.

    Blocks that contain the tested difference are left out and named, and so are those in use whose
    shifts are parallel to it. There is no p-value where statistics or training are not measured.

    Args:
        results: by method, combination and observable.
        compared: predictions by observable and name.
        shape: whether contents are of unit sum.
    """
    return _table(CHI2, results, lambda key: _test_rows(results[key], compared[key[-1]], shape))


def _test_rows(result: Varied, compared: Mapping[str, Prediction], shape: bool) -> Iterator[tuple]:
    mean = result.passes.mean(axis=0)
    for name, prediction in compared.items():
        shifts = result.shifts(prediction)
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


def pulls_tables(
    results: Mapping[Key, Varied],
    truth: Mapping[str, Prediction],
    toys: Mapping[str, np.ndarray],
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Build pulls.csv and coverage.csv.

    Args:
        results: by method, combination and observable.
        truth: of the study, by observable; empty for real data.
        toys: (T, B) truth of each toy, by observable.

    Returns:
        One row per pull, and one per kind of pulls.
    """
    found = {
        key: result.pulls(truth[key[-1]], toys[key[-1]])
        for key, result in results.items()
        if key[-1] in truth
    }
    pulls = _table(PULLS, results, lambda key: _pull_rows(found.get(key, {})))
    return pulls, _table(COVERAGE, results, lambda key: _coverage_rows(found.get(key, {})))


def _pull_rows(found: Mapping[str, np.ndarray]) -> Iterator[tuple]:
    for kind, pulls in found.items():
        for (number, bin_), pull in np.ndenumerate(pulls):
            if not np.isnan(pull):
                yield kind, number + 1, bin_, pull


def _coverage_rows(found: Mapping[str, np.ndarray]) -> Iterator[tuple]:
    for kind, pulls in found.items():
        summary = covariance.coverage(pulls)
        if kind == PASS_TOTAL:  # passes are not independent: they share the samples
            summary["coverage_error"] = np.nan
        yield kind, len(pulls), *summary.values()
