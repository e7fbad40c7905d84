"""Curves: figures of classifiers and of event weights, styled like all figures of the report."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from omniflow.report.drawing import TRUTH, panels, points, scale, styled, ylabel
from omniflow.report.formats import Look
from omniflow.report.hover import HERE

# More bins than this are joined where a distribution of weights is wide.
_BINS = 60


def _shade(iteration: int, last: int) -> float:
    """Return the opacity of an iteration: colours deepen to the last."""
    return 0.25 + 0.75 * iteration / last


@styled
def reliability(curves: pd.DataFrame, colour: str) -> Figure:
    """Observed fraction of class A against predicted probability, below it their difference.

    Args:
        curves: rows of reliability.csv of one chain, step and part.
        colour: of the chain; it deepens with the iteration.
    """
    figure, (upper, lower) = panels(2, height=3.6, height_ratios=[2, 1])
    last = curves["iteration"].max()
    low, high = curves["predicted"].min(), curves["predicted"].max()
    room = 0.06 * ((high - low) or 0.1)
    upper.plot([0, 1], [0, 1], color=TRUTH, linewidth=0.8, zorder=0)
    lower.axhline(0, color=TRUTH, linewidth=0.8, zorder=0)
    differences = [np.array([0.0])]
    for iteration, rows in curves.groupby("iteration"):
        x, y, error = rows[["predicted", "observed", "observed_error"]].to_numpy().T
        alpha = _shade(iteration, last)
        error = error if iteration == last else np.zeros(len(x))
        for axes, value in ((upper, y), (lower, y - x)):
            points(axes, x, value, error, Look(colour, False, "o"), linestyle="-", lw=0.8,
                    alpha=alpha, zorder=2 + iteration / last,
                    label=f"iteration {iteration}")  # fmt: skip
        differences.append(np.abs(y - x) + error)
    for axes in (upper, lower):
        axes.set_label(f"predicted {HERE}")
        axes.set_xlim(low - room, high + room)
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.yaxis.set_major_locator(MaxNLocator(4, prune="both"))
    observed = curves["observed"]
    upper.set_ylim(min(low, observed.min()) - room, max(high, observed.max()) + room)
    reach = 1.1 * float(np.concatenate(differences).max()) or 0.01
    lower.set_ylim(-reach, reach)
    upper.tick_params(labelbottom=False)
    lower.set_xlabel("Predicted probability of class A")
    ylabel(upper, "Observed fraction")
    ylabel(lower, "Difference", centre=True, fontsize=8.5)
    return figure


@styled
def roc(curves: pd.DataFrame, colour: str) -> Figure:
    """ROC curves, below them their height above the diagonal; dashed: events that trained.

    Args:
        curves: rows of roc.csv of one chain and step.
        colour: of the chain; it deepens with the iteration.
    """
    figure, (upper, lower) = panels(2, height=3.6, height_ratios=[2, 1])
    upper.plot([0, 1], [0, 1], color=TRUTH, linewidth=0.8, zorder=0)
    lower.axhline(0, color=TRUTH, linewidth=0.8, zorder=0)
    last, heights = curves["iteration"].max(), []
    for (iteration, part), rows in curves.groupby(["iteration", "part"]):
        x, y = rows["class_b"].to_numpy(), rows["class_a"].to_numpy()
        style = {"color": colour, "alpha": _shade(iteration, last), "linewidth": 1.1}
        style["linestyle"] = "-" if part == "held-out" else (0, (4, 2))
        upper.plot(x, y, **style)
        lower.plot(x, y - x, **style)
        heights.append(y - x)
    upper.set_xlim(0, 1)
    upper.set_ylim(0, 1.02)
    upper.xaxis.set_major_locator(MaxNLocator(5))
    upper.yaxis.set_major_locator(MaxNLocator(4, prune="lower"))
    scale(lower, heights, log=False)
    lower.yaxis.set_major_locator(MaxNLocator(3))
    upper.tick_params(labelbottom=False)
    lower.set_xlabel("Fraction of class B above the cut")
    ylabel(upper, "Fraction of class A")
    ylabel(lower, "A less B", centre=True, fontsize=8.5)
    return figure


@styled
def weights(frames: Mapping[str, pd.DataFrame], looks: Mapping[str, Look]) -> Figure:
    """Distribution of the ratio of final to base weight per method, both axes logarithmic.

    Args:
        frames: per method, rows of weight_distributions.csv.
        looks: per method.
    """
    figure, (axes,) = panels(height=3.0)
    first = min(frame["low"].min() for frame in frames.values())
    last = max(frame["high"].max() for frame in frames.values())
    width = float(next(iter(frames.values()))["high"].iloc[0]) - float(
        next(iter(frames.values()))["low"].iloc[0]
    )
    joined = max(1, int(np.ceil((last - first) / width / _BINS)))
    edges = first + joined * width * np.arange(int(np.ceil((last - first) / width / joined)) + 1)
    shown = []
    for name, frame in frames.items():
        centre = (frame["low"] + frame["high"]).to_numpy() / 2
        content, _ = np.histogram(centre, edges, weights=frame["fraction"].to_numpy())
        line = (0, (4, 2)) if looks[name].dashed else "-"
        style = {"color": looks[name].colour, "linestyle": line, "linewidth": 1.1, "label": name}
        axes.stairs(content, 10**edges, **style)
        shown.append(content[content > 0])
    axes.set_xscale("log")
    axes.set_label(f"ν {HERE}")
    if edges[-1] - edges[0] < 3:
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlim(10 ** edges[0], 10 ** edges[-1])
    scale(axes, shown, log=True)
    axes.set_xlabel("Weight over base weight, $\\nu$")
    ylabel(axes, "Fraction of events")
    return figure
