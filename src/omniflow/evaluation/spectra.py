"""Tidy tables of a study, from histograms: metrics, summary, detector level, binned reference.

Bins count from 0 in the order of the edges; under- and overflow are left out. Bins without entries
in truth or in the unfolded simulation are absent rows, so their numbers may have gaps. Bins whose
weights add up to 0 or less have entries, and rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

import numpy as np
import pandas as pd

from omniflow.evaluation.histograms import Histogram, Unfolded, normalise
from omniflow.evaluation.metrics import (
    bin_average,
    relative_spread,
    spread,
    td_floor,
    triangular_discriminator,
)
from omniflow.tables.reference import BAYES, BAYES_SUMMARY
from omniflow.tables.results import DETECTOR, DETECTOR_SUMMARY, METRICS, SUMMARY
from omniflow.tables.table import Table

Normalization = Literal["absolute", "shape"]

AVERAGED = ("bias_rel", "sigma_rel", "rel_mse")


def unfolding_tables(
    results: Iterable[Unfolded],
    edges: Mapping[str, np.ndarray],
    prior: Mapping[str, Histogram],
    truth: Mapping[str, Histogram] | None,
    normalization: Normalization,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Build the tables of metrics.csv and summary.csv.

    Contents are event yields (`absolute`: truth is the sum of data weights) or normalised to unit
    sum (`shape`). The errors of truth, prior and mean are statistical, with event-level variances;
    that of the mean is the average over passes, because all passes share the events. All other
    errors come from a bootstrap over passes. The discriminators (x 1000) compare unit-normalised
    distributions, averaged over passes, whatever `normalization` is, over all bins.

    In the summary bias_rel is the mean over bins of |bias_rel|; `_weighted` averages weigh bins
    by the magnitude of truth (without truth: of the mean unfolded content).

    Args:
        results: what to tabulate, in the order of the rows.
        edges: observable -> (B + 1,) bin edges; its order is that of the rows.
        prior: observable -> simulation before unfolding, (B,).
        truth: observable -> truth, (B,); None for real data: columns that need it are NaN.
        normalization: of contents in the tables.

    Returns:
        `metrics`, a row per bin, and `summary`, a row per observable.

    Raises:
        ValueError: histograms whose shapes do not fit the edges.
    """
    metrics, summary = _Rows(METRICS), _Rows(SUMMARY)
    priors, truths = _References(prior, normalization), _References(truth, normalization)
    for result, observable, histogram in _each(results, edges):
        reference = truths.scaled(observable)
        before = priors.of(observable)
        _check(observable, edges[observable], histogram, before, reference)
        content = _scaled(histogram, normalization)
        keep = histogram.filled.any(axis=0)
        if reference is not None:
            keep &= reference.filled
        target = None if reference is None else reference.content[keep]
        statistics = spread(content.content[:, keep], target)
        keys = result.keys | {"observable": observable}
        none = np.full(keep.sum(), np.nan)
        metrics.add(
            keep.sum(),
            **keys,
            **_bins(edges[observable], keep),
            **statistics.values,
            passes=statistics.passes,
            truth=none if reference is None else target,
            truth_error=none if reference is None else reference.error[keep],
            prior=before.content[keep],
            prior_error=before.error[keep],
            mean_error=np.sqrt(content.variance.mean(axis=0)[keep]),
            **{f"{name}_error": statistics.errors[name] for name in AVERAGED},
        )
        row: dict[str, Any] = {"passes": statistics.passes, "bins": int(keep.sum())}
        for suffix, weights in (
            ("", None),
            ("_weighted", statistics.values["mean"] if target is None else target),
        ):
            for name in AVERAGED:
                column = name + suffix
                row[column], row[f"{column}_error"] = bin_average(statistics, name, weights)
        shape = truths.shape(observable)
        row["td"], row["td_floor"] = discriminator(shape, _mean(normalise(histogram)))
        row["td_prior"], row["td_prior_floor"] = discriminator(shape, priors.shape(observable))
        summary.add(1, **keys, **row)
    return metrics.frame(), summary.frame()


def detector_tables(
    results: Iterable[Unfolded],
    edges: Mapping[str, np.ndarray],
    data: Mapping[str, Histogram],
    normalization: Normalization,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Build the tables of detector.csv and detector_summary.csv: data and reweighted simulation.

    `simulation` is the mean over passes of the simulation at detector level, reweighted with the
    weights of the iteration (0: the prior); its error is statistical. Bins without entries in both
    are absent. The summary has the discriminator of the two (x 1000, unit-normalised) and its
    floor.

    Args:
        results: detector-level histograms of the simulation.
        edges: observable -> (B + 1,) bin edges; its order is that of the rows.
        data: observable -> data, (B,).
        normalization: as in `unfolding_tables`.

    Returns:
        `detector`, a row per bin, and `detector_summary`, a row per observable.

    Raises:
        ValueError: histograms whose shapes do not fit the edges.
    """
    detector, summary = _Rows(DETECTOR), _Rows(DETECTOR_SUMMARY)
    measurements = _References(data, normalization)
    for result, observable, histogram in _each(results, edges):
        measured = measurements.of(observable)
        _check(observable, edges[observable], histogram, measured)
        content = _scaled(histogram, normalization)
        mean = content.content.mean(axis=0)
        keep = measured.filled | content.filled.any(axis=0)
        keys = result.keys | {"observable": observable}
        detector.add(
            keep.sum(),
            **keys,
            **_bins(edges[observable], keep),
            data=measured.content[keep],
            data_error=measured.error[keep],
            simulation=mean[keep],
            simulation_error=np.sqrt(content.variance.mean(axis=0)[keep]),
            sigma_rel=relative_spread(content.content)[keep],
            passes=len(content.content),
        )
        td, floor = discriminator(measurements.shape(observable), _mean(normalise(histogram)))
        summary.add(1, **keys, td=td, td_floor=floor, passes=len(content.content))
    return detector.frame(), summary.frame()


def bayes_tables(
    unfolded: Mapping[str, Histogram],
    edges: Mapping[str, np.ndarray],
    prior: Mapping[str, Histogram],
    truth: Mapping[str, Histogram] | None,
    normalization: Normalization,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Build the tables of bayes.csv and bayes_summary.csv: the binned reference (`bayes.unfold`).

    Columns mean what they do in `unfolding_tables`; `error` is the statistical error of the data.

    Args:
        unfolded: observable -> content after each iteration, (iterations, B).
        edges: observable -> (B + 1,), as in `unfolding_tables`.
        prior: as in `unfolding_tables`.
        truth: as in `unfolding_tables`.
        normalization: as in `unfolding_tables`.

    Returns:
        `bayes`, a row per bin, and `bayes_summary`, a row per observable and iteration.

    Raises:
        ValueError: histograms whose shapes do not fit the edges.
    """
    bayes, summary = _Rows(BAYES), _Rows(BAYES_SUMMARY)
    priors, truths = _References(prior, normalization), _References(truth, normalization)
    for observable, histogram in unfolded.items():
        before, reference = priors.of(observable), truths.scaled(observable)
        _check(observable, edges[observable], histogram, before, reference)
        scaled, shapes = _scaled(histogram, normalization), normalise(histogram)
        td_prior, td_prior_floor = discriminator(truths.shape(observable), priors.shape(observable))
        for row, content in enumerate(scaled.content):
            target = np.full(len(content), np.nan) if reference is None else reference.content
            keep = histogram.filled[row] & (True if reference is None else reference.filled)
            content, target = content[keep], target[keep]
            keys = {"observable": observable, "iteration": row + 1}
            # One pass: the bias and its averages are those of `unfolding_tables`.
            result = spread(content[None], None if reference is None else target)
            bias = result.values["bias_rel"]
            bayes.add(
                keep.sum(),
                **keys,
                **_bins(edges[observable], keep),
                truth=target,
                prior=before.content[keep],
                content=content,
                error=scaled.error[row, keep],
                bias_rel=bias,
            )
            td, floor = discriminator(truths.shape(observable), shapes.row(row))
            summary.add(
                1,
                **keys,
                bias_rel=bin_average(result, "bias_rel")[0],
                bias_rel_weighted=bin_average(result, "bias_rel", target)[0],
                td_prior=td_prior,
                td=td,
                td_floor=floor,
                td_prior_floor=td_prior_floor,
                bins=keep.sum(),
            )
    return bayes.frame(), summary.frame()


def _each(
    results: Iterable[Unfolded], edges: Mapping[str, np.ndarray]
) -> Iterator[tuple[Unfolded, str, Histogram]]:
    for result in results:
        for observable in edges:
            yield result, observable, result.histograms[observable]


def _scaled(histogram: Histogram, normalization: Normalization) -> Histogram:
    return normalise(histogram) if normalization == "shape" else histogram


class _References:
    """Histograms (B,) that all results are compared with, each normalised once."""

    def __init__(
        self, histograms: Mapping[str, Histogram] | None, normalization: Normalization
    ) -> None:
        histograms = histograms or {}
        self._scaled = {name: _scaled(h, normalization) for name, h in histograms.items()}
        self._shape = {name: normalise(h) for name, h in histograms.items()}

    def of(self, observable: str) -> Histogram:
        return self._scaled[observable]

    def scaled(self, observable: str) -> Histogram | None:
        return self._scaled.get(observable)

    def shape(self, observable: str) -> Histogram | None:
        return self._shape.get(observable)


def _mean(histogram: Histogram) -> Histogram:
    """Mean over passes; the variance too, because the passes share their events."""
    return Histogram(
        histogram.content.mean(axis=0),
        histogram.variance.mean(axis=0),
        histogram.sum_covariance.mean(axis=0),
    )


def discriminator(p: Histogram | None, q: Histogram | None) -> tuple[float, float]:
    """Discriminator and floor of two normalised histograms; NaN if one is missing or empty."""
    if p is None or q is None or not (p.content.any() and q.content.any()):
        return float("nan"), float("nan")
    return (
        triangular_discriminator(p.content, q.content),
        td_floor(p.content, p.variance, q.content, q.variance),
    )


def _bins(edges: np.ndarray, keep: np.ndarray) -> dict[str, np.ndarray]:
    edges = np.asarray(edges, dtype=np.float64)
    return {"bin": np.flatnonzero(keep), "low": edges[:-1][keep], "high": edges[1:][keep]}


def _check(
    observable: str, edges: np.ndarray, histogram: Histogram, *references: Histogram | None
) -> None:
    bins = len(edges) - 1
    if histogram.content.ndim != 2 or histogram.bins != bins:
        raise ValueError(
            f"{observable}: results must be (passes, {bins}), got {histogram.content.shape}"
        )
    for reference in references:
        if reference is not None and reference.content.shape != (bins,):
            raise ValueError(
                f"{observable}: references must be ({bins},), got {reference.content.shape}"
            )


class _Rows:
    """Blocks of rows of one table, joined once at the end."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._blocks: dict[str, list[np.ndarray]] = {}

    def add(self, rows: int, **values: Any) -> None:
        for name, value in values.items():
            if isinstance(value, str):
                value = np.full(rows, value, dtype=object)
            self._blocks.setdefault(name, []).append(np.broadcast_to(value, (rows,)))

    def frame(self) -> pd.DataFrame:
        return self._table.build({name: np.concatenate(b) for name, b in self._blocks.items()})
