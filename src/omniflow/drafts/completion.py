"""Completion: what values tell of a draft: absent ones, particles to leave out, ids."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from omniflow.drafts import names, values
from omniflow.drafts.content import Content
from omniflow.drafts.draft import TODO, Column, Level, Sample
from omniflow.expressions import Values, parse
from omniflow.sources import mapping
from omniflow.sources.mapped import Mapped
from omniflow.sources.rows import Rows

# A network of standardised columns cannot tell events apart where a few of a thousand are more than
# ten times the middle one; fewer records tell no tail.
_STEEP, _ENOUGH = 10.0, 200


def complete(sample: Sample, content: Content) -> None:
    """Add what the first records tell: `missing`, `keep`, `selection`, `id`.

    Args:
        sample: of a layout, with its files.
        content: its first file.
    """
    _ids(sample, content)
    if sample.detector is None:
        return
    bare = Sample(**{**vars(sample), "files": sample.files[:1], "skip": 0, "events": 0})
    sample.missing = list(values.absent(_columns(bare)))
    if sample.missing:
        sample.notes["missing"] = "stands for an absent number: the event fails at that level"
    bare.missing = sample.missing
    for name, level in sample.levels.items():
        rows = next(_rows(bare, name), None)
        if rows is not None:
            _keep(level, rows)
            level.steep = [key for key in level.event if _is_steep(level.event[key], rows)]
            if name == "particle":
                _absent_truth(level, rows)
            else:
                _absent_measured(level, rows)


def _rows(sample: Sample, name: str) -> Iterator[Rows]:
    """Yield the first records of the table of a level, absent values as NaN."""
    model = sample.model()
    if not isinstance(model, Mapped):
        return
    level = model.detector if name == "detector" else model.particle or model.detector
    yield from mapping.first_records(model, level)


def _columns(sample: Sample) -> Iterator[Values]:
    """Yield the columns of files that levels are made of, flags and selections left out."""
    for name, level in sample.levels.items():
        texts = [column.expression for _, _, column in level.columns()]
        used = {n for text in texts for n in parse(text, indices=True).names}
        if (rows := next(_rows(sample, name), None)) is not None:
            yield from (each for key, each in rows.columns.items() if key in used)


def _keep(level: Level, rows: Rows) -> None:
    """Leave out particles that cannot be: without momentum, or with a number that is absent."""
    parts = []
    for key, column in level.particles.items():
        array = rows.evaluate(column.expression).array
        if level.keep:
            continue
        if key == "pt" and (array <= 0).any():
            parts.append(f"{column.expression} > 0")
        if not np.isfinite(array).all():
            parts.append(f"isfinite({column.expression})")
    if parts:
        level.keep = " and ".join(parts)
        level.notes["keep"] = "leaves out particles without a momentum, or with absent numbers"


def _is_steep(column: Column, rows: Rows) -> bool:
    """Return whether the logarithm of a column is what a network should see."""
    found = rows.per_event(column.expression, "event").astype(np.float64)
    found = found[np.isfinite(found)]
    if len(found) < _ENOUGH or found.min() <= 0:
        return False
    middle, most = np.quantile(found, (0.5, 0.999))
    return bool(most > _STEEP * middle)


def _gaps(level: Level, rows: Rows) -> tuple[list[str], np.ndarray]:
    """Return the columns of events that lack numbers, and which events have all, (k,) bool."""
    lacking, whole = [], np.ones(len(rows), bool)
    for column in level.event.values():
        there = np.isfinite(rows.per_event(column.expression, "event").astype(np.float64))
        if not there.all():
            lacking.append(column.expression)
            whole &= there
    return lacking, whole


def _absent_truth(level: Level, rows: Rows) -> None:
    """Make events without truth fail at particle level: they are fakes."""
    lacking, whole = _gaps(level, rows)
    level.gaps = bool(lacking)
    if not lacking:
        return
    passes = np.ones(len(rows), bool)
    if level.selection:
        passes = rows.condition(level.selection, "selection")
    if (passes & ~whole).any() or not level.selection:
        parts = [level.selection] if level.selection else []
        level.selection = " and ".join([*parts, *(f"isfinite({text})" for text in lacking)])
        level.notes["selection"] = (
            f"{TODO}the fiducial region. Events that lack a number have no truth: they are fakes"
        )


def _absent_measured(level: Level, rows: Rows) -> None:
    """Make events that lack a number fail, where a flag says that they pass."""
    lacking, whole = _gaps(level, rows)
    if lacking and level.selection:
        passes = rows.condition(level.selection, "selection")
        if (passes & ~whole).any():
            parts = [level.selection, *(f"isfinite({text})" for text in lacking)]
            level.selection = " and ".join(parts)


def lacks_truth(sample: Sample) -> bool:
    """Return whether events may have no truth, so that only those that have one are unfolded."""
    level = sample.particle
    return level is not None and level.gaps


def _ids(sample: Sample, content: Content) -> None:
    """Keep ids that tell events apart."""
    given = [name for text in sample.id for name in parse(text, indices=True).names]
    plain = [names.expression(name) for name in given] == list(sample.id)
    if sample.source == "h1" or (sample.id and not plain):
        return
    tables = [t for t in content.tables if t.has(*given)]
    if sample.apart or not tables:
        return
    kept, why = values.unique_ids(tables[0], given)
    sample.id = [names.expression(name) for name in kept]
    if why:
        key = "id" if kept else "detector"
        if not kept:
            sample.remarks.append(why if why.startswith(TODO) else f"No id: {why}.")
        else:
            sample.notes[key] = why
