"""Origins of samples, by names and content: a copy of a file is the same file."""

from __future__ import annotations

from itertools import combinations

from omniflow.config.samples import H1Sample, share_events
from omniflow.events import store
from omniflow.unfolding import variants
from omniflow.unfolding.plan import Plan


def origins(plan: Plan, role: str) -> frozenset[str]:
    """Return what the sample of a role was made by (`variants.origins`), checksums included."""
    return variants.origins(plan.samples[role]) | frozenset(_checksums(plan, role))


def overlaps(plan: Plan) -> list[str]:
    """Return a note on every two samples that should be independent and hold the same events.

    What paths tell is refused with the configuration; copies are known when they have been read.
    """
    roles = [*plan.roles, *plan.variants.predictions.values()]
    pairs = list(combinations(roles, 2))
    pairs += [("data", role) for role in plan.simulations if role != "simulation"]
    return [
        f"{one} and {two} hold the same events: files of one are copies of files of the other. "
        "What compares or combines them takes them as independent."
        for one, two in pairs
        if _same(plan, one, two)
    ]


def _same(plan: Plan, one: str, two: str) -> bool:
    samples = []
    for role in (one, two):
        sample, files = plan.samples[role], _checksums(plan, role)
        if not isinstance(sample, H1Sample) or not files:
            return False
        samples.append(sample.model_copy(update={"files": files}))
    return share_events(*samples)


def _checksums(plan: Plan, role: str) -> tuple[str, ...]:
    """Return the checksums of the files that a sample was read from, in their order."""
    files = store.provenance(plan.store(role)).get("files", ())
    return tuple(file["sha256"] for file in files)
