"""Scores of networks: filled while a training job predicts logits, and read back for the tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from omniflow.evaluation.scores import PARTS, SUMS, Scores
from omniflow.events.batches import Source
from omniflow.hdf5 import create_h5, open_h5, read_dataset
from omniflow.unfolding.coordinates import Block, Network

NAME = "scores.h5"


class Recorder:
    """Fills the scores of networks, held-out and trained events apart, as logits come by."""

    def __init__(
        self,
        strata: Sequence[tuple[Source, ...]],
        judged: Sequence[Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]],
        clip: float,
    ) -> None:
        """Start with empty scores.

        Args:
            strata: per network, all events of its step.
            judged: per network, which events ((n,) uint64 ids) each of `PARTS` holds, (n,) bool.
            clip: largest magnitude of a logit.
        """
        self._strata, self._judged = strata, judged
        self.scores = [{part: Scores.empty(clip) for part in PARTS} for _ in strata]

    def follow(
        self, logits: Iterator[tuple[slice, np.ndarray]], stratum: int
    ) -> Iterator[tuple[slice, np.ndarray]]:
        """Yield the logits of a stratum's events, as `Trainer.predict` does, and record them.

        Args:
            logits: slices of the stratum's events, and logits (networks, k).
            stratum: number of it; -1 is the simulation.

        Yields:
            What `logits` yields: slices, and logits (networks, k).
        """
        for where, found in logits:
            for network, (strata, judged) in enumerate(
                zip(self._strata, self._judged, strict=True)
            ):
                source = strata[stratum]
                a, b = source.weights(where)
                for part, chosen in zip(PARTS, judged(source.event_id[where]), strict=True):
                    rows = chosen & source.select[where]
                    scores = self.scores[network]
                    scores[part] = scores[part].plus(found[network, rows], a[rows], b[rows])
            yield where, found


def write(path: Path, scores: Sequence[dict[str, Scores]]) -> None:
    """Write the scores of networks, in their order."""
    with create_h5(path) as file:
        file.create_dataset("sums", data=[[s[part].sums for part in PARTS] for s in scores])
        file.create_dataset("events", data=[[s[part].events for part in PARTS] for s in scores])
        file.attrs.update(clip=scores[0][PARTS[0]].clip, sums=SUMS, parts=PARTS)


def read(path: Path) -> list[dict[str, Scores]]:
    """Return the scores that `write` wrote."""
    with open_h5(path) as file:
        sums = read_dataset(file, "sums", (None, len(PARTS), len(SUMS), None), "f")
        events = read_dataset(file, "events", (len(sums), len(PARTS)), "i")
        clip = float(file.attrs["clip"])
    return [
        {part: Scores(clip, *pair) for part, *pair in zip(PARTS, own, counts.tolist(), strict=True)}
        for own, counts in zip(sums, events, strict=True)
    ]


def of_block(folder: Path, block: Block) -> dict[Network, dict[str, Scores]]:
    """Return the scores of a block's networks; empty where an earlier version trained them."""
    path = folder / NAME
    return dict(zip(block.networks, read(path), strict=True)) if path.is_file() else {}
