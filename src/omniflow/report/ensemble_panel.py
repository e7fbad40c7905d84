"""Networks: the spread against their number, and whether more of them would narrow it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from markupsafe import Markup
from scipy.special import stdtrit

from omniflow.report import bias, figures, tradeoff
from omniflow.report.content import ReportTables
from omniflow.report.formats import Look, listing, number, percent
from omniflow.report.ranking import CONFIDENCE
from omniflow.report.study_json import MethodRecord

HEADER = ("observable", "σ_rel of one", "of all", "falls by", "expected", "part that stays")
_FOUND, _EXPECTED, _BIAS = "σ_rel", "1/√n", "|bias_rel|"
_NUMBERS = ["sigma_rel", "sigma_rel_error", "expected", "ratio", "ratio_error"]
_NUMBERS += ["floor_squared", "floor_squared_error", "passes"]
_LOOKS = {
    _EXPECTED: Look("#767676", True, ""),
    _BIAS: Look("#111111", True, ""),
}


@dataclass(frozen=True)
class Panel:
    """Figure, sentences and table of one method.

    Attributes:
        title: name of the method, and what its ensembles differ by if not lanes.
        looks: legend of the figure.
        figure: SVG, averaged over observables.
        sentences: what it means.
        rows: one per observable, as in `HEADER`.
    """

    title: str
    looks: dict[str, Look]
    figure: Markup
    sentences: list[str]
    rows: list[list[str]]


def panels(tables: ReportTables, looks: dict[str, Look]) -> list[Panel]:
    """Return a panel for each method whose spread is known for several numbers of lanes.

    One more where it is known for several numbers of members of the last step.
    """
    found = []
    for method in tables.study.methods:
        mine = tables["networks"][tables["networks"]["method"] == method.name]
        for varied in ("lanes", "members"):
            frame = mine[mine["varied"] == varied]
            if len(frame):
                found.append(_panel(tables, method, varied, frame, looks[method.name]))
    return found


def in_common(tables: ReportTables) -> str:
    """Return a sentence on what lanes of different passes have in common."""
    names = tradeoff.sharing(tables.study.methods, tables.study.passes)
    models = f" and, of {listing(names)}, pre-trained models" if names else ""
    fluctuation = "whose scatter is" if names else "whose statistical fluctuation is"
    return (
        f"Lanes of different passes have nothing in common but the events{models}, {fluctuation} "
        "not in this spread."
    )


def without_members(tables: ReportTables) -> list[str]:
    """Return which methods of several members have no curve of them, and why, in sentences."""
    if "sigma_rel" not in tables.measurable():
        return []
    rows = tables["networks"][tables["networks"]["varied"] == "members"]
    reasons: dict[str, list[str]] = {}
    for method in tables.study.methods:
        if method.members == 1 or method.name in set(rows["method"]):
            continue
        if method.aggregate == "stacking":
            reason = "the weights of stacked members were decided on all of them."
        elif method.networks == 1:
            reason = "copies of one network with other units dropped are no further networks."
        else:
            reason = "its last step was aggregated by an earlier version, or not as the last one."
        reasons.setdefault(reason, []).append(method.name)
    return [
        f"There is no curve of members of {listing(names)}: {reason}"
        for reason, names in reasons.items()
    ]


def _panel(
    tables: ReportTables, method: MethodRecord, varied: str, frame: pd.DataFrame, look: Look
) -> Panel:
    # The mean of errors, because all observables are of the same passes.
    mean = frame.groupby(varied)[_NUMBERS].mean()
    size = _bias(tables, method)
    sizes = mean.index.to_numpy(dtype=float)
    nothing = np.zeros(len(sizes))
    series = {
        _FOUND: (sizes, mean["sigma_rel"].to_numpy(), mean["sigma_rel_error"].to_numpy()),
        _EXPECTED: (sizes, mean["expected"].to_numpy(), nothing),
    }
    if math.isfinite(size):
        series[_BIAS] = (sizes, np.full(len(sizes), size), nothing)
    shown = {name: {_FOUND: look, **_LOOKS}[name] for name in series}
    lanes = varied == "lanes"
    svg = figures.by_iteration(
        series,
        shown,
        "Spread $\\sigma_{\\mathrm{rel}}$",
        log=False,
        axis="Lanes combined" if lanes else "Members of the last step combined",
        apart=0.0,
        title=f"Spread by number of {varied} of {method.name}",
    )
    labels = {o.name: o.label for o in tables.study.observables}
    rows = [
        _row(labels[name], rows.set_index(varied))
        for name, rows in frame.groupby("observable", sort=False)
    ]
    passes = int(frame["passes"].min())
    about = _about_lanes(method, mean, passes) if lanes else _about_members(mean, passes)
    # Members of the last step alone do not tell what more of them in every step would give.
    largest = mean.iloc[-1]
    helps = lanes and not (_significant(largest, passes) or _suspected(largest))
    expected = float(bias.expected(tables).loc[method.name].mean())
    p_value = bias.p_value(tables, method.name)
    about += _about_bias(size, expected, p_value, mean["sigma_rel"].iloc[-1], helps)
    title = method.name if lanes else f"{method.name}: members of the last step"
    return Panel(title, shown, Markup(svg), about, rows)


def _bias(tables: ReportTables, method: MethodRecord) -> float:
    """Return |bias_rel| of all lanes, averaged over bins and observables; NaN without truth."""
    rows = tables.headline("summary", tables.study.iterations)
    return float(rows.loc[rows["method"] == method.name, "bias_rel"].mean())


def _half(curve: pd.DataFrame) -> int:
    """Return the size that the whole ensemble is compared with: about half as many."""
    return max(n for n in curve.index if n <= max(1, math.ceil(curve.index[-1] / 2)))


def _fall(curve: pd.DataFrame) -> tuple[str, str]:
    """Return how much the spread falls from about half of the ensemble to all, and by 1/√n."""
    half, everything = _half(curve), curve.index[-1]
    row = curve.loc[half]
    # Two passes have one ratio of their spreads, whose replicas differ by rounding alone.
    error = row["ratio_error"] if row["passes"] > 2 else math.nan
    return (
        percent(1 - row["ratio"], error),
        f"{100 * (1 - math.sqrt(half / everything)):.0f}\u00a0%",
    )


def _row(label: str, curve: pd.DataFrame) -> list[str]:
    first, last = curve.iloc[0], curve.iloc[-1]
    return [
        label,
        *(percent(row["sigma_rel"], row["sigma_rel_error"]) for row in (first, last)),
        *_fall(curve),
        percent(_floor(last)) if _significant(last, int(last["passes"])) else "not significant",
    ]


def _floor(row: pd.Series) -> float:
    return math.sqrt(max(row["floor_squared"], 0.0))


def _significant(row: pd.Series, passes: int) -> bool:
    """Whether a part of the spread stays, at 95% confidence (Student's t, one-sided)."""
    return row["floor_squared"] > stdtrit(passes - 1, CONFIDENCE) * row["floor_squared_error"]


def _suspected(row: pd.Series) -> bool:
    """Whether more than half of the variance seems to stay, significant or not."""
    return _floor(row) ** 2 > row["sigma_rel"] ** 2 / 2


def _about_lanes(method: MethodRecord, curve: pd.DataFrame, passes: int) -> list[str]:
    half, lanes, last = _half(curve), int(curve.index[-1]), curve.iloc[-1]
    unit = "networks" if method.members == 1 else f"lanes of {method.members} networks"
    fall, expected = _fall(curve)
    sentences = [
        f"From {half} to {lanes} {unit} σ_rel falls by {fall}; independent scatter would give "
        f"{expected}."
    ]
    if _significant(last, passes):
        return [
            *sentences,
            f"About {percent(_floor(last))} of spread is common to the {unit} of a pass and does "
            f"not average away: more than {lanes} would help little beyond it.",
        ]
    return [*sentences, _undecided("that stays", lanes, last, passes)]


def _about_members(curve: pd.DataFrame, passes: int) -> list[str]:
    """Return what the members of the last step tell: given what the steps before it handed on."""
    half, members, last = _half(curve), int(curve.index[-1]), curve.iloc[-1]
    fall, expected = _fall(curve)
    sentences = [
        f"Given the weights of all earlier steps, which used all {members} members, σ_rel falls by "
        f"{fall} from {half} to {members} members of the last step; independent scatter of this "
        f"step alone would give {expected}."
    ]
    if _significant(last, passes):
        return [
            *sentences,
            f"About {percent(_floor(last))} of spread is common to the members of a pass: it comes "
            "from earlier steps, and more members in the last step alone cannot lower it. Whether "
            "more in every step would, this curve does not tell.",
        ]
    return [*sentences, _undecided("that comes from earlier steps", members, last, passes)]


def _undecided(part: str, size: int, last: pd.Series, passes: int) -> str:
    """Return what a curve without a significant common part lets one expect of twice the size."""
    spread = last["sigma_rel"]
    if _suspected(last):
        return (
            f"A part {part} seems to be most of it (about {percent(_floor(last))}), but "
            f"{passes} passes do not establish it."
        )
    return (
        f"No part {part} is significant; without one {2 * size} would bring σ_rel from "
        f"{percent(spread)} to about {percent(spread / math.sqrt(2))}."
    )


def _about_bias(
    size: float, expected: float, p_value: float, spread: float, helps: bool
) -> list[str]:
    """Return how the bias compares with statistics and with the spread.

    Args:
        size: of the bias.
        expected: what statistics alone give with a perfect detector (`bias.expected`).
        p_value: of statistics through the detector as it is (`bias.p_value`); NaN: not known.
        spread: of all networks.
        helps: whether more networks would lower the spread.
    """
    if not math.isfinite(size):
        return []
    found = f"bias, {percent(size)} on average,"
    alone = f"statistics alone give a result without bias (about {percent(expected)})"
    closer = ", so that more networks bring the result closer to truth" if helps else ""
    smaller = f" It is smaller than that spread{closer}." if size < spread else ""
    if p_value < 1 - CONFIDENCE:
        larger = f"statistics can give (χ² against truth, p = {number(p_value, 2)})"
        if size > spread:
            return [
                f"But the {found} is larger than that spread and than what {larger}, and no number "
                "of networks lowers it."
            ]
        return [f"The {found} is above what {larger}, but smaller than that spread{closer}."]
    if size <= bias.FACTOR * expected or p_value >= 1 - CONFIDENCE:
        return [f"The {found} cannot be told from what {alone}.{smaller}"]
    return [f"The {found} is above what {alone}. {bias.UNKNOWN}{smaller}"]
