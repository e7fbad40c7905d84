"""Roles: which files are data and which simulation, by what they hold or as the user says."""

from __future__ import annotations

import glob
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from omniflow.drafts import apart, completion, names
from omniflow.drafts.content import Content, look
from omniflow.drafts.draft import TODO, Sample
from omniflow.drafts.layouts import recognised
from omniflow.drafts.layouts.columns import Columns
from omniflow.drafts.layouts.layout import Layout
from omniflow.errors import InputError


@dataclass
class Group:
    """Files of one layout that make a sample.

    Attributes:
        files: as they were given.
        content: of the first of them.
        layout: theirs.
        truth: whether they have a particle level.
        entries: records of all of them.
    """

    files: list[str]
    content: Content
    layout: Layout
    truth: bool
    entries: int

    def sample(self) -> Sample:
        """Return the sample that they make."""
        sample = self.drafted()
        sample.files, sample.entries = self.written(), self.entries
        completion.complete(sample, self.content)
        return sample

    def drafted(self) -> Sample:
        """Return the sample as its layout has it, without files and what values tell."""
        return self.layout.sample(self.content)

    def written(self) -> list[str]:
        """Return the files, or a pattern that finds them and nothing else."""
        if len(self.files) < 3 or not self.layout.patterns:
            return list(self.files)
        start = names.beginning(self.files)
        end = names.beginning([name[len(start) :][::-1] for name in self.files])[::-1]
        pattern = f"{glob.escape(start)}*{glob.escape(end)}"
        return [pattern] if sorted(glob.glob(pattern)) == sorted(self.files) else list(self.files)


@dataclass
class TableGroup(Group):
    """One table of a file, where another one is of the other role."""

    def drafted(self) -> Sample:
        """Return the sample, with the name of its table."""
        sample = super().drafted()
        sample.table = self.content.tables[0].name or ""
        return sample


@dataclass
class JoinedGroup(Group):
    """Files of detector level and those of particle level, which make one sample.

    Attributes:
        pair: both.
    """

    pair: apart.Pair

    def drafted(self) -> Sample:
        """Return the sample of both."""
        return self.pair.sample()


@dataclass
class Roles:
    """Data and simulation, and how that was decided."""

    data: Sample
    simulation: Sample
    layout: Layout
    why: str
    pseudo: bool


def decide(files: Sequence[str], data: Sequence[str], simulation: Sequence[str]) -> Roles:
    """Return what files are.

    Files without particle level are data. Where all have one, those of the first kind are
    pseudo-data; of one file alone the first half.

    Args:
        files: whose role is to be told.
        data: those of data.
        simulation: those of simulation.

    Raises:
        InputError: a file cannot be read, there is no simulation, or roles cannot be told.
    """
    simulation_pairs, simulation = apart.split(simulation)
    pairs, files = apart.split(files)
    pairs = simulation_pairs + pairs
    if len(files) == 1 and not (data or simulation) and (both := _tables(files[0])):
        one, other = (group.sample() for group in both)
        return Roles(one, other, both[1].layout, "tables are called so", pseudo=both[0].truth)
    given = _groups(data, "data"), [*_joined(pairs), *_groups(simulation, "simulation")]
    rest = _groups(files, "")
    for name, groups in zip(("--data", "--simulation"), given, strict=True):
        _refuse_mixed(name, groups)
    measured, simulated = ((list(groups)) for groups in given)
    why = "as given" if measured and simulated else ""
    if not measured:
        measured, rest = _of(rest, truth=False), _of(rest, truth=True)
        why = why or "files without particle level are data"
    if not simulated:
        simulated, rest = _of(rest, truth=True), _of(rest, truth=False)
    if rest:
        raise InputError(
            f"{rest[0].files[0]}: whether it is data or simulation cannot be told beside the files "
            "that are given; say --data FILE --simulation FILE for each"
        )
    if simulated and not simulated[0].truth:
        raise _no_truth(simulated)
    if not simulated:
        raise _no_truth(measured)
    if not measured:
        return _pseudo(simulated)
    _refuse_mixed("data", measured)
    _refuse_mixed("simulation", simulated)
    one, other = measured[0].sample(), simulated[0].sample()
    pseudo = measured[0].truth
    return Roles(one, other, simulated[0].layout, why, pseudo)


def _pseudo(groups: list[Group]) -> Roles:
    """Return roles where all files have a particle level."""
    if len(groups) > 2:
        shown = "; ".join(", ".join(group.files[:2]) for group in groups)
        raise InputError(
            f"there are files of {len(groups)} kinds with particle level ({shown}); say which are "
            "--data and which --simulation"
        )
    if len(groups) == 1 and len(groups[0].files) > 1:
        whole = groups[0]
        groups = _groups(whole.files[:1], "") + _groups(whole.files[1:], "")
    if len(groups) == 1:
        return _halves(groups[0])
    one, other = (group.sample() for group in groups)
    why = (
        f"{TODO}all files have a particle level, so the first is taken as pseudo-data, whose truth "
        "the report compares with. Give measured data in its place"
    )
    return Roles(one, other, groups[1].layout, why, pseudo=True)


def _halves(group: Group) -> Roles:
    """Return one file as pseudo-data and simulation."""
    one, other = group.sample(), group.sample()
    why = (
        f"{TODO}there is one file, so its first half is taken as pseudo-data and the second as "
        "simulation: a test in which nothing has to change. Give measured data in its place"
    )
    if one.apart and one.id:  # joined in no order: halves are told by the last id
        one.preselection, other.preselection = (f"{one.id[-1]} % 2 == {n}" for n in (0, 1))
        why = (
            f"{TODO}there is no data, so events of even {one.id[-1]} are taken as pseudo-data and "
            "the others as simulation: a test in which nothing has to change. Give measured data "
            "in their place, and leave out preselection"
        )
        return Roles(one, other, group.layout, why, pseudo=True)
    half = group.entries // 2
    if not half:
        raise InputError(f"{group.files[0]}: has one record; give files with events")
    one.events, other.skip = half, half
    return Roles(one, other, group.layout, why, pseudo=True)


def _groups(files: Sequence[str], role: str) -> list[Group]:
    """Return files that belong together: of one layout, with or without truth, and of one name."""
    found: dict[tuple, Group] = {}
    for name in files:
        content = look(name)
        layout = recognised(content)
        truth = layout.has_truth(content)
        stem = "" if role else re.sub(r"\d+$", "", Path(name).with_suffix("").name)
        # Files without truth are data, whatever they are called.
        key = (content.source, layout.title, truth, stem if truth else "")
        entries = content.tables[0].entries
        if key in found:
            found[key].files.append(name)
            found[key].entries += entries
        else:
            found[key] = Group([name], content, layout, truth, entries)
    return list(found.values())


def _tables(path: str) -> list[Group]:
    """Return data and simulation that are tables of one file, told by a table called data."""
    content = look(path)
    named = [t for t in content.tables if t.name is not None]
    measured = [t for t in named if {w for _, _, w in names.words(t.name or "")} & {"data"}]
    groups: list[Group] = []
    for table in [*measured[:1], *(t for t in named if t not in measured)]:
        part = Content(path, content.source, (table,))
        layout = recognised(part)
        truth = layout.has_truth(part)
        if isinstance(layout, Columns) and (truth or table in measured):
            groups.append(TableGroup([path], part, layout, truth, table.entries))
    return groups[:2] if measured and len(groups) > 1 else []


def _joined(pairs: Sequence[apart.Pair]) -> list[Group]:
    """Return samples whose levels lie in different files."""
    return [
        JoinedGroup(pair.measured, pair.content, apart.Apart(), True, pair.true_entries, pair)
        for pair in pairs
    ]


def _of(groups: list[Group], *, truth: bool) -> list[Group]:
    return [group for group in groups if group.truth is truth]


def _refuse_mixed(role: str, groups: list[Group]) -> None:
    if len(groups) > 1:
        one, other = groups[:2]
        raise InputError(
            f"{role}: {one.files[0]} is {_shown(one)} and {other.files[0]} is {_shown(other)}; "
            "files of one sample are alike: give those of one kind"
        )


def _shown(group: Group) -> str:
    level = "with" if group.truth else "without"
    return f"{group.content.source} ({group.layout.title}) {level} particle level"


def _no_truth(groups: list[Group]) -> InputError:
    names = list(groups[0].content.tables[0].names)
    if any(re.match(r"fIndex[A-Z]", name) for name in names):
        raise InputError(
            f"{groups[0].files[0]}: holds tables whose rows point to rows of others (AO2D: "
            f"{', '.join(n for n in names if n.startswith('fIndex'))}), which are not read as they "
            "are; write one table with a row per event, or per matched jet, of both levels"
        )
    shown = ", ".join(names[:15]) + (f" and {len(names) - 15} more" if len(names) > 15 else "")
    return InputError(
        f"{groups[0].files[0]}: has no particle level that can be told, and unfolding needs a "
        f"simulation with one. It holds {shown}. Give simulated files too (--simulation FILE); if "
        "it is one, its columns of particle level have names that say nothing of it: call them "
        "gen_..., truth_... or ..._true, or write samples.simulation.particle yourself "
        "(docs/sources.md)"
    )
