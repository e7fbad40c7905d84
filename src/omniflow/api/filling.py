"""Filling: histograms of a study for anything that can be computed of its events."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import hist
import numpy as np

from omniflow.api import results, values
from omniflow.api.choices import one_of
from omniflow.errors import InputError
from omniflow.evaluation.histograms import CountMatrix
from omniflow.events import store
from omniflow.events.sample import Events
from omniflow.stages import evaluation, inputs
from omniflow.unfolding.plan import Plan

_OTHERS = "the study has variants with other events than those of the simulation"


class Filling:
    """What is filled into a histogram, and which events are counted."""

    def __init__(
        self,
        plan: Plan,
        role: str,
        order: np.ndarray,
        what: Any,
        level: str,
        region: str | np.ndarray | None,
    ) -> None:
        """Take what is filled; arguments beyond plan and order as of `Study.histogram`.

        Args:
            plan: of the study.
            role: of the sample whose events are filled.
            order: (n,) where the events, as the user has them, stand in the store.
            what: expression, observable or array.
            level: of the events.
            region: events that are counted.

        Raises:
            InputError: there is no such level, or `what` is several.
        """
        if isinstance(what, list | tuple) and any(isinstance(each, str) for each in what):
            raise InputError(
                "histogram: of one expression, observable or array; for several dimensions fill a "
                "hist.Hist of your own with weight=result.weights"
            )
        self.plan, self.role, self.what, self.region = plan, role, what, region
        self.level = one_of("level", level, evaluation.LEVELS)
        self._back = np.argsort(order)

    def fill(
        self,
        edges: Sequence[float] | hist.axis.AxesMixin | None,
        result: str,
        how: str,
        passes: Sequence[int],
        iteration: int,
        *,
        with_covariance: bool,
    ) -> hist.Hist | tuple[hist.Hist, dict[str, np.ndarray]]:
        """Return the histogram of a result, as `Study.histogram`.

        Args:
            edges: (B + 1,) increasing, or an axis; None: those of the observable.
            result: method, or a method in a variant.
            how: combination.
            passes: that are averaged.
            iteration: after which.
            with_covariance: whether the blocks are wanted, too.

        Returns:
            Histogram of B bins; with it, if wanted, the covariance (B, B) by block.

        Raises:
            InputError: there are no edges, or no covariance.
        """
        found = self._edges(edges)
        # One more bin on either side for what lies outside.
        wide = np.concatenate([[-np.inf], found, [np.inf]])
        matrix = self._counted(self.role, wide)
        weights = results.every_weight(self.plan, result, how, passes, iteration)
        label = self.what if isinstance(self.what, str) else ""
        axis = hist.axis.Variable(found, name="x", label=label)
        filled = hist.Hist(axis, storage=hist.storage.Weight())
        view = filled.view(flow=True)
        view["value"] = matrix.fill(weights).content.mean(axis=0)
        view["variance"] = matrix.fill(weights.mean(axis=1)).variance
        if not with_covariance:
            return filled
        blocks = results.covariance(
            self.plan,
            result,
            how,
            iteration,
            len(passes),
            lambda role: self._counted(role, wide),
            len(found) - 1,
        )
        return filled, {name: block[1:-1, 1:-1] for name, block in blocks.items()}

    def _edges(self, edges: Sequence[float] | hist.axis.AxesMixin | None) -> np.ndarray:
        given: Any = edges
        if given is None and values.is_observable(self.plan, self.what):
            given = values.edges(self.plan, self.what)
        if given is None:
            raise InputError(
                "histogram: give the edges of the bins; only observables of the study have some"
            )
        try:
            # Axes of `hist` have edges.
            found = np.asarray(getattr(given, "edges", given), float)
        except (TypeError, ValueError):
            found = np.empty(0)
        if found.ndim != 1 or len(found) < 2 or not (np.diff(found) > 0).all():
            raise InputError(
                f"histogram: edges are {given!r}; give two increasing numbers or more, such as "
                "np.linspace(0, 1, 11), or an axis of hist"
            )
        return found

    def _counted(self, role: str, edges: np.ndarray) -> CountMatrix:
        """Return the entries of a sample per event and bin."""
        events = store.open_store(self.plan.store(role))
        if isinstance(self.what, str):
            level = getattr(events, self.level)
            found = values.entries(self.plan, role, self.level, level, self.what)
        elif role == self.role:
            found = values.reordered(values.of_array(self.what, len(events)), self._back)
        else:
            raise InputError(f"histogram: {_OTHERS} ({role}); give an expression, not an array")
        return CountMatrix(found, edges, self._mask(events, role))

    def _mask(self, events: Events, role: str) -> np.ndarray:
        """Return which events (n,) of a store are counted."""
        if self.region is None:
            return inputs.region(self.plan, events, self.level)
        measured = self.level == "detector"
        known = np.asarray(events.pass_detector if measured else inputs.unfolded(self.plan, events))
        if isinstance(self.region, str):
            if one_of("region", self.region, ("all", "fiducial")) == "all" or measured:
                return known
            return known & np.asarray(events.pass_particle)
        flags = np.asarray(self.region)
        if flags.shape != (len(self._back),) or flags.dtype != bool:
            raise InputError(
                f"histogram: region has shape {flags.shape} and type {flags.dtype}; give flags "
                f'({len(self._back)},) of type bool, in the order of events("simulation")'
            )
        if role != self.role:
            raise InputError(f"histogram: {_OTHERS} ({role}); name a region, give no flags")
        return known & flags[self._back]
