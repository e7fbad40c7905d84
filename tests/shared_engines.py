"""Engines that the jobs of a study share in a test, where they run in one process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest


@contextmanager
def shared_engines() -> Iterator[None]:
    """Trace each architecture once, not in every job: half of the time of a small study.

    Engines hold no state, and networks of one job share one anyway.
    """
    from omniflow.training import engines

    original, known = engines.engine, {}

    def engine(config, model, features):
        columns = (features.particles, features.neighbours, features.event)
        key = (
            *(part.model_dump_json() for part in (config.classifier, config.execution)),
            config.training.loss,
            config.training.micro_batches,
            model.dtype_policy.name,
            *(part.shape[1] for part in columns),
        )
        if key not in known:
            known[key] = original(config, model, features)
        return known[key]

    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(engines, "engine", engine)
        yield
