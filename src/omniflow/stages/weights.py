"""Stage 3: aggregation of members after each step, and combination of lanes at the end."""

from __future__ import annotations

import json

import h5py
import numpy as np

from omniflow.events import folds
from omniflow.events.quality import judge
from omniflow.files import replace_folder
from omniflow.hdf5 import create_h5, memory_map
from omniflow.stages import held_out, quality
from omniflow.stages.inputs import events
from omniflow.training import checkpoint
from omniflow.unfolding import combine as combination
from omniflow.unfolding import steps
from omniflow.unfolding.coordinates import FAKES, MISSES, NOMINAL, STEP_NAMES, Group, parted
from omniflow.unfolding.plan import Plan


def setup(plan: Plan, variant: str = NOMINAL, simulation: str = "simulation") -> steps.Setup:
    """Return the selections and sums of a variant of the study from its event stores.

    `simulation` is the role of the sample that stands against the data.
    """
    settings = plan.config.unfolding
    return steps.setup(
        events(plan, "data", variant),
        events(plan, simulation, variant),
        [
            (events(plan, role, variant), plan.background_factor(role, variant))
            for role in plan.backgrounds
        ],
        particle_level=settings.particle_level,
        normalization=settings.normalization,
        scale=settings.scale,
    )


def aggregate(plan: Plan, group: Group, iteration: int, step: int) -> None:
    """Write the weights (lane, event) of a group of lanes after a step.

    Step 1 gives the pull weights nu * omega, completed for misses by step 1b, step 2 the push
    weights nu, completed for fakes by step 2b; all as ratios to the base weight. After the last
    step 2 also the weights that each member alone would give, `members` (lane, member, event):
    smaller ensembles are made of them when the logits are gone.

    The trainings' checkpoints are removed here and not by their jobs: outputs of a job that
    Snakemake did not see end are deleted, and the job that makes them again must not train.
    """
    common = setup(plan, group.variant)
    blocks = plan.blocks(group, iteration, step)
    chain = plan.chains[group.chain]
    logits, lanes = _logits(plan, group, iteration, step)

    def start(step: int, row: int) -> np.ndarray:
        """Return the weights of a lane that a step of this iteration starts from."""
        path = plan.previous_weights(group, iteration, step)
        if path is None:
            return np.ones(len(common.weight))
        return memory_map(path, "ratio")[row].astype(float)

    how, clip = chain.aggregate, plan.config.training.logit_clip
    limits = plan.config.diagnostics.weights
    shape = (len(group.lanes), len(common.weight))
    checks, stacks = [], []
    with create_h5(plan.weights(group, iteration, step)) as file:
        ratio = file.create_dataset("ratio", shape, np.float32)
        for row, lane in enumerate(group.lanes):
            where = f"{group.chain} pass {group.pass_} lane {lane} iteration {iteration}"
            if how == "stacking":
                weights, record = held_out.stack(plan, blocks, lane)
                stacks.append(record)
            members = [logit for logit, owner in zip(logits, lanes, strict=True) if owner == lane]
            where = f"{where} step {STEP_NAMES[step]}"
            options = (members, weights if stacks else how, clip, where)
            before = start(step, row)
            if step == MISSES:
                omega = before / start(1, row)
                found = steps.conditional_mean(common, before, omega, common.misses, *options)
            elif step == FAKES:
                found = steps.conditional_mean(common, before, before, common.fakes, *options)
            else:
                found = (steps.pull if step == 1 else steps.push)(common, before, *options)
            after, check = found
            ratio[row] = after.astype(np.float32)
            checks.append({"lane": lane, **check.as_dict()})
            if fault := judge(check.quality, limits, check.sum_before):
                print(f"Note: {where}: {fault}")
        if plan.keeps_members(group, iteration, step):
            each = (len(group.lanes), chain.members, len(common.weight))
            alone = file.create_dataset("members", each, np.float32)
            for row, (lane, logit) in enumerate(zip(lanes, logits, strict=True)):
                before = start(step, group.lanes.index(lane))
                where = f"a member of {group.chain} pass {group.pass_} lane {lane}"
                nu, _ = steps.push(common, before, [logit], how, clip, where)
                alone[divmod(row, chain.members)] = nu
        file.attrs["checks"] = json.dumps(checks)
        if stacks:
            file.attrs["stacking"] = json.dumps(stacks)
    checkpoint.remove(plan.checkpoints(n for block in blocks for n in block.networks))


class _OfFolds:
    """Logits of one member, of each event that of the network that has not seen it."""

    def __init__(self, parts: list[np.ndarray], event_id: np.ndarray) -> None:
        """Take the logits (n,) of the networks of all folds, and ids (n,)."""
        self._parts, self._event_id = parts, event_id

    def __getitem__(self, at: np.ndarray) -> np.ndarray:
        """Return the logits of events by their positions."""
        return folds.merge(np.stack([part[at] for part in self._parts]), self._event_id[at])


def _logits(plan: Plan, group: Group, iteration: int, step: int) -> tuple[list, list[int]]:
    """Return the logits of every member of all lanes, as memory maps (n,), and their lanes.

    With folds each event's logit is that of the network that has not seen it.
    """
    blocks = plan.blocks(group, iteration, step)
    logits = [row for block in blocks for row in memory_map(plan.logits(block), "logits")]
    networks = [network for block in blocks for network in block.networks]
    count = len(plan.folds)  # the networks of a member follow one another
    chain = plan.chains[group.chain]
    copies = chain.members // chain.networks  # of one network, with other units dropped
    lanes = [network.lane for network in networks[::count] for _ in range(copies)]
    if count == 1:
        return logits, lanes
    event_id = events(plan, "simulation", group.variant).event_id
    parts = (logits[row : row + count] for row in range(0, len(logits), count))
    return [_OfFolds(part, event_id) for part in parts], lanes


def combine(plan: Plan, method: str) -> None:
    """Write the final weights of a method or other result: one file per combination and pass.

    Datasets, ordered by event id, for the events that are unfolded: `event_id` (n,) uint64,
    `weight` (n,) float64 of the last iteration, `ratio` (iterations, n) float32, the combined
    nu after each iteration. The same in the group `fakes` where they have learned weights, which
    histograms at detector level need. Attributes: scale s, both detector-level sums, normalisation,
    and `factors` (iterations,), what restored the yields when lanes were combined.
    """
    variant = parted(method)[0]
    common = setup(plan, variant)
    kinds = {"/": common.particle} | ({"fakes": common.fakes} if FAKES in plan.steps else {})
    event_id = np.asarray(events(plan, "simulation", variant).event_id)
    order = np.argsort(event_id)
    with replace_folder(plan.path("unfolded", method=method)) as folder:
        for pass_ in plan.passes_of(method):
            lanes = [_Lanes(plan, method, pass_, i) for i in plan.iterations]
            for how in plan.combinations(method):
                path = folder / plan.unfolded(method, how, pass_).relative_to(
                    plan.path("unfolded", method=method)
                )
                with create_h5(path) as file:
                    for kind, mask in kinds.items():
                        chosen = order[mask[order]]
                        name = f"{method} ({how}) pass {pass_}" + " fakes" * (kind == "fakes")
                        base = common.scale * common.weight[chosen]
                        group = file.require_group(kind)
                        group.create_dataset("event_id", data=event_id[chosen].astype(np.uint64))
                        weight = _write(group, [nu.at(chosen) for nu in lanes], how, base)
                        quality.say(name, weight, plan, float(base.sum()))
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


def _write(
    group: h5py.Group, lanes: list[combination.Ratios], how: str, base: np.ndarray
) -> np.ndarray:
    """Write `ratio`, `weight` and `factors` of events of base weights (n,); return the weights.

    One iteration at a time, each in slices of events.
    """
    ratios = group.create_dataset("ratio", (len(lanes), len(base)), np.float32)
    factors, ratio = [], base
    for row, nu in enumerate(lanes):
        ratio, factor = combination.with_factor(nu, how, base)
        ratios[row] = ratio.astype(np.float32)
        factors.append(factor)
    weight = base * ratio
    group.create_dataset("weight", data=weight)
    group.attrs["factors"] = factors
    return weight


class _Lanes:
    """The memory-mapped nu of the lanes of a method after an iteration."""

    def __init__(self, plan: Plan, method: str, pass_: int, iteration: int) -> None:
        groups = plan.lane_groups(method, pass_)
        self._parts = [
            memory_map(plan.final_weights(group, iteration), "ratio") for group in groups
        ]
        self._count = plan.variants.method(method).lanes

    def at(self, places: np.ndarray) -> combination.Ratios:
        """Return what gives nu (lanes, m) of a slice of the events at `places`."""
        return lambda rows: np.concatenate([p[:, places[rows]] for p in self._parts])[: self._count]
