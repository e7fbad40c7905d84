"""Conversion: event stores alone, as `omniflow convert` writes them, outside Snakemake.

Snakemake takes such a store for made, but does not know of which settings. So the store says which:
`refuse_outdated` refuses one of others, and `convert` writes it anew.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from omniflow.checksums import notes, update
from omniflow.errors import ConfigError, InputError, OutputError
from omniflow.events import store
from omniflow.lock import Lock
from omniflow.stages import samples
from omniflow.unfolding import seeds
from omniflow.unfolding.plan import Plan

_MARK = "converted"  # in the provenance of a store: the fingerprint of what it was made of


def convert(plan: Plan, roles: Sequence[str] = (), say: Callable[[str], None] = print) -> None:
    """Write the event stores of samples that are not there yet, or are of other settings or files.

    It takes the study's lock, as Snakemake does. What is said of a sample is printed.

    Args:
        plan: of the study.
        roles: of the samples; none: of all.
        say: what tells the user that, and why, it waits.

    Raises:
        ConfigError: there is no such sample.
        LockError: somebody else works on the study.
        InputError: a sample is refused; those before it are written.
    """
    for role in roles:
        if role not in plan.samples:
            raise ConfigError(
                f"--samples {role}: there is no such sample; there are {', '.join(plan.samples)}"
            )
    with _locked(plan, say):
        for role in roles or plan.samples:
            files = [Path(name) for name in plan.inputs.files(role)]
            noted = notes(files, plan.path("checksums"))
            update(noted, say)
            if _is_current(plan, role, list(noted.values())):
                print(f"{role}: {plan.store(role)} is there, of these settings and files.")
            else:
                _make(plan, role)


def refuse_outdated(plan: Plan) -> None:
    """Refuse stores that `convert` has written with other settings than those of the study.

    Raises:
        OutputError: with what to do.
    """
    for role in plan.samples:
        mark = _provenance(plan.store(role)).get(_MARK)
        if mark is not None and mark != plan.fingerprints.store(role):
            raise OutputError(
                f"{plan.store(role)}: was written by `omniflow convert` with other settings of the "
                f"sample {role}: write it again by `omniflow convert`, or remove it"
            )


@contextmanager
def _locked(plan: Plan, say: Callable[[str], None]) -> Iterator[None]:
    lock = Lock(plan.root)
    lock.acquire(say)
    try:
        yield
    finally:
        lock.release()


def _make(plan: Plan, role: str) -> None:
    """Write a store, with a bar of progress where there is a terminal."""
    from rich.progress import MofNCompleteColumn, Progress, TimeElapsedColumn

    columns = (*Progress.get_default_columns(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, transient=True, disable=not sys.stdout.isatty()) as bar:
        task = bar.add_task(role, total=plan.samples[role].records())
        recorded = {_MARK: plan.fingerprints.store(role)}
        samples.make_store(plan, role, recorded, lambda done: bar.update(task, completed=done))
    size = plan.store(role).stat().st_size / 1e6
    print(f"{role}: {plan.store(role)} written, {size:,.1f} MB.")


def _is_current(plan: Plan, role: str, noted: Sequence[Path]) -> bool:
    """Return whether a store is of these settings, and younger than the notes of its files."""
    path = plan.store(role)
    found = _provenance(path)
    if not found:
        return False
    if _MARK in found:
        same = found[_MARK] == plan.fingerprints.store(role)
    else:  # Snakemake's
        seed = seeds.integer(seeds.sequence(plan.config.study.seed, f"store {role}"))
        settings = plan.samples[role].model_dump(mode="json")
        same = (found.get("sample"), found.get("shuffle_seed")) == (settings, seed)
    written = path.stat().st_mtime_ns
    return same and all(note.stat().st_mtime_ns <= written for note in noted)


def _provenance(path: Path) -> dict[str, Any]:
    """Return what a store says of where it comes from; nothing where there is none, or damaged."""
    with suppress(InputError):
        return store.provenance(path) if path.is_file() else {}
    return {}
