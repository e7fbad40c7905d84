"""Document: a template as one HTML file that needs nothing else."""

from __future__ import annotations

import base64
import functools
import hashlib
import os
import tempfile
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from omniflow.errors import InputError
from omniflow.report import formats, parcel


@functools.cache
def environment() -> Environment:
    """Return what finds and fills templates; all text is escaped."""
    return Environment(
        loader=PackageLoader("omniflow.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def render(template: str, **context: Any) -> str:
    """Return the text of a page; the same content gives the same text.

    Figures, which matplotlib makes of numbers and labels, are the only markup that is passed in,
    and a content security policy forbids any request.

    Args:
        template: name of its file.
        context: what it shows.
    """
    templates = environment()
    script = templates.get_template("script.js").render()
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    text = templates.get_template(template).render(
        **context, script_hash=f"sha256-{digest}", f=formats
    )
    return parcel.pack(text)


def write(text: str, output: Path | str) -> None:
    """Write a page, complete or not at all.

    Raises:
        InputError: `output` is no file of a folder that is there and can be written to.
    """
    output = Path(output)
    try:
        _write(text, output)
    except OSError as error:
        raise InputError(
            f"{output}: cannot be written ({error.strerror}); give the path of a file, in a folder "
            "that is there"
        ) from None


def _write(text: str, output: Path) -> None:
    handle, temporary = tempfile.mkstemp(dir=output.parent, prefix=f".{output.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
        os.chmod(temporary, 0o644)
        os.replace(temporary, output)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
