"""Bundles as other tools write them: pandas and yaml, format 0.2 and nothing more."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

EVENTS = 60


def frame(seed: int = 1) -> pd.DataFrame:
    """Return events with weights of every kind of family."""
    rng = np.random.default_rng(seed)
    found = pd.DataFrame({"mass": rng.uniform(0, 3, EVENTS), "pt": rng.exponential(10, EVENTS)})
    found["prior"] = rng.uniform(0.5, 1.5, EVENTS)
    found["unfolded"] = found["prior"] * rng.uniform(0.8, 1.2, EVENTS)
    for name in ("r0", "r1", "r2", "e0", "e1", "s0", "s1", "dd", "ref"):
        found[name] = found["unfolded"] * rng.uniform(0.9, 1.1, EVENTS)
    return found


def metadata(events: pd.DataFrame) -> dict[str, Any]:
    """Return what is to be said of them."""
    return {
        "format_version": "0.2",
        "observables": [
            {
                "name": "mass",
                "description": "a mass",
                "units": "GeV",
                "binning": {"official": [0, 1, 2, 3], "provenance": "a paper"},
                "selection": "pt > 2",
            },
            {"name": "pt", "description": "a momentum", "units": "GeV"},
        ],
        "weights": {
            "nominal": "unfolded",
            "base_mc_weight": "prior",
            "nominal_convention": "includes_mc_weight",
            "replica": "r0",
            "families": {
                "stat": _family("bootstrap", "standard_deviation", "r0", "r1", "r2"),
                "nn": _family("ensemble", "median_standard_error", "e0", "e1"),
                "np": _family("systematic", "quadrature_difference_from_nominal", "s0", "s1"),
                "dd": _family("paired", "paired_relative_difference", "dd")
                | {"reference_column": "ref"},
            },
        },
        "systematics": {"np": {"family": "np"}},
        "normalization": {
            "mode": "absolute",
            "nominal_weight_column": "unfolded",
            "expected_nominal_sumw": float(events["unfolded"].sum()),
            "tolerance": 1e-8,
        },
        "publication": {
            "format": "parquet",
            "events_file": "events.parquet",
            "event_count": len(events),
            "columns": list(events.columns),
            "event_alignment": {"method": "row_order", "column": None},
        },
        "usage_notes": ["of another tool"],
    }


def _family(kind: str, rule: str, *columns: str) -> dict[str, Any]:
    return {"type": kind, "combination": rule, "columns": list(columns)}


def write(folder: Path, events: pd.DataFrame, told: dict[str, Any]) -> Path:
    """Write a bundle with the checksum of its events."""
    folder.mkdir(exist_ok=True)
    events.to_parquet(folder / "events.parquet")
    return sign(folder, told)


def sign(folder: Path, told: dict[str, Any]) -> Path:
    """Write metadata with the checksum of the events that are there."""
    digest = hashlib.sha256((folder / "events.parquet").read_bytes()).hexdigest()
    told["publication"]["checksum_sha256"] = digest
    (folder / "metadata.yaml").write_text(yaml.safe_dump(told, sort_keys=False))
    return folder
