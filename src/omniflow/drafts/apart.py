"""Apart: levels that lie in different files, joined by an id or record by record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from omniflow.drafts import names, values
from omniflow.drafts.content import Content, look
from omniflow.drafts.draft import Sample
from omniflow.drafts.layouts import recognised
from omniflow.drafts.layouts.columns import Columns, common_ids, joined
from omniflow.errors import InputError


class Apart(Columns):
    """What comments call such files; no single file is recognised as one."""

    title = "detector and particle level in separate files"


@dataclass
class Pair:
    """Files of detector level, and those of particle level of the same events.

    Attributes:
        measured: the former.
        true: the latter.
        content: of the first of the former.
        true_content: of the first of the latter.
        ids: columns that join them; none: they are joined record by record.
        true_entries: records of particle level.
    """

    measured: list[str]
    true: list[str]
    content: Content
    true_content: Content
    ids: list[str]
    true_entries: int

    def sample(self) -> Sample:
        """Return the sample that they make; its own files are those of detector level."""
        sample = joined(self.content, self.content.tables[0], self.true_content.tables[0], self.ids)
        if sample.detector is None or sample.particle is None:  # `joined` makes both
            raise AssertionError
        sample.particle.files = list(self.true)
        several = len(self.content.tables) + len(self.true_content.tables) > 2
        for level, content in (
            (sample.detector, self.content),
            (sample.particle, self.true_content),
        ):
            level.table = (content.tables[0].name or "") if several else ""
        how = "by id" if self.ids else "record by record, as they have no id in common"
        sample.detector.notes.pop("table", None)
        sample.particle.notes["files"] = f"joined to detector level {how}"
        return sample


def split(files: Sequence[str]) -> tuple[list[Pair], list[str]]:
    """Return the pair of files that hold one level each, and the files that are left.

    Raises:
        InputError: a file cannot be read, or the events of particle level are measured nowhere.
    """
    contents = {name: look(name) for name in files}
    levels = {name: level(content) for name, content in contents.items()}
    true = [name for name, each in levels.items() if each == "particle"]
    if not true:
        return [], list(files)
    first = contents[true[0]]
    others = [n for n in files if n not in true and _alone(contents[n])]
    called = [n for n in others if levels[n] == "detector"] or others
    called = [n for n in called if not _words(n) & names.DATA]
    if not called:
        raise InputError(
            f"{true[0]}: holds particle level alone; give the files of detector level of the same "
            "events too, called reco or det, or with a tree that is"
        )
    ids = common_ids(contents[called[0]].tables[0], first.tables[0])
    if ids:
        known = np.concatenate([_ids(contents[name], ids) for name in true])
        called = [n for n in called if np.isin(_ids(contents[n], ids), known).mean() > 0.5]
    if not called:
        raise InputError(
            f"{true[0]}: holds particle level alone, and no other file has its events (by "
            f"{', '.join(ids)}); give those of detector level"
        )
    entries = sum(contents[name].tables[0].entries for name in true)
    measured = sum(contents[name].tables[0].entries for name in called)
    if not ids and entries != measured:
        raise InputError(
            f"{called[0]} and {true[0]}: hold detector and particle level, {measured:,} and "
            f"{entries:,} records, and have no id in common that would join them; write an event "
            "number into both"
        )
    pair = Pair(called, true, contents[called[0]], first, ids, entries)
    return [pair], [name for name in files if name not in {*called, *true}]


def level(content: Content) -> str:
    """Return the level that a file holds alone; nothing where it holds both, or none is told."""
    if not _alone(content, truth=True):
        return ""
    table = content.tables[0]
    numbers = [n for n in table.names if not (names.is_weight(n) or names.is_counter(n))]
    marks = {each.level for each in names.levels(numbers)}
    if {"detector", "particle"} <= marks:
        return ""
    if len(marks) == 1 and "" not in marks:
        return marks.pop()
    if marks != {""}:
        return ""
    by_names = map(names.file_level, (table.name or "", Path(content.path).stem))
    return next(filter(None, by_names), "")


def _alone(content: Content, *, truth: bool = False) -> bool:
    """Return whether a file is of no known layout, and without particle level unless `truth`."""
    layout = recognised(content)
    return isinstance(layout, Columns) and (truth or not layout.has_truth(content))


def _words(path: str) -> set[str]:
    return {word for _, _, word in names.words(Path(path).stem)}


def _ids(content: Content, columns: list[str]) -> np.ndarray:
    """Return ids (n,) uint64 of a file."""
    return values.hashed(content.tables[0].together(columns), columns)
