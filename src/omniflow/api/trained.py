"""Networks of a study, one by one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from omniflow.events.sample import Events
from omniflow.files import read_json, understood
from omniflow.unfolding.coordinates import Block, Network
from omniflow.unfolding.plan import Plan


@dataclass(frozen=True)
class TrainedNetwork:
    """One network of a study.

    Attributes:
        plan: of the study.
        block: the job that trained it.
        coordinates: pass, lane, member, iteration, step and fold.
    """

    plan: Plan
    block: Block
    coordinates: Network

    @property
    def path(self) -> Path:
        """File of its parameters, in Keras' format."""
        return self.plan.networks_folder(self.block) / self.plan.network_file(self.coordinates)

    @property
    def record(self) -> dict[str, Any]:
        """What its training left: losses and rates by epoch, start, engine, time."""
        path, own = self.plan.history(self.block), vars(self.coordinates)
        history = read_json(path)
        with understood(path):
            return next(record for record in history["networks"] if record["network"] == own)

    def logits(self, events: Events) -> np.ndarray:
        """Return logarithms of its likelihood ratio (n,) float32, before any yield.

        NaN for events that do not pass at detector level, where it reads that. Events of the
        study's own simulation get what the study got, bit by bit where the engine is the same.

        Args:
            events: with the level that it reads, and the columns that it sees there: found by
                name, in the units that the study's samples have.

        Returns:
            (n,) float32, in the order of `events`.

        Raises:
            InputError: the level is missing, or a column.
        """
        from omniflow.stages import reweighting

        return reweighting.logits(self.plan, events, self.block, self.coordinates)

    def __repr__(self) -> str:
        """Return its coordinates."""
        return f"TrainedNetwork({self.coordinates.name})"
