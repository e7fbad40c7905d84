"""Stacking: how unequal the weights of members are, and what they gain on held-out events."""

from __future__ import annotations

import math

from omniflow.report.content import ReportTables
from omniflow.report.formats import count, listing, number

HEADER = (
    *("method", "iteration", "step", "effective members", "largest weight", "held-out events"),
    *("loss, best member", "equal weights", "stacked", "gain / 10⁻⁴"),
    "gain on deciding events / 10⁻⁴",
)


def held_out(tables: ReportTables) -> str:
    """Return in a sentence who was trained on the events that decide the weights."""
    if tables.study.judged.split == "kept":
        return "No member was trained on these events."
    known = "the same members in earlier iterations"
    if tables.study.judged.split == "cold":
        known = "members of earlier iterations, whose ratios are in the weights"
    return (
        "No member was trained on these events in the same iteration, but most of those of "
        f"iteration 2 and later ones trained {known}."
    )


def rows(tables: ReportTables) -> list[list[str]]:
    """Return the cells of the table of stacked members, as in `HEADER`; none without stacking.

    Losses and gain are those on events that did not decide the weights; no numbers where a study of
    an earlier version lacks them.
    """
    users: dict[str, list[str]] = {}
    members = {}
    for method in tables.study.methods:
        users.setdefault(method.chain, []).append(method.name)
        members[method.chain] = method.members
    found = []
    for stack in tables.study.stacking:
        losses = (stack.crossed_best, stack.crossed_mean, stack.crossed_stacked)
        best, mean, stacked = (math.nan if loss is None else loss for loss in losses)
        found.append(
            [
                listing(users[stack.chain]),
                str(stack.iteration),
                stack.step,
                f"{number(stack.effective)} of {members[stack.chain]}",
                number(stack.largest),
                count(stack.events),
                *(f"{x:.5f}" if math.isfinite(x) else "–" for x in (best, mean, stacked)),
                number(1e4 * (mean - stacked)),
                number(1e4 * (stack.loss_mean - stack.loss_stacked)),
            ]
        )
    return found
