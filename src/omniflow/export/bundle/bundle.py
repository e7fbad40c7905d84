"""A bundle that was read: its events, weights, histograms with covariances, and networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from omniflow.api.choices import one_of
from omniflow.errors import InputError
from omniflow.evaluation import covariance
from omniflow.events.quality import effective_size
from omniflow.export.bundle import joint, validity
from omniflow.export.bundle.events import EventTable
from omniflow.export.bundle.families import Passes
from omniflow.export.bundle.families import blocks as of_families
from omniflow.export.bundle.filling import Filled
from omniflow.export.bundle.histogram import Histograms
from omniflow.export.bundle.metadata import Family, Metadata
from omniflow.export.bundle.more import Limits, More
from omniflow.export.bundle.quantities import Quantities

if TYPE_CHECKING:
    from omniflow.events.sample import Events
    from omniflow.export.bundle.networks import Networks

SAMPLE = "sample"
# Names of families: single passes; replicas of the data and of the simulation.
PASSES, DATA, SIMULATION = "passes", "bootstrap_data", "bootstrap_mc"


class Bundle:
    """Events with weights, and what the weights mean; `omniflow.read_bundle` returns it.

    Attributes:
        folder: where it lies.
        metadata: all that its authors say.
        events: columns of the events.
        samples: bundles of variations with other events, by name.
        quantities: what can be histogrammed.
    """

    def __init__(
        self,
        folder: Path,
        metadata: Metadata,
        events: EventTable,
        samples: Mapping[str, Bundle] | None = None,
    ) -> None:
        """Take what was read and checked."""
        self.folder, self.metadata, self.events = folder, metadata, events
        self.samples = dict(samples or {})
        self._more = metadata.omniflow or More()
        self.quantities = Quantities(metadata, events, self.weight_columns)

    def __len__(self) -> int:
        """Return the number of events."""
        return self.events.rows

    def __repr__(self) -> str:
        """Return the folder and what is in it."""
        return (
            f"Bundle({len(self)} events, {len(self.observables)} observable(s), families "
            f"{', '.join(self.families) or 'none'}; folder {self.folder})"
        )

    # -- what there is -------------------------------------------------------------------------

    @property
    def observables(self) -> tuple[str, ...]:
        """Names of the observables."""
        return (*(each.name for each in self.metadata.observables), *self._more.jagged)

    @property
    def families(self) -> dict[str, Family]:
        """Families of weights by name: columns, kind and rule of each."""
        return self.metadata.families

    @property
    def limits(self) -> Limits:
        """When bins can be relied on."""
        return self._more.validity.limits if self._more.validity else Limits()

    def weights(self, name: str = "nominal") -> np.ndarray:
        """Return weights, with which histograms are the result.

        Args:
            name: `nominal`, `base` (of the simulation before it was unfolded), `factor` (nominal
                over base), a family, or a column.

        Returns:
            (n,) float64, or (K, n) of the K columns of a family.

        Raises:
            InputError: there is no such weight.
        """
        stored = self.metadata.weights
        plain = {"nominal": stored.nominal, "base": stored.base_mc_weight}
        if name == "factor":
            if self._more.factor is not None:
                return self.events.numbers(self._more.factor).astype(np.float64)
            nominal, base = self.weights("nominal"), self.weights("base")
            return np.divide(nominal, base, out=np.ones_like(base), where=base != 0)
        many = {key: family.columns for key, family in self.families.items()}
        many |= {key: spread.columns for key, spread in self._more.spreads.items()}
        if name in many:
            return np.stack([self._weight(column) for column in many[name]])
        columns = self.weight_columns
        one_of("weight", name, [*plain, "factor", *many, *columns])
        return self._weight(plain.get(name, name))

    @cached_property
    def weight_columns(self) -> set[str]:
        """Names of all columns that are weights."""
        stored = self.metadata.weights
        found = {stored.nominal, stored.base_mc_weight}
        if self._more.factor is not None:
            found.add(self._more.factor)
        for family in self.families.values():
            found.update(family.every_column)
        for spread in self._more.spreads.values():
            found.update(spread.columns)
        return found

    def _weight(self, column: str) -> np.ndarray:
        found = self.events.numbers(column).astype(np.float64)
        factor = self._factor(column)
        return found if factor is None else found * self.events.numbers(factor)

    def _factor(self, column: str) -> str | None:
        """Return the column that a column of weights is to be multiplied with, if any."""
        stored = self.metadata.weights
        own = (stored.base_mc_weight, self._more.factor)
        if stored.nominal_convention == "includes_mc_weight" or column in own:
            return None
        return stored.base_mc_weight

    # -- histograms ----------------------------------------------------------------------------

    def histogram(
        self,
        what: str | Sequence[str],
        edges: Sequence[float] | Sequence[Sequence[float]] | None = None,
        *,
        where: str | None = None,
        normalise: bool = False,
    ) -> Histograms:
        """Return histograms with the covariance of all of their bins.

        Every column of weights fills the same events, so that correlations between bins, also of
        different observables, are kept.

        Args:
            what: an observable, an expression over observables and event columns
                (docs/expressions.md), or several of them.
            edges: (B + 1,) rising numbers, for each of several; None: those that the authors have
                used. Bins are [low, high).
            where: a condition on events, as an expression.
            normalise: scale each observable to unit sum, and its errors with it.

        Returns:
            Contents (B,) and covariances (B, B) by family.

        Raises:
            InputError: there are no edges, they do not rise, or values are no numbers of events.
            ExpressionError: an expression does not fit the columns.
        """
        names = [what] if isinstance(what, str) else list(what)
        if not names or len(set(names)) != len(names):
            raise InputError("histogram: give one expression, or several that differ")
        bins = self.quantities.edges(names, edges, isinstance(what, str))
        filled = self._filled(names, bins, where, normalise)
        with np.errstate(over="ignore", invalid="ignore"):  # told below
            blocks, kinds = self._blocks(names, bins, where, normalise, filled)
        for name, block in blocks.items():
            if not np.isfinite(block.matrix).all():
                raise InputError(f"{self.folder}: the covariance of {name} is not finite")
        nominal = self.metadata.weights.nominal
        content, squares = filled.contents([nominal])[0], filled.squares(nominal)
        raw = content
        if normalise:
            raw = self._filled(names, bins, where, False).contents([nominal])[0]
        found = Histograms(
            tuple(names),
            tuple(bins),
            content,
            {name: block.matrix for name, block in blocks.items()},
            kinds,
            covariance.total(blocks.values()),
            effective_size(raw, squares),
            filled.flow(nominal),
            normalise,
        )
        few = [
            f"{line}: the covariance has no inverse"
            for line in covariance.too_few(blocks, len(content))
        ]
        warnings = validity.warn(found, self.limits, self._statistics_of_data)
        return replace(found, warnings=(*few, *warnings))

    @property
    def _statistics_of_data(self) -> str | None:
        return DATA if DATA in self.families else None

    def _blocks(
        self,
        names: list[str],
        bins: list[np.ndarray],
        where: str | None,
        normalise: bool,
        filled: Filled,
    ) -> tuple[dict[str, covariance.Block], dict[str, str]]:
        """Return the blocks of the covariance and their kinds."""
        nominal = self.metadata.weights.nominal
        passes = self._passes(filled)
        others: dict[str, list[np.ndarray]] = {}
        for sample, bundle in self.samples.items():
            own = bundle._filled(names, bins, where, normalise)
            found = own.contents(bundle._columns_of_passes)
            shifts = passes.shifts(found, by_pass=PASSES in self.families)
            others.setdefault(self._more.samples[sample].block, []).append(shifts)
        blocks = of_families(self.families, filled.contents, passes, others)
        kinds = {name: family.means for name, family in self.families.items()}
        kinds = {name: kinds.get(name, "systematic") for name in blocks}
        if self._more.sample_statistics not in blocks:
            blocks[SAMPLE] = covariance.Block(filled.sample(nominal))
            kinds[SAMPLE] = "statistical"
        return blocks, kinds

    @property
    def _columns_of_passes(self) -> tuple[str, ...]:
        family = self.families.get(PASSES)
        return (self.metadata.weights.nominal,) if family is None else family.columns

    def _passes(self, filled: Filled) -> Passes:
        nominal = filled.contents([self.metadata.weights.nominal])[0]
        if PASSES not in self.families:
            return Passes(nominal, None)
        return Passes(nominal, filled.contents(self._columns_of_passes))

    def _filled(
        self, names: list[str], bins: list[np.ndarray], where: str | None, normalise: bool
    ) -> Filled:
        entries = [self.quantities.entries(name) for name in names]
        return Filled(
            self.events, entries, bins, self.quantities.counted(where), self._factor, normalise
        )

    # -- what else there is --------------------------------------------------------------------

    @property
    def covariance(self) -> Histograms:
        """Histograms of all observables in the authors' bins, with their joint covariance.

        Raises:
            InputError: the bundle has none.
        """
        if joint.DESCRIPTION not in self._more.files:
            raise InputError(f"{self.folder}: has no joint covariance; see `histogram`")
        return joint.read(self.folder)

    @property
    def networks(self) -> Networks:
        """Networks of the last iteration.

        Raises:
            InputError: the bundle has none.
        """
        from omniflow.export.bundle import networks

        if networks.DESCRIPTION not in self._more.files:
            raise InputError(f"{self.folder}: has no networks; ask its authors for them")
        return networks.read(self.folder)

    def reweight(self, events: Events) -> np.ndarray:
        """Return ratios (n,) float64 that turn other simulated events into the unfolded result.

        Multiply the weights of the events with them, and with the scale of the luminosity.

        Args:
            events: with a particle level that has the columns that the networks see: found by name,
                in the units that the authors have.

        Returns:
            (n,) float64, in the order of `events`; 1 for events outside of the unfolded region.

        Raises:
            InputError: the bundle has no networks; or there is no particle level, or a column is
                missing.
        """
        return self.networks.ratios(events)
