"""Compare finished studies: what differs between them, and what that changes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from omniflow.api.choices import one_of
from omniflow.api.comparable import Comparable, labelled, opened
from omniflow.api.differences import differences, unpaired
from omniflow.api.study import Study
from omniflow.errors import InputError
from omniflow.evaluation.studies import PAIRED, UNPAIRED, Pair, studies_table
from omniflow.report.compared import Against, Compared

# Truths of the same events differ by the order of their sums.
_ROUNDING = 1e-6
_Place = tuple[str, str]  # method and combination


def compare(
    first: Study | str | Path,
    *others: Study | str | Path,
    methods: Iterable[str | tuple[str, str]] = (),
    combine: str | None = None,
) -> Compared:
    """Compare finished studies with the first: spread, MSE, bias and cost of their methods.

    Passes are compared in pairs where two studies have the same seed, samples and number of passes,
    and apart elsewhere. Results are those after the last iteration of each study.

    Args:
        first: the reference; a study, or its folder.
        others: what is compared with it.
        methods: names of methods, or pairs of a method of the reference and one of the others;
            by default all that both have.
        combine: combination of lanes, of methods with several; by default each study's first.

    Returns:
        Differences of the configurations, a table of ratios, differences and costs, and what is
        drawn.

    Raises:
        InputError: a study is not finished or has one pass; or two studies have no method, or no
            observable with the same bins and truth in common, or count different things.

    Examples:
        >>> import tempfile
        >>> import numpy as np
        >>> import omniflow
        >>> x = np.random.default_rng(1).normal(size=(4, 500))
        >>> def run(folder, rate):
        ...     return omniflow.unfold(
        ...         omniflow.Events.from_arrays(x[0] + 0.3 + x[3] / 5, x[0] + 0.3),
        ...         omniflow.Events.from_arrays(x[1] + x[2] / 5, x[1]),
        ...         iterations=1,
        ...         passes=3,
        ...         training={"epochs": 1, "min_updates": 5, "learning_rate": rate},
        ...         diagnostics={"second_classifier": False},
        ...         output=folder,
        ...     )
        >>> with tempfile.TemporaryDirectory() as results:
        ...     found = omniflow.compare(run(f"{results}/slow", 1e-4), run(f"{results}/fast", 1e-2))
        >>> [str(each) for each in found.others[0].differences]
        ['training.learning_rate: 0.0001 -> 0.01']
        >>> found.others[0].tested
        'Paired: same seed, samples and number of passes.'
        >>> found.rows("sigma_rel")[["result", "observable", "passes"]].values.tolist()
        [['fast: none', '', 3], ['fast: none', 'x0', 3]]
    """
    if not others:
        raise InputError("one study alone cannot be compared; give two folders or more")
    reference, *rest = labelled([opened(each) for each in (first, *others)])
    named = tuple((each, each) if isinstance(each, str) else each for each in methods)
    found = [_Both(reference, other, named, combine) for other in rest]
    bins = pd.concat([frame for both in found for frame in both.bins()])
    kept = {name for both in found for name in both.observables}
    return Compared(
        reference.label,
        reference.study.folder,
        tuple(both.said() for both in found),
        studies_table([pair for both in found for pair in both.pairs()]),
        bins.drop_duplicates(["study", "method", "observable", "bin"]),
        tuple(one for one in reference.record.unfolded if one.name in kept),
    )


@dataclass(frozen=True)
class _Both:
    """The reference and another study, with the methods and the combination that were named."""

    old: Comparable
    new: Comparable
    named: tuple[tuple[str, str], ...]
    combine: str | None

    @property
    def where(self) -> str:
        """Both folders, for messages."""
        return f"{self.old.study.folder} and {self.new.study.folder}"

    @cached_property
    def methods(self) -> tuple[tuple[str, str], ...]:
        """Pairs of methods: those that were named, or all that both have."""
        sides = (self.old.study, self.new.study)
        for pair in self.named:
            for name, study in zip(pair, sides, strict=True):
                one_of(f"method in {study.folder}:", name, study.methods)
        common = tuple((n, n) for n in sides[0].methods if n in sides[1].methods)
        if not (self.named or common):
            one, other = (", ".join(study.methods) for study in sides)
            raise InputError(
                f"{self.where}: have no method in common ({one}; {other}); name pairs, such as "
                f"--methods {sides[0].methods[0]}={sides[1].methods[0]}"
            )
        return self.named or common

    @cached_property
    def left_out(self) -> dict[str, str]:
        """Observables that cannot be compared, and why."""
        found = {}
        for name in dict.fromkeys([*self.old.edges, *self.new.edges]):
            if reason := self._fault(name):
                found[name] = reason
        return found

    def _fault(self, name: str) -> str:
        """Return why an observable cannot be compared; nothing where it can."""
        for one, other in ((self.old, self.new), (self.new, self.old)):
            if name not in one.edges:
                return f"only in {other.label}"
        if not np.array_equal(self.old.edges[name], self.new.edges[name]):
            return "other bin edges"
        return "another truth" if self.has_truth and self._other_truth(name) else ""

    def _other_truth(self, name: str) -> bool:
        one, other = self.old.truth(name), self.new.truth(name)
        known = np.isfinite(one) & np.isfinite(other)
        return not np.allclose(one[known], other[known], rtol=_ROUNDING, atol=0)

    @property
    def has_truth(self) -> bool:
        """Whether both studies have truth."""
        return self.old.record.has_truth and self.new.record.has_truth

    @cached_property
    def observables(self) -> tuple[str, ...]:
        """Observables that are compared."""
        self._refuse_other_counts()
        found = tuple(name for name in self.old.edges if name not in self.left_out)
        if not found:
            reasons = "; ".join(f"{name}: {why}" for name, why in self.left_out.items())
            raise InputError(
                f"{self.where}: have no observable that can be compared ({reasons}); give both the "
                "same observables.binning and the same data"
            )
        return found

    def _refuse_other_counts(self) -> None:
        for key in ("region", "normalization"):
            values = [getattr(side.record, key) for side in (self.old, self.new)]
            if values[0] != values[1]:
                raise InputError(
                    f"{self.where}: count different things, {key} is {' and '.join(values)}; give "
                    f"both the same (observables.region, unfolding.normalization)"
                )

    @cached_property
    def why(self) -> tuple[str, ...]:
        """Why passes do not go together; nothing where they do."""
        seeds = self.old.study.config.study.seed, self.new.study.config.study.seed
        return unpaired(self.old.record, self.new.record, seeds)

    @cached_property
    def _places(self) -> list[tuple[_Place, _Place]]:
        """Method and combination of the reference, and those of the other study."""
        return [
            (
                (old, self.old.combination(old, self.combine)),
                (new, self.new.combination(new, self.combine)),
            )
            for old, new in self.methods
        ]

    def pairs(self) -> list[Pair]:
        """Return what is compared."""
        truth = {name: self._truth(name) for name in self.observables} if self.has_truth else None
        return [
            Pair(
                self.old.result(*old, self.observables),
                self.new.result(*new, self.observables),
                truth,
                not self.why,
            )
            for old, new in self._places
        ]

    def _truth(self, name: str) -> np.ndarray:
        one, other = self.old.truth(name), self.new.truth(name)
        return np.where(np.isfinite(one), one, other)

    def bins(self) -> list[pd.DataFrame]:
        """Return what is drawn per bin of both."""
        each = [
            side.drawn(*place)
            for places in self._places
            for side, place in zip((self.old, self.new), places, strict=True)
        ]
        return [rows[rows["observable"].isin(self.observables)] for rows in each]

    def said(self) -> Against:
        """Return what differs, and how it is compared."""
        return Against(
            self.new.label,
            self.new.study.folder,
            differences(self.old.study.config, self.new.study.config),
            UNPAIRED if self.why else PAIRED,
            self.why,
            self.methods,
            self.left_out,
            tuple(self._notes()),
        )

    def _notes(self) -> Iterator[str]:
        if not self.has_truth:
            without = [side.label for side in (self.old, self.new) if not side.record.has_truth]
            yield f"No bias and no MSE: {' and '.join(without)} without truth."
        if self.old.devices != self.new.devices:
            both = f"{self.old.devices} and {self.new.devices}"
            yield f"Trained on {both}: hours are not of one kind."
        if self.old.pretrained or self.new.pretrained:
            yield "Hours are without pre-training."
