"""Plausibility of DIS events."""

from __future__ import annotations

from omniflow.events.plausibility import RULES as COMMON
from omniflow.events.plausibility import Rule

RULES = (
    *COMMON,
    Rule(
        None,
        r"^y$",
        lambda values: (values < 0) | (values > 1),
        "outside of 0 to 1",
        "it is probably no inelasticity, or in percent",
        "take another column, or let the event fail the selection",
    ),
)
