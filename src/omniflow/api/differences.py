"""Differences of two studies: keys of their configurations, and why passes cannot be paired."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from omniflow.config import Config
from omniflow.report.compared import Difference
from omniflow.report.study_json import Study

_LONGEST = 60  # characters of a value that is shown
_ABSENT = object()


def differences(old: Config, new: Config) -> tuple[Difference, ...]:
    """Return the keys in which two configurations differ, but for the study's name.

    Args:
        old: of the reference.
        new: of what is compared with it.
    """
    one, other = (config.model_dump(mode="json") for config in (old, new))
    return tuple(each for each in _differing(one, other) if each.key != "study.name")


def _differing(old: Any, new: Any, key: str = "") -> Iterator[Difference]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for name in dict.fromkeys([*old, *new]):
            inner = f"{key}.{name}" if key else str(name)
            yield from _differing(old.get(name, _ABSENT), new.get(name, _ABSENT), inner)
    elif old is _ABSENT or new is _ABSENT or old != new:
        yield Difference(key, _shown(old), _shown(new))


def _shown(value: Any) -> str:
    """Return a value as short text."""
    if value is _ABSENT:
        return "–"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def unpaired(old: Study, new: Study, seeds: tuple[int, int]) -> tuple[str, ...]:
    """Return why passes of two studies do not go together; nothing where they do.

    Stores of different seeds have the same events in another order, and another checksum.

    Args:
        old: record of the reference.
        new: record of what is compared with it.
        seeds: `study.seed` of both.
    """
    found = []
    if seeds[0] != seeds[1]:
        found.append(f"study.seed ({seeds[0]} and {seeds[1]})")
    else:
        found += _differing_samples(old, new)
    if old.passes != new.passes:
        found.append(f"study.passes ({old.passes} and {new.passes})")
    return tuple(found)


def _differing_samples(old: Study, new: Study) -> list[str]:
    """Return the samples that do not hold the same events, with their checksums."""
    one, other = (_checksums(study) for study in (old, new))
    found = []
    for role in dict.fromkeys([*one, *other]):
        a, b = (each.get(role, "none") for each in (one, other))
        if a != b:
            found.append(f"events of {role} (checksums {a} and {b})")
    return found


def _checksums(study: Study) -> dict[str, str]:
    """Return the start of the checksum of each sample that enters the nominal result."""
    return {
        sample.role: sample.checksum.rpartition(":")[2][:8]
        for sample in study.samples
        if sample.role in ("data", "simulation") or sample.role.startswith("background-")
    }
