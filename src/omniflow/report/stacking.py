"""Stacking: how unequal the weights of members are, and what they gain on held-out events."""

from __future__ import annotations

from omniflow.report.formats import count, listing, number
from omniflow.report.tables import ReportTables

HEADER = ("method", "iteration", "step", "effective members", "largest weight", "held-out events")
HEADER += ("loss, best member", "equal weights", "stacked", "gain / 10⁻⁴")


def rows(tables: ReportTables) -> list[list[str]]:
    """Return the cells of the table of stacked members, as in `HEADER`; none without stacking."""
    users: dict[str, list[str]] = {}
    members = {}
    for method in tables.study.methods:
        users.setdefault(method.chain, []).append(method.name)
        members[method.chain] = method.members
    return [
        [
            listing(users[found.chain]),
            str(found.iteration),
            found.step,
            f"{number(found.effective)} of {members[found.chain]}",
            number(found.largest),
            count(found.events),
            *(f"{loss:.5f}" for loss in (found.loss_best, found.loss_mean, found.loss_stacked)),
            number(1e4 * (found.loss_mean - found.loss_stacked)),
        ]
        for found in tables.study.stacking
    ]
