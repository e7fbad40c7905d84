"""Checks of DIS events: what their features and observables need."""

from __future__ import annotations

import numpy as np

from omniflow.events.checks import problem
from omniflow.events.sample import Events

_REMEDY = "remove the event or correct its selection flag"


def check(events: Events, where: str, first: int = 0) -> None:
    """Refuse DIS events whose logarithms or angles do not exist.

    Args:
        events: consecutive events of a sample, with the columns `DIS_EVENT`.
        where: file or sample, named in the message.
        first: number of the first of them in the sample.

    Raises:
        InputError: Q2 not above 0, or an electron without transverse momentum, of an event at
            particle level or one that passes at detector level.
    """
    levels = [("detector", events.detector, np.asarray(events.pass_detector))]
    if events.particle is not None:
        levels.append(("particle", events.particle, np.ones(len(events), bool)))
    for name, level, used in levels:
        q2, px, py = (
            level.event[:, level.event_columns.index(key)] for key in ("q2", "e_px", "e_py")
        )
        for bad, what in (
            (q2 <= 0, "q2 is not positive"),
            ((px == 0) & (py == 0), "the electron has no transverse momentum"),
        ):
            if (used & bad).any():
                at = int(np.argmax(used & bad))
                event_id = int(events.event_id[at])
                raise problem(where, f"{name}/event", what, _REMEDY, first + at, event_id)
