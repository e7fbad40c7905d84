"""Tables and figures of docs/study from the tables that `collect.py` has kept.

    python benchmarks/study/pages.py

Every line `<!-- table NAME against=METHOD [methods=A,B] [iteration=N] -->` of the page gets its
table anew, up to the next `<!-- end -->`. No number of a table is written by hand.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

STUDY = Path(__file__).parents[2] / "docs" / "study"
PAGE = STUDY / "README.md"
MARK = re.compile(r"(<!-- table (\S+) against=(\S+)([^>]*)-->\n).*?(<!-- end -->)", re.S)
ALL = ""
EVENTS = {
    "dis": "DIS",
    "dis-check": "DIS, check",
    "zjets": "Z + jets",
    "zjets-check": "Z + jets, check",
}
# A date in the file would make every run another file.
METADATA = {"Date": None, "Creator": None}


@dataclass(frozen=True)
class Tables:
    """Tables of one question on one pair of samples.

    Attributes:
        name: such as `dis-strategies`.
    """

    name: str

    @cached_property
    def ratios(self) -> pd.DataFrame:
        """Ratios of methods, as `collect.py` writes them."""
        return pd.read_csv(self._path("ratios"), keep_default_na=False, na_values=[""]).fillna(
            {"observable": ALL}
        )

    @cached_property
    def averages(self) -> pd.DataFrame:
        """Averages over observables by method, combination and iteration."""
        return pd.read_csv(self._path("averages"))

    @cached_property
    def costs(self) -> pd.DataFrame:
        """Networks, seconds and epochs per pass, by method."""
        return pd.read_csv(self._path("costs")).set_index("method")

    @cached_property
    def networks(self) -> pd.DataFrame:
        """Spread against the number of networks, averaged over observables."""
        return pd.read_csv(self._path("networks"))

    def _path(self, kind: str) -> Path:
        return STUDY / "tables" / f"{self.name}-{kind}.csv"

    @property
    def last(self) -> int:
        """The last iteration."""
        return int(self.ratios["iteration"].max())

    @property
    def names(self) -> list[str]:
        """Methods and their further combinations, in the order of the study."""
        pairs = self.ratios[["against", "method"]].to_numpy().ravel()
        return list(dict.fromkeys(pairs))

    def ratio(
        self, method: str, against: str, metric: str, iteration: int | None = None
    ) -> pd.DataFrame:
        """Return ratios of a method to another by observable, the first of all of them."""
        rows = self.ratios[
            (self.ratios["metric"] == metric)
            & (self.ratios["iteration"] == (iteration or self.last))
        ]
        found = rows[(rows["method"] == method) & (rows["against"] == against)]
        if found.empty:
            found = rows[(rows["method"] == against) & (rows["against"] == method)]
            if found.empty:
                raise ValueError(f"{self.name} has no ratio of {method} to {against}")
            found = found.assign(ratio=1 / found["ratio"])
        return found.set_index("observable")

    def cost(self, method: str) -> pd.Series:
        """Return the costs of a method, which its combinations have in common."""
        known = method in self.costs.index
        return self.costs.loc[method if known else method.rsplit("/", 1)[0]]

    def at_equal_epochs(self, ratios: pd.DataFrame, method: str, against: str) -> str:
        """Return the ratio of all observables by the law of 1/sqrt(n), if both trained as long."""
        epochs = [self.cost(each)["epochs_per_pass"] for each in (method, against)]
        return f"{ratios.loc[ALL, 'ratio'] * np.sqrt(epochs[0] / epochs[1]):.2f}"

    def average(self, method: str, iteration: int | None = None) -> pd.Series:
        """Return the averages of a method, of its first combination or the one named."""
        rows = self.averages[self.averages["iteration"] == (iteration or self.last)]
        known = set(rows["method"])
        own, how = (method, None) if method in known else method.rsplit("/", 1)
        rows = rows[rows["method"] == own]
        return rows[rows["combine"] == how].iloc[0] if how else rows.iloc[0]


def cell(ratios: pd.DataFrame) -> str:
    """Return a ratio of all observables with its error, and a mark where it is no fluctuation."""
    row = ratios.loc[ALL]
    error = row["ratio"] * row["log_error"]
    sure = "" if row["p_value"] >= 0.05 else " *"
    return f"{row['ratio']:.2f} ± {error:.2f}{sure}"


def table(name: str, against: str, options: str) -> str:
    """Return one table of the page as Markdown."""
    given = dict(part.split("=", 1) for part in options.split())
    tables, iteration = Tables(name), int(given.get("iteration", 0)) or None
    methods = given["methods"].split(",") if "methods" in given else tables.names
    lines = [
        f"| method | networks | epochs | sigma_rel | sigma_rel / {against} "
        f"| at equal epochs | rel. MSE / {against} | distance / floor |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for method in methods:
        cost, average = tables.cost(method), tables.average(method, iteration)
        cells = ["1", "1", "1"]
        if method != against:
            spread = tables.ratio(method, against, "sigma_rel", iteration)
            mse = tables.ratio(method, against, "rel_mse", iteration)
            cells = [cell(spread), tables.at_equal_epochs(spread, method, against), cell(mse)]
        lines.append(
            f"| {method} | {cost['networks_per_pass']:.0f} | {cost['epochs_per_pass']:.0f} "
            f"| {100 * average['sigma_rel']:.2f}% | {' | '.join(cells)} "
            f"| {average['td_excess']:.2f} |"
        )
    return "\n".join(lines) + f"\n\n{tables.ratios['passes'].max()} passes.\n"


def filled(page: str) -> str:
    """Return the page with its tables made anew."""
    return MARK.sub(
        lambda found: f"{found[1]}\n{table(found[2], found[3], found[4])}\n{found[5]}", page
    )


def by_observable(question: str, methods: list[str], against: str, output: Path) -> None:
    """Draw ratios of spread by observable, a panel for each pair of samples.

    Args:
        question: such as `strategies`.
        methods: that are drawn, M.
        against: the method that is 1.
        output: file of the figure.
    """
    found = [name for name in EVENTS if Tables(f"{name}-{question}")._path("ratios").is_file()]
    figure, axes = _panels(len(found), 3.4, sharey=True)
    markers = "osD^v"
    for axis, name in zip(axes, found, strict=True):
        tables = Tables(f"{name}-{question}")
        for place, method in enumerate(methods):
            rows = tables.ratio(method, against, "sigma_rel").drop(index=ALL)
            x = np.arange(len(rows)) + 0.14 * (place - (len(methods) - 1) / 2)
            axis.errorbar(
                *(x, rows["ratio"], rows["ratio"] * rows["log_error"]),
                fmt=markers[place], ms=4, lw=1, label=method, color=f"C{place}",
            )  # fmt: skip
        axis.axhline(1 / np.sqrt(6), color="0.6", lw=0.8, ls="--", label="1 / √6")
        axis.set_ylim(0, 1)
        axis.set_xticks(np.arange(len(rows)), rows.index, rotation=40, ha="right", fontsize=8)
        axis.set_title(EVENTS[name], fontsize=10)
        axis.set_ylabel(f"sigma_rel / {against}")
    axes[0].legend(fontsize=8, frameon=False, ncols=2)
    _save(figure, output)


def against_cost(questions: list[str], output: Path) -> None:
    """Draw the spread of all methods against epochs of training, beside that of 1 to L lanes.

    Args:
        questions: whose methods are drawn; the lanes are those of the first.
        output: file of the figure.
    """
    found = [name for name in EVENTS if Tables(f"{name}-{questions[0]}")._path("costs").is_file()]
    figure, axes = _panels(len(found), 3.6)
    for axis, events in zip(axes, found, strict=True):
        lanes = Tables(f"{events}-{questions[0]}")
        rows = lanes.networks[lanes.networks["varied"] == "lanes"]
        rows = rows[rows["method"] == "parallel"]
        epochs = lanes.costs.loc["parallel", "epochs_per_pass"] * rows["lanes"] / len(rows)
        axis.loglog(epochs, 100 * rows["sigma_rel"], "-", color="0.6", label="1 to 6 lanes")
        for place, question in enumerate(questions):
            tables = Tables(f"{events}-{question}")
            if tables._path("costs").is_file():
                _points(axis, tables, f"C{place}", question)
        for scale in (axis.xaxis, axis.yaxis):
            scale.set_major_locator(mpl.ticker.LogLocator(subs=(1, 2, 5)))
            scale.set_major_formatter(mpl.ticker.FormatStrFormatter("%g"))
            scale.set_minor_formatter(mpl.ticker.NullFormatter())
        axis.margins(x=0.2)
        axis.set_xlabel("epochs of training per pass")
        axis.set_ylabel("sigma_rel, %")
        axis.set_title(EVENTS[events], fontsize=10)
        axis.legend(fontsize=8, frameon=False)
    _save(figure, output)


def _points(axis: plt.Axes, tables: Tables, colour: str, question: str) -> None:
    """Draw the methods of one question by their names."""
    for place, (method, cost) in enumerate(tables.costs.iterrows()):
        at = (cost["epochs_per_pass"], 100 * tables.average(str(method))["sigma_rel"])
        axis.plot(*at, "o", color=colour, ms=4, label=None if place else question)
        side = (5, "left") if place % 2 else (-5, "right")
        axis.annotate(
            *(str(method), at),
            fontsize=6, xytext=(side[0], 0), textcoords="offset points", ha=side[1], va="center",
        )  # fmt: skip


def _panels(count: int, height: float, **options: bool) -> tuple[plt.Figure, list[plt.Axes]]:
    """Return a figure of so many panels, two in a row."""
    rows = -(-count // 2)
    shape = {"figsize": (10, height * rows), "squeeze": False, "layout": "constrained"}
    figure, axes = plt.subplots(rows, 2, **shape, **options)
    panels = list(axes.ravel())
    for unused in panels[count:]:
        unused.remove()
    return figure, panels[:count]


def _save(figure: plt.Figure, output: Path) -> None:
    with mpl.rc_context({"svg.hashsalt": output.stem}):
        figure.savefig(output, bbox_inches="tight", metadata=METADATA)
    plt.close(figure)


def main() -> None:
    """Make tables and figures anew."""
    PAGE.write_text(filled(PAGE.read_text("utf-8")), "utf-8")
    methods = ["parallel", "step", "hybrid-2x3", "hybrid-3x2"]
    by_observable("strategies", methods, "none", STUDY / "strategies.svg")
    against_cost(["strategies", "diversity", "optimizers"], STUDY / "cost.svg")


if __name__ == "__main__":
    main()
