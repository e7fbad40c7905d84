"""Init: the configuration that `omniflow init` writes, as text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import omniflow
from omniflow.drafts import roles, study, text


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
        data, simulation: files of a given role.
        name: of the study; none given: that of the output.
        output: where it will be written, for its first lines.

    Raises:
        InputError: files cannot be read or used; the message says what to do.
    """
    found = roles.decide(files, data, simulation)
    chosen = name or re.sub(r"[^a-z0-9_-]+", "-", Path(output).stem.lower()).strip("-_") or "study"
    drafted = study.draft(found, chosen)
    made = text.written(drafted, [])
    count = text.todos(made)
    head = [
        f"Written by omniflow {omniflow.__version__} init from files of the layout: "
        f"{found.layout.title}.",
        f"{count} place(s) are marked TODO: what files do not tell. All other keys have defaults "
        "(docs/configuration.md).",
        f"Next: omniflow inspect {output}; omniflow check {output}; omniflow plan {output}",
    ]
    return text.written(drafted, head)
