"""Page of a comparison: one HTML file with the figures of what studies differ in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from markupsafe import Markup
from matplotlib.figure import Figure
from matplotlib.ticker import FixedFormatter, FixedLocator, FuncFormatter, LogLocator, NullLocator

from omniflow.evaluation.comparison import ALL
from omniflow.evaluation.studies import HOURS, NETWORKS
from omniflow.report import document, drawing, figures, formats
from omniflow.report.cells import Cell
from omniflow.report.compared import Compared, p_value, sure
from omniflow.report.formats import Look
from omniflow.report.hover import HERE
from omniflow.report.study_json import ObservableRecord

TITLES = {"sigma_rel": "Spread σ_rel", "rel_mse": "Relative MSE", "bias_rel": "Bias |bias_rel|"}
_COST_TITLES = {
    NETWORKS: "Networks per pass",
    HOURS: "Hours of training per pass, on one core or GPU",
}


def write(compared: Compared, output: Path | str) -> None:
    """Write the page, complete or not at all.

    Args:
        compared: studies beside a reference.
        output: path of the file.

    Raises:
        InputError: `output` is no file of a folder that is there and can be written to.
    """
    document.write(render(compared), output)


def render(compared: Compared) -> str:
    """Return the page as HTML; the same content gives the same text."""
    series = formats.looks(list(dict.fromkeys(compared.rows("sigma_rel")["result"])))
    results = _looks(compared)
    return document.render(
        "comparison.html",
        compared=compared,
        headline=headline(compared),
        sentences=sentences(compared),
        series=series,
        results=results,
        titles=TITLES,
        heats=[(metric, _heat(compared, metric)) for metric in compared.metrics],
        biases=_biases(compared),
        ratios=[Markup(_ratios(compared, metric, series)) for metric in compared.metrics],
        costs=[Markup(svg) for svg in _costs(compared, results)],
        averages=compared.averages(),
        panels=list(_panels(compared, results)),
    )


# -- words -----------------------------------------------------------------------------------------


def headline(compared: Compared) -> str:
    """Return in one sentence which results are more precise than the reference, and which less."""
    rows = compared.rows("sigma_rel")
    known = rows[(rows["observable"] == ALL) & sure(rows["p_adjusted"])]
    parts = [
        f"{word} spread than {compared.reference}: {formats.listing(list(found['result']))}"
        for word, found in (
            ("less", known[known["ratio"] < 1]),
            ("more", known[known["ratio"] > 1]),
        )
        if len(found)
    ]
    if not parts:
        return f"No spread differs significantly from that of {compared.reference}"
    return _sentence(parts)


def sentences(compared: Compared) -> list[tuple[str, str]]:
    """Return a sentence on each result: ratios of all observables, with corrected p-values."""
    found: dict[str, list[str]] = {}
    for metric, word in (("sigma_rel", "spread"), ("rel_mse", "relative MSE")):
        rows = compared.rows(metric)
        for row in rows[rows["observable"] == ALL].itertuples():
            ratio = formats.pair(row.ratio, row.ratio * row.log_error)
            text = f"{word} × {ratio} (corrected {p_value(row.p_adjusted)})"
            found.setdefault(row.result, []).append(text)
    for metric, word in ((NETWORKS, "networks"), (HOURS, "hours of training")):
        for row in compared.rows(metric).itertuples():
            if np.isfinite(row.ratio) and row.ratio != 1:
                found[row.result].append(f"{word} × {formats.number(row.ratio)}")
    return [(name, f"{_sentence(parts)}.") for name, parts in found.items()]


def _sentence(parts: list[str]) -> str:
    text = "; ".join(parts)
    return f"{text[0].upper()}{text[1:]}"


# -- tables ----------------------------------------------------------------------------------------


def _heat(compared: Compared, metric: str) -> list[tuple[str, list[Cell]]]:
    """Return a row of ratios per result: of all observables, then of each."""
    rows = _filled(compared, metric)
    return [
        (
            name,
            [_ratio_cell(r.ratio, r.log_error, r.p_adjusted) for r in mine.itertuples()],
        )
        for name, mine in rows.groupby("result", sort=False)
    ]


def _filled(compared: Compared, metric: str) -> pd.DataFrame:
    """Return rows of every result and observable, in the order of the page."""
    rows = compared.rows(metric).set_index(["result", "observable"])
    names = [ALL, *(one.name for one in compared.observables)]
    results = list(dict.fromkeys(rows.index.get_level_values("result")))
    return (
        rows.reindex(pd.MultiIndex.from_product([results, names]))
        .rename_axis(["result", "observable"])
        .reset_index()
    )


def _ratio_cell(ratio: float, log_error: float, p_adjusted: float) -> Cell:
    known = bool(sure(p_adjusted))
    text, plus = formats.measured(ratio, ratio * log_error)
    shade = formats.tint(float(np.log2(ratio)), faint=not known) if ratio > 0 else ""
    return Cell(text, plus, shade, strong=known, muted=not known)


def _biases(compared: Compared) -> list[tuple[str, list[Cell]]]:
    """Return a row of differences of bias per result, in percent; nothing without truth."""
    rows = _filled(compared, "bias_rel")
    return [
        (
            name,
            [_difference_cell(row.difference, row.difference_error) for row in mine.itertuples()],
        )
        for name, mine in rows.groupby("result", sort=False)
    ]


def _difference_cell(value: float, error: float) -> Cell:
    text, plus = formats.measured(100 * value, 100 * error)
    return Cell(text if value <= 0 or text == "–" else f"+{text}", plus)


# -- figures ---------------------------------------------------------------------------------------


def _looks(compared: Compared) -> dict[str, Look]:
    """Return a look per study and method: colours are those of studies, markers of methods."""
    names = [name.rpartition(": ") for name in compared.sides()]
    studies = list(dict.fromkeys(study for study, _, _ in names))
    methods = list(dict.fromkeys(method for _, _, method in names))
    colours, markers = formats.looks(studies), formats.MARKERS
    return {
        f"{study}: {method}": Look(
            colours[study].colour,
            colours[study].dashed,
            markers[methods.index(method) % len(markers)],
        )
        for study, _, method in names
    }


def _ratios(compared: Compared, metric: str, looks: dict[str, Look]) -> str:
    rows = compared.rows(metric)
    names = list(dict.fromkeys(rows["observable"]))
    labels = [compared.label(name) for name in names]
    label = f"{TITLES[metric]}, ratio to {compared.reference}"
    return ratios(rows, names, labels, looks, label, title=label)


@drawing.styled
def ratios(
    rows: pd.DataFrame, names: list[str], labels: list[str], looks: dict[str, Look], label: str
) -> Figure:
    """Ratio to the reference per observable, of all first, with its error: one series per result.

    Args:
        rows: of a metric, with the column `result`.
        names: observables in the order of the axis.
        labels: how they are called.
        looks: by result.
        label: of the axis of ratios.

    Returns:
        The figure.
    """
    figure, (axes,) = drawing.panels(height=4.1, width=5.2)
    figure.subplots_adjust(bottom=0.24)
    reach = np.abs(np.log(rows["ratio"].to_numpy())) + np.nan_to_num(rows["log_error"].to_numpy())
    most = 1.15 * max(1.5, float(np.exp(np.nanmax(reach, initial=0))))
    for i, (name, look) in enumerate(looks.items()):
        mine = rows[rows["result"] == name].set_index("observable").reindex(names)
        ratio, error = (mine[column].to_numpy(float) for column in ("ratio", "log_error"))
        shift = 0.0 if len(looks) < 2 else 0.5 * (i / (len(looks) - 1) - 0.5)
        spans = np.stack([ratio - ratio * np.exp(-error), ratio * np.exp(error) - ratio])
        drawing.points(axes, np.arange(len(names)) + shift, ratio, spans, look, label=name)
    axes.axhline(1, color=drawing.TRUTH, linewidth=0.8, zorder=0)
    axes.axvline(0.5, color=drawing.GUIDE, linewidth=0.8, zorder=0)
    axes.set_yscale("log")
    axes.set_ylim(1 / most, most)
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}"))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set_xlim(-0.6, len(names) - 0.4)
    axes.xaxis.set_major_locator(FixedLocator(range(len(names))))
    axes.xaxis.set_major_formatter(FixedFormatter(labels))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.tick_params(axis="x", length=0, labelbottom=False)
    below = axes.get_xaxis_transform()
    for place, text in enumerate(labels):
        words = text.replace("$", r"\$")
        axes.text(place, -0.03, words, rotation=30, ha="right", va="top", transform=below)
    axes.set_label(f"{HERE}")
    drawing.ylabel(axes, label.replace("σ_rel", r"$\sigma_{\mathrm{rel}}$"))
    return figure


def _costs(compared: Compared, looks: dict[str, Look]) -> Iterator[str]:
    """Yield spread against every cost that is known of all results and not the same in all."""
    sides = compared.sides()
    for cost, title in _COST_TITLES.items():
        found = {name: (side[cost], side["sigma_rel"]) for name, side in sides.items()}
        prices = np.array([price[0] for price, _ in found.values()])
        if np.isfinite(prices).all() and prices.min() > 0 and np.ptp(prices) > 0:
            yield spread_by_cost(found, looks, title, title=f"Spread against {title.lower()}")


@drawing.styled
def spread_by_cost(
    found: dict[str, tuple[tuple[float, float], tuple[float, float]]],
    looks: dict[str, Look],
    label: str,
) -> Figure:
    """Spread against cost, one point per study and method; both axes are logarithmic.

    Grey lines are of equal cost for equal spread: four times as much for half of it.

    Args:
        found: by study and method cost and spread, value and error each.
        looks: of the same.
        label: of the axis of costs.

    Returns:
        The figure.
    """
    figure, (axes,) = drawing.panels(height=4.1, width=5.2)
    costs, spreads = (np.array([one[part][0] for one in found.values()]) for part in (0, 1))
    spreads = 100 * spreads
    x = np.array([costs.min() / 1.6, costs.max() * 1.6])
    for efficiency in spreads * np.sqrt(costs):
        axes.plot(x, efficiency / np.sqrt(x), color=drawing.GUIDE, linewidth=0.7, zorder=0)
    for (name, (cost, spread)), y in zip(found.items(), spreads, strict=True):
        axes.errorbar(
            cost[0], y, xerr=np.nan_to_num(cost[1]), yerr=100 * np.nan_to_num(spread[1]),
            fmt=looks[name].marker, color=looks[name].colour, markersize=6, elinewidth=0.9,
            label=name,
        )  # fmt: skip
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(*x)
    axes.set_ylim(spreads.min() / 1.6, spreads.max() * 1.6)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.set_minor_locator(NullLocator())
    axes.set_label(f"{label} {HERE}, spread in %")
    axes.set_xlabel(label)
    drawing.ylabel(axes, r"Spread $\sigma_{\mathrm{rel}}$  [%]")
    return figure


def _panels(
    compared: Compared, looks: dict[str, Look]
) -> Iterator[tuple[ObservableRecord, list[Markup]]]:
    """Yield each observable with its spread and MSE per bin."""
    names = compared.bins["study"] + ": " + compared.bins["method"]
    for observable in compared.observables:
        mine = compared.bins["observable"] == observable.name
        frames = {name: compared.bins[mine & (names == name)] for name in looks}
        frames = {name: frame for name, frame in frames.items() if len(frame)}
        yield observable, [_per_bin(observable, frames, looks, each) for each in compared.metrics]


def _per_bin(
    observable: ObservableRecord,
    frames: dict[str, pd.DataFrame],
    looks: dict[str, Look],
    metric: str,
) -> Markup:
    label = TITLES[metric].replace("σ_rel", r"$\sigma_{\mathrm{rel}}$")
    title = f"{TITLES[metric]} of {observable.label} ({observable.name})"
    return Markup(figures.per_bin(observable, frames, looks, metric, label, title=title))
