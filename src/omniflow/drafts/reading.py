"""Reading: a file as `omniflow init` would map it, for `omniflow inspect`."""

from __future__ import annotations

from omniflow.drafts.content import look
from omniflow.drafts.layouts import recognised
from omniflow.drafts.roles import Group
from omniflow.errors import OmniflowError
from omniflow.sources.description import Description
from omniflow.sources.inspect import of_samples
from omniflow.sources.judgement import REFUSED, Remark

RECORDS = 100_000  # that are read where no number is given


def as_drafted(path: str, events: int | None = None) -> Description | None:
    """Return what is in a file, mapped as `init` would; None where `inspect` knows its events.

    Args:
        path: of the file.
        events: number of records that are read, the first ones; None: RECORDS.

    Raises:
        InputError: the file cannot be read.
    """
    content = look(path)
    layout = recognised(content)
    if not layout.patterns or content.source == "store":  # sources that describe their files
        return None
    entries = content.tables[0].entries
    group = Group([path], content, layout, layout.has_truth(content), entries)
    number = min(events or RECORDS, entries)
    title = f"{path} as omniflow init maps it ({layout.title})"
    title += f", its first {number:,} records" if number < entries else ""
    try:
        sample = group.sample()
        if number < entries:
            sample.events = number
        (found,) = of_samples({title: sample.model()})
    except OmniflowError as error:
        return Description(title, "refused", remarks=(Remark(REFUSED, str(error)),))
    return found
