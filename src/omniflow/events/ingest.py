"""Ingest: any source of events, checked, into an event store."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from omniflow import sources
from omniflow.config.samples import H1Sample, PythiaSample, Sample
from omniflow.errors import InputError
from omniflow.events import duplicates, h1, store
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
        InputError: the source is refused (see `h1.read` and `checks.check`), holds events twice, or
            the modules that it needs are not installed.
    """
    events, where, details = _SOURCES[sample.source](sample)
    check(events, where)
    _refuse_duplicates(sample, events)
    provenance = {"source": sample.source, "sample": sample.model_dump(mode="json"), **details}
    store.write(events, path, provenance, seed)


def _from_pythia(sample: PythiaSample) -> tuple[Events, str, dict[str, Any]]:
    try:
        from omniflow.physics.dis.sample import make_sample

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
    h1.survey(sample.files)
    files = [
        _file(name) | {"sources": [_file(source) for source in sources.of_file(name)]}
        for name in sample.files
    ]
    _refuse_copies(files)
    events = h1.read(sample.files, sample.events, sample.skip)
    return events, ", ".join(sample.files), {"files": files}


def _file(path: str | Path) -> dict[str, Any]:
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"name": str(path), "bytes": Path(path).stat().st_size, "sha256": digest}


def _refuse_copies(files: list[dict[str, Any]]) -> None:
    first: dict[str, str] = {}
    for file in files:
        name = first.setdefault(file["sha256"], file["name"])
        if name != file["name"]:
            raise InputError(
                f"{file['name']}: is a copy of {name}, so that the sample would hold its events "
                "twice; leave one of the two out"
            )


def _refuse_duplicates(sample: Sample, events: Events) -> None:
    found = duplicates.find(events)
    if not len(found.pairs):
        return
    files = getattr(sample, "files", ())
    earlier, later = (
        h1.place(files, int(events.event_id[at])) if files else f"event {events.event_id[at]}"
        for at in found.pairs[0]
    )
    raise InputError(
        f"{later}: holds the same numbers as {earlier}: it is the same event twice, as are "
        f"{found.number} of {len(events)} events. Networks would be trained on events that they "
        "are judged by, and errors be too small: leave the repeated events out"
    )


_SOURCES: dict[str, Callable[[Any], tuple[Events, str, dict[str, Any]]]] = {
    "pythia": _from_pythia,
    "h1": _from_h1,
}
