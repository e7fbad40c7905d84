"""Final weights in the order of the event store."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from omniflow.errors import InputError
from omniflow.events import store
from omniflow.events.ids import places
from omniflow.files import writable
from omniflow.hdf5 import memory_map
from omniflow.unfolding.coordinates import FAKES, parted
from omniflow.unfolding.plan import Plan


class Ratios:
    """The final weights of a method, or of another result, as ratios nu to the base weights."""

    def __init__(self, plan: Plan, method: str) -> None:
        """Take a method; files are read when they are needed."""
        self.plan, self.method = plan, method
        role = plan.variants.role("simulation", parted(method)[0])
        self.event_id = np.asarray(store.open_store(plan.store(role)).event_id)
        self._places: dict[str, tuple[np.ndarray, np.ndarray]] = {}

    def after(self, how: str, pass_: int, iteration: int) -> np.ndarray:
        """Return nu (n,) float32 of a combination, 1 for events without learned weights.

        Args:
            how: combination.
            pass_: from 1.
            iteration: from 1.

        Returns:
            (n,) float32 in the order of the store.

        Raises:
            InputError: the weights are those of another sample.
        """
        path = self.plan.unfolded(self.method, how, pass_)
        found = np.ones(len(self.event_id), np.float32)
        for kind in ("", "fakes/") if FAKES in self.plan.steps else ("",):
            ids = memory_map(path, f"{kind}event_id", (None,), "u")
            shape = (len(self.plan.iterations), len(ids))
            values = memory_map(path, f"{kind}ratio", shape, "f")
            known, at = self._places.get(kind, (None, None))
            if known is None or not np.array_equal(known, ids):  # all files have the same, in fact
                at = places(self.event_id, ids)
                if at is None:
                    raise InputError(
                        f"{path}: {kind}event_id: has events that the simulation does not have; it "
                        "was made from another sample. Delete it and rerun."
                    )
                self._places[kind] = ids, at
            found[at] = values[self.plan.iterations.index(iteration)]
        return found


@contextmanager
def spooled(plan: Plan, method: str) -> Iterator[dict[tuple[str, int], np.ndarray]]:
    """Yield nu (iterations, n) by combination and pass, memory-mapped while the context lasts.

    Files of weights are ordered by event id, so that slices of the store would jump through all of
    them at a time. A temporary file in the order of the store is read from beginning to end.

    Args:
        plan: of the study.
        method: or other result.

    Yields:
        (iterations, n) float32 by combination and pass.

    Raises:
        InputError: as `Ratios.after`.
        OutputError: the disk is full.
    """
    ratios, target = Ratios(plan, method), plan.histograms(method)
    keys = [(how, p) for how in plan.combinations(method) for p in plan.passes_of(method)]
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=target.parent) as file:
        with writable(target, target.parent):
            for key in keys:
                for iteration in plan.iterations:
                    file.write(ratios.after(*key, iteration).data)
            file.flush()
        shape = (len(keys), len(plan.iterations), len(ratios.event_id))
        yield dict(zip(keys, np.memmap(file, np.float32, "r", shape=shape), strict=True))
