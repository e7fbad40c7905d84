"""Networks of steps 1 and 2, by the scores that training jobs have kept."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from omniflow.evaluation.classifiers import classifiers_tables
from omniflow.evaluation.scores import Scores
from omniflow.stages import scores
from omniflow.stages.finished import Finished
from omniflow.tables.classifiers import CLASSIFIERS, RELIABILITY, ROC
from omniflow.tables.table import Table
from omniflow.unfolding.coordinates import Block, Network
from omniflow.unfolding.plan import Plan


def tables(study: Finished) -> dict[Table, pd.DataFrame]:
    """Return one row per network and part, and the curves of each chain, iteration and step."""
    found = classifiers_tables(_scores(study.plan, blocks) for blocks in _groups(study.plan))
    return dict(zip((CLASSIFIERS, RELIABILITY, ROC), found, strict=True))


def judged(plan: Plan) -> dict[str, object]:
    """Return what held-out events are, their fraction, and how many networks lack scores.

    With them what is known of the events that pre-trained networks have seen, if there are any.

    The networks that are missing are those that a version without scores has trained.
    """
    training, restart = plan.config.training, plan.config.unfolding.restart
    redrawn = restart.split == "fresh" and len(plan.iterations) > 1
    split = restart.network if redrawn else "kept"
    if training.reserved:
        events, fraction = "reserved", training.reserved
    elif training.folds > 1:
        events, fraction = "fold", 1 / training.folds
    else:
        events, fraction = "fresh" if split == "warm" else "split", training.validation
    unscored = [
        len(block.networks)
        for blocks in _groups(plan)
        for block in blocks
        if plan.scored(block.group, block.step)
        and not (plan.networks_folder(block) / scores.NAME).is_file()
    ]
    found = {"events": events, "fraction": fraction, "split": split, "unscored": sum(unscored)}
    pretraining = plan.config.samples.pretraining
    if plan.needs_pretraining and pretraining is not None:
        found["pretraining"] = pretraining.known
    return found


def _groups(plan: Plan) -> Iterator[list[Block]]:
    """Yield the blocks of each chain, iteration and step 1 and 2, over all passes and lanes."""
    for chain in plan.chains:
        groups = [group for pass_ in plan.passes for group in plan.groups(chain, pass_)]
        for iteration in plan.iterations:
            for step in (1, 2):
                yield [b for group in groups for b in plan.blocks(group, iteration, step)]


def _scores(plan: Plan, blocks: list[Block]) -> dict[Network, dict[str, Scores]]:
    found: dict[Network, dict[str, Scores]] = {}
    for block in blocks:
        found |= scores.of_block(plan.networks_folder(block), block)
    return found
