"""Second classifiers: can a new network tell the reweighted simulation from its target?"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from omniflow.errors import TrainingError
from omniflow.evaluation.scores import Scores, auc
from omniflow.events import store
from omniflow.events.batches import Source
from omniflow.events.features import open_features
from omniflow.events.sample import Events, Level
from omniflow.events.split import held_out
from omniflow.files import read_json, understood
from omniflow.stages import final, samples
from omniflow.stages.inputs import region
from omniflow.stages.networks import Networks
from omniflow.tables.classifiers import SECOND_CLASSIFIER
from omniflow.training import interrupt
from omniflow.training.interrupt import Interrupt
from omniflow.unfolding import seeds
from omniflow.unfolding.coordinates import SECOND, Network
from omniflow.unfolding.plan import Plan
from omniflow.unfolding.results import PRIOR, SECOND_SIMULATION

if TYPE_CHECKING:
    import pandas as pd


def train(plan: Plan, subject: str) -> None:
    """Train and judge the second classifiers of a method, or of the simulation before unfolding.

    At detector level data stand against simulation, at particle level truth, where there is one,
    against the unfolded result: pass 1, last iteration, first combination. A classifier that cannot
    be trained is noted, because the study's result does not depend on it.
    """
    data, simulation = (store.open_store(plan.store(role)) for role in ("data", "simulation"))
    ratio = _ratio(plan, subject, len(simulation))
    records = []
    with interrupt.noted() as interruption, tempfile.TemporaryDirectory() as folder:
        for level, network in zip(SECOND, networks(subject), strict=True):
            if not comparable(plan, getattr(data, level), level):
                continue
            inputs = inputs_of(plan, level, Path(folder))
            target = [_source(plan, data, level, inputs, numerator=(data.weight,))]
            if level == "detector":
                target += [_background(plan, role) for role in plan.backgrounds]
            inputs, weights = plan.features("simulation", level), (simulation.weight, ratio)
            other = _source(plan, simulation, level, inputs, denominator=weights)
            job = _Second(plan, level, network, (*target, other), interruption)
            try:
                ((trained, record),) = job.train([network])
            except TrainingError as error:
                attempts = plan.config.training.restarts
                record = {"network": vars(network), "attempt": attempts, "failure": str(error)}
            else:
                record["judged"] = job.judge(trained)
            records.append(record)
    if job.writes:
        job.write_history(records, plan.second(subject))


def networks(subject: str) -> list[Network]:
    """Return the second classifiers of a subject, one per level."""
    return [Network(f"second-{subject}", 1, 0, 0, 0, step, 0) for step in SECOND.values()]


def table(plan: Plan) -> pd.DataFrame:
    """Return the areas under the ROC curves of all second classifiers."""
    levels = {step: level for level, step in SECOND.items()}
    rows = []
    for subject in plan.second_subjects:
        path = plan.second(subject)
        content = read_json(path)
        with understood(path):
            for record in content["networks"]:
                judged = record.get("judged", dict.fromkeys(("events", "auc", "auc_error")))
                found = judged | {"best_epoch": record.get("best_epoch")}
                found |= {"subject": subject, "level": levels[record["network"]["step"]]}
                rows.append(found | {"failure": record.get("failure", "")})
    return SECOND_CLASSIFIER.build(rows)


def comparable(plan: Plan, data: Level | None, level: str) -> bool:
    """Return whether data have a level, with what networks see there."""
    if data is None:
        return False
    lacking = plan.features_seen[level].lacking(data.event_columns, data.particle_columns)
    if lacking is not None:
        print(f"Not judged at {level} level, where data have no {lacking[1]!r}.")
    return lacking is None


class _Second(Networks):
    """One second classifier; a part of the events takes no part in its training."""

    def __init__(
        self,
        plan: Plan,
        level: str,
        network: Network,
        sources: tuple[Source, ...],
        interruption: Interrupt | None,
    ) -> None:
        seed = seeds.integer(plan.seed("judge", network))
        *target, other = sources
        sources = (*target, _thinned(other, target[0], plan, network))
        kept = [held_out(s.event_id, seed, plan.config.training.validation) for s in sources]
        self._judged, self._trained = (
            tuple(
                replace(source, select=source.select & (mask == wanted))
                for source, mask in zip(sources, kept, strict=True)
            )
            for wanted in (True, False)
        )
        super().__init__(plan, level, sources[-1].features, interruption)

    def sources(self, network: Network) -> tuple[Source, ...]:
        """Return the strata of the training."""
        return self._trained

    def event_weights(self, network: Network) -> list[np.ndarray]:
        """Return the weights that are judged, and which events the network is trained on.

        These are part of the fingerprint; `observables.region`, which selects events, is not.
        """
        return [self._trained[-1].denominator[-1], *(source.select for source in self._trained)]

    def judge(self, parameters: np.ndarray) -> dict[str, float]:
        """Return the area under the ROC curve of events that nothing was decided with."""
        scores = Scores.empty(self.plan.config.training.logit_clip)
        for source in self._judged:
            for where, logits in self.trainer.predict([parameters], source):
                rows = source.select[where]
                a, b = source.weights(where)
                scores = scores.plus(logits[0, rows], a[rows], b[rows])
        area, error = auc(scores)
        return {"events": scores.events, "auc": area, "auc_error": error}


def _thinned(source: Source, target: Source, plan: Plan, network: Network) -> Source:
    """Return a random part of the simulation, in proportion to its target."""
    wanted = SECOND_SIMULATION * np.count_nonzero(target.select)
    fraction = wanted / max(1, np.count_nonzero(source.select))
    if fraction >= 1:
        return source
    seed = seeds.integer(plan.seed("thin", network))
    return replace(source, select=source.select & held_out(source.event_id, seed, fraction))


def inputs_of(plan: Plan, level: str, folder: Path) -> Path:
    """Return the file of the data's inputs; those of truth are made for this alone."""
    if level == "detector":
        return plan.features("data", level)
    path = folder / "data-particle.h5"
    truth = store.open_store(plan.store("data")).particle
    assert truth is not None  # see `comparable`
    samples.write_features(plan, truth, level, path)
    return path


def _source(
    plan: Plan,
    events: Events,
    level: str,
    inputs: Path,
    numerator: tuple[np.ndarray, ...] = (),
    denominator: tuple[np.ndarray, ...] = (),
) -> Source:
    select = region(plan, events, level)
    opened = open_features(inputs)
    return Source(opened, np.asarray(events.event_id), select, numerator, denominator)


def _background(plan: Plan, role: str) -> Source:
    """Return what is subtracted from the data."""
    events = store.open_store(plan.store(role))
    factor = np.broadcast_to(-plan.background_factor(role), len(events))
    weights = (events.weight, factor)
    return _source(plan, events, "detector", plan.features(role, "detector"), numerator=weights)


def _ratio(plan: Plan, subject: str, events: int) -> np.ndarray:
    """Return the ratios nu (n,) that are judged, in the order of the store."""
    if subject == PRIOR:
        return np.ones(events)
    how = plan.combinations(subject)[0]
    found = final.Ratios(plan, subject).after(how, plan.passes[0], plan.iterations[-1])
    return found.astype(np.float64)
