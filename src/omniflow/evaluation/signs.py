"""Signs: bins whose weights add up to less than 0, or that only one of two histograms has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd

from omniflow.evaluation.histograms import Histogram

_MEANING = (
    "Negative weights outweigh the others in some bins, whose contents are below 0. They count in "
    "all averages, relative to their magnitude; where a content is close to 0 the relative spread "
    "is large and decides the average. More events help."
)


def notes(
    metrics: pd.DataFrame, bayes: pd.DataFrame, iteration: int, first: Mapping[str, str]
) -> list[str]:
    """Return what bins below 0 mean, and a note on every histogram that has some; or nothing.

    Args:
        metrics: the table of this name.
        bayes: the table of this name.
        iteration: of the results.
        first: method -> combination that is reported.
    """
    last = metrics[metrics["iteration"] == iteration]
    last = last[last["combine"] == last["method"].map(first)]
    binned = bayes[bayes["iteration"] == iteration]
    each = [(f"the result of {name}", rows, "mean") for name, rows in last.groupby("method")]
    # Truth and prior are those of all methods.
    shared = last.drop_duplicates(["observable", "bin"])
    each += [("truth", shared, "truth"), ("the simulation before unfolding", shared, "prior")]
    each.append(("the binned reference", binned, "content"))
    found = [
        f"Contents of {what} are below 0 in {'; '.join(bins)}."
        for what, rows, column in each
        if (bins := list(_bins(rows[rows[column] < 0])))
    ]
    return [_MEANING, *found] if found else []


def unmatched(truth: Mapping[str, Histogram] | None, prior: Mapping[str, Histogram]) -> list[str]:
    """Return a note on observables with bins that truth or simulation alone has.

    These have no row in tables of relative numbers.

    Args:
        truth: observable -> truth (B,); None for real data.
        prior: observable -> simulation before unfolding, (B,).
    """
    found = []
    for name, histogram in (truth or {}).items():
        lost = histogram.filled & ~prior[name].filled
        more = prior[name].filled & ~histogram.filled
        if lost.any():
            share = histogram.content[lost].sum() / histogram.content.sum()
            found.append(
                f"{name}: truth has {share:.2%} of its content in {int(lost.sum())} bins without "
                f"simulated events ({_list(np.flatnonzero(lost))}), where no method can give any. "
                "Averages over bins leave them out."
            )
        if more.any():
            found.append(
                f"{name}: {int(more.sum())} bins have simulated events and no truth "
                f"({_list(np.flatnonzero(more))}). Averages over bins, which are relative to "
                "truth, leave them out."
            )
    return found


def without_ratio(
    data: Mapping[str, Histogram], simulation: Mapping[str, Histogram], binned: Mapping[str, object]
) -> list[str]:
    """Return a note on bins at detector level whose simulated weights add up to 0 or less.

    The binned reference has no ratio of data to simulation there.

    Args:
        data: observable -> histogram at detector level, (B,).
        simulation: observable -> histogram at detector level, (B,).
        binned: observables that are unfolded in bins.
    """
    found = []
    for name in binned:
        bad = simulation[name].filled & (simulation[name].content <= 0)
        if bad.any():
            share = data[name].content[bad].sum() / data[name].content.sum()
            found.append(
                f"{name}: the simulated weights of {int(bad.sum())} bins at detector level add up "
                f"to 0 or less ({_list(np.flatnonzero(bad))}). The binned reference has no ratio "
                f"there: it leaves out {share:.2%} of the data."
            )
    return found


def _bins(rows: pd.DataFrame) -> Iterator[str]:
    for observable, own in rows.groupby("observable", sort=False):
        yield f"{observable} ({_list(own['bin'])})"


def _list(bins: np.ndarray | pd.Series) -> str:
    shown = ", ".join(str(int(number)) for number in bins[:10])
    return f"bin {shown}" if len(bins) == 1 else f"bins {shown}" + " ..." * (len(bins) > 10)
