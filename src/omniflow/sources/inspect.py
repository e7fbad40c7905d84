"""What is in a file, or in the samples of a configuration."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from omniflow import registry
from omniflow.config.diagnostics import WeightLimits
from omniflow.config.section import LEVELS
from omniflow.errors import ConfigError, InputError
from omniflow.events import store
from omniflow.events.checks import check_part, check_whole, placed
from omniflow.events.plausibility import Plausibility
from omniflow.sources import mapping
from omniflow.sources.description import Description, Summary
from omniflow.sources.judgement import STYLES
from omniflow.sources.mapped import Mapped

if TYPE_CHECKING:
    from rich.console import Group

    from omniflow.sources.source import Source


def describe(path: str | Path) -> Description:
    """Return what is in an event file: an event store, or what any source knows.

    Raises:
        InputError: the file is missing or damaged, or no source knows it; or it is an event store
            or a file in the H1 layout that a study would refuse.
    """
    if not Path(path).is_file():
        raise InputError(f"{path}: no such file; check the path")
    if store.recognises(path):
        return _of_store(path)
    names = registry.names("source")
    for name in names:
        with suppress(ConfigError):  # of an installed package that cannot be loaded
            if (found := registry.find("source", name).describe(str(path))) is not None:
                return found
    raise InputError(
        f"{path}: is neither an event store nor of a kind that a source reads "
        f"({', '.join(names)}); check the path"
    )


def _of_store(path: str | Path) -> Description:
    summary = Summary(store.units(path))
    summary.add(store.open_store(path))
    return summary.described(
        str(path),
        "event store",
        bytes=Path(path).stat().st_size,
        provenance=store.provenance(path),
        warnings=store.warnings(path),
    )


def of_samples(
    samples: Mapping[str, Source],
    events: int | None = None,
    limits: WeightLimits | None = None,
) -> Iterator[Description]:
    """Yield what samples hold, as a study would read them.

    Nothing is written. Samples that are generated are not, unless a number of events is given.
    That events are there twice is only found by their ids.

    Args:
        samples: by role.
        events: number of records to look at, the first so many of each sample.
        limits: of weights (`diagnostics.weights`); None: the defaults.

    Raises:
        InputError: a sample would be refused.
    """
    for role, sample in samples.items():
        chosen = sample
        # Of levels that are joined, records are counted behind their preselection; all are read.
        joined = isinstance(sample, Mapped) and sample.apart and sample.preselection is not None
        if events is not None and not joined:
            known = sample.records()
            least = events if known is None else min(known, events)
            chosen = sample.model_copy(update={"events": least})
        if events is None and sample.generated:
            yield Description(role, f"{sample.title()}, generated when the study runs (--events)")
        else:
            yield _of_sample(role, chosen, limits)


def _of_sample(role: str, sample: Source, limits: WeightLimits | None) -> Description:
    summary = Summary(sample.units())
    plausibility = Plausibility(sample.units(), sample.rules(), sample.converted())
    number = 0
    for part in sample.read():
        with placed(sample.place if sample.inputs() else None):
            check_part(part, sample.title(), number)
            sample.check(part, number)
        plausibility.add(part)
        summary.add(part)
        number += len(part)
    if number:
        check_whole(summary.bare, sample.title(), sample.places)
    return summary.described(
        role,
        sample.title(),
        bytes=sum(Path(name).stat().st_size for name in sample.inputs()) or None,
        warnings=plausibility.warnings(sample.place),
        absent=_absent(sample),
        limits=limits,
    )


def _absent(sample: Source) -> dict[tuple[str, str], float]:
    """Return the shares of the first records that lack a number, by level and column."""
    if not isinstance(sample, Mapped):
        return {}
    found = {}
    for name, level in zip(LEVELS, sample.levels, strict=False):
        for rows in itertools.islice(mapping.first_records(sample, level), 1):
            for key, column in level.event.items():
                values = rows.per_event(column.expression, key)
                found[name, key] = float(np.mean(np.isnan(values.astype(np.float64))))
    return found


def render(description: Description) -> Group:
    """Return the description as tables for a rich console."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    def table(title: str, *heads: str) -> Table:
        made = Table(title=Text(title), title_justify="left", title_style="bold")
        for index, head in enumerate(heads):
            made.add_column(head, justify="left" if index == 0 else "right")
        return made

    # Text, because square brackets of names and settings would be taken for markup.
    parts: list[Any] = [Text(f"{description.name}: {description.kind}", style="bold")]
    sizes = []
    if description.events is not None:
        sizes.append(f"{description.events:,} events")
    if description.bytes is not None:
        sizes.append(f"{description.bytes / 1e6:,.2f} MB")
    parts.append(Text(", ".join(sizes)))
    if description.remarks:
        parts.append(Text("Verdict", style="bold"))
        for remark in description.remarks:
            parts.append(Text.assemble((f"{remark.grade}: ", STYLES[remark.grade]), remark.text))
    if description.selections:
        shown = table("Selections", "events that", "events", "share", "sum of weights")
        for row in description.selections:
            shown.add_row(
                row.name, f"{row.events:,}", f"{row.fraction:.1%}", f"{row.sum_of_weights:,.6g}"
            )
        parts.append(shown)
    if description.multiplicities:
        shown = table("Particles per event", "level", "mean", "99%", "maximum")
        for each in description.multiplicities:
            numbers = (f"{each.mean:.2f}", f"{each.quantile_99:.0f}", f"{each.maximum}")
            shown.add_row(each.level, *numbers)
        parts.append(shown)
    if description.columns:
        shown = table("Columns", "column", "unit", "minimum", "mean", "maximum")
        for column in description.columns:
            values = (f"{value:.5g}" for value in (column.minimum, column.mean, column.maximum))
            shown.add_row(Text(f"{column.dataset} {column.name}".strip()), column.unit, *values)
        parts.append(shown)
    for one in description.tables:
        title = f"{one.name}: " if one.name else ""
        shown = table(f"{title}{one.entries:,} entries", "column", "type")
        for name, kind in one.columns:
            shown.add_row(Text(name), Text(kind))
        parts.append(shown)
    if description.provenance:
        parts.append(Text("Provenance", style="bold"))
        parts.append(Text(json.dumps(description.provenance, indent=2, ensure_ascii=False)))
    return Group(*parts)
