"""Stage 2: pre-training."""

from __future__ import annotations

from omniflow.events import store
from omniflow.events.batches import Source
from omniflow.events.features import open_features
from omniflow.files import replace_folder
from omniflow.stages.inputs import unfolded
from omniflow.stages.networks import Networks
from omniflow.training import interrupt
from omniflow.training.interrupt import Interrupt
from omniflow.unfolding.coordinates import Network
from omniflow.unfolding.plan import Plan

_CLASSES = ("numerator", "denominator")


def pretrain(plan: Plan, model: int) -> None:
    """Train a classifier of the pre-training pair at detector level and write it."""
    with interrupt.noted() as interruption:
        job = Pretraining(plan, interruption)
        ((weights, record),) = job.train([plan.pretraining_networks[model]])
        if job.writes:
            with replace_folder(plan.pretrained(model)) as folder:
                job.save(weights, folder / "network.weights.h5")
                job.write_history([record], folder / "history.json")


class Pretraining(Networks):
    """The inputs of pre-training."""

    def __init__(self, plan: Plan, interruption: Interrupt | None) -> None:
        """Open the features of both classes."""
        self._sources = tuple(
            _pretraining_source(plan, role, level, name)
            for name, (role, level) in zip(_CLASSES, plan.pretraining_classes, strict=True)
        )
        # Networks of both levels start from it, because their inputs are alike.
        super().__init__(plan, "detector", self._sources[0].features, interruption)

    def sources(self, network: Network) -> tuple[Source, ...]:
        """Return the strata of the training."""
        return self._sources


def _pretraining_source(plan: Plan, role: str, level: str, name: str) -> Source:
    """Return the events of one class."""
    events = store.open_store(plan.store(role))
    features = open_features(plan.features(role, level))
    select = events.pass_detector
    if role == "pretraining-simulation":
        select = select & unfolded(plan, events)  # the same events at both levels
    weights = {known: (events.weight,) if known == name else () for known in _CLASSES}
    return Source(features, events.event_id, select, **weights)
