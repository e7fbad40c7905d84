"""Stages 2 and 3: outputs of members on held-out events, and the weights that follow from them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import h5py
import numpy as np
import pandas as pd

from omniflow.events.batches import Part, Source
from omniflow.files import open_h5, read_dataset
from omniflow.unfolding import stacking, weights
from omniflow.unfolding.coordinates import STEP_NAMES, Block, Network
from omniflow.unfolding.plan import Plan

if TYPE_CHECKING:
    from omniflow.training.trainer import Trainer

_NAMES = ("logits", "numerator", "denominator")


def held_out(
    trainer: Trainer, parameters: np.ndarray, sources: Sequence[Source], split: int, fraction: float
) -> tuple[np.ndarray, ...]:
    """Return logits and weights in class A and B, (k,) each, of the events that a network held out.

    Args:
        trainer: evaluates the network.
        parameters: of the network (d,).
        sources: strata of its training.
        split: seed that decides which events are held out.
        fraction: of them.
    """
    found = []
    for source in sources:
        index = np.concatenate(list(Part(source, split, fraction, True).ordered(4096)))
        select = np.zeros(len(source.event_id), bool)
        select[index] = True
        outputs = trainer.predict([parameters], replace(source, select=select))
        logits = [logits[0, select[where]] for where, logits in outputs]
        found.append((np.concatenate(logits), *source.weights(index)))
    return tuple(np.concatenate(arrays) for arrays in zip(*found, strict=True))


def write(file: h5py.File, network: Network, arrays: tuple[np.ndarray, ...]) -> None:
    """Write what `held_out` returned beside the logits of a block."""
    for name, array in zip(_NAMES, arrays, strict=True):
        file[f"{_group(network)}/{name}"] = array


def stack(plan: Plan, blocks: Sequence[Block], lane: int) -> tuple[stacking.Stack, int]:
    """Return the weights of the members of a lane in one step, and how many events decided."""
    logits = []
    for block in blocks:
        with open_h5(plan.logits(block)) as file:
            for network in block.networks:
                if network.lane == lane:
                    arrays = [read_dataset(file, f"{_group(network)}/{name}") for name in _NAMES]
                    logits.append(arrays[0])
    ratios = np.stack([weights.ratio(z, plan.config.training.logit_clip)[0] for z in logits])
    # Members of a lane hold the same events out, with the same weights.
    likelihood = plan.config.training.loss.startswith("mlc")
    return stacking.stack(ratios, *arrays[1:], likelihood), ratios.shape[1]


def record(lane: int, found: stacking.Stack, events: int) -> dict[str, object]:
    """Return what is kept of a lane's stack beside its weights."""
    return {
        "lane": lane,
        "weights": found.weights.tolist(),
        "losses": found.losses.tolist(),
        "loss_stacked": found.loss,
        "loss_mean": found.loss_mean,
        "events": events,
    }


def table(plan: Plan) -> pd.DataFrame:
    """Return stacking.csv: one row per member of each lane, iteration and step."""
    rows = []
    for group, iteration, step in plan.stages():
        if plan.chains[group.chain].aggregate != "stacking":
            continue
        with open_h5(plan.weights(group, iteration, step)) as file:
            records = json.loads(file.attrs["stacking"])
        for entry in records:
            keys = {"chain": group.chain, "pass": group.pass_, "lane": entry["lane"]}
            keys |= {"iteration": iteration, "step": STEP_NAMES[step]}
            shared = {name: entry[name] for name in ("loss_stacked", "loss_mean", "events")}
            pairs = zip(entry["weights"], entry["losses"], strict=True)
            rows += [
                keys | {"member": member, "weight": weight, "loss": loss} | shared
                for member, (weight, loss) in enumerate(pairs)
            ]
    return pd.DataFrame(rows)


def summary(rows: pd.DataFrame) -> list[dict[str, object]]:
    """Return means over passes and lanes for each chain, iteration and step.

    The effective number of members is 1 / sum of squared weights.
    """
    if rows.empty:
        return []
    lanes = rows.assign(square=rows["weight"] ** 2).groupby(
        ["chain", "iteration", "step", "pass", "lane"]
    )
    found = lanes.agg(
        square=("square", "sum"),
        largest=("weight", "max"),
        loss_best=("loss", "min"),
        loss_mean=("loss_mean", "first"),
        loss_stacked=("loss_stacked", "first"),
        events=("events", "first"),
    )
    found["effective"] = 1 / found.pop("square")
    return found.groupby(["chain", "iteration", "step"]).mean().reset_index().to_dict("records")


def _group(network: Network) -> str:
    return f"held_out/lane-{network.lane}-member-{network.member}"
