"""Parts: the events that networks are judged on, and those that they were trained on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from omniflow.errors import InputError
from omniflow.events import folds
from omniflow.events.batches import Source
from omniflow.events.split import held_out
from omniflow.unfolding import seeds
from omniflow.unfolding.coordinates import Network
from omniflow.unfolding.plan import Plan


def reserved(plan: Plan, event_id: np.ndarray) -> np.ndarray:
    """Return which events ((n,) uint64 ids) no network may see (`training.reserved`), (n,) bool.

    A function of the study's seed and the id alone: the same in every step, iteration and variant,
    for both roles of an event and for any order or rank.

    Args:
        plan: of the study.
        event_id: (n,) uint64.

    Returns:
        (n,) bool.
    """
    seed = seeds.integer(seeds.sequence(plan.config.study.seed, "reserve"))
    return held_out(event_id, seed, plan.config.training.reserved)


def seen(plan: Plan, network: Network, select: np.ndarray, event_id: np.ndarray) -> np.ndarray:
    """Return which of the events `select` (n,) bool a network may be trained on or stopped by.

    Args:
        plan: of the study.
        network: that is trained.
        select: (n,) bool.
        event_id: (n,) uint64.

    Returns:
        (n,) bool.
    """
    select = folds.without(select, event_id, network.fold, len(plan.folds))
    return select & ~reserved(plan, event_id) if plan.config.training.reserved else select


def judged(plan: Plan, network: Network, event_id: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return which events are held out, and which the network was trained on, (n,) bool each.

    Held out are the network's fold, the reserved events, or else those of its split, which choose
    its epoch; what is in neither part chose the epoch alone.

    Args:
        plan: of the study.
        network: that was trained.
        event_id: (n,) uint64.

    Returns:
        Held out and trained on, (n,) bool each.
    """
    split = seeds.integer(plan.seed("split", network))
    stopped = held_out(event_id, split, plan.config.training.validation)
    if network.fold:
        held = folds.fold_of(event_id, len(plan.folds)) == network.fold
    elif plan.config.training.reserved:
        held = reserved(plan, event_id)
    else:
        held = stopped
    return held, ~(held | stopped)


def require_reserved(plan: Plan, strata: Sequence[Source], where: str) -> None:
    """Refuse reserved events that cannot judge a network, `where` in the message.

    Raises:
        InputError: the weights of a class do not add up to more than 0.
    """
    fraction, sums = plan.config.training.reserved, np.zeros(2)
    if not fraction:
        return
    for source in strata:
        index = np.flatnonzero(source.select & reserved(plan, source.event_id))
        sums += [weights.sum() for weights in source.weights(index)]
    if not (sums > 0).all():
        raise InputError(
            f"{where}: training.reserved: {fraction} reserves no events of one of both classes, or "
            "only negative weights. Raise it, or leave it out."
        )
