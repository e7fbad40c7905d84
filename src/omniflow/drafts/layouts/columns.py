"""Tables of no known layout: levels by words in the names of columns."""

from __future__ import annotations

from omniflow.drafts import columns, names
from omniflow.drafts.columns import Found
from omniflow.drafts.content import Content, Table
from omniflow.drafts.draft import TODO, Sample
from omniflow.drafts.layouts.layout import Layout
from omniflow.errors import InputError


class Columns(Layout):
    """Columns such as pt_reco and pt_truth, reco_x and gen_x, x and x_true; or of any name."""

    title = "columns by their names"
    rank = 9

    def recognises(self, content: Content) -> bool:
        """Return True: every file has columns."""
        return True

    def has_truth(self, content: Content) -> bool:
        """Return whether names of columns say that they are of particle level."""
        return any(each.level == "particle" for each in _marks(content.tables[0]))

    def sample(self, content: Content) -> Sample:
        """Return every column at the level that its name says."""
        table = content.tables[0]
        found = columns.sort(table)
        columns.same_units(*found.levels.values())
        sample = made(content, table, found)
        if table.name and (len(content.tables) > 1 or "*" in table.name):
            sample.table = table.name
        if len(content.tables) > 1:
            others = ", ".join(str(each.name) for each in content.tables[1:])
            sample.notes["table"] = f"the longest; the file also has {others}"
        sample.detector = found.levels.get("detector")
        sample.particle = found.levels.get("particle")
        sample.truth = sample.particle is not None
        if sample.truth and sample.detector is not None:
            where = sample.detector.notes
            where.setdefault("event" if sample.detector.event else "particles", _LEVELS)
        return sample


class Tables(Layout):
    """Levels in tables of their own, joined by an id."""

    title = "separate tables of detector and particle level"
    rank = 8

    def recognises(self, content: Content) -> bool:
        """Return whether there are two tables with an id in common, or as many records."""
        return self._pair(content) is not None

    def has_truth(self, content: Content) -> bool:
        """Return True."""
        return True

    def sample(self, content: Content) -> Sample:
        """Return the levels, each with its table; columns of one name stand for one quantity."""
        measured, true, ids = self._pair(content) or (content.tables[0], content.tables[0], [])
        sample = joined(content, measured, true, ids)
        for level, table in ((sample.detector, measured), (sample.particle, true)):
            if level is not None:
                level.table = table.name or ""
        return sample

    def _pair(self, content: Content) -> tuple[Table, Table, list[str]] | None:
        """Return the tables of detector and particle level, and the ids that join them."""
        if len(content.tables) < 2:
            return None
        called = {t.name: (t.name or "").rpartition("/")[2] for t in content.tables}
        level = {n: names.table_level(last, called.values()) for n, last in called.items()}
        true = [t for t in content.tables if level[t.name] == "particle"]
        measured = [t for t in content.tables if level[t.name] == "detector"]
        measured = measured or [t for t in content.tables if t not in true]
        if not true or not measured:
            return None
        ids = common_ids(measured[0], true[0])
        alike = measured[0].entries == true[0].entries
        return (measured[0], true[0], ids) if ids or alike else None


def common_ids(measured: Table, true: Table) -> list[str]:
    """Return the columns of both tables that tell events apart."""
    theirs = set(true.names)
    return names.ids(name for name in measured.names if name in theirs)


def joined(content: Content, measured: Table, true: Table, ids: list[str]) -> Sample:
    """Return a sample whose levels lie in tables of their own, joined by ids.

    Args:
        content: the file of detector level.
        measured: the table of detector level.
        true: the table of particle level.
        ids: columns of both; none: tables are joined record by record.
    """
    one, other = columns.sort(measured, "detector"), columns.sort(true, "particle")
    for name, found, table in (("detector", one, measured), ("particle", other, true)):
        if name not in found.levels:
            raise InputError(
                f"{table.path}: {table.name or 'its table'} has no columns of {name} level but "
                f"{', '.join(table.names[:15])}; give files with numbers of events or particles"
            )
    detector, particle = one.levels["detector"], other.levels["particle"]
    one.guessed += columns.align(detector, particle)
    columns.same_units(detector, particle)
    one.left = list(dict.fromkeys([*one.left, *other.left]))
    one.weights = [name for name in one.weights if name in other.weights]
    one.ids = ids
    sample = made(content, measured, one)
    sample.detector, sample.particle, sample.truth = detector, particle, True
    sample.padded = sorted({*measured.layout.padded, *true.layout.padded})
    sample.counts = {**measured.layout.counts, **true.layout.counts}
    to = "joined to the table of particle level"
    detector.notes["table"] = f"{to} by id" if ids else f"{TODO}{to} record by record: is it so?"
    if lost := [n for n in other.weights if n not in one.weights]:
        sample.notes["weight"] = (
            f"{TODO}{', '.join(lost)} is at particle level alone; a weight has to be in both tables"
        )
        sample.weight = "1"
    return sample


_LEVELS = (
    f"{TODO}is this what is measured, in these units? Told by names, and by the size of numbers"
)


def made(content: Content, table: Table, found: Found) -> Sample:
    """Return a sample with ids, weights and what is said of arrays."""
    source = "hdf5" if content.source == "store" else content.source
    sample = Sample(source, id=list(map(names.expression, found.ids)))
    sample.padded = sorted(table.layout.padded)
    sample.counts = dict(table.layout.counts)
    if found.weights:
        sample.weight = names.expression(found.weights[0])
        sample.notes["weight"] = f"{TODO}is it the weight of the event? That is told by its name"
    if further := [*found.weights[1:21], *(f"nth({each}, 0)" for each in found.weight_lists)]:
        sample.remarks.append(
            f"Further weights: {', '.join(further)}. For uncertainties.variations write such as "
            f"`weights: {{ up: {further[0]} }}`, times {sample.weight or 'weight'} if they are "
            "factors on it."
        )
    if found.guessed:
        sample.remarks.append(f"{TODO}{'; '.join(found.guessed)}.")
    if said := columns.sentence(found.left):
        sample.remarks.append(said)
    return sample


def _marks(table: Table) -> list[names.Marked]:
    numbers = [
        n
        for n in table.names
        if not (names.is_weight(n) or names.is_counter(n) or names.is_number(n))
    ]
    return names.levels(numbers)
