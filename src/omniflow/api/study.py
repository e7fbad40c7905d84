"""A study that has been run: weights, histograms, tables and networks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from omniflow import config as settings
from omniflow.api import results
from omniflow.api.choices import one_of
from omniflow.api.filling import Filling
from omniflow.api.tables import Tables
from omniflow.api.trained import TrainedNetwork
from omniflow.errors import InputError
from omniflow.events import store
from omniflow.events.sample import Events
from omniflow.stages.weights import setup
from omniflow.unfolding.coordinates import STEP_NAMES, parted, step_number
from omniflow.unfolding.coordinates import level as level_of
from omniflow.unfolding.plan import Plan
from omniflow.unfolding.seen import MLP, SETS

if TYPE_CHECKING:
    import hist
    import pandas as pd


class Study:
    """A study that has been run: what `unfold` and `read` return.

    Arrays with an axis of n events are aligned with `events("simulation")`: in the order in which
    `unfold` got them, or by event id where a folder was read. Where a method, combination, pass or
    iteration is not named, it is the first method, its first combination, the mean over all passes,
    and the last iteration.

    Examples:
        >>> import numpy as np
        >>> import omniflow
        >>> true, noise, other = np.random.default_rng(1).normal(size=(3, 1000))
        >>> simulation = omniflow.Events.from_arrays({"mass": true + 0.3 * noise}, {"mass": true})
        >>> study = omniflow.unfold(
        ...     omniflow.Events.from_arrays({"mass": 1.1 * other + 0.2}),
        ...     simulation,
        ...     iterations=1,
        ...     passes=4,
        ...     training={"epochs": 1, "min_updates": 1},
        ...     diagnostics={"second_classifier": False},
        ... )
        >>> study.methods, study.headline
        (('none',), ('none', 'none'))
        >>> study.weights_of("none", pass_=2).shape
        (1000,)
        >>> histogram, covariance = study.histogram("mass", [-1, 0, 1], with_covariance=True)
        >>> histogram.axes[0].edges, {name: block.shape for name, block in covariance.items()}
        (array([-1.,  0.,  1.]), {'training': (2, 2), 'total': (2, 2)})
        >>> study.networks(pass_=1)
        [TrainedNetwork(scratch-1 pass 1 lane 0 member 0 iteration 1 step 2)]
        >>> nu = study.reweight(simulation, pass_=1)
        >>> np.array_equal(study.scale * simulation.weight * nu, study.weights_of(pass_=1))
        True
        >>> study.weights_of("parallel")
        Traceback (most recent call last):
        omniflow.errors.InputError: there is no method 'parallel': none
    """

    def __init__(
        self,
        plan: Plan,
        held: Mapping[str, Events] | None = None,
        classifier: Callable[..., Any] | None = None,
    ) -> None:
        """Take the plan, which has been run.

        Args:
            plan: its files are there.
            held: samples of the program by role, whose order is kept.
            classifier: as of `read`.
        """
        if classifier is not None:
            from omniflow import outside

            own = plan.config.classifier.model_copy(update={"kind": outside.hold(classifier)})
            plan = Plan(plan.config.model_copy(update={"classifier": own}), plan.root)
        self.plan = plan
        self.tables = Tables(plan)
        self._held = dict(held or {})

    def __repr__(self) -> str:
        """Return the folder and what was run."""
        methods = ", ".join(self.methods)
        passes, iterations = len(self.plan.passes), len(self.plan.iterations)
        return (
            f"Study({methods}; {passes} pass(es), {iterations} iteration(s); folder {self.folder})"
        )

    # -- what was run ------------------------------------------------------------------------

    @property
    def folder(self) -> Path:
        """Where its files lie; a temporary folder ends with the object that `unfold` returned."""
        return self.plan.root

    @property
    def config(self) -> settings.Config:
        """Its configuration, defaults included."""
        return self.plan.config

    @property
    def methods(self) -> tuple[str, ...]:
        """Names of its methods."""
        return tuple(self.plan.config.methods)

    @property
    def headline(self) -> tuple[str, str]:
        """The first method and its first combination."""
        return self.methods[0], self.plan.combinations(self.methods[0])[0]

    @property
    def scale(self) -> float:
        """Factor s on the weights of the simulation; weights are s x base weight x ratio."""
        return setup(self.plan).scale

    # -- events ------------------------------------------------------------------------------

    def events(self, role: str = "simulation") -> Events:
        """Return the events of a sample: as `unfold` got them, or in the order of their ids.

        Args:
            role: `data`, `simulation`, `background-<name>` and so on.

        Returns:
            The sample, of n events.

        Raises:
            InputError: the study has no such sample.
        """
        if role not in self.plan.samples:
            raise InputError(f"there is no sample {role!r}: {', '.join(self.plan.samples)}")
        if role in self._held:
            return self._held[role]
        return store.open_store(self.plan.store(role)).take(self._rows(role))

    @property
    def data(self) -> Events:
        """What was unfolded."""
        return self.events("data")

    @property
    def simulation(self) -> Events:
        """What was reweighted."""
        return self.events("simulation")

    def _rows(self, role: str) -> np.ndarray:
        """Return where the events (n,) stand in the store."""
        known = np.asarray(store.open_store(self.plan.store(role)).event_id)
        wanted = self._held[role].event_id if role in self._held else np.sort(known)
        found = results.places(known, wanted)
        if found is None:
            raise InputError(
                f"{self.plan.store(role)}: holds other events than when the study was opened; read "
                "the study again"
            )
        return found

    def _simulation_of(self, method: str) -> str:
        """Return the role of the sample that a result reweights."""
        return self.plan.variants.role("simulation", parted(method)[0])

    # -- weights -----------------------------------------------------------------------------

    @property
    def weights(self) -> np.ndarray:
        """Final weights (n,) float64 of the headline: see `weights_of`."""
        return self.weights_of()

    @property
    def ensemble(self) -> np.ndarray:
        """Final weights (passes, n) float64 of the headline, of every pass."""
        return self.ensemble_of()

    def weights_of(
        self,
        method: str | None = None,
        combine: str | None = None,
        pass_: int | None = None,
        iteration: int | None = None,
    ) -> np.ndarray:
        """Return event weights (n,) float64 that turn the simulation into the unfolded data.

        Histograms of any quantity at particle level with these weights are the unfolded result.
        Events that are not unfolded (`unfolding.particle_level: pass_gen`) have 0. Of a method with
        another simulation (`<variation>.<method>`) they are aligned with
        `events("<variation>.simulation")`.

        Args:
            method: name of a method, or of one with other inputs (`data-3.parallel`).
            combine: combination of its lanes; `none` for methods of one lane.
            pass_: from 1; None: the mean over passes.
            iteration: from 1.

        Returns:
            (n,) float64, in the order of `simulation`.

        Raises:
            InputError: there is no such method, combination, pass or iteration.
        """
        return self._mean(results.weight, method, combine, pass_, iteration)

    def ratios_of(
        self,
        method: str | None = None,
        combine: str | None = None,
        pass_: int | None = None,
        iteration: int | None = None,
    ) -> np.ndarray:
        """Return nu, what the weights of the simulation were multiplied with.

        1 for events without learned weights. Arguments and errors as of `weights_of`.

        Args:
            method: as of `weights_of`.
            combine: as of `weights_of`.
            pass_: as of `weights_of`.
            iteration: as of `weights_of`.

        Returns:
            (n,) float64, 1 for events without learned weights.

        Raises:
            InputError: as `weights_of`.
        """
        return self._mean(results.ratio, method, combine, pass_, iteration)

    def _mean(self, of_pass: Callable[..., np.ndarray], *named: Any) -> np.ndarray:
        method, how, passes, iteration = self._place(*named)
        rows = [of_pass(self.plan, method, how, pass_, iteration) for pass_ in passes]
        found = rows[0] if len(rows) == 1 else np.mean(rows, axis=0)
        return found[self._rows(self._simulation_of(method))]

    def ensemble_of(
        self,
        method: str | None = None,
        combine: str | None = None,
        iteration: int | None = None,
    ) -> np.ndarray:
        """Return the weights of every pass, which `weights_of` averages.

        Args:
            method: as of `weights_of`.
            combine: as of `weights_of`.
            iteration: as of `weights_of`.

        Returns:
            (passes, n) float64.

        Raises:
            InputError: as `weights_of`.
        """
        method, how, passes, iteration = self._place(method, combine, None, iteration)
        rows = [results.weight(self.plan, method, how, p, iteration) for p in passes]
        return np.stack(rows)[:, self._rows(self._simulation_of(method))]

    def records_of(
        self,
        method: str | None = None,
        combine: str | None = None,
        iteration: int | None = None,
    ) -> pd.DataFrame:
        """Return weights beside the id columns of the simulation's files, such as run and event.

        A row per event: what `omniflow weights` writes, to be joined to the files themselves. Ids
        of several columns are read from them.

        Args:
            method: as of `weights_of`.
            combine: as of `weights_of`.
            iteration: as of `weights_of`.

        Returns:
            The columns of `id` (or `record`), `weight`, and with several passes those of each.

        Raises:
            InputError: as `weights_of`, or the files are not as they were.
        """
        from omniflow.api import records

        return records.frame(self, method, combine, iteration)

    def lanes_of(
        self, method: str | None = None, pass_: int = 1, iteration: int | None = None
    ) -> np.ndarray:
        """Return the weights of every lane of one pass, before they are combined.

        Args:
            method: as of `weights_of`.
            pass_: from 1.
            iteration: as of `weights_of`.

        Returns:
            (lanes, n) float64.

        Raises:
            InputError: as `weights_of`.
        """
        method, _, (pass_,), iteration = self._place(method, None, pass_, iteration)
        found = results.lanes(self.plan, method, pass_, iteration)
        return found[:, self._rows(self._simulation_of(method))]

    def _place(
        self, method: str | None, combine: str | None, pass_: int | None, iteration: int | None
    ) -> tuple[str, str, Sequence[int], int]:
        """Return method, combination, passes and iteration, of which None stands for the usual."""
        plan = self.plan
        method = one_of("method", method or self.methods[0], plan.variants.results)
        combinations = plan.combinations(method)
        how = one_of(f"combination of {method}", combine or combinations[0], combinations)
        passes: Sequence[int] = plan.passes_of(method)
        last = plan.iterations[-1]
        if pass_ is not None:
            passes = [one_of(f"pass of {method}", pass_, passes)]
        return (
            method,
            how,
            passes,
            one_of("iteration", last if iteration is None else iteration, plan.iterations),
        )

    # -- histograms --------------------------------------------------------------------------

    def histogram(
        self,
        what: Any,
        edges: Sequence[float] | hist.axis.AxesMixin | None = None,
        *,
        level: str = "particle",
        region: str | np.ndarray | None = None,
        method: str | None = None,
        combine: str | None = None,
        pass_: int | None = None,
        iteration: int | None = None,
        with_covariance: bool = False,
    ) -> hist.Hist | tuple[hist.Hist, dict[str, np.ndarray]]:
        """Return a histogram of the result: event yields per bin, not divided by their width.

        The variance of a bin is the statistical one of the simulated events, in which the entries
        of one event count together; what the data and the training contribute is in the covariance.

        Args:
            what: an expression over the columns of a level (docs/expressions.md), such as
                "pt" or "sum(pt)"; the name of an observable of the study; or an array with a
                number per event (n,), or with any number per event (jagged, awkward). NaN and
                infinite values have no entry.
            edges: (B + 1,) increasing, or an axis of `hist`; bins are [low, high). An observable of
                the study has its own. What lies outside goes to under- and overflow.
            level: `particle`, the unfolded result; or `detector`, the reweighted simulation.
            region: events that are counted. By default what the study's own histograms count:
                at particle level the fiducial region (`observables.region`), at detector level
                events that pass. `all`, or flags (n,), say otherwise.
            method: as of `weights_of`.
            combine: as of `weights_of`.
            pass_: as of `weights_of`.
            iteration: as of `weights_of`.
            with_covariance: also return the covariance of the bins, (B, B) by block (`data`,
                `simulation`, `training`, each variation, and `total`, their sum), from the variants
                that the study has (`uncertainties`), and from passes (`training`). What the study
                does not vary has no block. Replicas or passes that are too few for an inverse give
                a `CovarianceWarning`.

        Returns:
            A `hist.Hist` of B bins with Weight storage; in a pair with the covariance, (B, B) by
            block, where it is wanted.

        Raises:
            InputError: there is no such method and so on; edges are missing; an array is of
                another length, or there are variants with other events and no expression; or a
                covariance is wanted of one pass without variants, or of a method without them.
            ExpressionError: the expression does not fit the columns.
        """
        place = self._place(method, combine, pass_, iteration)
        role = self._simulation_of(place[0])
        return Filling(self.plan, role, self._rows(role), what, level, region).fill(
            edges, *place, with_covariance=with_covariance
        )

    # -- tables and report -------------------------------------------------------------------

    @property
    def summary(self) -> pd.DataFrame:
        """Metrics by method, iteration and observable, averages over bins.

        Of the first combination of each method's lanes, so that averages over rows do not mix
        combinations: `tables["summary"]` has them all.
        """
        table = self.tables["summary"]
        first = {name: self.plan.combinations(name)[0] for name in table["method"].unique()}
        chosen = table[table["combine"] == table["method"].map(first)]
        return chosen.drop(columns="combine").reset_index(drop=True)

    def report(self, path: str | Path) -> Path:
        """Write the study's report, one HTML file.

        Args:
            path: of the file.

        Returns:
            The path.

        Raises:
            InputError: the study has no tables, or the folder of `path` is not there.
        """
        from omniflow.report import page

        self.tables["summary"]  # says what is missing
        page.write(self.plan.root, path)
        return Path(path)

    # -- networks ----------------------------------------------------------------------------

    def networks(
        self,
        method: str | None = None,
        *,
        pass_: int | None = None,
        lane: int | None = None,
        member: int | None = None,
        iteration: int | None = None,
        step: str | int = 2,
    ) -> list[TrainedNetwork]:
        """Return the networks of a method in one step of one iteration, folds apart.

        Args:
            method: as of `weights_of`.
            pass_: only these; passes count from 1, lanes and members from 0.
            lane: only these; passes count from 1, lanes and members from 0.
            member: only these; passes count from 1, lanes and members from 0.
            iteration: as of `weights_of`.
            step: `1`, `1b`, `2` or `2b`; the weights of the result are those of step 2.

        Returns:
            Networks in the order of their lanes, members and folds.

        Raises:
            InputError: there is no such method, pass, lane, member, iteration or step.
        """
        plan = self._with_features
        method, _, passes, iteration = self._place(method, None, pass_, iteration)
        number = step_number(one_of("step", str(step), [STEP_NAMES[s] for s in plan.steps]))
        settings = plan.variants.method(method)
        lanes, trained = settings.lanes, plan.chains[plan.chain_slug(settings)].networks
        wanted = {"lane": lane, "member": member}
        for name, count in (("lane", lanes), ("member", trained)):
            if wanted[name] is not None:
                one_of(f"{name} of {method}", wanted[name], range(count))
        return [
            TrainedNetwork(plan, block, network)
            for each in passes
            for group in plan.lane_groups(method, each)
            for block in plan.blocks(group, iteration, number)
            for network in block.networks
            if network.lane < lanes
            and all(getattr(network, k) == v for k, v in wanted.items() if v is not None)
        ]

    def reweight(
        self,
        events: Events,
        method: str | None = None,
        combine: str | None = None,
        pass_: int | None = None,
        iteration: int | None = None,
    ) -> np.ndarray:
        """Return the ratios nu (n,) float64 that the study's networks give to other events.

        Multiplied with the weights of simulated events of the same kind, which need not have been
        part of the study, they give the unfolded result. For its own simulation they are those of
        `ratios_of`, bit by bit where the engine is the same. Events that are not unfolded have 1.

        Args:
            events: with a particle level that has the columns that the networks see: found by
                name, in the units that the simulation has.
            method: as of `weights_of`.
            combine: as of `weights_of`.
            pass_: as of `weights_of`.
            iteration: as of `weights_of`.

        Returns:
            (n,) float64, in the order of `events`.

        Raises:
            InputError: as `weights_of`; or there is no particle level, or a column is missing.
            ConfigError: the study's classifier is of a module that is not here.
        """
        from omniflow.stages import reweighting
        from omniflow.training.engines import shared

        method, how, passes, iteration = self._place(method, combine, pass_, iteration)
        with shared():
            found = reweighting.ratios(self._with_features, events, method, how, passes, iteration)
        return found[0] if len(found) == 1 else found.mean(axis=0)

    @cached_property
    def _with_features(self) -> Plan:
        """The plan, with what its networks see as it was when they were trained."""
        from omniflow.models.signature import Signature

        plan = self.plan
        first = {level_of(block.step): block for block in reversed(list(plan.all_blocks()))}
        plan.features_seen, plan.classifiers = {}, {}
        for level, block in first.items():
            path = plan.networks_folder(block) / plan.network_file(block.networks[0])
            found = Signature.read(path)
            plan.features_seen[level] = found.features
            replaced = plan.config.classifier.kind in SETS and found.classifier.kind == MLP
            kind = MLP if replaced else plan.config.classifier.kind
            plan.classifiers[level] = plan.config.classifier.model_copy(update={"kind": kind})
        return plan
