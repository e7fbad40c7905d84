"""Content of a comparison of studies: what differs, how it was tested, and the table behind it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from omniflow.evaluation.comparison import ALL
from omniflow.evaluation.studies import HOURS, NETWORKS, STUDIES, UNPAIRED
from omniflow.report import formats
from omniflow.report.study_json import ObservableRecord

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Difference:
    """A key of the configuration whose values differ, as text; an en dash where it is absent."""

    key: str
    old: str
    new: str

    def __str__(self) -> str:
        """Return `key: old -> new`."""
        return f"{self.key}: {self.old} -> {self.new}"


@dataclass(frozen=True)
class Against:
    """A study that is compared with the reference.

    Attributes:
        study, folder: its label and where it lies.
        differences: of its configuration from the reference's.
        test: paired or unpaired.
        why: why passes could not be paired; nothing where they are.
        methods: pairs of a method of the reference and one of its own.
        left_out: observables that are not compared, each with the reason.
        notes: what else a reader must know.
    """

    study: str
    folder: Path
    differences: tuple[Difference, ...]
    test: str
    why: tuple[str, ...]
    methods: tuple[tuple[str, str], ...]
    left_out: Mapping[str, str]
    notes: tuple[str, ...] = ()

    @property
    def tested(self) -> str:
        """How passes were compared, in a sentence."""
        if self.test == UNPAIRED:
            return f"Unpaired, because of different {'; '.join(self.why)}."
        return "Paired: same seed, samples and number of passes."


@dataclass(frozen=True)
class Compared:
    """Studies beside a reference: what `omniflow.compare` returns.

    Attributes:
        reference, folder: label of the reference, and where it lies.
        others: studies that are compared with it.
        table: a row per study, method, metric and observable ("": all), as `omniflow compare
            --csv` writes it (docs/compare.md has the columns).
        bins: what is drawn per bin: rows of metrics.csv by `study` and method.
        observables: how those are called that are compared.
    """

    reference: str
    folder: Path
    others: tuple[Against, ...]
    table: pd.DataFrame
    bins: pd.DataFrame
    observables: tuple[ObservableRecord, ...]

    def rows(self, metric: str) -> pd.DataFrame:
        """Return the rows of a metric, with a column `result` that names study and methods."""
        found = self.table[self.table["metric"] == metric]
        names = [self.name(*one) for one in found[list(_RESULT)].itertuples(index=False)]
        return found.assign(result=names)

    def name(self, study: str, method: str, reference_method: str) -> str:
        """Return what a pair of results is called: `study: method / method of the reference`."""
        same = method == reference_method
        return f"{study}: {method}" if same else f"{study}: {method} / {reference_method}"

    @property
    def metrics(self) -> list[str]:
        """Metrics with a ratio that is tested."""
        return list(dict.fromkeys(self.table.loc[self.table["test"] != "", "metric"]))

    def label(self, observable: str) -> str:
        """Return how an observable is called; of all: `all`."""
        labels = {one.name: one.label for one in self.observables}
        return "all" if observable == ALL else labels[observable]

    @property
    def notes(self) -> list[str]:
        """What a reader must know of the tests, in sentences."""
        found = [
            f"Ratios are to {self.reference}: geometric means over bins, of all over observables. "
            "p is the probability of a ratio as far from 1 if the two do not differ."
        ]
        if "rel_mse" in self.metrics:
            found.append(
                "rel_mse and bias hold for these samples of data and simulation: others may rank "
                "studies otherwise. The difference of bias is not tested."
            )
        return found

    def sides(self) -> dict[str, dict[str, tuple[float, float]]]:
        """Return value and error of each metric, of all observables, by `study: method`.

        Of the reference they are those of its first comparison: where other studies lack
        observables, their averages are of fewer.
        """
        found: dict[str, dict[str, tuple[float, float]]] = {}
        rows = self.table[self.table["observable"] == ALL].to_dict("records")
        for study, method, before in (
            ("reference", "reference_method", "reference_"),
            ("study", "method", ""),
        ):
            for row in rows:
                side = found.setdefault(f"{row[study]}: {row[method]}", {})
                error = row["reference_error" if before else "value_error"]
                side.setdefault(row["metric"], (row[f"{before}value"], error))
                side.setdefault("passes", (row[f"{before}passes"], math.nan))
        return found

    def averages(self) -> tuple[list[str], list[list[str]]]:
        """Return header and rows of a table of what every result costs and gives."""
        header = ["result", "networks per pass", "hours per pass", "spread", "bias", "passes"]
        nothing = (math.nan, math.nan)
        return header, [
            [
                name,
                formats.count(side[NETWORKS][0]),
                formats.pair(*side[HOURS]),
                formats.percent(*side["sigma_rel"]),
                formats.percent(*side.get("bias_rel", nothing)),
                formats.count(side["passes"][0]),
            ]
            for name, side in self.sides().items()
        ]

    def write_csv(self, path: str | Path) -> None:
        """Write the table.

        Args:
            path: of the new file.

        Raises:
            OutputError: it cannot be written.
        """
        STUDIES.write(self.table, Path(path))

    def report(self, path: str | Path) -> Path:
        """Write a page with figures, one HTML file.

        Args:
            path: of the file.

        Returns:
            The path.

        Raises:
            InputError: the folder of `path` is not there.
        """
        from omniflow.report import comparison_page

        comparison_page.write(self, path)
        return Path(path)


_RESULT = ("study", "method", "reference_method")


def sure(p_adjusted: Any) -> Any:
    """Return whether a ratio differs from 1, for one corrected p-value or a column of them."""
    return p_adjusted < 1 - CONFIDENCE


def p_value(value: float) -> str:
    """Return a p-value as text: `p = 0.03`, or that it is smaller than 0.001."""
    return "p < 0.001" if value < 0.001 else f"p = {value:.2g}"
