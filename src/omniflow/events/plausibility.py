"""Plausibility: values that a column can have but hardly does, such as angles in degrees."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from omniflow.events.sample import Events, Level

BEAM = 7000.0  # GeV, of a proton in the LHC: no particle has more
ETA = 20.0  # of a particle that misses the beam by 4e-9 rad
MISSING = (-999.0, -9999.0, -99999.0, -999999.0, -1e6)
_FEW = 10  # values that may be equal by chance


@dataclass(frozen=True)
class Rule:
    """What is doubtful of the values of some columns.

    Attributes:
        unit: of the columns that it is for; None: any.
        name: pattern of the names of columns that it is for, where either has no unit.
        doubtful: returns which of values (k,) are, (k,) bool.
        words: what the values are, in a few words.
        cause: what they probably are.
        remedy: what to do about it.
        given: whether it is for values as files have them, before their unit is converted. What
            such rules doubt, no other does.
    """

    unit: str | None
    name: str | None
    doubtful: Callable[[np.ndarray], np.ndarray]
    words: str
    cause: str
    remedy: str
    given: bool = False

    def applies(self, column: str, unit: str) -> bool:
        """Return whether it is for a column with a unit, or with none ("" or "1")."""
        if unit not in ("", "1") and self.unit is not None:
            return unit == self.unit
        return self.name is not None and re.search(self.name, column) is not None


def stands_for_missing(values: np.ndarray) -> np.ndarray:
    """Return which of values (k,) are numbers in use for missing ones, (k,) bool.

    They may have been converted to float32 and back, which moves them by a few parts in 1e7.

    Args:
        values: (k,) numbers.

    Returns:
        (k,) bool.
    """
    found = np.zeros(len(values), bool)
    for number in MISSING:
        found |= np.abs(values - number) <= 2e-7 * abs(number)
    return found


RULES = (
    Rule(
        "rad",
        r"(^|_)d?phi($|_)",
        lambda values: np.abs(values) > 2 * math.pi,
        "beyond 2 pi",
        "it is probably in degrees",
        "give it `unit: deg`",
    ),
    Rule(
        "GeV",
        r"(^|_)(pt|px|py|pz|et|energy|met|ht|mass)$",
        lambda values: np.abs(values) > BEAM,
        f"beyond {BEAM:g} GeV",
        "it is probably in MeV",
        "give it `unit: MeV`",
    ),
    Rule(
        None,
        r"(^|_)eta$",
        lambda values: np.abs(values) > ETA,
        f"beyond {ETA:g}",
        "it is probably no pseudorapidity, or stands for a missing one",
        "take another column, or name the value in `missing`",
    ),
    Rule(
        None,
        r"",
        stands_for_missing,
        "that number",
        "it probably stands for a missing one",
        "name it in `missing`",
        given=True,
    ),
)


@dataclass
class _Column:
    """What was seen of a column.

    Attributes:
        total: number of values.
        first: the first of them.
        equal: whether all others are the same.
        doubts: per rule the number of doubtful values, the first of them and its event's id.
        factor: by which values in files were multiplied.
        unit: that they have in files.
    """

    total: int = 0
    first: float = math.nan
    equal: bool = True
    doubts: dict[Rule, tuple[int, float, int]] = field(default_factory=dict)
    factor: float = 1.0
    unit: str = ""

    def add(
        self,
        values: np.ndarray,
        rules: Sequence[Rule],
        ids: np.ndarray,
        offsets: np.ndarray | None = None,
    ) -> None:
        """Take more values (k,) of events with ids (n,); offsets (n + 1,) of those of particles."""
        if not len(values):
            return
        if not self.total:
            self.first = float(values[0])
        self.total += len(values)
        self.equal = self.equal and bool((values == np.float32(self.first)).all())
        given = values if self.factor == 1 else values.astype(np.float64) / self.factor
        missing = np.zeros(len(values), bool)
        for rule in sorted(rules, key=lambda rule: not rule.given):
            doubtful = rule.doubtful(given if rule.given else values) & ~missing
            if rule.given:
                missing |= doubtful
            number = int(np.count_nonzero(doubtful))
            if number and rule in self.doubts:
                before, value, event = self.doubts[rule]
                self.doubts[rule] = (before + number, value, event)
            elif number:
                at = int(np.argmax(doubtful))
                event = at if offsets is None else int(np.searchsorted(offsets, at, "right")) - 1
                value = float(np.float32(given[at] if rule.given else values[at]))
                self.doubts[rule] = number, value, int(ids[event])


class Plausibility:
    """What is doubtful of a sample, gathered part by part."""

    def __init__(
        self,
        units: Mapping[str, str],
        rules: Sequence[Rule] = RULES,
        converted: Mapping[str, Mapping[str, tuple[float, str]]] | None = None,
    ) -> None:
        """Take the units of columns by name, and rules.

        Args:
            units: of the columns as they are stored.
            rules: what is doubtful.
            converted: by level and column the factor that values in files were multiplied by, and
                the unit that they have there (`Source.converted`).
        """
        self._units = units
        self._rules = rules
        self._converted = converted or {}
        self._seen: dict[tuple[str, str], _Column] = {}

    def add(self, events: Events) -> None:
        """Take more events; at detector level those that pass count."""
        ids = np.asarray(events.event_id)
        for name, level, used in _levels(events):
            for at, column in enumerate(level.event_columns):
                seen, rules = self._of(name, column)
                seen.add(level.event[used, at], rules, ids[used])
            for at, column in enumerate(level.particle_columns):  # those that fail have none
                seen, rules = self._of(name, column)
                seen.add(level.particles[:, at], rules, ids, level.offsets)

    def _of(self, level: str, column: str) -> tuple[_Column, list[Rule]]:
        unit = self._units.get(column, "")
        rules = [rule for rule in self._rules if rule.applies(column, unit)]
        factor, given = self._converted.get(level, {}).get(column, (1.0, unit))
        return self._seen.setdefault((level, column), _Column(factor=factor, unit=given)), rules

    def warnings(self, place: Callable[[int], str]) -> list[str]:
        """Return a sentence on everything doubtful: column, level, event, value, cause, remedy.

        Args:
            place: returns where the event with an id stands.
        """
        return list(self._sentences(place))

    def _sentences(self, place: Callable[[int], str]) -> Iterator[str]:
        for (level, name), seen in self._seen.items():
            unit = _behind(self._units.get(name, ""))
            for rule, (number, value, event_id) in seen.doubts.items():
                cause, remedy = rule.cause, rule.remedy
                if seen.factor != 1 and rule.unit is not None:  # it has a unit already
                    cause = f"its numbers are probably not in {seen.unit}"
                    remedy = "correct its `unit`"
                yield (
                    f"{name} at {level} level is {value:g}"
                    f"{_behind(seen.unit) if rule.given else unit} in {place(event_id)}, and "
                    f"{number:,} of {seen.total:,} values are {rule.words}: {cause}; {remedy}."
                )
            if seen.equal and seen.total > _FEW:
                yield (
                    f"{name} at {level} level is {seen.first:g}{unit} in all of {seen.total:,} "
                    "values: it is probably another column than was meant, and tells nothing; "
                    "correct its expression or leave it out."
                )


def _behind(unit: str) -> str:
    """Return a unit as it stands behind a number."""
    return f" {unit}" if unit not in ("", "1") else ""


def _levels(events: Events) -> list[tuple[str, Level, np.ndarray]]:
    levels = [("detector", events.detector, np.asarray(events.pass_detector))]
    if events.particle is not None:
        levels.append(("particle", events.particle, np.ones(len(events), bool)))
    return levels
