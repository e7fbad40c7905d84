"""Origins of samples, by names and content: a copy of a file is the same file."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from omniflow.config.samples import independent
from omniflow.events import duplicates, store
from omniflow.sources.source import FileSource
from omniflow.unfolding import variants
from omniflow.unfolding.plan import Plan


def origins(plan: Plan, role: str) -> frozenset[str]:
    """Return what the sample of a role was made by (`Source.origins`), checksums included."""
    sources = (source for file in _files(plan, role) for source in file.get("sources", ()))
    behind = (source["sha256"] for source in sources)
    return plan.samples[role].origins() | frozenset([*_checksums(plan, role), *behind])


def overlaps(plan: Plan) -> list[str]:
    """Return a note on every two samples that should be independent and hold the same events.

    What paths tell is refused with the configuration; copies are known when they have been read.
    """
    given, known = plan.config.samples.pretraining, plan.variants
    pretraining = () if given is None or given.allow_overlap else plan.pretraining_roles
    varied = [r for v in known.of_kind(variants.VARIATION) for r in known[v].roles.values()]
    toys = [
        [known[name].roles[role] for name in known.of_kind(variants.TOY)]
        for role in plan.config.uncertainties.drawn_in_toys
    ]
    nominal = ["data", "simulation", *plan.backgrounds]
    predictions = list(known.predictions.values())
    pairs = [
        *combinations([*plan.roles, *predictions], 2),
        *(("data", role) for role in plan.simulations if role != "simulation"),
        *independent(nominal, pretraining, varied, predictions, *toys),
    ]
    samples = {role: _by_content(plan, role) for role in plan.samples}
    seen: set[frozenset[str]] = set()
    found, content = [], _Contents(plan)
    for one, two in pairs:
        first, second = samples[one], samples[two]
        if {one, two} in seen or first is None or second is None:
            continue
        seen.add(frozenset((one, two)))
        if first.shares(second):
            found.append(
                f"{one} and {two} hold the same events: files of one are copies of files of the "
                "other. What compares or combines them takes them as independent."
            )
        elif note := content.shared(one, two):
            found.append(note)
    return found


class _Contents:
    """What the events of samples hold at detector level, as hashes."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._hashes: dict[str, tuple[np.ndarray, np.ndarray]] = {}

    def shared(self, one: str, two: str) -> str:
        """Return a note on the events that two samples have in common; nothing without any."""
        (ids, hashes), (_, others) = self._of(one), self._of(two)
        both = np.sort(ids[duplicates.common(hashes, others)])
        if not len(both):
            return ""
        shown = ", ".join(map(str, both[:5])) + " ..." * (len(both) > 5)
        return (
            f"{one} and {two} hold the same events: {len(both)} events of {one} (ids {shown}) have "
            f"the detector level of events of {two}. What compares or combines them takes them as "
            "independent."
        )

    def _of(self, role: str) -> tuple[np.ndarray, np.ndarray]:
        """Return ids and hashes of the events of a sample."""
        if role not in self._hashes:
            events = store.open_store(self.plan.store(role))
            hashes = duplicates.hashes([events.detector])
            self._hashes[role] = np.asarray(events.event_id), hashes
        return self._hashes[role]


def _by_content(plan: Plan, role: str) -> FileSource | None:
    """Return a sample with checksums in place of its files' names; None where it has no files."""
    sample, files = plan.samples[role], _checksums(plan, role)
    if not isinstance(sample, FileSource) or not files:
        return None
    return sample.with_files(files)


def _checksums(plan: Plan, role: str) -> tuple[str, ...]:
    """Return the checksums of the files that a sample was read from, in their order."""
    return tuple(file["sha256"] for file in _files(plan, role))


def _files(plan: Plan, role: str) -> list[dict]:
    return store.provenance(plan.store(role)).get("files", [])
