"""Verdict: what spoils the result, then which method is better, in words that the numbers carry."""

from __future__ import annotations

import math
from dataclasses import dataclass

from omniflow.evaluation.metrics import FLOORS, FLOORS_IN_WORDS
from omniflow.report import bias, faults, tradeoff
from omniflow.report.content import ReportTables
from omniflow.report.formats import count, duration, listing, number, pair, percent
from omniflow.report.ranking import Ranking, rank


@dataclass(frozen=True)
class Verdict:
    """A headline, what spoils the result, and what else the study shows, each with its subject."""

    headline: str
    faults: tuple[tuple[str, str], ...]
    sentences: tuple[tuple[str, str], ...]


def judge(tables: ReportTables) -> Verdict:
    """State what spoils the result, what the study shows, and what its passes cannot decide."""
    found = faults.find(tables)
    spread = rank(tables, "sigma_rel")
    ranked = spread.without(_apart(tables, spread))
    precise, why = _precision(tables, spread, ranked)
    best = _most_accurate(tables) or next(iter(ranked.better()), spread.reference)
    sentences = _accuracy(tables) + _bias(tables, best) + _distance(tables, best)
    if spread.order()[1:]:
        sentences += _cost(tables, dict.fromkeys([*ranked.leaders()[:1], best]))
        sentences.append(_passes(tables))
    if not found:
        return Verdict(precise, (), (*((("Precision", why),) if why else ()), *sentences))
    headline = f"{listing([fault.short for fault in found])}."
    return Verdict(
        headline[0].upper() + headline[1:],
        tuple((fault.subject, fault.text) for fault in found),
        (("Precision", f"{precise} {why}".strip()), *sentences),
    )


# -- precision -----------------------------------------------------------------------------------


def _precision(tables: ReportTables, spread: Ranking, ranked: Ranking) -> tuple[str, str]:
    """Return who is the most precise, and sentences on it.

    Args:
        tables: of the study.
        spread: all methods.
        ranked: those whose spreads hold the same.
    """
    passes = min(tables.passes().values())
    if passes < 2:
        return "With one pass the spread cannot be measured, so no method is preferred.", ""
    if len(spread.methods) == 1:
        return _alone(tables, spread.reference, passes), ""
    if len(ranked.methods) > 1 and not ranked.order()[1:]:
        return "The passes do not differ, so there is no spread to compare.", ""
    text = _rank(tables, ranked, "smallest spread between passes (σ_rel)")
    text += _left_out(tables, ranked) + _models(tables, spread)
    return _headline(ranked, passes), text.strip()


def _alone(tables: ReportTables, method: str, passes: int) -> str:
    values = tables.averages("sigma_rel").loc[method].dropna()
    return (
        f"{method}: σ_rel is {percent(values.mean())} on average over {len(values)} observables "
        f"({passes} passes); with one method there is nothing to compare."
    )


def _headline(spread: Ranking, passes: int) -> str:
    leaders, reference = spread.leaders(), spread.reference
    if len(spread.methods) == 1:
        return "No method has a spread that can be compared with that of " + reference + "."
    if not leaders:
        if spread.order()[0] == reference:
            return f"No method has a smaller spread than {reference}."
        return f"With {passes} passes no method is significantly more precise than {reference}."
    if len(leaders) == 1:
        return f"{leaders[0]} is the most precise method here."
    return f"{listing(leaders)} are the most precise here and cannot be told apart."


def _rank(tables: ReportTables, ranking: Ranking, what: str) -> str:
    """One metric's winner against the reference and against the others."""
    order, reference = ranking.order(), ranking.reference
    if len(order) < 2:
        return ""
    observables = len(tables.study.unfolded)
    average = f"averaged over {observables} observables" if observables > 1 else "one observable"

    def times(method: str) -> str:
        ratio = ranking.ratio(method)
        return pair(ratio.value, ratio.error)

    best = (ranking.better() or order)[0]
    if best == reference:
        close = ", ".join(f"{m} {times(m)}" for m in order[1:3])
        return f"{best} has the {what}; relative to it, {average}: {close}."
    sure = ranking.ratio(best).smaller
    among = "" if best == order[0] else f" of those significantly below {reference}"
    text = (
        f"{best} has the {what}{among}: {times(best)} times that of {reference}, {average}"
        f"{', a significant difference' if sure else ' – not a significant difference'}."
    )
    others = [m for m in order if m not in (best, reference)]
    tied = [m for m in others if not ranking.ratio(m, best).sure]
    nor = f", nor from {reference}" if sure else ""
    for names, words in (
        ([m for m in tied if ranking.ratio(m).smaller], "Not told apart from it"),
        ([m for m in tied if not ranking.ratio(m).smaller], f"Not told apart from it{nor}"),
        ([m for m in others if m not in tied], "Significantly above it"),
    ):
        if names:
            text += f" {words}: {listing([f'{m} ({times(m)})' for m in names])}."
    return text


def _left_out(tables: ReportTables, spread: Ranking) -> str:
    """Name observables without a spread in some method: their ratios do not exist."""
    labels = {o.name: o.label for o in tables.study.observables}
    names = [labels[name] for name in spread.incomparable() if name in labels]
    if not names:
        return ""
    return (
        f" {listing(names)} {'is' if len(names) == 1 else 'are'} left out where a method or "
        f"{spread.reference} has the same content in all passes."
    )


def _apart(tables: ReportTables, spread: Ranking) -> list[str]:
    """Return methods whose spread lacks the scatter of pre-trained models, unless all do."""
    names = tradeoff.sharing(tables.study.methods, tables.study.passes)
    return [] if spread.reference in names else names


def _models(tables: ReportTables, spread: Ranking) -> str:
    """Say of which methods the spread lacks the scatter of pre-trained models, and what to set."""
    study, apart = tables.study, _apart(tables, spread)
    names = apart or tradeoff.sharing(study.methods, study.passes)
    if not names:
        return ""
    shown = []
    for name in names:
        ratio = spread.ratio(name)
        times = pair(ratio.value, ratio.error)
        shown.append(name if name == spread.reference else f"{name} ({times})")
    models = {
        m.name: study.passes * tradeoff.per_pass(study.methods, m)
        for m in study.methods
        if m.name in names
    }
    settings = listing(
        [f"methods.{name}.transfer: {{models: {n}, per_pass: true}}" for name, n in models.items()]
    )
    lead = f" Ranked apart: {listing(shown)}, whose" if apart else f" {listing(names)}: the"
    return (
        f"{lead} passes share pre-trained models, so that this spread lacks the scatter of "
        f"pre-training. To measure it set {settings}."
    )


# -- accuracy ------------------------------------------------------------------------------------


def _most_accurate(tables: ReportTables) -> str | None:
    order = rank(tables, "rel_mse").order()
    return order[0] if order[1:] else None


def _accuracy(tables: ReportTables) -> list[tuple[str, str]]:
    """Rank by distance to truth, which holds for one data sample."""
    text = _rank(tables, rank(tables, "rel_mse"), "smallest relative MSE against truth")
    if not text or min(tables.passes().values()) < 2:
        return []
    one = "This holds for this one data sample: another may rank otherwise."
    return [("Accuracy", f"{text} {one}")]


def _bias(tables: ReportTables, best: str) -> list[tuple[str, str]]:
    """Compare the bias of the most accurate method and the reference with what it is by itself."""
    if not tables.study.has_truth:
        return []
    names = list(dict.fromkeys([best, tables.study.reference.name]))
    return [("Bias", " ".join(bias.words(tables, name) for name in names))]


# -- distance ------------------------------------------------------------------------------------


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


# -- cost ----------------------------------------------------------------------------------------


def _passes(tables: ReportTables) -> tuple[str, str]:
    """Say how well so many passes know a spread."""
    passes = tables.passes()
    least = min(passes.values())
    known = 100 / math.sqrt(2 * (least - 1))
    more = "" if len(set(passes.values())) == 1 else "at least "
    text = (
        f"{more}{least} per method, so that a bin's spread is known to about {known:.0f}\u00a0%. "
        "Methods share random numbers and are compared pass by pass."
    )
    return "Passes", text[0].upper() + text[1:]


def _cost(tables: ReportTables, methods: dict[str, None]) -> list[tuple[str, str]]:
    """What the leading methods cost, relative to the reference."""
    reference = tables.study.reference.name
    cost = tables["cost"].set_index("method")
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
