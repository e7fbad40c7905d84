"""Reading: a bundle is checked as a whole before anything of it is used."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from omniflow.errors import InputError
from omniflow.export.bundle import folder, joint, networks, safe_yaml, sidecar
from omniflow.export.bundle.bundle import Bundle
from omniflow.export.bundle.events import EventTable
from omniflow.export.bundle.metadata import METADATA, Metadata
from omniflow.export.bundle.more import More

_TOGETHER = 64  # columns that are looked at in one reading
LARGEST = 1e60  # weights whose squares, and those of their sums, are numbers


def read_bundle(path: str | Path) -> Bundle:
    """Open the folder of a bundle, and check all of it.

    Checksums, columns, ids, weights, sums and the files beside the events are looked at; nothing
    that a bundle says is run, and no file outside of its folder is opened. Bundles of other tools
    in format 0.1 or 0.2 of omnifold-publication are read, too.

    Args:
        path: of the folder.

    Returns:
        The bundle; columns are read when they are asked for.

    Raises:
        InputError: it is no bundle, or not as its metadata say.

    Examples:
        >>> import omniflow
        >>> omniflow.read_bundle("results/nowhere")
        Traceback (most recent call last):
        omniflow.errors.InputError: results/nowhere: is no folder; give the folder of a bundle
    """
    where = Path(path)
    if not where.is_dir():
        raise InputError(f"{where}: is no folder; give the folder of a bundle")
    return _read(where, nested=False)


def _read(where: Path, nested: bool) -> Bundle:
    metadata = _metadata(where)
    published, more = metadata.publication, metadata.omniflow or More()
    if published.checksum_sha256 is not None:
        folder.verify(where, published.events_file, published.checksum_sha256)
    events = EventTable(where, published.events_file)
    if events.rows != published.event_count:
        raise InputError(
            f"{where}: {published.events_file} has {events.rows:,} events, and the metadata say "
            f"{published.event_count:,}; copy or write the bundle again"
        )
    for name, file in more.files.items():
        folder.verify(where, name, file.sha256)
    if nested and more.samples:
        raise InputError(f"{where}: is a sample of a bundle and names samples itself")
    bundle = Bundle(where, metadata, events, dict(_samples(where, more)))
    _check(bundle)
    for name in bundle.samples:
        _same_observables(bundle, name)
    return bundle


def _metadata(where: Path) -> Metadata:
    with folder.opened(where, METADATA) as file:
        raw = file.read(safe_yaml.LARGEST + 1)
    path = where / METADATA
    return sidecar.validated(safe_yaml.load(raw, str(path)), Metadata, path)


def _samples(where: Path, more: More) -> Iterator[tuple[str, Bundle]]:
    for name, sample in more.samples.items():
        inner = folder.inside(where, sample.folder)
        if not inner.is_dir():
            raise InputError(f"{inner}: is no folder, where the events of {name} should lie")
        folder.verify(inner, METADATA, sample.sha256)
        yield name, _read(inner, nested=True)


def _check(bundle: Bundle) -> None:
    """Refuse events that are not as the metadata say."""
    metadata, events = bundle.metadata, bundle.events
    more = metadata.omniflow or More()
    names = [each.name for each in metadata.observables]
    events.require(metadata.publication.columns)
    events.require_numbers([*names, *more.event_columns.values()])
    events.require_numbers(list(more.jagged), jagged=True)
    if twice := [name for name in names if names.count(name) > 1]:
        raise InputError(f"{bundle.folder}: names the observable {twice[0]} twice")
    weights = sorted(bundle.weight_columns)
    events.require(weights)
    _ids(bundle)
    for first in range(0, len(weights), _TOGETHER):
        _finite(bundle, weights[first : first + _TOGETHER])
    _sum(bundle)
    if joint.DESCRIPTION in more.files:
        _ = bundle.covariance
    if networks.DESCRIPTION in more.files:
        _ = bundle.networks


def _ids(bundle: Bundle) -> None:
    alignment = bundle.metadata.publication.event_alignment
    if alignment.method == "row_order" or alignment.column is None:
        return
    repeated = bundle.events.repeated(alignment.column)
    if repeated is not None:
        raise InputError(
            f"{bundle.events.path}: {alignment.column}: the id {repeated} is that of several "
            "events; ids must differ: write the bundle again"
        )


def _finite(bundle: Bundle, columns: list[str]) -> None:
    start = 0
    for part in bundle.events.parts(columns):
        usable = np.abs(part) < LARGEST  # not of NaN
        if not usable.all():
            row, event = np.argwhere(~usable)[0]
            raise InputError(
                f"{bundle.events.path}: {columns[row]}: the weight of event {start + event} is "
                f"{part[row, event]}, which cannot be summed; write the bundle again"
            )
        start += part.shape[1]


def _sum(bundle: Bundle) -> None:
    told = bundle.metadata.normalization
    if told.expected_nominal_sumw is None:
        return
    column = told.nominal_weight_column or bundle.metadata.weights.nominal
    found = float(bundle.events.numbers(column).astype(np.float64).sum())
    expected = told.expected_nominal_sumw
    allowed = (1e-8 if told.tolerance is None else told.tolerance) * max(1.0, abs(expected))
    if not abs(found - expected) <= allowed:
        raise InputError(
            f"{bundle.events.path}: {column}: adds up to {found:.10g}, and the metadata say "
            f"{expected:.10g}; write the bundle again"
        )


def _same_observables(bundle: Bundle, name: str) -> None:
    other = bundle.samples[name]
    if missing := set(bundle.observables) - set(other.observables):
        raise InputError(
            f"{other.folder}: lacks the observable {min(missing)}, which {bundle.folder} has"
        )
