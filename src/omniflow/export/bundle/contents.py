"""Contents: the columns of a bundle, from a finished study."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path

import numpy as np

from omniflow.api import Study, results, values
from omniflow.errors import InputError
from omniflow.events.sample import Events
from omniflow.export.bundle.bundle import DATA, PASSES, SAMPLE, SIMULATION
from omniflow.export.bundle.metadata import (
    BASE,
    COMBINES,
    EVENT_ID,
    FACTOR,
    NOMINAL,
    Family,
)
from omniflow.export.bundle.more import Spread
from omniflow.hdf5 import memory_map, open_h5
from omniflow.observables.axes import Axis
from omniflow.observables.entries import Entries
from omniflow.stages import evaluation, inputs
from omniflow.stages.weights import setup
from omniflow.unfolding.coordinates import Group, parted, prefixed
from omniflow.unfolding.variants import VARIATION

LANES = "lanes"
OWN = {PASSES, DATA, SIMULATION, SAMPLE, LANES}
RESERVED = {EVENT_ID, BASE, NOMINAL, FACTOR}
# What a bundle may lack: columns of networks that are part of the nominal weights.
OPTIONAL = ("lanes", "members")

# Weights of all events of the simulation, in the order of `Study.events`, when they are wanted.
Make = Callable[[], np.ndarray]


@dataclass
class Weights:
    """Columns of weights, and the families that they are.

    Attributes:
        columns: what makes each, by name.
        families: that make errors.
        spreads: that are part of the nominal weights.
    """

    columns: dict[str, Make] = field(default_factory=dict)
    families: dict[str, Family] = field(default_factory=dict)
    spreads: dict[str, Spread] = field(default_factory=dict)


class Contents:
    """What a result of a study gives, of the events that its histograms count."""

    def __init__(self, study: Study, result: str, how: str) -> None:
        """Take a result.

        Args:
            study: finished.
            result: a method, or one in a variation with other events.
            how: combination.

        Raises:
            InputError: the study has no axes: it was not run to its end.
        """
        self.study, self.result, self.how, self.plan = study, result, how, study.plan
        if not self.plan.axes.is_file():
            raise InputError(f"{study.folder}: has no histograms yet; run the study to its end")
        variant = parted(result)[0]
        self.role = self.plan.variants.role("simulation", variant)
        self.events: Events = study.events(self.role)
        self.rows = np.flatnonzero(inputs.region(self.plan, self.events, "particle"))
        # Where the events of the study stand in its store.
        stored = np.asarray(inputs.events(self.plan, "simulation", variant).event_id)
        found = results.places(stored, np.asarray(self.events.event_id))
        if found is None:
            raise InputError(f"{study.folder}: its event store holds other events; read it again")
        self._order = found
        self.scale = setup(self.plan, variant).scale

    @property
    def axes(self) -> dict[str, Axis]:
        """Observables at particle level."""
        found = evaluation.read_axes(self.plan)
        return {name: axis for name, axis in found.items() if "particle" in axis.levels}

    @cached_property
    def base(self) -> np.ndarray:
        """Base weights (n,) of the simulation, in the scale of the data."""
        variant = parted(self.result)[0]
        weight = np.asarray(inputs.events(self.plan, "simulation", variant).weight)[self._order]
        return self.scale * weight

    def entries(self, name: str) -> Entries:
        """Return the entries of an observable in the events of the bundle."""
        level = self.events.particle
        if level is None:
            raise InputError(f"{self.role} has no particle level; give a sample with truth")
        found = values.entries(self.plan, self.role, "particle", level, name)
        return values.reordered(found, self._order[self.rows])

    def event_columns(self) -> Iterator[tuple[str, np.ndarray]]:
        """Yield the columns of events at particle level, (n,) of the events of the bundle.

        Yields:
            Names, and (n,) float32.
        """
        level = self.events.particle
        if level is not None:
            for at, name in enumerate(level.event_columns):
                yield name, np.asarray(level.event[:, at])[self.rows]

    # -- weights -------------------------------------------------------------------------------

    def weights(self, leave_out: Sequence[str] = ()) -> Weights:
        """Return the columns of weights beside the nominal one, as those of the study's variants.

        Args:
            leave_out: of `OPTIONAL`.
        """
        found = Weights()
        self._add_passes(found)
        if parted(self.result)[1] == self.result:  # the nominal inputs
            if self.result in self.plan.variants.methods:
                self._add_replicas(found)
                self._add_variations(found)
            if "lanes" not in leave_out:
                self._add_lanes(found)
            if "members" not in leave_out:
                self._add_members(found)
        return found

    @property
    def _passes(self) -> Sequence[int]:
        return self.plan.passes_of(self.result)

    def _add_passes(self, found: Weights) -> None:
        if len(self._passes) < 2:
            return
        columns = {
            f"weights_pass_{p}": partial(self.study.weights_of, self.result, self.how, p)
            for p in self._passes
        }
        found.columns |= columns
        found.families[PASSES] = _family("ensemble", columns, "training", "the pass")

    def _add_replicas(self, found: Weights) -> None:
        for role, name, of in (
            ("data", DATA, "the data, drawn with replacement"),
            ("simulation", SIMULATION, "the simulation, drawn with replacement"),
        ):
            variants = self.plan.variants.of_kind(role)
            if not variants:
                continue
            columns, by_pass = [], []
            for number, variant in enumerate(variants, 1):
                column, passes = self._add_variant(found, variant, f"weights_{name}_{number}")
                columns.append(column)
                by_pass.append(passes)
            found.families[name] = _family("bootstrap", columns, "statistical", of, by_pass)

    def _add_variations(self, found: Weights) -> None:
        for block, variants in self.plan.variants.blocks().items():
            if block in OWN:
                raise InputError(
                    f"variation {block}: has the name of a family of bundles; give it another name"
                )
            sides = [
                self._add_variant(found, variant, f"weights_variation_{variant}")
                for variant in variants
                if self.plan.variants.role("simulation", variant) == "simulation"
            ]
            if not sides:
                continue
            (column, *opposite), by_pass = [s[0] for s in sides], [s[1] for s in sides]
            found.families[block] = _family(
                "systematic",
                [column],
                "systematic",
                f"variation {block}",
                by_pass,
                opposite[0] if opposite else None,
            )

    def _add_variant(
        self, found: Weights, variant: str, column: str
    ) -> tuple[str, tuple[str, ...]]:
        """Add the columns of a variant; return that of all its passes, and those of each.

        The latter are given where passes are compared with those of the nominal result.
        """
        result = prefixed(variant, self.result)
        passes = list(self.plan.passes_of(result))
        found.columns[column] = partial(self.study.weights_of, result, self.how)
        if len(passes) == 1:
            return column, (column,) if len(self._passes) > 1 else ()
        single = {f"{column}_pass_{p}": p for p in passes}
        for name, p in single.items():
            found.columns[name] = partial(self.study.weights_of, result, self.how, p)
        return column, tuple(single)

    def other_events(self) -> dict[str, str]:
        """Return the variations with other simulated events: their blocks, by name."""
        variants = self.plan.variants
        if self.result not in variants.methods:
            return {}
        return {
            name: block
            for block, names in variants.blocks().items()
            for name in names
            if variants.role("simulation", name) != "simulation"
            and variants[name].kind == VARIATION
        }

    # -- networks ------------------------------------------------------------------------------

    def _add_lanes(self, found: Weights) -> None:
        lanes = self.plan.variants.method(self.result).lanes
        if lanes < 2:
            return
        columns: dict[str, Make] = {}
        for p, group in self._groups():
            ratio = memory_map(self.plan.final_weights(group, self.plan.iterations[-1]), "ratio")
            for lane, row in zip(group.lanes, ratio, strict=True):
                if lane < lanes:
                    columns[f"weights_lane_{lane}_pass_{p}"] = partial(self._of_ratio, row)
        found.columns |= columns
        if len(self._passes) == 1:  # what else measures the scatter of training
            found.families[LANES] = _family("ensemble", columns, "training", "the lane")
        else:
            found.spreads[LANES] = Spread(columns=tuple(columns), varies="the lane and the pass")

    def _add_members(self, found: Weights) -> None:
        plan, iteration = self.plan, self.plan.iterations[-1]
        lanes = plan.variants.method(self.result).lanes
        columns: dict[str, Make] = {}
        for p, group in self._groups():
            path = plan.weights(group, iteration, 2)
            if not plan.keeps_members(group, iteration, 2) or not _has(path, "members"):
                return
            for lane, members in zip(group.lanes, memory_map(path, "members"), strict=True):
                for member, row in enumerate(members) if lane < lanes else ():
                    name = f"weights_member_{member}_lane_{lane}_pass_{p}"
                    columns[name] = partial(self._of_ratio, row)
        found.columns |= columns
        found.spreads["members"] = Spread(
            columns=tuple(columns), varies="the member of the last step 2, the lane and the pass"
        )

    def _groups(self) -> Iterator[tuple[int, Group]]:
        for p in self._passes:
            for group in self.plan.lane_groups(self.result, p):
                yield p, group

    def _of_ratio(self, ratio: np.ndarray) -> np.ndarray:
        return np.asarray(self.base * ratio[self._order])


def _has(path: Path, dataset: str) -> bool:
    """Return whether a file has a dataset; members are kept of what was the last iteration."""
    with open_h5(path) as file:
        return dataset in file


def _family(
    type_: str,
    columns: Collection[str],
    kind: str,
    varies: str,
    by_pass: Sequence[tuple[str, ...]] = (),
    opposite: str | None = None,
) -> Family:
    return Family.model_validate(
        {
            "type": type_,
            "combination": COMBINES[type_],
            "columns": tuple(columns),
            "kind": kind,
            "varies": varies,
            "by_pass": tuple(by_pass) if all(by_pass) else (),
            "opposite": opposite,
        }
    )
