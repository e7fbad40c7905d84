"""Table of rounds: how many lanes methods have whose lanes are added until a target is met."""

from __future__ import annotations

from omniflow.tables.shared import METHOD, OBSERVABLE
from omniflow.tables.table import Table, When, number, text, whole

TITLE = "Rounds of lanes"
NOTES = "[Adaptive ensembling](method/adaptive.md) has the definitions."

LANES = Table(
    "lanes.csv",
    "what rounds of lanes have measured, and how many lanes they asked for",
    When.ADAPTIVE,
    columns=(
        METHOD,
        whole("round", "from 1"),
        whole("lanes", "that were measured"),
        text("quantity", "what has a target: `sigma_rel`, or `statistical`"),
        OBSERVABLE,
        number("value", "the quantity, for the first combination of these lanes in one pass"),
        number("limit", "its upper confidence limit"),
        number("target", "for the limit"),
        text("met", "`yes` or `no`"),
        whole("wanted", "lanes that the target takes in all observables, by this round"),
        whole("following", "lanes of the next round; empty: it was the last", empty=True),
    ),
    key=("method", "round", "observable"),
)
