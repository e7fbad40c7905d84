"""Stage 3: aggregation of members after each step, and combination of lanes at the end."""

from __future__ import annotations

import json

import numpy as np

from omniflow.events import store
from omniflow.files import create_h5, memory_map, replace_folder
from omniflow.unfolding import combine as combination
from omniflow.unfolding import steps
from omniflow.unfolding.coordinates import Group
from omniflow.unfolding.plan import NO_COMBINATION, Plan


def setup(plan: Plan) -> steps.Setup:
    """Return the selections and sums of the study from its event stores."""
    return steps.setup(
        store.open_store(plan.store("data")),
        store.open_store(plan.store("simulation")),
        plan.config.unfolding,
    )


def aggregate(plan: Plan, group: Group, iteration: int, step: int) -> None:
    """Write the weights (lane, event) of a group of lanes after a step.

    Step 1 gives the pull weights nu * omega, step 2 the push weights nu, both as ratios to the
    base weight.
    """
    common = setup(plan)
    blocks = plan.blocks(group, iteration, step)
    logits = np.concatenate([memory_map(plan.logits(block), "logits") for block in blocks])
    networks = [network for block in blocks for network in block.networks]
    previous = plan.previous_weights(group, iteration, step)
    before = (
        np.ones((len(group.lanes), len(common.weight)))
        if previous is None
        else memory_map(previous, "ratio")
    )
    advance = steps.pull if step == 1 else steps.push
    how, clip = plan.chains[group.chain].aggregate, plan.config.training.logit_clip
    rows, checks = [], []
    for lane, start in zip(group.lanes, before, strict=True):
        members = [row for row, network in enumerate(networks) if network.lane == lane]
        where = f"{group.chain} pass {group.pass_} lane {lane} iteration {iteration} step {step}"
        row, check = advance(common, np.asarray(start, float), logits[members], how, clip, where)
        rows.append(row)
        checks.append({"lane": lane, **check.as_dict()})
    with create_h5(plan.weights(group, iteration, step)) as file:
        file.create_dataset("ratio", data=np.asarray(rows, np.float32))
        file.attrs["checks"] = json.dumps(checks)


def combine(plan: Plan, method: str) -> None:
    """Write the final weights of a method: one file per combination and pass.

    Datasets, ordered by event id, for the events that are unfolded: `event_id` (n,) uint64,
    `weight` (n,) float64 of the last iteration, `ratio` (iterations, n) float32, the combined
    nu after each iteration. Attributes: scale s, both detector-level sums, normalisation.
    """
    common = setup(plan)
    chosen = np.flatnonzero(common.particle)
    event_id = np.asarray(store.open_store(plan.store("simulation")).event_id)[chosen]
    order = np.argsort(event_id)
    event_id, chosen = event_id[order], chosen[order]
    base = common.scale * common.weight[chosen]
    with replace_folder(plan.path("unfolded", method=method)) as folder:
        for pass_ in plan.passes:
            lanes = [_lanes(plan, method, pass_, i, chosen) for i in plan.iterations]
            for how in plan.combinations(method):
                ratio = np.stack([_combined(nu, how, base) for nu in lanes])
                path = folder / plan.unfolded(method, how, pass_).relative_to(
                    plan.path("unfolded", method=method)
                )
                with create_h5(path) as file:
                    file.create_dataset("event_id", data=event_id.astype(np.uint64))
                    file.create_dataset("weight", data=base * ratio[-1])
                    file.create_dataset("ratio", data=ratio.astype(np.float32))
                    file.attrs.update(
                        schema="omniflow-weights",
                        version=1,
                        method=method,
                        combine=how,
                        scale=common.scale,
                        sum_data=common.sum_data,
                        sum_simulation=common.sum_simulation,
                        normalization=plan.config.unfolding.normalization,
                    )


def _lanes(plan: Plan, method: str, pass_: int, iteration: int, chosen: np.ndarray) -> np.ndarray:
    """Return nu (lanes, events) of the lanes of a method after an iteration."""
    groups = plan.lane_groups(method, pass_)
    parts = [memory_map(plan.weights(group, iteration, 2), "ratio") for group in groups]
    lanes = plan.config.methods[method].lanes
    return np.concatenate(parts)[:lanes, chosen].astype(float)


def _combined(nu: np.ndarray, how: str, base: np.ndarray) -> np.ndarray:
    return nu[0] if how == NO_COMBINATION else combination.combine(nu, how, base)
