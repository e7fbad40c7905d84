"""Ranking: which methods differ in a metric, by the paired tests of comparisons.csv."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pandas as pd

from omniflow.evaluation.comparison import ALL
from omniflow.report.content import ReportTables

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Ratio:
    """A metric of one method over that of another.

    Attributes:
        value: geometric mean over bins and observables; NaN where none can be compared.
        log_error: standard deviation of its logarithm.
        sure: whether it differs from 1 at 95% confidence, shared among all pairs of methods.
    """

    value: float
    log_error: float
    sure: bool = False

    @property
    def error(self) -> float:
        """Error of the ratio itself."""
        return self.value * self.log_error

    @property
    def smaller(self) -> bool:
        """Whether the first method is significantly below the other."""
        return self.sure and self.value < 1


@dataclass(frozen=True)
class Ranking:
    """Methods of a study in one metric.

    Attributes:
        metric: sigma_rel or rel_mse.
        reference: what the others are compared with.
        methods: all of them, in the order of the study.
        pairs: rows of comparisons.csv of this metric.
    """

    metric: str
    reference: str
    methods: tuple[str, ...]
    pairs: pd.DataFrame

    def ratio(self, method: str, other: str | None = None, observable: str = ALL) -> Ratio:
        """Return a method's ratio to another, or to the reference."""
        other = other or self.reference
        if method == other:
            return Ratio(1.0, 0.0)
        rows = self.pairs[self.pairs["observable"] == observable]
        for first, second, sign in ((method, other, 1), (other, method, -1)):
            found = rows[(rows["method"] == first) & (rows["other"] == second)]
            if len(found):
                row = found.iloc[0]
                sure = row["p_adjusted"] < 1 - CONFIDENCE
                return Ratio(row["ratio"] ** sign, row["log_error"], bool(sure))
        return Ratio(math.nan, math.nan)

    def order(self) -> list[str]:
        """Methods from the lowest ratio to the highest; those without one are left out."""
        ratios = {m: self.ratio(m).value for m in self.methods}
        return sorted((m for m in ratios if ratios[m] > 0), key=ratios.__getitem__)

    def better(self) -> list[str]:
        """Methods significantly below the reference, the lowest first."""
        return [m for m in self.order() if self.ratio(m).smaller]

    def leaders(self) -> list[str]:
        """The lowest of the better methods, and those of them that cannot be told from it."""
        better = self.better()
        return [m for m in better if not self.ratio(m, better[0]).sure]

    def without(self, names: list[str]) -> Ranking:
        """Return the ranking of the other methods."""
        kept = tuple(m for m in self.methods if m not in names)
        return Ranking(self.metric, self.reference, kept, self.pairs)

    def incomparable(self) -> list[str]:
        """Observables in which some method and the reference have no bins to compare."""
        rows = self.pairs[(self.pairs["bins"] == 0) & (self.pairs["observable"] != ALL)]
        about = (rows["method"] == self.reference) | (rows["other"] == self.reference)
        return list(dict.fromkeys(rows.loc[about, "observable"]))


def rank(tables: ReportTables, metric: str) -> Ranking:
    """Return the ranking of a study's headline results at the last iteration.

    `metric` is sigma_rel or rel_mse. Without pairs (one method, one pass) nothing has a ratio.
    """
    pairs = tables["comparisons"]
    methods = tuple(m.name for m in tables.study.methods)
    return Ranking(metric, tables.study.reference.name, methods, pairs[pairs["metric"] == metric])
