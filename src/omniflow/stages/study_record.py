"""The record of a study, study.json: everything for the reader that is not a number per bin."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from typing import Any

import numpy as np
import pandas as pd

import omniflow
from omniflow.config import dump
from omniflow.evaluation import flows, signs, stacks
from omniflow.evaluation.trainings import poor, restarted
from omniflow.events import store
from omniflow.observables.axes import Axis
from omniflow.stages import evaluation, oracle, quality
from omniflow.stages.diagnostics.classifiers import judged
from omniflow.stages.finished import Finished
from omniflow.stages.origins import overlaps
from omniflow.tables import event_weights, reference, results, trainings
from omniflow.tables.table import Table
from omniflow.training.losses import LOSSES
from omniflow.unfolding import rounds
from omniflow.unfolding.coordinates import STEP_NAMES
from omniflow.unfolding.notes import of_uncertainties
from omniflow.unfolding.plan import Plan

# Below this many passing events in either sample the report says that it shows no physics.
_FEW_EVENTS = 20_000
_PACKAGES = ("tensorflow", "keras", "numpy", "snakemake", "fastjet", "pythia8mc")


def make(study: Finished, frames: Mapping[Table, pd.DataFrame]) -> dict[str, Any]:
    """Return the record of a study.

    Args:
        study: of which it is.
        frames: its tables.
    """
    plan, config = study.plan, study.plan.config
    samples, methods = _samples(plan), _methods(plan)
    passing = [s["pass_detector"] for s in samples if s["role"] in ("data", "simulation")]
    uninformed = LOSSES[config.training.loss].uninformed
    return {
        "name": config.study.name,
        "created": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "seed": config.study.seed,
        "versions": {"omniflow": omniflow.__version__, **_versions()},
        "config_yaml": dump(plan.given),
        "machinery_only": min(passing) < _FEW_EVENTS,
        "region": config.observables.region,
        "particle_level": config.unfolding.particle_level,
        "normalization": config.unfolding.normalization,
        "scale": study.common.scale,
        "iterations": config.unfolding.iterations,
        "steps": [STEP_NAMES[step] for step in plan.steps],
        "passes": config.study.passes,
        "folds": config.training.folds,
        "has_truth": study.truth is not None,
        "uninformed_loss": uninformed,
        "pretrainings": len(plan.pretraining_networks),
        "samples": samples,
        "observables": [_observable(axis) for axis in evaluation.read_axes(plan).values()],
        "methods": methods,
        "uncertain": list(plan.variants.methods),
        "uncertainty_notes": of_uncertainties(config, plan.variants),
        "headline_combine": study.first,
        "notes": _notes(study, frames, uninformed),
        "warnings": _warnings(study, frames),
        "stacking": stacks.summary(frames[event_weights.STACKING]),
        "judged": judged(plan),
    }


def _samples(plan: Plan) -> list[dict[str, Any]]:
    found = []
    for role in plan.samples:
        events = store.open_store(plan.store(role))
        fiducial = events.pass_particle
        found.append(
            {
                "role": role,
                "source": plan.samples[role].source,
                "events": len(events),
                "pass_detector": int(np.count_nonzero(events.pass_detector)),
                "pass_particle": None if fiducial is None else int(np.count_nonzero(fiducial)),
                "checksum": store.checksum(plan.store(role)),
            }
        )
    return found


def _methods(plan: Plan) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "lanes": method.lanes,
            "until": rounds.aim(method.until) if method.until else "",
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
        for name, method in plan.config.methods.items()
    ]


def _observable(axis: Axis) -> dict[str, Any]:
    """Return what is to be known of an observable, its bin edges among it."""
    fields = ("name", "label", "latex", "unit", "kind", "log_x", "log_y", "levels")
    jets = None if axis.jets is None else asdict(axis.jets)
    return {field: getattr(axis, field) for field in fields} | {
        "edges": [float(edge) for edge in axis.edges],
        "jets": jets,
    }


def _notes(study: Finished, frames: Mapping[Table, pd.DataFrame], uninformed: float) -> list[str]:
    plan, timing = study.plan, frames[trainings.TIMING]
    return [
        *plan.notes,
        *(rounds.words(plan, method) for method in plan.adaptive),
        *overlaps(plan),
        *quality.negative(plan),
        *poor(timing, uninformed),
        *restarted(timing),
        *oracle.notes(plan),
        *signs.unmatched(study.truth, study.prior),
        *flows.notes(frames[results.FLOWS]),
    ]


def _warnings(study: Finished, frames: Mapping[Table, pd.DataFrame]) -> list[str]:
    """Return what a reader must know of weights before the result."""
    plan, bayes = study.plan, frames[reference.BAYES]
    binned = dict.fromkeys(frames[reference.BAYES_SUMMARY]["observable"])
    steps, weights = frames[event_weights.STEPS], frames[event_weights.WEIGHTS]
    return [
        *quality.implausible(plan),
        *quality.notes(plan, steps, weights),
        *signs.notes(frames[results.METRICS], bayes, plan.iterations[-1], study.first),
        *signs.without_ratio(study.measured, study.folded, binned),
    ]


@cache
def _versions() -> dict[str, str]:
    found = {}
    for name in _PACKAGES:
        for candidate in (name, f"{name}-cpu"):
            try:
                found[name] = metadata.version(candidate)
                break
            except metadata.PackageNotFoundError:
                continue
    return found
