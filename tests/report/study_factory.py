"""Tables of a made-up study whose winner is known: sigma and bias per method are put in by hand."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd
import trust_factory
from scipy import stats

from omniflow.evaluation.comparison import adjusted
from omniflow.report.content import ReportTables
from omniflow.report.study_json import Study
from omniflow.tables.catalogue import TABLES
from omniflow.tables.table import Type

OBSERVABLES = {
    "q2": ("Q²", "Q^2", "GeV^2", "event", True, np.geomspace(150, 5000, 16)),
    "jet_tau21": ("jet τ₂₁", r"\tau_{21}^{jet}", "", "jet", False, np.linspace(0, 1, 21)),
    "jet_pt": ("jet pT", "p_T^{jet}", "GeV", "jet", True, np.geomspace(5, 65, 18)),
    "eta_e": ("ηₑ", r"\eta_e", "", "event", False, np.linspace(-1.6, 1.6, 17)),
    "eta_p_minus_eta_e": (
        "ηₚ − ηₑ", r"\eta_p - \eta_e", "", "particle", False, np.linspace(-1, 4.5, 23)
    ),
    "log10_pt": ("log₁₀ pT", r"\log_{10} p_T", "", "particle", False, np.linspace(-1, 1.75, 23)),
    "log10_pt_over_q": (
        "log₁₀ pT/Q", r"\log_{10} p_T/Q", "", "particle", False, np.linspace(-2.75, 0.25, 25)
    ),
    "jet_eta": ("jet η", r"\eta^{jet}", "", "jet", False, np.linspace(-1.5, 2.75, 18)),
    "dphi_jet_e": ("Δφ(jet, e)", r"\Delta\phi", "rad", "event", False, np.linspace(0, 1.2, 17)),
}  # fmt: skip
COMBINE = ("mean", "median", "truncated_mean", "log_mean")


@dataclass(frozen=True)
class Strategy:
    """A method of the model: spread and bias are factors on those of `none`."""

    lanes: int = 1
    members: int = 1
    start: str = "scratch"
    spread: float = 1.0
    bias: float = 1.0

    @property
    def chain(self) -> str:
        return f"{self.start}-{self.members}" + ("-mean" if self.members > 1 else "")


FIVE = {
    "none": Strategy(),
    "parallel": Strategy(lanes=5, spread=0.45, bias=0.95),
    "step": Strategy(members=5, spread=0.6, bias=1.0),
    "hybrid": Strategy(lanes=2, members=3, spread=0.47, bias=0.95),
    "pretrained": Strategy(members=5, start="pretrained", spread=0.4, bias=1.8),
}


@dataclass(frozen=True)
class Model:
    """Settings of a made-up study; `error` is the relative error of every average."""

    methods: dict[str, Strategy] = field(default_factory=lambda: dict(FIVE))
    observables: tuple[str, ...] = ("q2", "jet_tau21")
    passes: int = 10
    iterations: int = 3
    has_truth: bool = True
    epochs: int = 12
    error: float = 0.1
    jitter: float = 0.0
    name: str = "made-up"
    machinery_only: bool = False


def copied(tables):
    """Return tables with frames of their own, to be spoilt by a test."""
    return replace(tables, frames={name: frame.copy() for name, frame in tables.frames.items()})


def changed(tables, **frames):
    """Return tables with others in place of some."""
    return replace(tables, frames=dict(tables.frames) | frames)


def assigned(tables, name, **columns):
    """Return tables of which one has other values in some columns."""
    return changed(tables, **{name: declared(name, tables[name].assign(**columns))})


def declared(name, rows):
    """Return a table by its declaration; columns that no test reads hold nothing."""
    table, frame = TABLES[name], pd.DataFrame(rows)
    nothing = {Type.TEXT: "", Type.WHOLE: 0, Type.WHOLE_OR_EMPTY: np.nan, Type.NUMBER: np.nan}
    lacking = [column for column in table.columns if column.name not in frame]
    return table.build(frame.assign(**{column.name: nothing[column.type] for column in lacking}))


def write_table(folder, name, rows):
    """Write a table as `declared`."""
    table = TABLES[name]
    table.write(declared(name, rows), folder / table.name)


def write_study(folder: Path, model: Model) -> Path:
    """Write study.json and all tables of `model` into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in _tables(model).items():
        write_table(folder, name, rows)
    (folder / "study.json").write_text(json.dumps(_study(model)), encoding="utf-8")
    return folder


def made(model: Model) -> ReportTables:
    """Return what is read from the folder of `model`, without writing it."""
    frames = {name: declared(name, rows) for name, rows in _tables(model).items()}
    return ReportTables(Study.model_validate(_study(model)), frames)


def _tables(model: Model) -> dict[str, list[dict]]:
    """Return the rows of all tables by name."""
    rng = np.random.default_rng(7)
    tables = {"metrics": [], "summary": [], "detector": [], "detector_summary": [], "flows": []}
    for method, strategy in model.methods.items():
        for combine in combinations(strategy):
            for observable in model.observables:
                _results(tables, model, rng, method, strategy, combine, observable)
    tables |= _networks(model, rng) | _bayes(model)
    tables["networks"] = _ensembles(model)
    tables["comparisons"] = _comparisons(model, tables["summary"])
    tables["weights"] = [
        {"method": m, "combine": c, "pass": p, "iteration": i, "sum": 60000 + 40 * p - 300 / i,
         "minimum": 0.05, "maximum": 4.0 + i + s.spread * (p % 3), "mean": 1.01,
         "ess": 52000 - 900 * i * s.spread - 20 * p, "scale": 1.0042}
        for m, s in model.methods.items()
        for c in combinations(s)
        for p in range(1, model.passes + 1)
        for i in range(1, model.iterations + 1)
    ]  # fmt: skip
    tables["cost"] = [
        {"method": m, "networks_per_pass": 2 * model.iterations * s.lanes * s.members,
         "seconds_per_pass": 130.0 * s.lanes * s.members * (0.9 if s.members > 1 else 1),
         "seconds_per_pass_error": 3.0 * s.lanes * s.members, "passes": model.passes,
         "pretraining_seconds": 210.0 if s.start != "scratch" else 0.0}
        for m, s in model.methods.items()
    ]  # fmt: skip
    return tables | trust_factory.tables(model, {o: OBSERVABLES[o][5] for o in model.observables})


def combinations(strategy: Strategy) -> tuple[str, ...]:
    if strategy.lanes == 1:
        return ("none",)
    return COMBINE if strategy.lanes >= 3 else ("mean", "log_mean")


def _study(model: Model) -> dict:
    sample = {"pass_detector": 52311, "pass_particle": 61880, "checksum": "sha256:" + "5e" * 32}
    return {
        "name": model.name,
        "created": "2026-01-05 12:00 UTC",
        "versions": {"omniflow": "0.1.0", "tensorflow": "2.18.1", "numpy": "2.0.2"},
        "config_yaml": "study:\n  name: made-up\nmethods:\n  none: {}\n",
        "machinery_only": model.machinery_only,
        "region": "fiducial",
        "particle_level": "all",
        "normalization": "absolute",
        "iterations": model.iterations,
        "passes": model.passes,
        "has_truth": model.has_truth,
        "uninformed_loss": 0.6931,
        "samples": [
            {"role": "data", "source": "pythia", "events": 100000} | sample,
            {"role": "simulation", "source": "pythia", "events": 120000} | sample,
        ],
        "observables": [
            dict(zip(("name", "label", "latex", "unit", "kind", "log_x", "log_y"),
                     (name, *OBSERVABLES[name][:5], OBSERVABLES[name][4]), strict=True))
            | {"edges": OBSERVABLES[name][5].tolist()}
            for name in model.observables
        ],
        "methods": [
            {"name": m, "lanes": s.lanes, "members": s.members,
             "aggregate": "mean" if s.members > 1 else None, "start": s.start, "chain": s.chain,
             "networks_per_pass": 2 * model.iterations * s.lanes * s.members,
             "combine": list(combinations(s))}
            for m, s in model.methods.items()
        ],
        "headline_combine": {m: combinations(s)[0] for m, s in model.methods.items()},
        "notes": ["Made from a formula, not from events."],
    }  # fmt: skip


def _shape(observable):
    """Bin edges, their positions from 0 to 1, truth and prior: a bell, or a falling spectrum."""
    edges, falling = OBSERVABLES[observable][5], OBSERVABLES[observable][4]
    n = len(edges) - 1
    x = (np.arange(n) + 0.5) / n
    truth = 1e5 * (np.exp(-6 * x) if falling else np.exp(-0.5 * ((x - 0.5) / 0.2) ** 2) + 0.01)
    return edges, x, truth, truth * (1 + 0.25 * (x - 0.5) + 0.1 * np.sin(5 * x))


def _bayes(model):
    """The binned reference of observables of events: 1% above truth."""
    nan = 1.0 if model.has_truth else np.nan
    bins = [
        {"observable": name, "iteration": iteration, "bin": b, "low": edges[b],
         "high": edges[b + 1], "truth": nan * truth[b], "prior": prior[b],
         "content": 1.01 * truth[b], "error": np.sqrt(2 * truth[b]), "bias_rel": nan * 0.01}
        for name in model.observables if OBSERVABLES[name][3] == "event"
        for edges, _, truth, prior in [_shape(name)]
        for iteration in range(1, model.iterations + 1)
        for b in range(len(truth))
    ]  # fmt: skip
    summary = [
        {"observable": row["observable"], "iteration": row["iteration"], "bias_rel": nan * 0.01,
         "td": nan * 0.71, "td_floor": nan * 0.53}
        for row in bins if row["bin"] == 0
    ]  # fmt: skip
    return {"bayes": bins, "bayes_summary": summary}


def _comparisons(model, summary):
    """Pairs of methods by their averages, as if each had the error of the model, normal."""
    rows, names = [], list(model.methods)
    last = {
        (r["method"], r["observable"]): r
        for r in summary
        if r["iteration"] == model.iterations
        and r["combine"] == combinations(model.methods[r["method"]])[0]
    }
    metrics = ["sigma_rel"] * (model.passes > 1) + ["rel_mse"] * model.has_truth
    for metric, (a, b) in itertools.product(metrics, itertools.combinations(names, 2)):
        logs = {o: np.log(last[a, o][metric] / last[b, o][metric]) for o in model.observables}
        for observable, log in ({"": np.mean(list(logs.values()))} | logs).items():
            error = model.error * np.sqrt(2)
            p = 2 * stats.t.sf(abs(log) / error, max(1, model.passes - 1))
            rows.append(
                {"metric": metric, "method": a, "other": b, "observable": observable,
                 "ratio": np.exp(log), "log_error": error, "p_value": p, "bins": 15,
                 "passes": model.passes}
            )  # fmt: skip
    if not rows:
        return rows
    frame = pd.DataFrame(rows)
    grouped = frame.groupby(["metric", "observable"])["p_value"]
    return frame.assign(p_adjusted=grouped.transform(adjusted))


def _ensembles(model):
    """Spreads that fall exactly with the square root of the number of networks, to 0.4%."""
    return [
        {"method": m, "combine": combinations(s)[0], "observable": name, "varied": varied,
         "lanes": s.lanes, "members": s.members} | {varied: n}
        | {"networks": s.lanes * s.members * n // most, "subsets": 3,
         "sigma_rel": 0.004 * np.sqrt(most / n), "sigma_rel_error": 0.0003,
         "expected": 0.004 * np.sqrt(most / n), "expected_error": 0.0003,
         "ratio": np.sqrt(n / most), "ratio_error": 0.06,
         "floor_squared": 0.0, "floor_squared_error": 1e-6, "passes": model.passes}
        for m, s in model.methods.items()
        for varied, most in (("lanes", s.lanes), ("members", s.members))
        if most > 1 and model.passes > 1
        for name in model.observables
        for n in range(1, most + 1)
    ]  # fmt: skip


def _results(tables, model, rng, method, strategy, combine, observable):
    """Rows of one method, combination and observable."""
    edges, x, truth, prior = _shape(observable)
    n = len(truth)
    worse = {"median": 1.15, "truncated_mean": 1.05, "log_mean": 1.02}.get(combine, 1.0)
    sigma0 = 0.01 * (1 + 8 * (x - 0.5) ** 2) * strategy.spread * worse
    bins = {"bin": range(n), "low": edges[:-1], "high": edges[1:]}
    key = {"method": method, "combine": combine}
    true = model.has_truth

    def put(table, iteration, **columns):
        frame = pd.DataFrame(bins | columns)
        frame = frame.assign(**key, iteration=iteration, observable=observable)
        tables[table].extend(frame.to_dict("records"))

    for iteration in range(model.iterations + 1):
        rest = 0.35**iteration
        bias = strategy.bias * 0.02 * np.cos(4 * x) + rest * (prior / truth - 1)
        sigma = sigma0 * (1 + 0.15 * iteration)
        sigma = sigma * (1 + model.jitter * rng.normal(size=n))
        mean = truth * (1 + bias) * (1 + sigma * model.jitter * rng.normal(size=n))
        mse = bias**2 + sigma**2
        simulation = truth * 0.8 * (1 + rest * (prior / truth - 1))
        put("detector", iteration, data=0.8 * truth, data_error=np.sqrt(0.8 * truth),
            simulation=simulation, simulation_error=np.sqrt(simulation), sigma_rel=sigma,
            passes=model.passes)  # fmt: skip
        tables["detector_summary"].append(
            key | {"iteration": iteration, "observable": observable,
                   "td": 4 * rest**2 + 0.1, "td_floor": 0.12}
        )  # fmt: skip
        if not iteration:
            continue
        put("metrics", iteration, truth=truth if true else np.nan, prior=prior, mean=mean,
            bias_rel=bias if true else np.nan, sigma_rel=sigma,
            sigma_rel_paper=sigma * np.sqrt(1 - 1 / max(2, model.passes)),
            rel_mse=mse if true else np.nan, mse_rel_paper=mse * truth if true else np.nan,
            passes=model.passes, truth_error=np.sqrt(truth) if true else np.nan,
            prior_error=np.sqrt(prior / 2), mean_error=mean * sigma / np.sqrt(model.passes),
            sigma_rel_error=sigma / np.sqrt(2 * max(1, model.passes - 1)),
            bias_rel_error=sigma / np.sqrt(model.passes) if true else np.nan,
            rel_mse_error=0.3 * mse if true else np.nan)  # fmt: skip
        averages = {
            "bias_rel": np.abs(bias).mean(),
            "sigma_rel": sigma.mean(),
            "rel_mse": mse.mean(),
        }
        row = key | {"iteration": iteration, "observable": observable}
        for name, value in averages.items():
            there = true or name == "sigma_rel"
            for suffix in ("", "_weighted"):
                row[name + suffix] = value if there else np.nan
                row[f"{name}{suffix}_error"] = model.error * value if there else np.nan
        row |= {"td_prior": 9.0, "td": 9 * rest**2 + 0.1 * strategy.bias, "td_floor": 0.15}
        row |= {"td_prior_floor": 0.14, "passes": model.passes, "bins": n}
        if not true:
            row |= dict.fromkeys(("td_prior", "td", "td_floor", "td_prior_floor"), np.nan)
        tables["summary"].append(row)


def _networks(model, rng):
    chains: dict[str, tuple[int, int, str]] = {}
    for s in model.methods.values():
        lanes = max(s.lanes, chains.get(s.chain, (0,))[0])
        chains[s.chain] = (lanes, s.members, s.start)
    tables = {"timing": [], "histories": [], "steps": []}

    def network(key, start):
        first = key["iteration"] <= 1
        seconds = 20 + 4 * rng.random()
        tables["timing"].append(
            key | {"start": start, "events": 80000, "epochs": model.epochs,
                   "best_epoch": model.epochs - 3, "seconds": seconds,
                   "events_per_second": 80000 * model.epochs / seconds, "val_loss": 0.66,
                   "parameters": 24731, "job_seconds": 99}
        )  # fmt: skip
        epoch = np.arange(1, model.epochs + 1)
        loss = 0.69 - (0.03 if first else 0.01) * (1 - np.exp(-5 * epoch / model.epochs))
        loss = loss + 0.002 * rng.normal() + 0.0007 * rng.normal(size=len(epoch))
        for e, value in zip(epoch, loss, strict=True):
            tables["histories"].append(
                key | {"epoch": e, "loss": value - 0.0008 * e / 4, "val_loss": value,
                       "learning_rate": 1e-4, "grad_norm": 0.5, "seconds": 1.6,
                       "events_per_second": 5e4}
            )  # fmt: skip

    for chain, (lanes, members, start) in chains.items():
        if start != "scratch":
            place = dict.fromkeys(("pass", "lane", "member", "fold", "iteration"), 0)
            place |= {"chain": "pretraining", "step": "0", "purpose": "pretraining"}
            network(place, "scratch")
        for p in range(1, model.passes + 1):
            for lane in range(lanes):
                for i in range(1, model.iterations + 1):
                    for step in ("1", "2"):
                        key = {
                            "chain": chain,
                            "pass": p,
                            "lane": lane,
                            "iteration": i,
                            "step": step,
                        }
                        for member in range(members):
                            network(
                                key | {"member": member, "fold": 0, "purpose": "unfolding"}, start
                            )
                        tables["steps"].append(
                            key | {"sum_before": 60000, "sum_after": 60100 + i, "minimum": 0.1,
                                   "maximum": 4.2, "ess": 50000, "clipped": 0}
                        )  # fmt: skip
    return tables
