"""Leakage: does any weight change when the truth of pseudo-data is given to other events?

Truth of pseudo-data must be read for the report alone. A study is trained twice from the same event
stores, in the second run with the particle level of the data permuted over its events; everything
that networks are to see is the same. So every weight has to be the same bit by bit.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from omniflow.api.run import run, train
from omniflow.config.samples import Sample, Samples
from omniflow.config.schema import Config
from omniflow.config.uncertainties import Uncertainties
from omniflow.errors import InputError
from omniflow.events import store
from omniflow.events.sample import Events
from omniflow.hdf5 import memory_map
from omniflow.unfolding import rounds
from omniflow.unfolding.coordinates import STEP_NAMES
from omniflow.unfolding.plan import Plan

# A leak is a path through the code, which few records, epochs and networks take as well as many.
RECORDS, EPOCHS, UPDATES, ITERATIONS, NETWORKS = 20_000, 2, 20, 2, 2


@dataclass(frozen=True)
class Leakage:
    """What two runs with the truth of other events have in common.

    Attributes:
        moved: events of the data that got the truth of another event.
        events: events of the data.
        compared: files of weights, after steps and of results.
        changed: those that differ, in the order in which they were made.
        repeatable: whether a third run, with its own truth again, gave the first one's weights;
            it is run where weights differ.
        copies: columns at detector level that hold the same numbers as one at particle level.
    """

    moved: int
    events: int
    compared: int
    changed: tuple[str, ...]
    repeatable: bool
    copies: tuple[tuple[str, str], ...]

    @property
    def clean(self) -> bool:
        """Whether no weight changed."""
        return not self.changed

    def words(self) -> list[str]:
        """Return the verdict, and what stands behind it."""
        runs = (
            f"{self.moved} of {self.events} events of the data got the truth of another event; "
            f"{self.compared} files of weights were compared bit by bit."
        )
        found = [f"No leak: no weight depends on the truth of the data. {runs}"]
        if self.changed and self.repeatable:
            found = [
                f"LEAK: weights depend on the truth of the data. {runs} {len(self.changed)} "
                f"differ, the first after {self.changed[0]}. A third run with the right truth gave "
                "the first one's weights again."
            ]
        elif self.changed:
            found = [
                f"NO VERDICT: {len(self.changed)} of {self.compared} files of weights differ, but "
                "also between two runs with the same truth: this machine does not repeat itself. "
                "Set execution.engine: native, or execution.gpus: 0."
            ]
        return found + [
            f"Note: at detector level {detector} holds the numbers of {particle} at particle level "
            "in all events that pass: is it measured?"
            for detector, particle in self.copies
        ]


def check(
    config: Config,
    folder: Path,
    seed: int = 1,
    say: Callable[[str], None] = lambda text: None,
) -> Leakage:
    """Train a study with the truth of its data, and with that of other events, and compare.

    Args:
        config: of the study; `reduced` makes it quick.
        folder: of both runs.
        seed: of the permutation.
        say: is called with what is done next.

    Raises:
        InputError: data have no truth, or the same in all events.
        OmniflowError: as the study itself raises.
    """
    own, other, again = (_plan(config, folder, name) for name in ("own", "other", "again"))
    say("Training with the data's own truth.")
    run(own)
    lanes = {name: each.lanes for name, each in rounds.decided(own).config.methods.items()}
    own, other, again = (plan.with_lanes(lanes) for plan in (own, other, again))
    data = store.open_store(own.store("data"))
    if data.particle is None:
        raise InputError(
            f"{own.samples['data'].title()}: has no particle level: no truth can leak; give "
            "pseudo-data"
        )
    say("Training with the truth of other events.")
    moved = _again(own, other, lambda path: scramble(path, seed))
    changed = tuple(_changed(own, other))
    repeatable = True
    if changed:
        say("Weights differ. Training with the data's own truth again.")
        _again(own, again, lambda path: 0)
        repeatable = not list(_changed(own, again))
    compared = sum(1 for _ in _weights(own))
    return Leakage(moved, len(data), compared, changed, repeatable, tuple(_copies(data)))


def reduced(config: Config, records: int = RECORDS) -> Config:
    """Return a configuration of the same code paths in little time: fewer of everything.

    Args:
        config: of the study.
        records: of each sample at most.

    Returns:
        Without replicas, variations and toys, of one pass.
    """
    unfolding, training = config.unfolding, config.training
    methods = {
        name: method.model_copy(
            update={
                "lanes": min(method.lanes, NETWORKS),
                "until": None,
                "members": min(method.members, NETWORKS),
            }
        )
        for name, method in config.methods.items()
    }
    return config.model_copy(
        update={
            "study": config.study.model_copy(update={"passes": 1}),
            "samples": _fewer(config.samples, records),
            "unfolding": unfolding.model_copy(
                update={"iterations": min(unfolding.iterations, ITERATIONS)}
            ),
            "training": training.model_copy(
                update={
                    "epochs": min(training.epochs, EPOCHS),
                    "min_updates": min(training.min_updates, UPDATES),
                }
            ),
            "methods": methods,
            "uncertainties": Uncertainties(),
        }
    )


def scramble(path: Path, seed: int) -> int:
    """Give every event of a store the particle level of another; the order of events stays.

    Args:
        path: the event store.
        seed: of the permutation.

    Returns:
        How many events got other values than their own.

    Raises:
        InputError: none did.
    """
    events = store.open_store(path)
    assert events.particle is not None
    assert events.pass_particle is not None
    order = np.random.default_rng(seed).permutation(len(events))
    truth, flags = events.particle.take(order), np.asarray(events.pass_particle)[order]
    moved = _differing(events, replace(events, particle=truth, pass_particle=flags))
    if not moved:
        raise InputError(f"{path}: all events have the same truth: nothing tells whether it leaks")
    # Stores are shuffled when they are written; this order becomes the old one by that.
    back = np.argsort(np.random.default_rng(seed).permutation(len(events)))
    scrambled = replace(events, particle=truth, pass_particle=flags).take(back)
    record = store.provenance(path) | {"scrambled": seed}
    store.write(scrambled, path, record, seed, store.units(path))
    return moved


def _differing(one: Events, other: Events) -> int:
    """Return how many events have another particle level in two samples of the same events."""
    a, b = one.particle, other.particle
    assert a is not None
    assert b is not None
    differ = (np.asarray(a.event) != np.asarray(b.event)).any(axis=1) | (a.counts != b.counts)
    differ |= np.asarray(one.pass_particle) != np.asarray(other.pass_particle)
    same = np.flatnonzero(~differ)
    first, second = a.take(same), b.take(same)
    unlike = (first.particles != second.particles).any(axis=1)
    event = np.repeat(np.arange(len(same)), first.counts)
    differ[same[event[unlike]]] = True
    return int(np.count_nonzero(differ))


def _plan(config: Config, folder: Path, name: str) -> Plan:
    """Return the plan of one run, in this process."""
    study = config.study.model_copy(update={"name": name, "output": str(folder)})
    execution = config.execution.model_copy(update={"ranks": 1})
    return Plan(config.model_copy(update={"study": study, "execution": execution}))


def _again(first: Plan, other: Plan, change: Callable[[Path], int]) -> int:
    """Train on the stores of another run, with a change of the data's."""
    for role in first.samples:
        other.store(role).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(first.store(role), other.store(role))
    changed = change(other.store("data"))
    train(other)
    return changed


def _weights(plan: Plan) -> Iterator[tuple[str, Path, tuple[str, ...]]]:
    """Yield all files of weights in the order in which they are made, with their datasets."""
    for group, iteration, step in plan.stages():
        where = f"{group.chain} pass {group.pass_} {group.slug} iteration {iteration}"
        yield f"{where} step {STEP_NAMES[step]}", plan.weights(group, iteration, step), ("ratio",)
    for result in plan.variants.results:
        for how in plan.combinations(result):
            for pass_ in plan.passes_of(result):
                name = f"the end of {result} ({how}) pass {pass_}"
                yield name, plan.unfolded(result, how, pass_), ("event_id", "weight", "ratio")


def _changed(one: Plan, other: Plan) -> Iterator[str]:
    """Yield the names of files of weights that differ in any bit."""
    for (name, path, datasets), (_, again, _) in zip(_weights(one), _weights(other), strict=True):
        pairs = ((memory_map(path, part), memory_map(again, part)) for part in datasets)
        if any(a.shape != b.shape or a.tobytes() != b.tobytes() for a, b in pairs):
            yield name


def _copies(data: Events) -> Iterator[tuple[str, str]]:
    """Yield columns of events at detector level that equal one at particle level."""
    assert data.particle is not None
    passing = np.flatnonzero(data.pass_detector)
    for i, detector in enumerate(data.detector.event_columns):
        values = data.detector.event[passing, i]
        for j, particle in enumerate(data.particle.event_columns):
            same = np.array_equal(values, data.particle.event[passing, j], equal_nan=True)
            if same and len(np.unique(values)) > 1:
                yield detector, particle


def _fewer(samples: Samples, records: int) -> Samples:
    """Return samples of at most so many records each."""

    def fewer(sample: Sample) -> Sample:
        known = sample.records()
        few = known is None or known <= records
        return sample if few else sample.model_copy(update={"events": records})

    backgrounds = {
        name: background.model_copy(update={"sample": fewer(background.sample)})
        for name, background in samples.backgrounds.items()
    }
    pair = samples.pretraining
    if pair is not None:
        pair = pair.model_copy(update={key: fewer(each) for key, each in pair.samples.items()})
    named = {"data": fewer(samples.data), "simulation": fewer(samples.simulation)}
    return samples.model_copy(update=named | {"backgrounds": backgrounds, "pretraining": pair})
