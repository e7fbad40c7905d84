"""What a study has behind its final weights and histograms, as tables and diagnostics take it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property

import numpy as np
import pandas as pd

from omniflow.evaluation.event_weights import FinalWeights
from omniflow.evaluation.histograms import Histogram, Unfolded
from omniflow.evaluation.spectra import detector_tables, unfolding_tables
from omniflow.events import store
from omniflow.hdf5 import open_h5
from omniflow.stages import evaluation
from omniflow.stages.weights import setup
from omniflow.unfolding.plan import Plan
from omniflow.unfolding.steps import Setup

Histograms = dict[str, Histogram]


class Finished:
    """Results of a study's methods; files are read when something is asked for, and once.

    Attributes:
        plan: of the study.
    """

    def __init__(self, plan: Plan) -> None:
        """Take the plan, whose jobs up to the histograms have ended."""
        self.plan = plan
        self._results: dict[str, list[Unfolded]] = {}

    @cached_property
    def common(self) -> Setup:
        """Weights and selections of the simulation."""
        return setup(self.plan)

    # -- histograms --------------------------------------------------------------------------

    def edges(self, level: str) -> dict[str, np.ndarray]:
        """Return the bin edges (B + 1,) of the observables at a level, by name.

        Args:
            level: detector or particle.

        Returns:
            (B + 1,) by observable.
        """
        return evaluation.edges(self.plan, level)

    @cached_property
    def prior(self) -> Histograms:
        """Simulation at particle level before unfolding, times s, by observable."""
        return self._simulation("particle")

    @cached_property
    def folded(self) -> Histograms:
        """Simulation at detector level before unfolding, times s, by observable."""
        return self._simulation("detector")

    def _simulation(self, level: str) -> Histograms:
        weight = self.common.scale * self.common.weight
        return evaluation.fill(self.plan, "simulation", level, weight)

    @cached_property
    def truth(self) -> Histograms | None:
        """Particle level of the data by observable; None for real data."""
        data = store.open_store(self.plan.store("data"))
        if data.particle is None:
            return None
        return evaluation.fill(self.plan, "data", "particle", data.weight)

    @cached_property
    def measured(self) -> Histograms:
        """Data at detector level, less backgrounds, by observable."""
        return evaluation.measured(self.plan)

    def results(self, level: str) -> list[Unfolded]:
        """Return the histograms of every method, combination and iteration at a level."""
        if level not in self._results:
            self._results[level] = [
                result
                for method in self.plan.config.methods
                for result in evaluation.read_histograms(self.plan, method, level)
            ]
        return self._results[level]

    def spectra(self, level: str = "particle") -> dict[str, Histograms]:
        """Return the histograms of each method's first combination after the last iteration."""
        return {
            result.method: dict(result.histograms)
            for result in self.results(level)
            if result.iteration == self.plan.iterations[-1]
            and result.combine == self.first[result.method]
        }

    # -- tables that others are made of ------------------------------------------------------

    @cached_property
    def particle_level(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        """The tables `metrics` and `summary`."""
        normalization = self.plan.config.unfolding.normalization
        edges, results = self.edges("particle"), self.results("particle")
        return unfolding_tables(results, edges, self.prior, self.truth, normalization)

    @cached_property
    def detector_level(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        """The tables `detector` and `detector_summary`; iteration 0 is the simulation before."""
        before = {name: histogram.of_one_pass() for name, histogram in self.folded.items()}
        priors = [
            Unfolded(method, how, 0, before)
            for method in self.plan.config.methods
            for how in self.plan.combinations(method)
        ]
        results, edges = [*priors, *self.results("detector")], self.edges("detector")
        normalization = self.plan.config.unfolding.normalization
        return detector_tables(results, edges, self.measured, normalization)

    # -- weights -----------------------------------------------------------------------------

    @cached_property
    def first(self) -> dict[str, str]:
        """The first combination of each method."""
        return {method: self.plan.combinations(method)[0] for method in self.plan.config.methods}

    def headline(self, table: pd.DataFrame) -> pd.DataFrame:
        """Return the rows of each method's first combination."""
        return table[table["combine"] == table["method"].map(self.first)]

    def weights(self, combinations: Callable[[str], tuple[str, ...]]) -> Iterator[FinalWeights]:
        """Yield the final weights of every method and pass; each is read while it is at hand.

        Args:
            combinations: which ones of a method.
        """
        for method in self.plan.config.methods:
            for how in combinations(method):
                for pass_ in self.plan.passes:
                    with open_h5(self.plan.unfolded(method, how, pass_)) as file:
                        ratios = file["ratio"]
                        yield FinalWeights(
                            method,
                            how,
                            pass_,
                            file.attrs["scale"],
                            file["weight"][:] / ratios[-1].astype(float),
                            (ratios[row].astype(float) for row in range(len(ratios))),
                        )

    def headline_weights(self) -> Iterator[FinalWeights]:
        """Yield the final weights of each method's first combination, of every pass."""
        return self.weights(lambda method: (self.first[method],))
