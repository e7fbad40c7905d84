"""Tables of a study folder: what the report reads, checked column by column."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from omniflow.errors import InputError
from omniflow.files import read_csv
from omniflow.report.study import Study, read_study

# Column kinds: s text, k coordinate kept as text, i whole number, f number that may be empty.
_RESULT = {"method": "s", "combine": "s", "iteration": "i", "observable": "s"}
_NETWORK = (
    {"chain": "s"}
    | dict.fromkeys(["pass", "lane", "member", "fold", "iteration", "step"], "k")
    | {"purpose": "s"}
)
_AVERAGES = [f"{n}{w}" for n in ("bias_rel", "sigma_rel", "rel_mse") for w in ("", "_weighted")]
_BIN = {"bin": "i", "low": "f", "high": "f"}
COLUMNS: dict[str, dict[str, str]] = {
    "metrics": _RESULT
    | _BIN
    | dict.fromkeys(["truth", "prior", "mean", "bias_rel", "sigma_rel", "sigma_rel_paper"], "f")
    | dict.fromkeys(["rel_mse", "mse_rel_paper"], "f")
    | dict.fromkeys(
        [f"{n}_error" for n in ("truth", "prior", "mean", "sigma_rel", "bias_rel", "rel_mse")], "f"
    )
    | {"passes": "i"},
    "summary": _RESULT
    | dict.fromkeys(_AVERAGES + [f"{name}_error" for name in _AVERAGES], "f")
    | dict.fromkeys(["td_prior", "td", "td_floor", "td_prior_floor"], "f")
    | {"passes": "i", "bins": "i"},
    "detector": _RESULT
    | _BIN
    | dict.fromkeys(["data", "data_error", "simulation", "simulation_error", "sigma_rel"], "f")
    | {"passes": "i"},
    "detector_summary": _RESULT | {"td": "f", "td_floor": "f"},
    "bayes": {"iteration": "i", "observable": "s"}
    | _BIN
    | dict.fromkeys(["truth", "prior", "content", "error", "bias_rel"], "f"),
    "bayes_summary": {"iteration": "i", "observable": "s", "td": "f", "td_floor": "f"},
    "comparisons": dict.fromkeys(["metric", "method", "other", "observable"], "s")
    | dict.fromkeys(["ratio", "log_error", "p_value", "p_adjusted"], "f")
    | dict.fromkeys(["bins", "passes"], "i"),
    "networks": {"method": "s", "combine": "s", "observable": "s", "varied": "s"}
    | dict.fromkeys(["lanes", "members", "networks", "subsets", "passes"], "i")
    | dict.fromkeys(["sigma_rel", "expected", "ratio", "floor_squared"], "f")
    | dict.fromkeys(["sigma_rel_error", "ratio_error", "floor_squared_error"], "f"),
    "timing": _NETWORK
    | {"start": "s"}
    | dict.fromkeys(["events", "epochs", "best_epoch", "seconds", "events_per_second"], "f")
    | {"val_loss": "f", "parameters": "f"},
    "cost": {"method": "s", "networks_per_pass": "i", "seconds_per_pass": "f"}
    | {"seconds_per_pass_error": "f", "passes": "i", "pretraining_seconds": "f"},
    "histories": _NETWORK
    | {"epoch": "i"}
    | dict.fromkeys(["loss", "val_loss", "learning_rate", "grad_norm"], "f")
    | {"seconds": "f", "events_per_second": "f"},
    "weights": {"method": "s", "combine": "s", "pass": "i", "iteration": "i"}
    | dict.fromkeys(["sum", "minimum", "maximum", "mean", "ess", "scale"], "f"),
    "steps": {"chain": "s", "pass": "i", "lane": "i", "iteration": "i", "step": "s"}
    | dict.fromkeys(["sum_before", "sum_after", "minimum", "maximum", "ess", "clipped"], "f"),
}
# Only where a study has replicas, variations or toys.
UNCERTAINTIES: dict[str, dict[str, str]] = {
    "covariance": {"method": "s", "combine": "s", "observable": "s", "block": "s"}
    | {"bin_i": "i", "bin_j": "i", "value": "f"},
    "shifts": {"method": "s", "combine": "s", "observable": "s", "variation": "s"}
    | {"bin": "i", "shift": "f", "training_error": "f", "statistical_error": "f"},
    "chi2": {"method": "s", "combine": "s", "observable": "s", "prediction": "s", "chi2": "f"}
    | {"bins": "i", "p_value": "f", "no_p_value": "s", "covariance_freedom": "f"}
    | {"blocks": "s", "left_out": "s", "parallel": "s"},
    "coverage": {"method": "s", "combine": "s", "observable": "s", "kind": "s", "entries": "i"}
    | dict.fromkeys(["coverage", "coverage_error", "pull_mean", "pull_width"], "f"),
}
# Tables of how far the result can be trusted.
TRUST: dict[str, dict[str, str]] = {
    "acceptance": {"observable": "s"}
    | _BIN
    | dict.fromkeys(["efficiency", "efficiency_error"], "f")
    | dict.fromkeys(["fake_fraction", "fake_fraction_error"], "f"),
    "classifiers": {"chain": "s"}
    | dict.fromkeys(["pass", "lane", "member", "fold", "iteration"], "i")
    | {"step": "s", "part": "s", "events": "i"}
    | dict.fromkeys(["auc", "auc_error", "chi2", "bins"], "f"),
    "reliability": {"chain": "s", "iteration": "i", "step": "s", "part": "s"}
    | dict.fromkeys(["predicted", "observed", "observed_error"], "f"),
    "roc": {"chain": "s", "iteration": "i", "step": "s", "part": "s"}
    | {"class_b": "f", "class_a": "f"},
    "second_classifier": {"subject": "s", "level": "s", "failure": "s"}
    | dict.fromkeys(["events", "auc", "auc_error", "best_epoch"], "f"),
    "tails": {"method": "s", "pass": "i", "iteration": "i"}
    | dict.fromkeys(["change", "minimum", "quantile_0_001", "median", "quantile_0_999"], "f")
    | dict.fromkeys(["maximum", "share_of_largest", "ess"], "f"),
    "weight_distributions": {"method": "s", "low": "f", "high": "f", "fraction": "f"},
    "effective_sizes": {"method": "s", "observable": "s"} | _BIN | {"ess": "f", "ess_prior": "f"},
    "overtraining": {"chain": "s", "observable": "s"}
    | dict.fromkeys(["lane", "member", "iteration"], "i")
    | dict.fromkeys(["chi2", "bins", "p_value", "difference"], "f"),
    "convergence": {"level": "s"}
    | _RESULT
    | {"to": "i"}
    | dict.fromkeys(["td", "td_floor", "fall", "error", "uncertainty"], "f"),
    "stopping": {"method": "s", "observable": "s", "above_floor": "s", "rising": "s"}
    | dict.fromkeys(["iteration", "to", "fall", "uncertainty", "last"], "f"),
}
_KEYS = {
    "metrics": [*_RESULT, "bin"],
    "summary": [*_RESULT],
    "detector": [*_RESULT, "bin"],
    "detector_summary": [*_RESULT],
    "bayes": ["observable", "iteration", "bin"],
    "bayes_summary": ["observable", "iteration"],
    "acceptance": ["observable", "bin"],
    "comparisons": ["metric", "method", "other", "observable"],
    "networks": ["method", "observable", "varied", "lanes", "members"],
    "cost": ["method"],
    "weights": ["method", "combine", "pass", "iteration"],
    "timing": list(_NETWORK),
}


@dataclass(frozen=True)
class ReportTables:
    """Everything that the report shows; `problems` names what the study lacks, for the reader."""

    study: Study
    metrics: pd.DataFrame
    summary: pd.DataFrame
    detector: pd.DataFrame
    detector_summary: pd.DataFrame
    bayes: pd.DataFrame
    bayes_summary: pd.DataFrame
    comparisons: pd.DataFrame
    networks: pd.DataFrame
    timing: pd.DataFrame
    cost: pd.DataFrame
    histories: pd.DataFrame
    weights: pd.DataFrame
    steps: pd.DataFrame
    trust: dict[str, pd.DataFrame]
    problems: tuple[str, ...] = field(default=())
    covariance: pd.DataFrame | None = None
    shifts: pd.DataFrame | None = None
    chi2: pd.DataFrame | None = None
    coverage: pd.DataFrame | None = None

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
        names = [*COLUMNS, *(UNCERTAINTIES if study.uncertain else ())]
        frames = {name: _read_table(folder / f"{name}.csv", name) for name in names}
        trust = {name: _read_table(folder / f"{name}.csv", name) for name in TRUST}
        empty = _empty(folder, study, frames["summary"])
        study = study.model_copy(
            update={"observables": tuple(o for o in study.observables if o.name not in empty)}
        )
        frames, trust = _without(empty, frames), _without(empty, trust)
        _check_results(folder, study, frames)
        problems = _problems(study, frames)
        if empty:
            problems.append(f"No entries, and therefore left out: {', '.join(empty)}.")
        return cls(study=study, **frames, trust=trust, problems=tuple(problems))

    def headline(self, name: str, iteration: int | None = None) -> pd.DataFrame:
        """Rows of table `name` at each method's headline combination (and one iteration)."""
        table = getattr(self, name)
        rows = table[table["combine"] == table["method"].map(self.study.headline_combine)]
        return rows if iteration is None else rows[rows["iteration"] == iteration]

    @property
    def binned(self) -> tuple[str, ...]:
        """Names of the observables that have a binned reference."""
        return tuple(dict.fromkeys(self.bayes_summary["observable"]))

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
    bins = pd.concat([f[["low", "high"]] for f in frames])
    return np.unique(bins.to_numpy())


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


def _read_table(path: Path, name: str) -> pd.DataFrame:
    table = read_csv(path, dtype=str, keep_default_na=False)
    kinds = (COLUMNS | UNCERTAINTIES | TRUST)[name]
    missing = [column for column in kinds if column not in table]
    if missing:
        raise InputError(f"{path}: column {', '.join(missing)} is missing")
    for column, kind in kinds.items():
        if kind == "s":
            continue
        if kind == "k":  # pandas writes 1 as 1.0 where another row of the column is empty
            table[column] = table[column].str.removesuffix(".0")
            _refuse_names(path, column, table[column])
            continue
        text = table[column].str.strip()
        empty = text.str.lower().isin(["", "nan"])
        values = text.mask(empty).map(_number).astype(float)
        wrong = values.isna() & ~empty
        if kind == "i":
            wrong |= empty | (values != np.round(values))
        if wrong.any():
            row = int(np.flatnonzero(wrong)[0])
            wanted = "a whole number" if kind == "i" else "a number"
            raise InputError(
                f"{path}: column {column}, line {row + 2}: {text[row]!r}, not {wanted}"
            )
        table[column] = values.astype(int) if kind == "i" else values
    keys = _KEYS.get(name)
    if keys and table.duplicated(keys).any():
        first = table.loc[table.duplicated(keys), keys].iloc[0]
        where = ", ".join(f"{k} {v}" for k, v in first.items())
        raise InputError(f"{path}: more than one row for {where}")
    return table


def _number(text: object) -> float:
    # Not by pandas, which crashes on exponents like 1e99999999.
    try:
        return float(text)  # type: ignore[arg-type]  # what is no number is caught
    except (TypeError, ValueError):
        return np.nan


def _refuse_names(path: Path, column: str, texts: pd.Series) -> None:
    """Refuse coordinates that are neither small numbers nor names of steps."""
    wrong = texts[~texts.str.fullmatch(r"\d{0,9}b?|second-[a-z]+")]
    if len(wrong):
        raise InputError(
            f"{path}: column {column}, line {wrong.index[0] + 2}: {wrong.iloc[0]!r}, not a number"
        )


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
        columns = list(_RESULT)[: 4 if observables is not None else 3]
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
        (chain, str(p), str(lane), str(member), str(fold), str(iteration), step)
        for chain, (lanes, members) in chains.items()
        for p in range(1, study.passes + 1)
        for lane in range(lanes)
        for member in range(members)
        for fold in (range(1, study.folds + 1) if study.folds > 1 else (0,))
        for iteration in range(1, study.iterations + 1)
        for step in study.steps
    ]
    keys = list(_NETWORK)[:-1]
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
