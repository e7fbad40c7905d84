"""Reader of the padded HDF5 layout of the public H1 code.

Datasets of B events with up to N particles: {gen,reco}_particle_features (B, N, 4) with columns
pt, eta, phi, charge, padded with zero rows; gen_event_features (B, 6) with columns Q2, y, electron
px, py, pz, pass_gen; reco_event_features (B, 7) with columns Q2, y, electron px, py, pz, weight,
pass_reco. Real data have no gen_ datasets.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from omniflow.errors import InputError
from omniflow.events.checks import check_finite, check_flag, problem
from omniflow.events.sample import Events, Level
from omniflow.hdf5 import attributes, find_dataset, open_h5, read_dataset
from omniflow.physics.dis.kinematics import DIS_EVENT, DIS_PARTICLE, UNITS
from omniflow.sources.description import Description, Summary

RECO_EVENT = (*DIS_EVENT, "weight", "pass_reco")
GEN_EVENT = (*DIS_EVENT, "pass_gen")
_BLOCK_BYTES = 32 * 2**20  # of padded particles, read at a time
_MEND = "mend the file or leave out the event"


@dataclass(frozen=True)
class File:
    """A file, its number of records, and whether it has a particle level."""

    path: Path
    records: int
    truth: bool


def is_h1(h5file: h5py.File) -> bool:
    """Return whether the open file looks like this layout (without checking its content)."""
    return "reco_particle_features" in h5file and "reco_event_features" in h5file


def describe(path: str | Path) -> Description | None:
    """Return what is in a file of this layout; None for others.

    Raises:
        InputError: as `read`.
    """
    if not h5py.is_hdf5(path):
        return None
    with open_h5(path) as h5file:
        if not is_h1(h5file):
            return None
        found = attributes(h5file)
    summary = Summary(UNITS)
    for part in read([path]):
        summary.add(part)
    size = Path(path).stat().st_size
    kind = "padded HDF5 of the H1 layout"
    return summary.described(str(path), kind, bytes=size, provenance=found)


def read(files: Sequence[str | Path], events: int | None = None, skip: int = 0) -> Iterator[Events]:
    """Yield the records of `files` as one sample, by blocks.

    An event's id is its record index in file order over all files, skipped ones included.
    Particles are the rows with pt > 0; detector-level features of events that fail are zeroed.
    The padded arrays are read in blocks and never held as a whole.

    Args:
        files: HDF5 files, in this order.
        events: number of records to use; None: all.
        skip: number of records to leave out first.

    Yields:
        consecutive records; without particle level where no file has gen_ datasets.

    Raises:
        InputError: a file is missing, truncated, not HDF5 or given twice; a dataset is missing
            or has another shape; the numbers of events disagree; only some files have a
            particle level; fewer records than asked for; NaN, infinity, flags other than 0 and
            1, negative pt or a non-zero row in the padding.
    """
    surveyed = survey(files)
    total = sum(file.records for file in surveyed)
    last = total if events is None else skip + events
    if last > total or skip >= total:
        wanted = f"from {skip}" if events is None else f"{skip} to {last - 1}"
        raise InputError(
            f"{surveyed[0].path}{' and others' if len(surveyed) > 1 else ''}: records {wanted} "
            f"are asked for but there are {total}; change events or skip, or add files"
        )
    first = 0
    for file in surveyed:
        start, stop = (min(max(edge - first, 0), file.records) for edge in (skip, last))
        if start < stop:
            with open_h5(file.path) as h5file:
                for rows in _blocks(h5file, file.truth, start, stop):
                    yield _read_block(h5file, rows, first, file.truth)
        first += file.records


def survey(files: Sequence[str | Path]) -> list[File]:
    """Return the numbers of records of files that make one sample.

    Raises:
        InputError: as `read`, for what can be told without reading the records.
    """
    seen: dict[Path, str | Path] = {}
    surveyed: list[File] = []
    for name in files:
        if Path(name).resolve() in seen:
            raise InputError(f"{name}: the file is given twice; name every file once")
        seen[Path(name).resolve()] = name
        surveyed.append(_survey(Path(name)))
    if not surveyed:
        raise InputError("no files are given; name at least one")
    with_truth = [file for file in surveyed if file.truth]
    if with_truth and len(with_truth) < len(surveyed):
        without = next(file for file in surveyed if not file.truth)
        raise InputError(
            f"{without.path}: gen_event_features: no such dataset, but {with_truth[0].path} has "
            "one; give only files with a particle level, or only files without"
        )
    return surveyed


def _survey(path: Path) -> File:
    """Return the length of a file after checking shapes and counts of its datasets."""
    with open_h5(path) as h5file:
        truth = any(name.startswith("gen_") for name in h5file)
        records: dict[str, int] = {}
        for level, columns in _datasets(truth):
            particles, event = f"{level}_particle_features", f"{level}_event_features"
            if find_dataset(h5file, particles).shape[2:] == (7,):
                raise InputError(
                    f"{path}: {particles}: has 7 columns, as the H1 code writes after its "
                    "preprocessing; give the file from before it, with pt, eta, phi, charge"
                )
            for name, shape in (
                (particles, (None, None, len(DIS_PARTICLE))),
                (event, (None, len(columns))),
            ):
                records[name] = find_dataset(h5file, name, shape, "fiu").shape[0]
    (reference, count), *others = records.items()
    for name, other in others:
        if other != count:
            raise problem(
                str(path),
                name,
                f"has {other} events but {reference} has {count}",
                "all datasets must hold the same events: write the file again",
            )
    return File(path, count, truth)


def _datasets(truth: bool) -> list[tuple[str, tuple[str, ...]]]:
    return [("reco", RECO_EVENT), *([("gen", GEN_EVENT)] if truth else [])]


def _blocks(h5file: h5py.File, truth: bool, start: int, stop: int) -> Iterator[slice]:
    """Yield ranges of records that fill _BLOCK_BYTES and end where HDF5 chunks end."""
    particles = [h5file[f"{level}_particle_features"] for level, _ in _datasets(truth)]
    row = max(int(np.prod(data.shape[1:])) * data.dtype.itemsize for data in particles)
    rows = max(1, _BLOCK_BYTES // max(row, 1))
    # A chunk is decompressed as a whole, so a block of half a chunk would cost as much twice.
    chunk = max(data.chunks[0] if data.chunks else 1 for data in particles)
    rows = max(rows // chunk, 1) * chunk
    while start < stop:
        end = min((start // rows + 1) * rows, stop)
        yield slice(start, end)
        start = end


def _read_block(h5file: h5py.File, rows: slice, first: int, truth: bool) -> Events:
    """Return records `rows` of one file whose record 0 has the id `first`."""
    where = h5file.filename
    features: dict[str, np.ndarray] = {}
    flags: dict[str, np.ndarray] = {}
    for level, columns in _datasets(truth):
        name = f"{level}_event_features"
        values = read_dataset(h5file, name, rows=rows).astype(np.float64)
        ids = first + np.arange(rows.start, rows.stop, dtype=np.uint64)
        with np.errstate(over="ignore"):  # what float32 cannot hold is refused as infinite
            features[level] = values[:, : len(DIS_EVENT)].astype(np.float32)
        check_finite(values, columns, where, name, rows.start, ids)
        check_finite(features[level], DIS_EVENT, where, name, rows.start, ids)
        flags[level] = check_flag(values[:, -1], where, name, columns[-1], rows.start, ids)
        if level == "reco":
            weight = values[:, RECO_EVENT.index("weight")].copy()
    passes = flags["reco"]
    features["reco"][~passes] = 0
    return Events(
        event_id=ids,
        weight=weight,
        pass_detector=passes,
        pass_particle=flags.get("gen"),
        detector=_level(h5file, "reco", rows, ids, features["reco"], passes),
        particle=_level(h5file, "gen", rows, ids, features["gen"], None) if truth else None,
    )


def _level(
    h5file: h5py.File,
    level: str,
    rows: slice,
    ids: np.ndarray,
    event: np.ndarray,
    keep: np.ndarray | None,
) -> Level:
    """Return one level of records `rows` with the padding taken out."""
    where, name = h5file.filename, f"{level}_particle_features"
    with np.errstate(over="ignore"):
        padded = read_dataset(h5file, name, rows=rows).astype(np.float32, copy=False)
    check_finite(padded, DIS_PARTICLE, where, name, rows.start, ids)
    real = padded[:, :, 0] > 0
    counts = real.sum(axis=1)

    def refuse(bad: np.ndarray, what: str) -> None:
        if bad.any():
            at, row = (int(axis[0]) for axis in np.nonzero(bad))
            raise problem(where, name, f"row {row} {what}", _MEND, rows.start + at, int(ids[at]))

    refuse(padded[:, :, 0] < 0, "has a negative pt")
    refuse(~real & (padded != 0).any(axis=2), "has pt = 0 but is not zero")
    refuse(real & (np.arange(real.shape[1]) >= counts[:, None]), "is a particle after padding")
    if keep is not None:
        real &= keep[:, None]
        counts = np.where(keep, counts, 0)
    return Level(event, padded[real], _offsets(counts), DIS_EVENT, DIS_PARTICLE)


def _offsets(counts: np.ndarray) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
