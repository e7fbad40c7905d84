"""Verdict: which method is better, in words that the numbers carry."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from omniflow.evaluation.metrics import FLOORS, FLOORS_IN_WORDS
from omniflow.report.formats import count, duration, listing, number, pair, percent
from omniflow.report.tables import ReportTables

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Ratio:
    """A positive value relative to a reference, with the error of its logarithm.

    Logarithms, because ratios multiply: halving and doubling count alike.
    """

    value: float
    log_error: float

    @property
    def error(self) -> float:
        """Error of the ratio itself."""
        return self.value * self.log_error

    @property
    def log(self) -> float:
        """Natural logarithm of the ratio (NaN where it has none)."""
        return math.log(self.value) if self.value > 0 else math.nan

    def differs(self, passes: int, comparisons: int = 1) -> bool:
        """Whether the ratio differs from 1 at 95% confidence, shared among comparisons.

        Student's t with passes - 1 degrees of freedom, since the errors come from so few passes.
        """
        if passes < 2 or not (self.log_error > 0 and math.isfinite(self.log)):
            return False
        level = 1 - (1 - CONFIDENCE) / (2 * comparisons)
        return bool(abs(self.log) / self.log_error > stdtrit(passes - 1, level))


@dataclass(frozen=True)
class Comparison:
    """One metric of all methods: averages over bins per observable, and ratios to a reference."""

    metric: str
    reference: str
    values: pd.DataFrame  # method x observable
    errors: pd.DataFrame
    passes: dict[str, int]

    def ratio(self, method: str, observable: str, reference: str | None = None) -> Ratio:
        """One observable's ratio; the two errors are added as if independent."""
        other = reference or self.reference
        value, base = self.values.at[method, observable], self.values.at[other, observable]
        if not (value > 0 and base > 0):
            return Ratio(math.nan, math.nan)
        if method == other:
            return Ratio(1.0, 0.0)
        relative = (
            self.errors.at[method, observable] / value,
            self.errors.at[other, observable] / base,
        )
        return Ratio(value / base, math.hypot(*relative))

    def average(self, method: str, reference: str | None = None) -> Ratio:
        """Geometric mean of the ratios over observables.

        Its error is the mean of theirs, as if they moved together: all observables are of the
        same passes, so adding the errors as independent would claim too much.
        """
        ratios = [self.ratio(method, o, reference) for o in self.values.columns]
        return Ratio(
            float(np.exp(np.mean([r.log for r in ratios]))),
            float(np.mean([r.log_error for r in ratios])),
        )

    def differs(self, method: str, other: str) -> bool:
        """Whether two methods' averages differ, all methods being compared with one."""
        passes = min(self.passes[method], self.passes[other])
        return self.average(method, other).differs(passes, max(1, len(self.values) - 1))

    def order(self) -> list[str]:
        """Methods from the lowest average to the highest; those without one are left out."""
        averages = {m: self.average(m).value for m in self.values.index}
        return sorted((m for m in averages if averages[m] > 0), key=averages.__getitem__)

    def leaders(self) -> list[str]:
        """The method with the lowest average and those that cannot be told apart from it."""
        order = self.order()
        return order[:1] + [m for m in order[1:] if not self.differs(m, order[0])]


@dataclass(frozen=True)
class Verdict:
    """A headline and the sentences that support it, each with its subject."""

    headline: str
    sentences: tuple[tuple[str, str], ...]


def compare(tables: ReportTables, metric: str) -> Comparison:
    """Compare the methods at their headline combination and the last iteration.

    `metric` is sigma_rel, bias_rel (its magnitude) or rel_mse, averaged over bins.
    """
    study = tables.study
    rows = tables.headline("summary", study.iterations)
    methods = [m.name for m in study.methods]
    names = [o.name for o in study.observables]

    def wide(column: str) -> pd.DataFrame:
        return rows.pivot(index="method", columns="observable", values=column).loc[methods, names]

    return Comparison(
        metric,
        study.reference.name,
        wide(metric).abs(),
        wide(f"{metric}_error"),
        tables.passes(),
    )


def judge(tables: ReportTables) -> Verdict:
    """State what the study shows, and what its number of passes cannot decide."""
    spread = compare(tables, "sigma_rel")
    passes = min(spread.passes.values())
    if passes < 2 or not spread.order():
        headline = "With one pass the spread cannot be measured, so no method is preferred."
        return Verdict(headline, tuple(_distance(tables, spread.reference)))
    if len(spread.values) == 1:
        only = spread.values.index[0]
        value = spread.values.loc[only].mean()
        headline = (
            f"{only}: σ_rel is {percent(value)} on average over {len(spread.values.columns)} "
            f"observables ({passes} passes); with one method there is nothing to compare."
        )
        return Verdict(headline, tuple(_distance(tables, only)))
    sentences = [("Precision", _rank(spread, "smallest spread between passes (σ_rel)"))]
    best = spread.order()[0]
    if tables.study.has_truth:
        accuracy = compare(tables, "rel_mse")
        if order := accuracy.order():
            best = order[0]
            sentences.append(("Accuracy", _rank(accuracy, "smallest relative MSE against truth")))
        sentences += _bias(compare(tables, "bias_rel"), best)
    sentences += _distance(tables, best)
    sentences += _cost(tables, dict.fromkeys([spread.order()[0], best]))
    least = "" if len(set(spread.passes.values())) == 1 else "at least "
    known = 100 / math.sqrt(2 * (passes - 1))
    text = (
        f"{least}{passes} per method, so that a bin's spread is known to about {known:.0f}\u00a0%."
    )
    sentences.append(("Passes", text))
    return Verdict(_headline(spread), tuple(sentences))


def _headline(spread: Comparison) -> str:
    leaders, reference = spread.leaders(), spread.reference
    best = leaders[0]
    if best == reference:
        return f"No method has a smaller spread than {reference}."
    if not spread.differs(best, reference):
        passes = min(spread.passes[best], spread.passes[reference])
        return f"With {passes} passes no method is significantly more precise than {reference}."
    if len(leaders) == 1:
        return f"{best} is the most precise method here."
    return f"{listing(leaders)} are the most precise here and cannot be told apart."


def _rank(comparison: Comparison, what: str) -> str:
    """One metric's winner against the reference and against the others."""
    order, reference = comparison.order(), comparison.reference
    best = order[0]
    observables = len(comparison.values.columns)
    average = f"averaged over {observables} observables" if observables > 1 else "one observable"

    def times(method: str) -> str:
        ratio = comparison.average(method)
        return pair(ratio.value, ratio.error)

    if best == reference:
        close = ", ".join(f"{m} {times(m)}" for m in order[1:3])
        return f"{best} has the {what}; relative to it, {average}: {close}."
    sure = comparison.differs(best, reference)
    text = (
        f"{best} has the {what}: {times(best)} times that of {reference}, {average}"
        f"{', a significant difference' if sure else ' – not a significant difference'}."
    )
    others = [m for m in order[1:] if m != reference]
    tied = [m for m in others if not comparison.differs(m, best)]
    beaten = [m for m in others if m not in tied]
    if tied:
        text += f" Not told apart from it: {listing([f'{m} ({times(m)})' for m in tied])}."
    if beaten:
        text += f" Significantly above it: {listing([f'{m} ({times(m)})' for m in beaten])}."
    return text


def _bias(bias: Comparison, best: str) -> list[tuple[str, str]]:
    """How the most accurate method's bias compares with the reference's."""
    if best == bias.reference:
        return []
    ratio = bias.average(best)
    if not ratio.value > 0:
        return []
    sure = bias.differs(best, bias.reference)
    text = (
        f"The magnitude of the bias of {best} is {pair(ratio.value, ratio.error)} times that of "
        f"{bias.reference}{'' if sure else ', which is not significantly different'}."
    )
    return [("Bias", text)]


def _distance(tables: ReportTables, method: str) -> list[tuple[str, str]]:
    """How far the result is from truth or, without truth, from data at detector level."""
    study = tables.study
    labels = {o.name: o.label for o in study.observables}
    if study.has_truth:
        rows = tables.headline("summary", study.iterations)
        rows = rows[rows["method"] == method].set_index("observable")
        prior, what = rows["td_prior"], "truth"
    else:
        rows = tables.headline("detector_summary")
        rows = rows[rows["method"] == method].set_index("observable")
        prior = rows.loc[rows["iteration"] == 0, "td"]
        rows, what = rows[rows["iteration"] == study.iterations], "data at detector level"
    rows = rows[rows["td"].notna()]  # no entries at detector level: no distance
    if rows.empty:
        return []
    closer = rows["td"] < prior.loc[rows.index]
    within = rows["td"] <= FLOORS * rows["td_floor"]
    text = (
        f"{method} brings {int(closer.sum())} of {len(rows)} observables closer to {what} than "
        f"the prior was, {int((closer & within).sum())} of them to within "
        f"{FLOORS_IN_WORDS} the statistical floor"
    )
    if not within.all():
        far = (rows["td"] / rows["td_floor"])[~within].idxmax()
        worst = rows.loc[far]
        text += (
            f"; farthest is {labels[far]} (TD {number(worst['td'], 2)}, "
            f"floor {number(worst['td_floor'], 2)})"
        )
    return [("Closure", text + ".")]


def _cost(tables: ReportTables, methods: dict[str, None]) -> list[tuple[str, str]]:
    """What the leading methods cost, relative to the reference."""
    reference = tables.study.reference.name
    cost = tables.cost.set_index("method")
    base = cost.loc[reference]
    parts = []
    for method in methods:
        row = cost.loc[method]
        text = (
            f"a pass of {method} trains {count(row['networks_per_pass'])} networks "
            f"in {duration(row['seconds_per_pass'])}"
        )
        if method != reference and base["seconds_per_pass"] > 0:
            ratio = row["seconds_per_pass"] / base["seconds_per_pass"]
            text += f", {number(ratio, 2)} times the time of {reference}"
        parts.append(text)
    sentence = "; ".join(parts)
    return [("Cost", f"{sentence[0].upper()}{sentence[1:]}.")]
