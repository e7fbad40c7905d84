"""Tables of convergence: how distances change with the iterations, and where to stop."""

from __future__ import annotations

from omniflow.tables.shared import COMBINE, METHOD, OBSERVABLE
from omniflow.tables.table import Table, number, text, whole

TITLE = "Convergence"
NOTES = "[Where to stop](method/faults.md#where-to-stop) has the definitions."

CONVERGENCE = Table(
    "convergence.csv",
    "fall of the distances to data and truth between any two iterations",
    columns=(
        text("level", "`detector`: distances to data; `particle`: to truth"),
        METHOD,
        COMBINE,
        OBSERVABLE,
        whole("iteration", "the earlier one, from 0"),
        whole("to", "the later one"),
        number("td", "after `to`, as in `detector_summary.csv` and `summary.csv`"),
        number("td_floor", "its statistical floor"),
        number("fall", "of the distance from `iteration` to `to`; below 0: a rise"),
        number(
            "error",
            "the uncertainty without the floor: standard deviation of the change by statistics",
        ),
        number("uncertainty", "of the fall"),
    ),
    key=("level", "method", "combine", "observable", "iteration", "to"),
)
STOPPING = Table(
    "stopping.csv",
    "where the iterations of each method could stop",
    columns=(
        METHOD,
        whole("iteration", "the suggestion; empty if the distance still falls", empty=True),
        text("observable", "why not one iteration earlier: the observable whose distance falls"),
        whole("to", "up to which iteration it falls from there", empty=True),
        number("fall", "by how much"),
        number("uncertainty", "of that fall"),
        whole("last", "number of iterations"),
        text(
            "above_floor",
            "observables whose distance at the suggestion (else after the last iteration) exceeds "
            "twice its floor",
        ),
        text(
            "rising",
            "observables whose distance rises after the suggestion by more than the uncertainty",
        ),
    ),
    key=("method",),
)
