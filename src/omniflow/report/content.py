"""Content of the report: the tables of a study folder, each checked, and all together."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from omniflow.errors import InputError
from omniflow.report.study_json import Study, read_study
from omniflow.tables.catalogue import TABLES
from omniflow.tables.shared import NETWORK_KEY, RESULT_KEY


@dataclass(frozen=True)
class ReportTables:
    """Everything that the report shows; `problems` names what the study lacks, for the reader.

    Frames are not changed: what is made of them for many parts of the page is made once.
    """

    study: Study
    frames: Mapping[str, pd.DataFrame]
    problems: tuple[str, ...] = ()
    _headlines: dict[tuple[str, int | None], pd.DataFrame] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def __getitem__(self, name: str) -> pd.DataFrame:
        """Return a table by its name, as `omniflow.tables` declares it."""
        return self.frames[name]

    def __contains__(self, name: str) -> bool:
        """Return whether the study has a table."""
        return name in self.frames

    @classmethod
    def read(cls, folder: Path | str) -> ReportTables:
        """Read and check study.json and the tables of a study folder.

        Raises:
            InputError: a file or column is missing or not readable, or a method, combination,
                iteration or observable of study.json has no rows; the message names them. So does
                a study in which no observable has entries.
        """
        folder = Path(folder)
        study = read_study(folder / "study.json")
        frames = {
            name: table.read(folder / table.name)
            for name, table in TABLES.items()
            if study.has(table.when)
        }
        empty = _empty(folder, study, frames["summary"])
        study = study.model_copy(
            update={"observables": tuple(o for o in study.observables if o.name not in empty)}
        )
        frames = _without(empty, frames)
        _check_results(folder, study, frames)
        problems = _problems(study, frames)
        if empty:
            problems.append(f"No entries, and therefore left out: {', '.join(empty)}.")
        return cls(study, frames, tuple(problems))

    def headline(self, name: str, iteration: int | None = None) -> pd.DataFrame:
        """Rows of table `name` at each method's headline combination (and one iteration)."""
        if (name, iteration) not in self._headlines:
            if iteration is None:
                table = self[name]
                rows = table[table["combine"] == table["method"].map(self.study.headline_combine)]
            else:
                rows = self.headline(name)
                rows = rows[rows["iteration"] == iteration]
            self._headlines[name, iteration] = rows
        return self._headlines[name, iteration]

    @property
    def binned(self) -> tuple[str, ...]:
        """Names of the observables that have a binned reference."""
        return tuple(dict.fromkeys(self["bayes_summary"]["observable"]))

    def averages(self, metric: str, part: str = "") -> pd.DataFrame:
        """Averages over bins of a metric, or their errors (`_error`), method x observable.

        Of the headline results after the last iteration; `bias_rel` is its magnitude.
        """
        rows = self.headline("summary", self.study.iterations)
        wide = rows.pivot(index="method", columns="observable", values=metric + part).abs()
        study = self.study
        return wide.loc[[m.name for m in study.methods], [o.name for o in study.unfolded]]

    def passes(self) -> dict[str, int]:
        """Number of passes behind each method's headline numbers."""
        last = self.headline("summary", self.study.iterations)
        return last.groupby("method")["passes"].min().astype(int).to_dict()

    def measurable(self) -> tuple[str, ...]:
        """Metrics that exist: a spread takes two passes, bias and relative MSE take truth."""
        spread = ("sigma_rel",) if max(self.passes().values()) > 1 else ()
        return spread + (("bias_rel", "rel_mse") if self.study.has_truth else ())


def edges_of(frames: Sequence[pd.DataFrame]) -> np.ndarray:
    """Edges of all bins that any of the frames has; absent bins between them become gaps.

    Args:
        frames: with columns low and high.

    Returns:
        (B + 1,) increasing.
    """
    ends = [frame[end].to_numpy(float) for frame in frames for end in ("low", "high")]
    return np.unique(np.concatenate(ends))


def on_edges(frame: pd.DataFrame, column: str, edges: np.ndarray) -> np.ndarray:
    """Values of `column` per interval between edges, NaN where the frame has no such bin.

    Args:
        frame: with columns low and the one that is wanted.
        column: its name.
        edges: (B + 1,), of `edges_of`.

    Returns:
        (B,) float64.
    """
    values = np.full(len(edges) - 1, np.nan)
    values[np.searchsorted(edges, frame["low"].to_numpy())] = frame[column].to_numpy()
    return values


def _empty(folder: Path, study: Study, summary: pd.DataFrame) -> list[str]:
    """Return the observables of which some result has no bins with entries."""
    names = set(summary.loc[summary["bins"] == 0, "observable"])
    if names >= {o.name for o in study.unfolded}:
        raise InputError(
            f"{folder}: no observable has entries in its bins, so that there is nothing to report; "
            "change observables.names or observables.binning"
        )
    return [o.name for o in study.observables if o.name in names]


def _without(names: list[str], frames: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Return tables without some observables."""
    if not names:
        return frames
    return {
        name: frame[~frame["observable"].isin(names)].reset_index(drop=True)
        if name != "stopping" and "observable" in frame
        else frame
        for name, frame in frames.items()
    }


def _check_results(folder: Path, study: Study, frames: dict[str, pd.DataFrame]) -> None:
    """Refuse a study whose tables lack a result that study.json announces."""
    names = [o.name for o in study.observables]
    iterations = range(1, study.iterations + 1)
    every = [(m.name, c) for m in study.methods for c in m.combine]
    headline = [(m.name, study.headline_combine[m.name]) for m in study.methods]
    known = set(frames["detector"]["observable"])
    for name in ("detector", "bayes", "bayes_summary"):
        if unknown := sorted(set(frames[name]["observable"]) - set(names)):
            raise InputError(
                f"{folder / name}.csv: column observable: {', '.join(unknown)} not in study.json"
            )
    at_detector = [n for n in names if n in known]
    unfolded = [o.name for o in study.unfolded]
    with_prior = range(study.iterations + 1)
    wanted = {
        "metrics": (every, iterations, unfolded),
        "summary": (every, iterations, unfolded),
        "detector": (headline, with_prior, at_detector),
        "detector_summary": (headline, with_prior, at_detector),
        "weights": (headline, iterations, None),
    }
    for name, (results, steps, observables) in wanted.items():
        columns = list(RESULT_KEY[: 4 if observables is not None else 3])
        there = set(frames[name][columns].itertuples(index=False, name=None))
        expected = [
            (*result, *rest)
            for result in results
            for rest in itertools.product(steps, *([] if observables is None else [observables]))
        ]
        _refuse(folder / f"{name}.csv", columns, [e for e in expected if e not in there])
    columns = ["observable", "iteration"]
    there = set(frames["bayes_summary"][columns].itertuples(index=False, name=None))
    pairs = itertools.product(dict.fromkeys(o for o, _ in there), iterations)
    _refuse(folder / "bayes_summary.csv", columns, [pair for pair in pairs if pair not in there])
    for name, column, values in (
        ("cost", "method", [m.name for m in study.methods]),
        ("steps", "chain", sorted({m.chain for m in study.methods})),
    ):
        there = set(frames[name][column])
        _refuse(folder / f"{name}.csv", [column], [(v,) for v in values if v not in there])
    if study.has_truth:
        # Relative to a truth whose weights add up to 0 there is no bias.
        relative = frames["metrics"][frames["metrics"]["truth"] != 0]
        for name, rows, column in (
            ("metrics", relative, "truth"),
            ("metrics", relative, "bias_rel"),
            ("summary", frames["summary"], "td"),
        ):
            if rows[column].isna().any():
                raise InputError(
                    f"{folder / name}.csv: column {column} has empty cells, "
                    "but study.json says has_truth"
                )


def _refuse(path: Path, columns: list[str], missing: list[tuple]) -> None:
    if not missing:
        return
    shown = "; ".join(
        ", ".join(f"{c} {v}" for c, v in zip(columns, row, strict=True)) for row in missing[:5]
    )
    more = f"; and {len(missing) - 5} more" if len(missing) > 5 else ""
    raise InputError(f"{path}: no rows for {shown}{more}; run the evaluation again")


def _problems(study: Study, frames: dict[str, pd.DataFrame]) -> list[str]:
    """Sentences on networks and passes that are not there; the report shows them on top."""
    found: list[str] = []
    chains: dict[str, tuple[int, int]] = {}
    for method in study.methods:
        lanes = max(method.lanes, chains.get(method.chain, (0, 0))[0])
        chains[method.chain] = (lanes, method.networks or method.members)
    expected = [
        (chain, p, lane, member, fold, iteration, step)
        for chain, (lanes, members) in chains.items()
        for p in range(1, study.passes + 1)
        for lane in range(lanes)
        for member in range(members)
        for fold in (range(1, study.folds + 1) if study.folds > 1 else (0,))
        for iteration in range(1, study.iterations + 1)
        for step in study.steps
    ]
    keys = list(NETWORK_KEY[:-1])
    for name in ("timing", "histories"):
        table = frames[name]
        rows = table[table["purpose"] == "unfolding"]
        there = set(rows[keys].itertuples(index=False, name=None))
        missing = [e for e in expected if e not in there]
        if missing:
            shown = "; ".join(
                ", ".join(f"{k} {v}" for k, v in zip(keys, row, strict=True)) for row in missing[:3]
            )
            more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
            found.append(
                f"{name}.csv lacks {len(missing)} of {len(expected)} networks: {shown}{more}."
            )
        starts = [m.name for m in study.methods if m.start != "scratch"]
        if starts and study.pretrainings and not (table["purpose"] == "pretraining").any():
            found.append(
                f"{name}.csv has no pre-training network, but {', '.join(starts)} "
                f"{'starts' if len(starts) == 1 else 'start'} from one."
            )
    last = frames["metrics"][frames["metrics"]["iteration"] == study.iterations]
    for method, passes in last.groupby("method", sort=False)["passes"].min().items():
        if passes < study.passes:
            found.append(f"{method} has only {passes} of {study.passes} passes.")
    if unknown := sorted(set(frames["metrics"]["method"]) - {m.name for m in study.methods}):
        found.append(f"metrics.csv has methods that study.json does not: {', '.join(unknown)}.")
    measured = set(frames["detector"]["observable"])
    absent = [
        o.name for o in study.observables if "detector" in o.levels and o.name not in measured
    ]
    if absent:
        found.append(f"detector.csv has no rows for {', '.join(absent)}.")
    return found
