"""Folders of finished studies whose passes are drawn: spread and bias are put in by hand."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import yaml

from omniflow.evaluation.histograms import Histogram, Unfolded
from omniflow.evaluation.spectra import unfolding_tables
from omniflow.evaluation.trainings import Priced, cost_table
from omniflow.observables import axes
from omniflow.observables.axes import Axis
from omniflow.tables.results import METRICS
from omniflow.tables.table import Table, Type
from omniflow.tables.trainings import COST, TIMING
from omniflow.unfolding.plan import Plan

EDGES = {"x": np.linspace(0, 1, 9), "y": np.linspace(0, 2, 7)}


@dataclass(frozen=True)
class Made:
    """A study of methods without lanes; a method is its spread and bias, relative to content."""

    name: str = "made"
    methods: dict[str, tuple[float, float]] = field(default_factory=lambda: {"none": (0.01, 0.0)})
    settings: dict[str, Any] = field(default_factory=dict)
    edges: dict[str, np.ndarray] = field(default_factory=lambda: EDGES)
    seed: int = 1
    draws: int = 1
    passes: int = 8
    truth: float | None = 1000.0
    checksum: str = "sha256:" + "5e" * 32
    seconds: float = 360.0
    device: str = "CPU"
    lanes: int = 1
    region: str = "fiducial"


def config(made: Made) -> dict[str, Any]:
    """Return the configuration."""
    sample = {"source": "pythia", "events": 3000, "seed": 101}
    lanes = {} if made.lanes == 1 else {"lanes": made.lanes}
    return {
        "study": {
            "name": re.sub("[^a-z0-9]", "", made.name),
            "seed": made.seed,
            "passes": made.passes,
        },
        "samples": {"data": sample, "simulation": sample | {"seed": 202}},
        "observables": {
            "define": {
                name: {"expression": "x", "edges": edges.tolist()}
                for name, edges in made.edges.items()
            }
        },
        "methods": {name: dict(lanes) for name in made.methods},
        "unfolding": {"iterations": 1},
    } | made.settings


def write(folder: Path, made: Made) -> Path:
    """Write everything of a study that `omniflow.compare` reads."""
    from omniflow import config as settings
    from omniflow.sources.recorded import Recorded

    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(config(made)), "utf-8")
    plan = Plan(settings.load(folder / "config.yaml", stand_in={"source": Recorded}), folder)
    levels = ("detector", "particle")
    found = [Axis(n, n, n, "", "event", tuple(e), levels=levels) for n, e in made.edges.items()]
    axes.write(found, plan.axes)
    rng = np.random.default_rng(made.draws)
    drawn = {method: _contents(made, rng, *sizes) for method, sizes in made.methods.items()}
    for method, contents in drawn.items():
        _histograms(plan, method, contents)
    _tables(plan, made, drawn)
    plan.table("study.json").write_text(json.dumps(_record(made, plan)), "utf-8")
    return folder


def _contents(made, rng, spread, bias):
    """Contents (pass, bin): smooth modes that all bins share, and a constant bias."""
    found = {}
    modes = rng.normal(size=(made.passes, 6))
    for name, edges in made.edges.items():
        place = np.arange(len(edges) - 1)
        shapes = np.cos(np.outer(np.arange(6), place * np.pi / len(place))) / np.sqrt(3)
        found[name] = 1000 * (1 + bias + spread * modes @ shapes)
    return found


def _histogram(content):
    return Histogram(content, content, content, np.zeros((*content.shape[:-1], 2)))


def _histograms(plan, method, contents):
    path = plan.histograms(method)
    path.parent.mkdir(exist_ok=True)
    with h5py.File(path, "w") as file:
        for how in plan.combinations(method):
            for pass_ in plan.passes:
                place = plan.unfolded(method, how, pass_)
                place.parent.mkdir(parents=True, exist_ok=True)
                place.touch()
            for name, content in contents.items():
                group = file.create_group(f"particle/{how}/{name}")
                for part in ("content", "variance", "sum_covariance", "flow"):
                    group[part] = getattr(_histogram(content), part)[None]


def _tables(plan, made, drawn):
    truths = {
        name: np.full(len(edges) - 1, made.truth or 1.0) for name, edges in made.edges.items()
    }
    truth = {name: _histogram(each) for name, each in truths.items()}
    unfolded = [
        Unfolded(method, how, 1, {name: _histogram(each) for name, each in contents.items()})
        for method, contents in drawn.items()
        for how in plan.combinations(method)
    ]
    known = None if made.truth is None else truth
    metrics, _ = unfolding_tables(unfolded, made.edges, truth, known, "absolute")
    METRICS.write(metrics, plan.table("metrics.csv"))
    timing = TIMING.build(
        _filled(TIMING, {"chain": chain, "pass": p, "lane": lane, "iteration": 1, "step": step,
                         "purpose": "unfolding", "seconds": made.seconds + p, "threads": 2,
                         "ranks": 1, "device": made.device})
        for chain in plan.chains
        for p in plan.passes
        for lane in range(made.lanes)
        for step in ("1", "2")
    )  # fmt: skip
    TIMING.write(timing, plan.table("timing.csv"))
    priced = {
        name: Priced(plan.chain_slug(each), each.lanes, (), plan.networks_per_pass(name))
        for name, each in plan.config.methods.items()
    }
    COST.write(cost_table(priced, timing), plan.table("cost.csv"))


def _filled(table: Table, row: dict[str, Any]) -> dict[str, Any]:
    nothing = {Type.TEXT: "", Type.WHOLE: 0, Type.WHOLE_OR_EMPTY: np.nan, Type.NUMBER: np.nan}
    return {column.name: nothing[column.type] for column in table.columns} | row


def _record(made, plan):
    sample = {"source": "pythia", "events": 3000, "pass_detector": 2000, "pass_particle": 2500}
    return {
        "name": made.name,
        **{"created": "2026-01-05 12:00 UTC", "versions": {}, "config_yaml": "", "notes": []},
        **{"machinery_only": True, "region": made.region, "particle_level": "all"},
        **{"normalization": "absolute", "iterations": 1, "passes": made.passes},
        **{"has_truth": made.truth is not None, "uninformed_loss": 0.6931},
        "samples": [
            {"role": role, "checksum": made.checksum} | sample for role in ("data", "simulation")
        ],
        "observables": [
            {"name": name, "label": f"label of {name}", "latex": name, "unit": "", "kind": "event",
             "log_x": False, "log_y": False, "edges": edges.tolist()}
            for name, edges in made.edges.items()
        ],
        "methods": [
            {"name": name, "lanes": each.lanes, "members": 1, "aggregate": None,
             "start": "scratch", "chain": plan.chain_slug(each),
             "networks_per_pass": plan.networks_per_pass(name),
             "combine": list(plan.combinations(name))}
            for name, each in plan.config.methods.items()
        ],
        "headline_combine": {name: plan.combinations(name)[0] for name in made.methods},
    }  # fmt: skip
