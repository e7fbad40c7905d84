"""Sections of `metadata.yaml`, from a finished study."""

from __future__ import annotations

import platform
from importlib.metadata import version
from typing import Any

from pydantic import BaseModel

import omniflow
from omniflow.events import store
from omniflow.export.bundle.contents import Contents, Weights
from omniflow.export.bundle.metadata import BASE, EVENT_ID, EVENTS, FORMAT, NOMINAL
from omniflow.export.bundle.more import About, Jagged, Origin
from omniflow.observables.axes import Axis
from omniflow.unfolding.coordinates import parted


def plain(model: BaseModel) -> dict[str, Any]:
    """Return a model as YAML has it, without what is not there."""
    return model.model_dump(mode="json", exclude_none=True)


def jagged(axis: Axis) -> Jagged:
    """Return what is said of an observable with any number of entries per event."""
    return Jagged(description=axis.label, units=axis.unit or "1", edges=axis.edges)


def of_format(
    contents: Contents, weights: Weights, columns: list[str], total: float, about: About
) -> dict[str, Any]:
    """Return the sections of the format, but for the checksum of the events.

    Args:
        contents: of a result.
        weights: its columns of weights.
        columns: all columns of the events.
        total: sum of the nominal weights.
        about: what the authors say.
    """
    plan, config = contents.plan, contents.plan.config
    method = config.methods[parted(contents.result)[1]]
    absolute = config.unfolding.normalization == "absolute"
    return {
        "format_version": FORMAT,
        "dataset": {
            "name": about.title or config.study.name,
            "method": "OmniFold",
            **{
                key: value
                for key in ("experiment", "description")
                if (value := getattr(about, key)) is not None
            },
        },
        "observables": [
            {
                "name": name,
                "description": axis.label,
                "units": axis.unit or "1",
                "binning": {"official": list(axis.edges), "provenance": "bins of the study"},
            }
            for name, axis in contents.axes.items()
            if axis.kind == "event"
        ],
        "weights": {
            "nominal": NOMINAL,
            "base_mc_weight": BASE,
            "nominal_convention": "includes_mc_weight",
            "families": {name: plain(family) for name, family in weights.families.items()},
        },
        "systematics": {
            name: {"family": name, "type": family.type, "combination": family.combination}
            for name, family in weights.families.items()
            if family.type == "systematic"
        },
        "normalization": {
            "mode": config.unfolding.normalization,
            "base_weight_column": BASE,
            "nominal_weight_column": NOMINAL,
            "expected_nominal_sumw": total,
            "tolerance": 1e-8,
            "weight_units": "events",
            **({"sum_weights_equals": "number of events in the region"} if absolute else {}),
        },
        "training": {
            "algorithm": "OmniFold",
            "iterations": len(plan.iterations),
            "architecture": config.classifier.kind,
            "note": f"{method.lanes} lane(s), {method.members} member(s) per step, "
            f"{len(plan.passes_of(contents.result))} pass(es); config.yaml has everything",
        },
        "publication": {
            "format": "parquet",
            "events_file": EVENTS,
            "event_count": len(contents.rows),
            "columns": columns,
            "event_alignment": {"method": "column", "column": EVENT_ID},
        },
    }


def origin(contents: Contents) -> Origin:
    """Return how the weights were made."""
    plan, config = contents.plan, contents.plan.config
    made = store.provenance(plan.store(contents.role)).get("omniflow", "unknown")
    samples = config.samples.model_dump(mode="json")
    seeds = {
        role: sample["seed"]
        for role, sample in samples.items()
        if isinstance(sample, dict) and isinstance(sample.get("seed"), int)
    }
    return Origin(
        study=config.study.name,
        method=contents.result,
        combine=contents.how,
        iteration=plan.iterations[-1],
        passes=len(plan.passes_of(contents.result)),
        normalization=config.unfolding.normalization,
        particle_level=config.unfolding.particle_level,
        region=config.observables.region,
        scale=contents.scale,
        seeds={"study": config.study.seed, **seeds},
        versions={
            "omniflow": omniflow.__version__,
            "omniflow of the study": made,
            "python": platform.python_version(),
            **{name: version(name) for name in ("numpy", "h5py", "pyarrow")},
        },
    )
