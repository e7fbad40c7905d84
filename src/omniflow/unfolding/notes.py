"""Notes on a configuration: what a reader of its results has to know."""

from __future__ import annotations

from omniflow.config.schema import Config
from omniflow.unfolding import observed
from omniflow.unfolding.coordinates import FAKES
from omniflow.unfolding.results import Results
from omniflow.unfolding.variants import ROLES, SIDES, TOY, Variants

_PRETRAINING = {
    "declared": "samples.pretraining.other_events: that the networks of the files were trained on "
    "other events than those of this study is declared, not checked.",
    "overlap": "samples.pretraining.allow_overlap: pre-trained networks may have been trained on "
    "events of this study.",
    "unknown": "samples.pretraining.weights: what the networks of the files were trained on is not "
    "known. If it was events of this study, held-out events show too little overtraining; if it "
    "was not, declare it by samples.pretraining.other_events.",
}


def of(plan: Results) -> tuple[str, ...]:
    """Return all notes on the configuration of a plan."""
    notes = []
    if plan.config.unfolding.fakes == "conditional_mean" and FAKES not in plan.steps:
        notes.append("With particle_level: all there are no fakes, and fakes changes nothing.")
    notes += [
        f"samples.backgrounds.{name}.uncertainty enters errors at detector level and those of "
        "the binned reference, but not the unfolded result: it takes uncertainties (replicas, "
        "variations or toys)."
        for name, background in plan.config.samples.backgrounds.items()
        if background.uncertainty > 0 and not plan.config.uncertainties.varies
    ]
    if plan.variants.predictions and not plan.config.uncertainties.data_replicas:
        notes.append(
            "Tests against uncertainties.predictions do not hold the statistics of the data: "
            "ask for data_replicas."
        )
    for name, method in plan.config.methods.items():
        used = len(plan.pretrained_models(name))
        if method.start != "scratch" and used < method.transfer.models:
            notes.append(
                f"{name}: {method.transfer.models} pre-trained models for {used} network(s) "
                f"per step{' in all passes' if method.transfer.per_pass else ''}; {used} are "
                "used."
            )
        if method.diversity == "identical_starts":
            notes.append(
                f"{name}: the members of a lane begin with the same weights, so that they differ "
                "less than networks do (docs/method/diversity.md)."
            )
        if method.aggregate == "truncated_mean" and method.members in (3, 4):
            notes.append(f"{name}: the truncated mean of {method.members} members is their median.")
        if "truncated_mean" not in plan.config.combine or method.lanes == 1:
            continue
        if method.lanes < 3:
            notes.append(f"{name}: no truncated mean of {method.lanes} lanes; left out.")
        elif method.lanes < 5:
            notes.append(f"{name}: the truncated mean of {method.lanes} lanes is their median.")
    if plan.needs_pretraining:
        notes += _of_pretraining(plan.config)
    notes += observed.notes(plan.config, plan.observed)
    return (*notes, *_of_scale(plan.config), *of_uncertainties(plan.config, plan.variants))


def _of_pretraining(config: Config) -> tuple[str, ...]:
    """Return what is known of the events that pre-trained networks have seen."""
    known = config.samples.pretraining.known if config.samples.pretraining else ""
    return (_PRETRAINING[known],) if known in _PRETRAINING else ()


def _of_scale(config: Config) -> tuple[str, ...]:
    """Return that a number in `unfolding.scale` has no effect on a shape."""
    settings = config.unfolding
    if settings.normalization == "absolute" or settings.scale == "detector":
        return ()
    return (
        f"unfolding.scale: {settings.scale:g} multiplies the stored weights and nothing else, "
        "because ratios and distributions carry no yield with normalization: shape.",
    )


def of_uncertainties(config: Config, variants: Variants) -> tuple[str, ...]:
    """Return how the scatter of training is treated and what the configuration leaves out."""
    if not variants.methods:
        return ()
    blocks = [kind for kind in ROLES if variants.of_kind(kind)] + list(variants.blocks())
    names, passes = ", ".join(blocks), config.uncertainties.passes
    found = []
    if blocks and passes > 1:
        found.append(
            f"Scatter of training is measured over {passes} passes of each replica and variation "
            f"and subtracted from the blocks {names}; tests against predictions leave it in."
        )
    elif blocks:
        found.append(
            f"Scatter of training is left in the blocks {names} as far as common random numbers do "
            "not cancel it: uncertainties.passes is 1, and it takes 2 to measure and subtract it."
        )
    if config.study.passes == 1:
        found.append(
            "There is no block training, so that errors and pulls lack the scatter of training and "
            "tests have no p-value: study.passes is 1, and it takes 2 to measure it."
        )
    missing = [
        f"uncertainties.{kind}_replicas"
        for kind in config.uncertainties.drawn_in_toys
        if variants.of_kind(TOY) and not variants.of_kind(kind)
    ]
    if missing:
        found.append(f"Toys have no pulls: their error takes {' and '.join(missing)}.")
    return (*found, *_sampled(variants), *_unpaired(variants))


def _sampled(variants: Variants) -> list[str]:
    """Name the blocks that hold the statistics of samples."""
    names = [
        name
        for name, sides in variants.blocks().items()
        if any(variants[side].roles for side in sides)
    ]
    if not names:
        return []
    listed = ", ".join(names)
    return [
        f"From samples of their own: {listed}. Their shifts hold the statistics of both samples, "
        "which stay in the blocks and make errors and p-values too large rather than too small; "
        "larger varied samples help."
    ]


def _unpaired(variants: Variants) -> list[str]:
    """Name the variations that look like one side of a pair and are blocks of their own."""
    found = []
    for name, sides in variants.blocks().items():
        for side, other in (SIDES, SIDES[::-1]):
            stem = name.removesuffix(side)
            if stem == name or len(sides) > 1:
                continue
            reason = f"there is no variation {stem}{other}"
            if stem in variants.names:
                reason = f"{stem} is a variation, too"
            found.append(f"The variation {name} is a block of its own, by one side: {reason}.")
    return found
