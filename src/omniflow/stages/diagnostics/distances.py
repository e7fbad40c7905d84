"""Distances to truth and data that need no bins, beside those that do."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain

import numpy as np
import pandas as pd

from omniflow.evaluation import wasserstein
from omniflow.evaluation.convergence import truth_as_data
from omniflow.evaluation.histograms import normalise
from omniflow.evaluation.spectra import discriminator
from omniflow.evaluation.wasserstein import Sums
from omniflow.events import store
from omniflow.files import writable
from omniflow.observables import cache
from omniflow.observables.entries import Entries
from omniflow.stages import evaluation, final, inputs, oracle
from omniflow.stages.finished import Finished
from omniflow.tables.identifiability import DISTANCES
from omniflow.tables.table import Table
from omniflow.unfolding.plan import Plan
from omniflow.unfolding.results import PRIOR

# In place of an observable: all observables of events together.
SLICED = "_sliced"
# What distances are between, of the observables of a slice of so many events.
_Of = Callable[[Mapping[str, Entries], int], dict[str, Entries]]
_Discriminators = dict[tuple[str, str], tuple[float, float]]


def tables(study: Finished) -> dict[Table, pd.DataFrame]:
    """Return distances to truth (particle level) and to data (detector level), after the last step.

    Subjects are the simulation before unfolding, the methods (first combination, mean over passes)
    and the oracle.
    """
    plan, ratio = study.plan, oracle.ratio(study.plan)
    rows: list[dict] = []
    with _weights(study, ratio) as subjects:
        for level in ("particle", "detector")[study.truth is None :]:
            binned = _binned(study, level, subjects.get(oracle.NAME))
            for observable, found in _Level(plan, level, subjects).distances():
                for subject, distance, floor in zip(subjects, *found, strict=True):
                    td, least = binned.get((subject, observable), (np.nan, np.nan))
                    keys = {"level": level, "subject": subject, "observable": observable}
                    keys |= {"wasserstein": distance, "wasserstein_floor": floor}
                    rows.append(keys | {"td": td, "td_floor": least})
    return {DISTANCES: DISTANCES.build(rows)}


def _binned(study: Finished, level: str, weight: np.ndarray | None) -> _Discriminators:
    """Return discriminators and floors by subject and observable, for weights (n,) of the oracle.

    Those of the methods are those of the summaries.
    """
    particle = level == "particle"
    summary = truth_as_data(*study.particle_level)[1] if particle else study.detector_level[1]
    rows, last = study.headline(summary), study.plan.iterations[-1]
    found = {
        (row.method if row.iteration else PRIOR, row.observable): (row.td, row.td_floor)
        for row in rows[rows["iteration"].isin([0, last])].itertuples()
    }
    if weight is None:
        return found
    target = (study.truth or {}) if particle else study.measured
    for name, histogram in evaluation.fill(study.plan, "simulation", level, weight).items():
        found[oracle.NAME, name] = discriminator(normalise(target[name]), normalise(histogram))
    return found


@contextmanager
def _weights(study: Finished, ratio: np.ndarray | None) -> Iterator[dict[str, np.ndarray]]:
    """Yield event weights (n,) by subject, memory-mapped while the context lasts."""
    plan, common = study.plan, study.common
    base = common.scale * np.asarray(common.weight, np.float64)
    names = [PRIOR, *plan.config.methods, *([] if ratio is None else [oracle.NAME])]
    target = plan.table(DISTANCES.name)
    with tempfile.TemporaryFile(dir=target.parent) as file:
        with writable(target, target.parent):
            for name in names:
                if name == oracle.NAME and ratio is not None:
                    file.write((base * ratio).data)
                else:
                    file.write((base if name == PRIOR else base * _mean(plan, name)).data)
            file.flush()
        shape = (len(names), len(base))
        yield dict(zip(names, np.memmap(file, np.float64, "r", shape=shape), strict=True))


def _mean(plan: Plan, method: str) -> np.ndarray:
    """Return the mean over passes of the ratios (n,) of a method's first combination."""
    ratios, how = final.Ratios(plan, method), plan.combinations(method)[0]
    total = np.zeros(len(ratios.event_id))
    for pass_ in plan.passes:
        total += ratios.after(how, pass_, plan.iterations[-1])
    return total / len(plan.passes)


@dataclass(frozen=True)
class _Level:
    """One level of a study: reference and subjects, gone through in slices."""

    plan: Plan
    level: str
    subjects: Mapping[str, np.ndarray]

    def distances(self) -> Iterator[tuple[str, tuple[np.ndarray, np.ndarray]]]:
        """Yield distances and floors (k,) of all subjects by observable, and of all together."""
        names = list(evaluation.edges(self.plan, self.level))
        if not names:
            return
        scales = {}
        for name, (reference, found) in self._compared(names, _alone).items():
            scales[name] = float(reference.mean[0]), float(reference.deviation[0])
            distance, floor = wasserstein.distance(reference, found)
            yield name, (distance / scales[name][1], floor / scales[name][1])
        axes = evaluation.read_axes(self.plan)
        events = [n for n in names if axes[n].kind == "event" and scales[n][1] > 0]
        if not events:
            return
        centre, scale = np.array([scales[name] for name in events]).T

        def along(entries: Mapping[str, Entries], count: int) -> dict[str, Entries]:
            found = wasserstein.projected(entries, count, centre, scale)
            return {str(i): each for i, each in enumerate(found)}

        pairs = self._compared(events, along, wasserstein.PROJECTED).values()
        distances, floors = zip(*(wasserstein.distance(*pair) for pair in pairs), strict=True)
        yield SLICED, (np.mean(distances, axis=0), np.mean(floors, axis=0))

    def _compared(
        self, names: Sequence[str], of: _Of, most: float = np.inf
    ) -> dict[str, tuple[Sums, Sums]]:
        """Return the reference and the subjects, in the same cells, by what `of` returns.

        Args:
            names: of observables.
            of: what is compared.
            most: events of a sample; those of a store are in random order.
        """
        roles = (*self._measured, "simulation")
        slices = {role: self._slices(role, names, of, most) for role in roles}
        first = {role: next(slices[role]) for role in ("data", "simulation")}
        values = [parts for _, parts in first.values()]
        cells = {key: wasserstein.edges(*(each[key].value for each in values)) for key in values[0]}
        for role, each in first.items():
            slices[role] = chain([each], slices[role])
        reference: dict[str, Sums] = {}
        found: dict[str, Sums] = {}
        for role, factor in self._measured.items():
            weight = np.asarray(store.open_store(self.plan.store(role)).weight)
            for rows, parts in slices[role]:
                # Some events of data stand for all, beside all of a background, or some of it.
                own = factor * max(1.0, len(weight) / most) * weight[rows, None]
                for key, part in parts.items():
                    reference[key] = wasserstein.fill(part, cells[key], own).plus(
                        reference.get(key)
                    )
        for rows, parts in slices["simulation"]:
            own = np.stack([weight[rows] for weight in self.subjects.values()], axis=1)
            for key, part in parts.items():
                found[key] = wasserstein.fill(part, cells[key], own).plus(found.get(key))
        return {key: (reference[key], found[key]) for key in cells}

    @property
    def _measured(self) -> dict[str, float]:
        """Samples that make the reference, with factors on their weights."""
        if self.level == "particle":
            return {"data": 1.0}
        return {"data": 1.0} | {r: -self.plan.background_factor(r) for r in self.plan.backgrounds}

    def _slices(
        self, role: str, names: Sequence[str], of: _Of, most: float = np.inf
    ) -> Iterator[tuple[slice, dict[str, Entries]]]:
        """Yield slices of a sample, and the entries of the events that histograms count."""
        events = store.open_store(self.plan.store(role))
        mask = inputs.region(self.plan, events, self.level)
        path = self.plan.observables(role) / f"{self.level}.h5"
        for rows, found in cache.entries(path, names, len(events)):
            if rows.start >= most:
                return
            counted = {name: _within(each, mask[rows]) for name, each in found.items()}
            yield rows, of(counted, rows.stop - rows.start)


def _within(entries: Entries, mask: np.ndarray) -> Entries:
    keep = mask[entries.event_index]
    return Entries(entries.event_index[keep], entries.value[keep])


def _alone(entries: Mapping[str, Entries], events: int) -> dict[str, Entries]:
    return dict(entries)
