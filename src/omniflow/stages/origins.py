"""Origins of samples, by names and content: a copy of a file is the same file."""

from __future__ import annotations

from itertools import combinations

from omniflow.config.samples import H1Sample, independent, share_events
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
    seen, found = set(), []
    for one, two in pairs:
        if {one, two} in seen or samples[one] is None or samples[two] is None:
            continue
        seen.add(frozenset((one, two)))
        if share_events(samples[one], samples[two]):
            found.append(
                f"{one} and {two} hold the same events: files of one are copies of files of the "
                "other. What compares or combines them takes them as independent."
            )
    return found


def _by_content(plan: Plan, role: str) -> H1Sample | None:
    """Return a sample with checksums in place of its files' names; None where it has no files."""
    sample, files = plan.samples[role], _checksums(plan, role)
    if not isinstance(sample, H1Sample) or not files:
        return None
    return sample.model_copy(update={"files": files})


def _checksums(plan: Plan, role: str) -> tuple[str, ...]:
    """Return the checksums of the files that a sample was read from, in their order."""
    files = store.provenance(plan.store(role)).get("files", ())
    return tuple(file["sha256"] for file in files)
