"""Ingest: any source of events, checked, into an event store."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from omniflow.config.samples import H1Sample, PythiaSample, Sample
from omniflow.errors import InputError
from omniflow.events import h1, store
from omniflow.events.checks import check
from omniflow.events.sample import Events

# Modules of the extra `physics`; any other missing module is an error of the installation.
_PHYSICS = {"pythia8mc", "fastjet", "vector"}


def ingest(sample: Sample, path: str | Path, seed: int) -> None:
    """Read or generate a sample, check it and write it to the event store `path`.

    Args:
        sample: section of the configuration.
        path: the event store; it appears complete or not at all.
        seed: of the order of events in the store.

    Raises:
        InputError: the source is refused (see `h1.read` and `checks.check`), or the modules
            that it needs are not installed.
    """
    events, where, details = _SOURCES[sample.source](sample)
    check(events, where)
    provenance = {"source": sample.source, "sample": sample.model_dump(mode="json"), **details}
    store.write(events, path, provenance, seed)


def _from_pythia(sample: PythiaSample) -> tuple[Events, str, dict[str, Any]]:
    try:
        from omniflow.physics.dis import make_sample

        events = make_sample(sample)
    except ModuleNotFoundError as error:
        if error.name not in _PHYSICS:
            raise
        raise InputError(
            f"source: pythia needs the module {error.name}, which is not installed; "
            "install it with: pip install 'omniflow[physics]'"
        ) from error
    return events, f"pythia sample (seed {sample.seed})", {"versions": _versions()}


def _versions() -> dict[str, str]:
    from importlib.metadata import PackageNotFoundError, version

    found = {}
    for name in sorted(_PHYSICS):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _from_h1(sample: H1Sample) -> tuple[Events, str, dict[str, Any]]:
    events = h1.read(sample.files, sample.events, sample.skip)
    files = [
        {"name": name, "bytes": Path(name).stat().st_size, "sha256": _sha256(name)}
        for name in sample.files
    ]
    return events, ", ".join(sample.files), {"files": files}


def _sha256(path: str) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


_SOURCES: dict[str, Callable[[Any], tuple[Events, str, dict[str, Any]]]] = {
    "pythia": _from_pythia,
    "h1": _from_h1,
}
