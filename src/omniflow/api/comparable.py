"""A finished study as it is compared with others: results, truth, costs and a label."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from omniflow.api.choices import one_of
from omniflow.api.read import read
from omniflow.api.study import Study
from omniflow.errors import InputError
from omniflow.evaluation.histograms import normalise
from omniflow.evaluation.studies import Result
from omniflow.evaluation.trainings import core_hours
from omniflow.report.study_json import Study as Record
from omniflow.report.study_json import read_study
from omniflow.stages import evaluation
from omniflow.tables import results, trainings

_NEEDED = (results.STUDY.name, results.METRICS.name, trainings.TIMING.name, trainings.COST.name)


@dataclass(frozen=True)
class Comparable:
    """A finished study of several passes.

    Attributes:
        study: what was run.
        record: its study.json.
        label: what it is called beside others.
    """

    study: Study
    record: Record
    label: str

    @cached_property
    def metrics(self) -> pd.DataFrame:
        """Rows of metrics.csv after the last iteration."""
        rows = self.study.tables["metrics"]
        return rows[rows["iteration"] == self.record.iterations]

    @cached_property
    def devices(self) -> str:
        """What its networks were trained on."""
        return " and ".join(sorted(self.study.tables["timing"]["device"].unique()))

    @property
    def pretrained(self) -> bool:
        """Whether networks were trained before its passes."""
        return bool((self.study.tables["cost"]["pretraining_seconds"] > 0).any())

    @cached_property
    def edges(self) -> dict[str, np.ndarray]:
        """Edges (B + 1,) of the observables of the result."""
        return evaluation.edges(self.study.plan, "particle")

    def truth(self, observable: str) -> np.ndarray:
        """Return the truth of an observable, NaN in bins that have none.

        Args:
            observable: its name.

        Returns:
            (B,), of the normalisation of the study.
        """
        rows = self.metrics[self.metrics["observable"] == observable].drop_duplicates("bin")
        found = np.full(len(self.edges[observable]) - 1, np.nan)
        found[rows["bin"].to_numpy()] = rows["truth"]
        return found

    def combination(self, method: str, wanted: str | None) -> str:
        """Return the combination of a method that is compared: of several lanes the wanted one.

        Raises:
            InputError: there is no such combination.
        """
        known = self.study.plan.combinations(method)
        if wanted is None or self.study.config.methods[method].lanes == 1:
            return known[0]
        return one_of(f"combination of {method} in {self.study.folder}", wanted, known)

    def result(self, method: str, combine: str, observables: Sequence[str]) -> Result:
        """Return a method as it is compared."""
        histograms = next(
            each.histograms
            for each in evaluation.read_histograms(self.study.plan, method, "particle")
            if (each.combine, each.iteration) == (combine, self.study.plan.iterations[-1])
        )
        scaled = normalise if self.record.normalization == "shape" else lambda each: each
        chain = self.study.plan.chain_slug(self.study.config.methods[method])
        lanes = self.study.config.methods[method].lanes
        return Result(
            *(self.label, method, combine),
            {name: scaled(histograms[name]).content for name in observables},
            self.study.plan.networks_per_pass(method),
            core_hours(self.study.tables["timing"], chain, lanes),
        )

    def drawn(self, method: str, combine: str) -> pd.DataFrame:
        """Return what is drawn of a method per bin."""
        rows = self.metrics
        rows = rows[(rows["method"] == method) & (rows["combine"] == combine)]
        return rows.assign(study=self.label)


def opened(study: Study | str | Path) -> Comparable:
    """Return a study that can be compared.

    Raises:
        InputError: it is not finished, or has one pass.
    """
    found = read(study.folder if isinstance(study, Study) else study)
    if missing := [name for name in _NEEDED if not found.plan.table(name).is_file()]:
        raise InputError(
            f"{found.folder}: is not finished, it has no {', '.join(missing)}; run it to its end"
        )
    record = read_study(found.plan.table(results.STUDY.name))
    if record.passes < 2:
        raise InputError(
            f"{found.folder}: has one pass, so that there is no spread to compare; set "
            "study.passes to 2 or more and run it again (the first pass stays)"
        )
    return Comparable(found, record, record.name)


def labelled(studies: Sequence[Comparable]) -> list[Comparable]:
    """Return studies with different labels: their names, those of their folders, or numbers.

    Args:
        studies: any of them may be there twice.
    """
    for labels in (
        [one.record.name for one in studies],
        [one.study.folder.name for one in studies],
        [f"{one.study.folder.name} ({n})" for n, one in enumerate(studies, 1)],
    ):
        if max(Counter(labels).values()) == 1:
            break
    return [replace(one, label=label) for one, label in zip(studies, labels, strict=True)]
