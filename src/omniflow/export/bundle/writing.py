"""Writing: a finished study as a bundle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from omniflow.api import Study
from omniflow.api.choices import one_of
from omniflow.config import dump
from omniflow.errors import InputError
from omniflow.export.bundle import folder as files
from omniflow.export.bundle import joint, networks, sections, table, trained, validity
from omniflow.export.bundle.bundle import DATA, SIMULATION, Bundle
from omniflow.export.bundle.contents import RESERVED, Contents, Weights
from omniflow.export.bundle.events import EventTable
from omniflow.export.bundle.metadata import (
    BASE,
    EVENT_ID,
    EVENTS,
    FACTOR,
    METADATA,
    NOMINAL,
    Metadata,
)
from omniflow.export.bundle.more import About, Limits, More, Sample, Validity
from omniflow.export.bundle.safe_yaml import dump as to_yaml
from omniflow.files import replace_folder, write_text
from omniflow.observables.entries import Entries
from omniflow.unfolding.coordinates import prefixed

CONFIG = "config.yaml"
_HELD = {
    CONFIG: "the configuration of the study, defaults included",
    joint.DESCRIPTION: "bins and contents of all observables, and the blocks of covariance.npy",
    joint.NUMBERS: "covariance (block, bin, bin) of the bins of all observables together",
    networks.DESCRIPTION: "what the networks read, and what their output means",
    networks.NUMBERS: "parameters (pass, lane, member, fold, d) of the networks",
}


@dataclass(frozen=True)
class Written:
    """What was written.

    Attributes:
        folder: of the bundle.
        notes: what its author should know.
    """

    folder: Path
    notes: tuple[str, ...]


def write(
    study: Study,
    method: str | None = None,
    combine: str | None = None,
    output: str | Path | None = None,
    *,
    about: About | None = None,
    limits: Limits | None = None,
    leave_out: Sequence[str] = (),
    over: bool = False,
) -> Written:
    """Write a method of a finished study as a bundle.

    Args:
        study: finished.
        method: its name; None: the first.
        combine: combination of its lanes; None: the first.
        output: the new folder; None: `bundles/<method>-<combine>` in the study's.
        about: licence, citation and the like.
        limits: when a bin can be relied on.
        leave_out: `lanes`, `members`: columns of single networks.
        over: write over a bundle that is there.

    Returns:
        The folder, and notes: what is missing, and what the weights cannot be used for.

    Raises:
        InputError: there is no such method or combination, the study has no histograms yet, or
            something is in the way.

    Examples:
        >>> import tempfile
        >>> import numpy as np
        >>> import omniflow
        >>> from omniflow.export.bundle import write
        >>> x = np.random.default_rng(1).normal(size=(3, 500))
        >>> simulation = omniflow.Events.from_arrays({"x": x[1]}, {"x": x[2]})
        >>> study = omniflow.unfold(
        ...     omniflow.Events.from_arrays({"x": x[0] + 0.1}),
        ...     simulation,
        ...     iterations=1,
        ...     passes=2,
        ...     training={"epochs": 1, "min_updates": 1},
        ...     diagnostics={"second_classifier": False},
        ... )
        >>> with tempfile.TemporaryDirectory() as results:
        ...     _ = write(study, output=f"{results}/bundle")
        ...     bundle = omniflow.read_bundle(f"{results}/bundle")
        ...     found = bundle.histogram("x", [-1, 0, 1])
        ...     nu = bundle.reweight(simulation)
        >>> bundle.observables, list(found.blocks)
        (('x',), ['passes', 'sample'])
        >>> np.allclose(nu, study.ratios_of(), rtol=1e-5)
        True
    """
    method, how = _named(study, method, combine)
    default = study.folder / "bundles" / (f"{method}-{how}" if how != "none" else method)
    target = Path(output) if output is not None else default
    refuse(target, over)
    notes = [f"no {key}: give it by --about" for key in (about or About()).missing]
    contents = Contents(study, method, how)
    with replace_folder(target) as folder:
        samples: dict[str, Bundle] = {}
        told: dict[str, Sample] = {}
        for name, block in contents.other_events().items():
            inner = Contents(study, prefixed(name, method), how)
            (folder / name).mkdir()
            samples[name] = _write(inner, folder / name, inner.weights(), {}, about, None)[0]
            told[name] = Sample(
                folder=name, block=block, sha256=files.digest(folder / name / METADATA)
            )
        weights = contents.weights(leave_out)
        write_text(dump(study.plan.given), folder / CONFIG)
        if why := trained.lacking(study, method):
            notes.append(f"no networks: {why}")
        else:
            trained.write(study, method, how, folder)
        _, more = _write(contents, folder, weights, told, about, limits or Limits(), samples)
        if more.validity is not None:
            notes += more.validity.warnings
        if method not in study.plan.variants.methods:
            notes.append(f"the study has no replicas and variations of {method}")
    return Written(target, tuple(notes))


def refuse(target: Path, over: bool) -> None:
    """Refuse a folder that must not be written over.

    Raises:
        InputError: something is there that is no bundle, or a bundle that is not to be replaced.
    """
    if not target.exists() and not target.is_symlink():
        return
    # Any folder can have metadata; --force removes what it replaces.
    bundle = all((target / name).is_file() for name in (METADATA, EVENTS))
    if not bundle or target.is_symlink():
        raise InputError(f"{target}: is there, and is no bundle; name another folder")
    if not over:
        raise InputError(f"{target}: is there; name another folder, or add --force")


def _named(study: Study, method: str | None, combine: str | None) -> tuple[str, str]:
    method = one_of("method", method or study.methods[0], study.methods)
    combinations = study.plan.combinations(method)
    return method, one_of(f"combination of {method}", combine or combinations[0], combinations)


def _write(
    contents: Contents,
    folder: Path,
    weights: Weights,
    samples: dict[str, Sample],
    about: About | None,
    limits: Limits | None,
    others: dict[str, Bundle] | None = None,
) -> tuple[Bundle, More]:
    """Write events and metadata of a result; return it, and the section `omniflow`."""
    if not len(contents.rows):
        raise InputError(f"{contents.study.folder}: no event of {contents.role} is in the region")
    plain, jagged = _observables(contents)
    columns = _event_columns(contents, plain, jagged)
    rows = contents.rows
    final = contents.study.weights_of(contents.result, contents.how)[rows]
    numbers = {
        EVENT_ID: np.asarray(contents.events.event_id, np.uint64)[rows],
        **plain,
        **dict(columns.values()),
        BASE: contents.base[rows],
        NOMINAL: final,
        FACTOR: contents.study.ratios_of(contents.result, contents.how)[rows],
    }
    spool = table.Spool(folder, len(rows))
    try:
        for name, make in weights.columns.items():
            spool.add(name, make()[rows])
        table.write(folder / EVENTS, table.rows(numbers, jagged, spool, len(rows)))
    finally:
        spool.close()
    more = More(
        about=about or About(),
        origin=sections.origin(contents),
        factor=FACTOR,
        jagged={name: sections.jagged(contents.axes[name]) for name in jagged},
        event_columns={name: column for name, (column, _) in columns.items()},
        spreads=weights.spreads,
        samples=samples,
        sample_statistics=SIMULATION if SIMULATION in weights.families else "separate",
    )
    content = sections.of_format(
        contents, weights, [*numbers, *jagged, *weights.columns], float(final.sum()), more.about
    )
    content["publication"]["checksum_sha256"] = files.digest(folder / EVENTS)
    bundle = _opened(folder, content, more, others)
    more = _finished(bundle, more, limits)
    bundle = _opened(folder, content, more, others)
    write_text(to_yaml(content | {"omniflow": sections.plain(more)}), folder / METADATA)
    return bundle, more


def _opened(
    folder: Path, content: dict[str, Any], more: More, others: dict[str, Bundle] | None
) -> Bundle:
    metadata = Metadata.model_validate(content | {"omniflow": more})
    return Bundle(folder, metadata, EventTable(folder, EVENTS), others)


def _finished(bundle: Bundle, more: More, limits: Limits | None) -> More:
    """Return the section with what follows from the events, and the checksums of all files."""
    names: list[str] = list(bundle.observables)
    found: dict[str, Any] = {}
    if limits is not None and names:
        counted = bundle.histogram(names)
        data = DATA if DATA in bundle.families else None
        warnings = validity.warn(counted, limits, data)
        support = {name: _support(bundle.quantities.entries(name)) for name in names}
        found["validity"] = Validity(
            limits=limits,
            observables=validity.bins(counted, data),
            support={name: each for name, each in support.items() if each is not None},
            warnings=warnings,
        )
        shape = more.origin is not None and more.origin.normalization == "shape"
        joint.write(bundle.histogram(names, normalise=True) if shape else counted, bundle.folder)
    found["files"] = {
        name: {
            "sha256": files.digest(bundle.folder / name),
            "bytes": (bundle.folder / name).stat().st_size,
            "holds": holds,
        }
        for name, holds in _HELD.items()
        if (bundle.folder / name).is_file()
    }
    return More.model_validate({**dict(more), **found})


def _support(entries: Entries) -> tuple[float, float] | None:
    if not len(entries):
        return None
    return float(entries.value.min()), float(entries.value.max())


def _observables(contents: Contents) -> tuple[dict[str, np.ndarray], dict[str, Entries]]:
    """Return observables with a number per event (n,), NaN where there is none; and others."""
    plain, jagged = {}, {}
    for name, axis in contents.axes.items():
        if name in RESERVED or name.startswith("weights_"):
            raise InputError(
                f"observable {name}: has the name of a weight in bundles; give it another name"
            )
        found = contents.entries(name)
        if axis.kind != "event":
            jagged[name] = found
            continue
        values = np.full(len(contents.rows), np.nan, np.float32)
        values[found.event_index] = found.value
        plain[name] = values
    return plain, jagged


def _event_columns(
    contents: Contents, plain: dict[str, np.ndarray], jagged: dict[str, Entries]
) -> dict[str, tuple[str, np.ndarray]]:
    """Return columns of events by name: what the file calls them, and numbers (n,).

    Those with the name of an observable, or of a weight, get a name of their own.
    """
    taken = {*plain, *jagged, *RESERVED}
    found = {}
    for name, values in contents.event_columns():
        if name in plain and np.array_equal(plain[name], values, equal_nan=True):
            continue
        free = name not in taken and not name.startswith("weights_")
        found[name] = (name if free else f"event.{name}", values)
    return found
