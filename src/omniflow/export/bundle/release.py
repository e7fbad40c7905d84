"""Release: the public ATLAS Z + jets weights in 24 dimensions (arXiv:2405.20041), as a bundle.

Column names are those of the files (zenodo 11507450); kinds and rules are those of its own code, as
spec/uncertainty_recipes.md of omnifold-publication has them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

import omniflow
from omniflow.errors import InputError
from omniflow.export.bundle import folder as files
from omniflow.export.bundle import table
from omniflow.export.bundle.bundle import DATA, SIMULATION
from omniflow.export.bundle.metadata import (
    BASE,
    COMBINES,
    EVENTS,
    FORMAT,
    KINDS,
    METADATA,
    NOMINAL,
)
from omniflow.export.bundle.more import About, More, Sample
from omniflow.export.bundle.pandas_file import PandasFile
from omniflow.export.bundle.safe_yaml import dump
from omniflow.export.bundle.writing import Written, refuse
from omniflow.files import replace_folder, write_text

# Names of columns, the family that they are, its type, and what differs from column to column.
FAMILIES = (
    (r"weights_ensemble_\d+", "ensemble", "ensemble", "initial networks"),
    (r"weights_bootstrap_mc_\d+", SIMULATION, "bootstrap", "the simulation, drawn again"),
    (r"weights_bootstrap_data_\d+", DATA, "bootstrap", "the data, drawn again"),
    (r"weights_(mu|muon)Eff.*|weights_pileup.*", "syst_event", "systematic", "muons and pile-up"),
    (r"weights_muCal.*", "syst_muon", "systematic", "calibration of muons"),
    (r"weights_track.*", "syst_track", "systematic", "tracking"),
    (r"weights_theory.*", "syst_theory", "systematic", "theory of the simulation"),
    (r"weights_lumi.*", "syst_lumi", "systematic", "luminosity"),
    (r"weights_topBackground.*", "syst_background", "systematic", "background of top quarks"),
    (r"weights_dd", "dd_unfolding", "paired", "unfolding of reweighted simulation"),
    (r"weights_.*", "syst_other", "systematic", "further variations"),
)
REFERENCE = {"dd_unfolding": "target_dd"}
# Track jets exist above 5 GeV.
_JET = re.compile(r"(pT|y|phi|m|tau\d|Ntracks)_(trackj\d)")
_UNITS = {"pT": "GeV", "m": "GeV", "phi": "rad"}


def write(
    path: Path,
    output: Path,
    *,
    others: Mapping[str, Path] | None = None,
    key: str = "df",
    about: About | None = None,
    over: bool = False,
) -> Written:
    """Write a file of the release as a bundle.

    Args:
        path: of the file (pandas HDF5).
        output: the new folder.
        others: files with the weights of other samples, variations with events of their own, by
            name.
        key: of the table in the files.
        about: licence, citation and the like.
        over: write over a bundle that is there.

    Returns:
        The folder, and notes.

    Raises:
        InputError: a file is not of this kind, or something is in the way.
    """
    refuse(output, over)
    notes = [f"no {name}: give it by --about" for name in (about or About()).missing]
    with replace_folder(output) as folder:
        samples = {}
        for name, other in (others or {}).items():
            inner = folder / _plain(name)
            inner.mkdir()
            _write(PandasFile(other, key), inner, about, {}, nominal_only=True)
            samples[name] = Sample(
                folder=name, block=f"two_point_{name}", sha256=files.digest(inner / METADATA)
            )
        notes += _write(PandasFile(path, key), folder, about, samples)
    return Written(output, tuple(notes))


def families(columns: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return the families of weights that columns are, as metadata have them.

    Args:
        columns: all names of a table.

    Examples:
        >>> found = families(["weights_nominal", "weights_ensemble_0", "weights_ensemble_1"])
        >>> {name: family["combination"] for name, family in found.items()}
        {'ensemble': 'median_standard_error'}
    """
    found: dict[str, dict[str, Any]] = {}
    for column in columns:
        if column in (NOMINAL, BASE):
            continue
        for pattern, name, kind, varies in FAMILIES:
            if re.fullmatch(pattern, column):
                family = found.setdefault(
                    name,
                    {
                        "type": kind,
                        "combination": COMBINES[kind],
                        "columns": [],
                        "kind": KINDS[kind],
                        "varies": varies,
                        "alignment": "rows",
                    },
                )
                family["columns"].append(column)
                break
    for name, reference in REFERENCE.items():
        if name in found and reference in columns:
            found[name]["reference_column"] = reference
        else:
            found.pop(name, None)
    return {name: found[name] for name in sorted(found)}


def _plain(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", name):
        raise InputError(f"--other {name}: is no plain name; use letters, digits, - and _")
    return name


def _write(
    source: PandasFile,
    folder: Path,
    about: About | None,
    samples: dict[str, Sample],
    nominal_only: bool = False,
) -> list[str]:
    """Write events and metadata of a file; return notes."""
    missing = [name for name in (NOMINAL, BASE) if name not in source.names]
    if missing:
        raise InputError(
            f"{source.path}: has no column {', '.join(missing)}; it is no file of the release"
        )
    found = {} if nominal_only else families(source.names)
    notes, total = [], 0.0
    short = [n for n, f in found.items() if f["type"] not in ("systematic", "paired")]
    for name in (n for n in short if len(found[n]["columns"]) < 2):
        notes.append(f"{name}: has one column, which is no measure of scatter; left out")
        del found[name]
    weights = {column for family in found.values() for column in family["columns"]}
    weights |= {family.get("reference_column", NOMINAL) for family in found.values()}
    weights |= {NOMINAL, BASE}
    observables = [n for n in source.names if not n.startswith(("weights_", "weight_", "target_"))]
    columns = [n for n in source.names if n in weights or n in observables]

    def parts() -> Any:
        nonlocal total
        start = 0
        for part in source.parts():
            for name in weights:
                if not np.isfinite(part[name]).all():
                    at = int(np.flatnonzero(~np.isfinite(part[name]))[0])
                    raise InputError(
                        f"{source.path}: {name}: row {start + at} has no finite weight; leave "
                        "such events out"
                    )
            start += len(part[NOMINAL])
            total += float(part[NOMINAL].astype(np.float64).sum())
            yield {name: pa.array(part[name]) for name in columns}

    if not source.rows:
        raise InputError(f"{source.path}: has no events")
    table.write(folder / EVENTS, parts())
    left = sorted(set(source.names) - set(columns))
    if left and not nominal_only:
        notes.append(f"left out, because nothing says what they are: {', '.join(left[:10])}")
    more = More(about=about or About(), samples=samples)
    content = _metadata(source, observables, columns, found, total, folder)
    told = {"omniflow": more.model_dump(mode="json", exclude_none=True)}
    write_text(dump(content | told), folder / METADATA)
    return notes


def _metadata(
    source: PandasFile,
    observables: list[str],
    columns: list[str],
    found: dict[str, dict[str, Any]],
    total: float,
    folder: Path,
) -> dict[str, Any]:
    return {
        "format_version": FORMAT,
        "dataset": {
            "name": source.path.stem,
            "experiment": "ATLAS",
            "method": "MultiFold",
            "assumptions": [f"imported from {source.path.name} by omniflow {omniflow.__version__}"],
        },
        "observables": [_observable(name) for name in observables],
        "weights": {
            "nominal": NOMINAL,
            "base_mc_weight": BASE,
            "nominal_convention": "includes_mc_weight",
            "families": found,
        },
        "normalization": {
            "mode": "absolute",
            "base_weight_column": BASE,
            "nominal_weight_column": NOMINAL,
            "expected_nominal_sumw": total,
            "tolerance": 1e-6,
            "weight_units": "fb",
            "sum_weights_equals": "fiducial_cross_section",
        },
        "publication": {
            "format": "parquet",
            "events_file": EVENTS,
            "event_count": source.rows,
            "columns": columns,
            "event_alignment": {"method": "row_order"},
            "checksum_sha256": files.digest(folder / EVENTS),
        },
    }


def _observable(name: str) -> dict[str, Any]:
    units = _UNITS.get(name.partition("_")[0], "1")
    told = {"name": name, "description": f"{name} of the release", "units": units}
    if jet := _JET.fullmatch(name):
        told["selection"] = f"pT_{jet[2]} > 5"
    return told
