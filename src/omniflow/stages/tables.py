"""Stage 5: the tables of a study, which the report and other tools read."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from importlib import metadata
from typing import Any

import h5py
import numpy as np
import pandas as pd

import omniflow
from omniflow.config import dump
from omniflow.evaluation import convergence, flows, signs
from omniflow.evaluation.comparison import comparison_table
from omniflow.evaluation.histograms import Histogram
from omniflow.evaluation.networks import networks_table
from omniflow.evaluation.tables import (
    Unfolded,
    bayes_tables,
    detector_tables,
    unfolding_tables,
)
from omniflow.events import store
from omniflow.events.quality import measure
from omniflow.files import atomic_path, open_h5, write_csv, write_json
from omniflow.stages import (
    binned,
    diagnostics,
    distances,
    ensembles,
    evaluation,
    oracle,
    quality,
    response,
    second,
    stacking,
)
from omniflow.stages.origins import overlaps
from omniflow.stages.weights import setup
from omniflow.training import checkpoint
from omniflow.training.losses import LOSSES
from omniflow.unfolding.coordinates import NOMINAL, STEP_NAMES, prefixed
from omniflow.unfolding.notes import of_uncertainties
from omniflow.unfolding.plan import Plan
from omniflow.unfolding.steps import Setup

# Below this many passing events in either sample the report says that it shows no physics.
_FEW_EVENTS = 20_000
_PACKAGES = ("omniflow", "tensorflow", "keras", "numpy", "snakemake", "fastjet", "pythia8mc")


Histograms = dict[str, Histogram]


def make_tables(plan: Plan) -> None:
    """Write every table of the plan into the study's folder."""
    common = setup(plan)
    normalization, edges = plan.config.unfolding.normalization, evaluation.edges(plan, "particle")
    prior, truth, metrics, summary = particle_level(plan, common)
    folded, measured, detector, detector_summary = detector_level(plan, common)
    simulation = binned.Simulation(plan)
    bayes, bayes_summary = bayes_tables(
        binned.reference(simulation), edges, prior, truth, normalization
    )
    levels = {"detector": (detector, detector_summary)}
    if truth is not None:
        levels["particle"] = convergence.truth_as_data(metrics, summary)
    timing, epochs = histories(plan)
    smaller = ensembles.read_ensembles(plan, list(edges))
    frames = {
        "metrics": metrics,
        "summary": summary,
        "detector": detector,
        "detector_summary": detector_summary,
        "bayes": bayes,
        "bayes_summary": bayes_summary,
        "acceptance": binned.acceptance_table(simulation),
        "comparisons": comparison_table(_spectra(plan), truth, normalization),
        "flows": _flows(plan, prior, truth, folded, measured),
        "networks": networks_table(smaller, truth, normalization),
        "timing": timing,
        "histories": epochs,
        "cost": cost(plan, timing),
        "weights": _weights(plan),
        "steps": _steps(plan),
        **diagnostics.tables(plan, prior, levels),
        "distances": distances.table(
            plan,
            {level: diagnostics.headline(plan, pair[1]) for level, pair in levels.items()},
            {"detector": measured, "particle": truth or {}},
        ),
    }
    stacks = stacking.table(plan)
    if len(stacks):
        frames["stacking"] = stacks
    for name, frame in frames.items():
        write_csv(frame, plan.table(f"{name}.csv"))
    with atomic_path(plan.table("metrics.parquet")) as temporary:
        metrics.to_parquet(temporary, index=False)
    study = _study(plan, common.scale, truth is not None, timing)
    first = {method: plan.combinations(method)[0] for method in plan.config.methods}
    study["warnings"] = [
        *quality.implausible(plan),
        *quality.notes(plan, frames["steps"], frames["weights"]),
        *signs.notes(metrics, bayes, plan.iterations[-1], first),
        *signs.without_ratio(measured, folded, dict.fromkeys(bayes_summary["observable"])),
    ]
    study["notes"] += [*signs.unmatched(truth, prior), *flows.notes(frames["flows"])]
    study["stacking"] = stacking.summary(stacks)
    study["judged"] = diagnostics.judged(plan)
    write_json(study, plan.table("study.json"))
    remove_checkpoints(plan)


def particle_level(
    plan: Plan, common: Setup
) -> tuple[Histograms, Histograms | None, pd.DataFrame, pd.DataFrame]:
    """Return simulation and truth (None: real data), `metrics` and `summary` of the methods."""
    data = store.open_store(plan.store("data"))
    prior = evaluation.fill(plan, "simulation", "particle", common.scale * common.weight)
    truth = (
        None if data.particle is None else evaluation.fill(plan, "data", "particle", data.weight)
    )
    tables = unfolding_tables(
        _results(plan, "particle"),
        evaluation.edges(plan, "particle"),
        prior,
        truth,
        plan.config.unfolding.normalization,
    )
    return prior, truth, *tables


def detector_level(
    plan: Plan, common: Setup
) -> tuple[Histograms, Histograms, pd.DataFrame, pd.DataFrame]:
    """Return simulation and data, `detector` and `detector_summary` of the methods."""
    folded = evaluation.fill(plan, "simulation", "detector", common.scale * common.weight)
    before = {
        name: Histogram(
            h.content[None],
            h.variance[None],
            h.sum_covariance[None],
            None if h.flow is None else h.flow[None],
        )
        for name, h in folded.items()
    }
    priors = [
        Unfolded(method, how, 0, before)
        for method in plan.config.methods
        for how in plan.combinations(method)
    ]
    measured = evaluation.measured(plan)
    tables = detector_tables(
        [*priors, *_results(plan, "detector")],
        evaluation.edges(plan, "detector"),
        measured,
        plan.config.unfolding.normalization,
    )
    return folded, measured, *tables


def remove_checkpoints(plan: Plan) -> None:
    """Remove those of pre-training and of networks that judge, whose jobs Snakemake has seen end.

    See `weights.aggregate`.
    """
    judges = [network for subject in plan.second_subjects for network in second.networks(subject)]
    judges += [oracle.network()] if plan.has_oracle else []
    judges += [network for role in plan.response_roles for network in response.networks(role)]
    checkpoint.remove(plan.checkpoints([*plan.pretraining_networks, *judges]))


def cost(plan: Plan, timing: pd.DataFrame) -> pd.DataFrame:
    """Return networks and seconds of training per pass of each method, from the timing table."""
    rows = []
    pretraining = timing[timing.purpose == "pretraining"]
    for name, method in plan.config.methods.items():
        mine = timing[(timing.chain == plan.chain_slug(method)) & (timing.lane < method.lanes)]
        models = pretraining[pretraining["lane"].isin(plan.pretrained_models(name))]
        seconds = mine.groupby("pass").seconds.sum()
        error = seconds.std(ddof=1) / np.sqrt(len(seconds)) if len(seconds) > 1 else np.nan
        rows.append(
            {
                "method": name,
                "networks_per_pass": plan.networks_per_pass(name),
                "seconds_per_pass": seconds.mean(),
                "seconds_per_pass_error": error,
                "passes": len(seconds),
                "pretraining_seconds": float(models["seconds"].sum()),
            }
        )
    return pd.DataFrame(rows)


def _results(plan: Plan, level: str) -> list[Unfolded]:
    return [
        result
        for method in plan.config.methods
        for result in evaluation.read_histograms(plan, method, level)
    ]


def _spectra(plan: Plan, level: str = "particle") -> dict[str, Histograms]:
    """Return the histograms of each method's first combination after the last iteration."""
    return {
        result.method: dict(result.histograms)
        for result in _results(plan, level)
        if result.iteration == plan.iterations[-1]
        and result.combine == plan.combinations(result.method)[0]
    }


def _flows(
    plan: Plan,
    prior: Histograms,
    truth: Histograms | None,
    folded: Histograms,
    measured: Histograms,
) -> pd.DataFrame:
    """Return what lies outside of the bins, of samples and results at both levels."""
    found: dict[flows.Key, Histograms] = {
        ("detector", "data", ""): measured,
        ("detector", "simulation", ""): folded,
        ("particle", "data", ""): truth or {},
        ("particle", "simulation", ""): prior,
    }
    for level in evaluation.LEVELS:
        for method, histograms in _spectra(plan, level).items():
            found[level, "simulation", method] = histograms
    return flows.flows_table(found)


def histories(plan: Plan) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return one row per network, and one per network and epoch."""
    files = [plan.pretrained(n.lane) / "history.json" for n in plan.pretraining_networks]
    files += [plan.history(block) for block in plan.all_blocks()]
    timing, epochs = [], []
    for path in files:
        content = json.loads(path.read_text(encoding="utf-8"))
        for record in content["networks"]:
            network, summary = record["network"], record["summary"]
            keys = {
                "chain": prefixed(network.get("variant", NOMINAL), network["chain"]),
                "pass": network["pass_"],
                "lane": network["lane"],
                "member": network["member"],
                "fold": network.get("fold", 0),
                "iteration": network["iteration"],
                "step": STEP_NAMES[network["step"]],
                "purpose": "unfolding" if network["step"] else "pretraining",
            }
            trained = record["epochs"][1:]
            events = summary["train_events"] + summary["held_out_events"]
            timing.append(
                keys
                | {
                    "start": record["start"]["policy"],
                    "events": events,
                    "epochs": len(trained),
                    "best_epoch": record["best_epoch"],
                    "shrink_factor": record["factor"],
                    "seconds": summary["seconds"],
                    "events_per_second": np.mean([e["events_per_second"] for e in trained]),
                    "val_loss": record["val_loss"],
                    "parameters": record["parameters"],
                    "job_seconds": content["job"]["seconds"],
                    "device": content["job"]["device"],
                    "threads": content["job"].get("threads"),  # earlier versions do not say
                    "engine": record["engine"],
                    "ranks": record["ranks"],
                    "restarts": record["attempt"],
                    "resumed": summary["resumed"],
                }
            )
            epochs += [keys | epoch for epoch in record["epochs"]]
    return pd.DataFrame(timing), pd.DataFrame(epochs)


def _weights(plan: Plan) -> pd.DataFrame:
    rows = []
    for method in plan.config.methods:
        for how in plan.combinations(method):
            for pass_ in plan.passes:
                with open_h5(plan.unfolded(method, how, pass_)) as file:
                    rows += _weight_rows(file, method, how, pass_)
    return pd.DataFrame(rows)


def _weight_rows(file: h5py.File, method: str, how: str, pass_: int) -> list[dict]:
    ratios, rows = file["ratio"], []
    base = file["weight"][:] / ratios[-1].astype(float)
    for iteration in range(1, len(ratios) + 1):
        ratio = ratios[iteration - 1].astype(float)
        found = measure(base * ratio)
        rows.append(
            {
                "method": method,
                "combine": how,
                "pass": pass_,
                "iteration": iteration,
                "sum": found.total,
                "minimum": ratio.min(),
                "maximum": ratio.max(),
                "mean": ratio.mean(),
                "ess": found.effective,
                "scale": file.attrs["scale"],
                "events": found.events,
                "largest": found.largest,
                "negative": found.negative,
                "sum_before": base.sum(),
            }
        )
    return rows


def _steps(plan: Plan) -> pd.DataFrame:
    rows = []
    for chain in plan.chains:
        for pass_ in plan.passes:
            for group in plan.groups(chain, pass_):
                for iteration in plan.iterations:
                    for step in plan.steps:
                        with open_h5(plan.weights(group, iteration, step)) as file:
                            checks = json.loads(file.attrs["checks"])
                        keys = {"chain": chain, "pass": pass_}
                        stage = {"iteration": iteration, "step": STEP_NAMES[step]}
                        rows += [keys | {"lane": c.pop("lane")} | stage | c for c in checks]
    return pd.DataFrame(rows)


def _poor(timing: pd.DataFrame, uninformed: float) -> list[str]:
    """Return a note on networks that know less than a ratio of 1 everywhere."""
    poor = timing[timing.val_loss > uninformed + 0.01 * np.log(2)]
    if poor.empty:
        return []
    return [
        f"{len(poor)} of {len(timing)} networks have a held-out loss above {uninformed:.3g}, "
        f"that of a ratio of 1 everywhere: {_names(poor)}. Train longer or with another rate."
    ]


def _restarted(timing: pd.DataFrame) -> list[str]:
    """Name the networks that were trained anew after divergence."""
    found = timing[timing["restarts"] > 0]
    if found.empty:
        return []
    return [
        f"{len(found)} of {len(timing)} networks diverged and were trained anew with other random "
        f"numbers: {_names(found)}. Their histories say why."
    ]


def _names(timing: pd.DataFrame) -> str:
    """Name networks, ten at most."""
    names = [
        f"{row.chain} pass {row.pass_} lane {row.lane} member {row.member} "
        f"iteration {row.iteration} step {row.step}" + (f" fold {row.fold}" if row.fold else "")
        for row in timing.rename(columns={"pass": "pass_"}).head(10).itertuples()
    ]
    return "; ".join(names) + (f" and {len(timing) - 10} more" if len(timing) > 10 else "")


def _study(plan: Plan, scale: float, has_truth: bool, timing: pd.DataFrame) -> dict:
    config = plan.config
    uninformed = LOSSES[config.training.loss].uninformed
    samples = []
    few = False
    for role in plan.samples:
        events = store.open_store(plan.store(role))
        passing = int(np.count_nonzero(events.pass_detector))
        if role in ("data", "simulation"):
            few |= passing < _FEW_EVENTS
        fiducial = events.pass_particle
        samples.append(
            {
                "role": role,
                "source": plan.samples[role].source,
                "events": len(events),
                "pass_detector": passing,
                "pass_particle": None if fiducial is None else int(np.count_nonzero(fiducial)),
                "checksum": store.checksum(plan.store(role)),
            }
        )
    methods: list[dict[str, Any]] = [
        {
            "name": name,
            "lanes": method.lanes,
            "members": method.members,
            "networks": plan.chains[plan.chain_slug(method)].networks,
            "aggregate": method.aggregate,
            "start": method.start,
            "models": len(plan.pretrained_models(name)),
            "per_pass": method.transfer.per_pass,
            "freeze_epochs": method.transfer.freeze_epochs,
            "backbone_rate_factor": method.transfer.backbone_rate_factor,
            "chain": plan.chain_slug(method),
            "networks_per_pass": plan.networks_per_pass(name),
            "combine": list(plan.combinations(name)),
        }
        for name, method in config.methods.items()
    ]
    fields = ("name", "label", "latex", "unit", "kind", "log_x", "log_y", "levels")
    return {
        "name": config.study.name,
        "created": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "seed": config.study.seed,
        "versions": {"omniflow": omniflow.__version__, **_versions()},
        "config_yaml": dump(config),
        "machinery_only": few,
        "region": config.observables.region,
        "particle_level": config.unfolding.particle_level,
        "normalization": config.unfolding.normalization,
        "scale": scale,
        "iterations": config.unfolding.iterations,
        "steps": [STEP_NAMES[step] for step in plan.steps],
        "passes": config.study.passes,
        "folds": config.training.folds,
        "has_truth": has_truth,
        "uninformed_loss": uninformed,
        "pretrainings": len(plan.pretraining_networks),
        "samples": samples,
        "observables": [
            {field: getattr(axis, field) for field in fields}
            for axis in evaluation.read_axes(plan).values()
        ],
        "methods": methods,
        "uncertain": list(plan.variants.methods),
        "uncertainty_notes": of_uncertainties(config, plan.variants),
        "headline_combine": {m["name"]: m["combine"][0] for m in methods},
        "notes": [
            *plan.notes,
            *overlaps(plan),
            *quality.negative(plan),
            *_poor(timing, uninformed),
            *_restarted(timing),
            *oracle.notes(plan),
        ],
    }


def _versions() -> dict[str, str]:
    found = {}
    for name in _PACKAGES[1:]:
        for candidate in (name, f"{name}-cpu"):
            try:
                found[name] = metadata.version(candidate)
                break
            except metadata.PackageNotFoundError:
                continue
    return found
