"""Init: the configuration that `omniflow init` writes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import omniflow
from omniflow import config
from omniflow.drafts import commented, configuration, roles
from omniflow.errors import InputError, OmniflowError, OutputError
from omniflow.files import write_text
from omniflow.sources.inspect import of_samples
from omniflow.sources.judgement import DOUBTFUL, REFUSED

if TYPE_CHECKING:
    from omniflow.sources.source import Source

_ENOUGH = 100  # of them, for what shares tell
_TRIED = 2_000  # records of each sample that are read to see whether they can be


def init(
    files: Sequence[str],
    data: Sequence[str] = (),
    simulation: Sequence[str] = (),
    name: str = "",
    output: str = "my.yaml",
) -> str:
    """Return a configuration of files as text, with comments.

    Args:
        files: whose role is told by what they hold.
        data: files of data.
        simulation: files of simulation.
        name: of the study; none given: that of the output.
        output: where it will be written, for its first lines.

    Raises:
        InputError: files cannot be read or used; the message says what to do.
    """
    found = roles.decide(files, data, simulation)
    chosen = name or re.sub(r"[^a-z0-9_-]+", "-", Path(output).stem.lower()).strip("-_") or "study"
    drafted = configuration.draft(found, chosen)
    made = commented.written(drafted, [])
    count = commented.todos(made)
    head = [
        f"Written by omniflow {omniflow.__version__} init from files of the layout: "
        f"{found.layout.title}.",
        f"What files do not tell is marked TODO, {count} time(s). All other keys have defaults "
        "(docs/configuration.md).",
        f"Next: omniflow inspect {output}; omniflow check {output}; omniflow plan {output}",
    ]
    return commented.written(drafted, head)


def write(
    files: Sequence[str],
    data: Sequence[str],
    simulation: Sequence[str],
    output: Path,
    name: str = "",
    *,
    over: bool = False,
) -> Iterator[str]:
    """Write a configuration of files, and yield what is to be said of it, line by line.

    Args:
        files: whose role is told by what they hold.
        data: files of data.
        simulation: files of simulation.
        output: the new file.
        name: of the study; none given: that of the output.
        over: whether one that is there may be written over.

    Raises:
        InputError: as `init`, or no file is given.
        OutputError: there is a file already, or it cannot be written.
    """
    if not (files or data or simulation):
        raise InputError("no files are given; name files of data and of simulation")
    if output.exists() and not over:
        raise OutputError(f"{output}: is there already; give another --output, or --force")
    made = init(files, data, simulation, name, str(output))
    write_text(made, output)
    yield f"{output} written; {commented.todos(made)} place(s) marked TODO:"
    yield from (f"  {line.strip()}" for line in made.splitlines() if commented.todos(line))
    samples = config.load(output).samples
    for role in ("data", "simulation"):
        yield from _tried(role, getattr(samples, role))
    yield f"Next: edit it, then omniflow inspect {output}; omniflow check {output}"


def _tried(role: str, sample: Source) -> Iterator[str]:
    """Yield what the first records of a sample tell that is not as it should be."""
    try:
        for found in of_samples({role: sample}, _TRIED):
            for remark in found.remarks:
                enough = remark.grade == DOUBTFUL and (found.events or 0) >= _ENOUGH
                if enough or remark.grade == REFUSED:
                    yield f"{role}, first {found.events:,} records: {remark.text}"
    except OmniflowError as error:
        yield f"{role} would be refused: {error}"
