"""Stages 2 and 3: outputs of members on held-out events, and the weights that follow from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import h5py
import numpy as np

from omniflow.events.batches import Source
from omniflow.events.folds import fold_of
from omniflow.events.split import Part
from omniflow.hdf5 import open_h5, read_dataset
from omniflow.training.losses import LOSSES
from omniflow.unfolding import stacking, weights
from omniflow.unfolding.coordinates import Block, Network
from omniflow.unfolding.plan import Plan

if TYPE_CHECKING:
    from omniflow.training.trainer import Trainer

_NAMES = ("logits", "numerator", "denominator", "half")


def outputs(
    trainer: Trainer, parameters: np.ndarray, sources: Sequence[Source], split: int, fraction: float
) -> tuple[np.ndarray, ...]:
    """Return logits, weights in class A and B, and halves of the events that a network held out.

    (k,) each. The half that an event belongs to is a hash of its id, so that both roles of an event
    are in the same.

    Args:
        trainer: evaluates the network.
        parameters: (d,) of the network.
        sources: strata of its training.
        split: seed that decides which events are held out.
        fraction: of them.

    Returns:
        Logits, weights in class A and in class B, and halves (bool), (k,) each.
    """
    found = []
    for source in sources:
        index = Part.of(source, split, fraction, True).positions
        select = np.zeros(len(source.event_id), bool)
        select[index] = True
        predicted = trainer.predict([parameters], replace(source, select=select))
        logits = [logits[0, select[where]] for where, logits in predicted]
        half = fold_of(source.event_id[index], 2) == 1
        found.append((np.concatenate(logits), *source.weights(index), half))
    return tuple(np.concatenate(arrays) for arrays in zip(*found, strict=True))


def write(file: h5py.File, network: Network, arrays: tuple[np.ndarray, ...]) -> None:
    """Write what `outputs` returned beside the logits of a block.

    Args:
        file: of the logits.
        network: that they are of.
        arrays: (k,) each.
    """
    for name, array in zip(_NAMES, arrays, strict=True):
        file[f"{_group(network)}/{name}"] = array


def stack(plan: Plan, blocks: Sequence[Block], lane: int) -> tuple[np.ndarray, dict[str, object]]:
    """Return the weights of the members of a lane in one step, and what is kept beside them.

    Args:
        plan: of the study.
        blocks: of the step.
        lane: number of the lane.

    Returns:
        Weights (members,) of sum 1, and losses and numbers for the attributes of the file.
    """
    logits = []
    for block in blocks:
        with open_h5(plan.logits(block)) as file:
            for network in block.networks:
                if network.lane == lane:
                    arrays = [read_dataset(file, f"{_group(network)}/{name}") for name in _NAMES]
                    logits.append(arrays[0])
    ratios = np.stack([weights.ratio(z, plan.config.training.logit_clip)[0] for z in logits])
    # Members of a lane hold the same events out, with the same weights.
    likelihood = LOSSES[plan.config.training.loss].likelihood
    _, numerator, denominator, half = arrays
    found = stacking.stack(ratios, numerator, denominator, likelihood)
    crossed = stacking.cross(ratios, numerator, denominator, likelihood, half)
    return found.weights, {
        "lane": lane,
        "weights": found.weights.tolist(),
        "losses": found.losses.tolist(),
        "loss_stacked": found.loss,
        "loss_mean": found.loss_mean,
        "crossed_stacked": crossed.stacked,
        "crossed_mean": crossed.mean,
        "crossed_best": crossed.best,
        "events": ratios.shape[1],
    }


def _group(network: Network) -> str:
    return f"held_out/lane-{network.lane}-member-{network.member}"
