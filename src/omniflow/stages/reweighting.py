"""Reweighting: the networks of a finished study, applied to events that need not be its own."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from omniflow import outside, registry
from omniflow.errors import InputError
from omniflow.events import folds, store
from omniflow.events.batches import Source
from omniflow.events.features import open_features
from omniflow.events.ids import places
from omniflow.events.sample import Events, Level
from omniflow.expressions import parse
from omniflow.features.feature_set import Columns, FeatureSet
from omniflow.files import understood
from omniflow.hdf5 import open_h5, read_records
from omniflow.models.signature import Signature
from omniflow.stages import inputs, samples
from omniflow.stages.networks import Networks
from omniflow.unfolding import combine, steps, weights
from omniflow.unfolding.coordinates import STEP_NAMES, Block, Group, Network, level, parted
from omniflow.unfolding.plan import Plan
from omniflow.unfolding.results import NO_COMBINATION


def ratios(
    plan: Plan, events: Events, result: str, how: str, passes: Iterable[int], iteration: int
) -> np.ndarray:
    """Return the ratios nu (passes, n) that a method gives to events with a particle level.

    Events of the study's own simulation get what the study gave them, bit by bit where the engine
    is the one that it was run with; those that are not unfolded get 1.

    Args:
        plan: of a finished study.
        events: n events with the columns that its networks see, in any order.
        result: method, or other result.
        how: combination of its lanes.
        passes: of the result.
        iteration: after which.

    Returns:
        (passes, n) float64 in the order of `events`.

    Raises:
        InputError: there is no particle level, or a column is missing.
    """
    order = _order(plan, events, parted(result)[0])
    with tempfile.TemporaryDirectory(prefix="omniflow-") as folder:
        truth(events)
        select = np.asarray(inputs.unfolded(plan, events))[order]
        job = _Applied(plan, events, 2, order, select, Path(folder))
        found = [job.ratio(result, how, pass_, iteration) for pass_ in passes]
    back = np.empty_like(order)
    back[order] = np.arange(len(order))
    return np.stack(found)[:, back]


def logits(plan: Plan, events: Events, block: Block, network: Network) -> np.ndarray:
    """Return the logits (n,) of one network; NaN for events that do not pass at its level.

    Args:
        plan: of a finished study.
        events: n events, in any order.
        block: that the network is in.
        network: its coordinates.

    Returns:
        (n,) float32 in the order of `events`.

    Raises:
        InputError: events lack the level that the network reads, or a column of it.
    """
    order = _order(plan, events, block.group.variant)
    with tempfile.TemporaryDirectory(prefix="omniflow-") as folder:
        measured = level(block.step) == "detector"
        select = events.pass_detector if measured else np.ones(len(events), bool)
        job = _Applied(plan, events, block.step, order, np.asarray(select)[order], Path(folder))
        file = plan.networks_folder(block) / plan.network_file(network)
        parameters = job.loaded(file)
        parts = [found[0] for _, found in job.trainer.predict([parameters], job.source)]
    found = np.empty(len(order), np.float32)
    found[order] = np.concatenate(parts)
    return found


class _Applied(Networks):
    """The networks of a study, and the events that they are applied to."""

    def __init__(
        self,
        plan: Plan,
        events: Events,
        step: int,
        order: np.ndarray,
        select: np.ndarray,
        folder: Path,
    ) -> None:
        """Make the features of events, in an order (n,), of which `select` (n,) are predicted."""
        found = getattr(events, level(step))
        if found is None:
            raise InputError(
                f"the events have no {level(step)} level, which networks of step "
                f"{STEP_NAMES[step]} read; give events with both levels"
            )
        known = getattr(store.open_store(plan.store("simulation")), level(step))
        columns = known.event_columns, known.particle_columns
        found = aligned(found, columns, plan.features_seen[level(step)], level(step))
        samples.write_features(plan, found.take(order), level(step), folder / "features.h5")
        features = open_features(folder / "features.h5")
        super().__init__(plan, level(step), features, None)
        self.source = Source(features, np.asarray(events.event_id)[order], select, (), ())

    def sources(self, network: Network) -> tuple[Source, ...]:
        """Return the events; nothing is trained on them."""
        return (self.source,)

    def loaded(self, path: Path) -> np.ndarray:
        """Return the parameters (d,) in a file.

        Raises:
            InputError: the classifier is of a module that has been edited since.
        """
        kind = self.plan.config.classifier.kind
        trained = Signature.read(path).text
        if not outside.is_held(kind) and registry.digest("classifier", kind) != trained:
            raise InputError(
                f"{path}: was trained with another text of {kind}, and would give other numbers; "
                "take the module as it was then"
            )
        return self.architecture.load(path)

    def ratio(self, result: str, how: str, pass_: int, iteration: int) -> np.ndarray:
        """Return nu (n,) of one pass, with what its networks and lanes were combined with."""
        groups = self.plan.lane_groups(result, pass_)
        lanes = [nu for group in groups for nu in self._lanes(group, iteration)]
        stacked = np.stack(lanes[: self.plan.variants.method(result).lanes]).astype(float)
        if how == NO_COMBINATION:
            return stacked[0]
        with open_h5(self.plan.unfolded(result, how, pass_)) as file:
            factor = float(file.attrs["factors"][self.plan.iterations.index(iteration)])
        found = np.ones(len(self.source.select))
        chosen = self.source.select
        found[chosen] = combine.apply(stacked[:, chosen], how, factor)
        return found

    def _lanes(self, group: Group, iteration: int) -> Iterator[np.ndarray]:
        """Yield nu (n,) float32 of every lane of a group after step 2, 1 where not selected."""
        plan, clip = self.plan, self.plan.config.training.logit_clip
        chain, chosen = plan.chains[group.chain], self.source.select
        blocks = plan.blocks(group, iteration, 2)
        logits = np.concatenate([self._logits(block) for block in blocks])
        networks = [network for block in blocks for network in block.networks]
        count, copies = len(plan.folds), chain.members // chain.networks
        lanes = np.array([n.lane for n in networks[::count] for _ in range(copies)])
        parts = (logits[row : row + count] for row in range(0, len(logits), count))
        members = np.stack([folds.merge(part, self.source.event_id) for part in parts])
        path = plan.weights(group, iteration, 2)
        with open_h5(path) as file:
            records = read_records(file, "checks", "lane")
            stacked = chain.aggregate == "stacking"
            stacks = read_records(file, "stacking", "weights") if stacked else []
        with understood(path, "attribute checks"):
            checks = {record.pop("lane"): weights.Check(**record) for record in records}
        for row, (lane, check) in enumerate(checks.items()):
            how = np.array(stacks[row]["weights"]) if stacks else chain.aggregate
            nu = np.ones(len(chosen), np.float32)
            own = members[lanes == lane][:, chosen]
            nu[chosen] = steps.applied(own, how, clip, check)
            yield nu

    def _logits(self, block: Block) -> np.ndarray:
        """Return the logits (rows, n) of a block, as its training job wrote them."""
        folder = self.plan.networks_folder(block)
        parameters = [
            self.loaded(folder / self.plan.network_file(network)) for network in block.networks
        ]
        members = self.members(block.networks, parameters)
        found = np.full((len(members), len(self.source.select)), np.nan, np.float32)
        for rows, where, logits in self.logits(block.networks, members, self.source):
            found[rows, where] = logits
        return found


def aligned(found: Level, columns: tuple[Columns, Columns], seen: FeatureSet, where: str) -> Level:
    """Return a level with the columns that the study has, in their order, as far as it has them.

    Args:
        found: the events.
        columns: of events and of particles that the study has.
        seen: by its networks.
        where: name of the level.

    Raises:
        InputError: a column is missing that networks see.
    """
    texts = [*seen.particles.values(), *seen.event.values(), *seen.define.values()]
    names = frozenset().union(*(parse(text).names for text in (*texts, *(seen.neighbours or ()))))
    kept: dict[str, Any] = {}
    missing: list[str] = []
    kinds = (("event_columns", "event"), ("particle_columns", "particles"))
    for (kind, part), ours in zip(kinds, columns, strict=True):
        theirs = getattr(found, kind)
        kept[kind] = tuple(name for name in ours if name in theirs)
        # A plain name is that of the event's column, where there are both.
        taken = columns[0] if part == "particles" else ()
        missing += [
            f"{part}.{name}"
            for name in ours
            if name not in theirs
            and (f"{part}.{name}" in names or (name in names and name not in taken))
        ]
        places = [theirs.index(name) for name in kept[kind]]
        kept[part] = np.asarray(getattr(found, part))[:, places]
    if missing:
        there = [f"event.{name}" for name in found.event_columns]
        there += [f"particles.{name}" for name in found.particle_columns]
        raise InputError(
            f"the events have no {', '.join(missing)} at {where} level, which the study's networks "
            f"see; there are {', '.join(there)}. Give these columns too, in the study's units"
        )
    return replace(found, **kept)


def _require_events(given: object) -> None:
    if not isinstance(given, Events):
        raise InputError(
            f"the events are a {type(given).__name__}; make events of arrays by "
            "omniflow.Events.from_arrays"
        )


def truth(events: Events) -> Level:
    """Return the particle level of events.

    Raises:
        InputError: they have none, or are no events.
    """
    _require_events(events)
    if events.particle is None:
        raise InputError(
            "the events have no particle level, which is what unfolding reweights; give simulated "
            "events with their truth"
        )
    return events.particle


def _order(plan: Plan, events: Events, variant: str) -> np.ndarray:
    """Return an order (n,) of events: that of the study's store if they are its own.

    Outputs do not depend on it beyond rounding, which is the same in the same batches.
    """
    _require_events(events)
    role = plan.variants.role("simulation", variant)
    known = np.asarray(store.open_store(plan.store(role)).event_id)
    ids = np.asarray(events.event_id)
    own = places(ids, known) if len(ids) == len(known) else None
    return np.arange(len(ids)) if own is None else own
