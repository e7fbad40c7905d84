"""Identifiability: the report's words and tables on the oracle, distances and responses."""

from __future__ import annotations

from typing import Any

import pandas as pd

from omniflow.evaluation.metrics import FLOORS, FLOORS_IN_WORDS
from omniflow.evaluation.response import LEVEL, judged
from omniflow.report import formats
from omniflow.report.content import ReportTables

ORACLE, _PRIOR, _SLICED = "_oracle", "_prior", "_sliced"
Table = tuple[list[str], list[list[str]]]


def context(tables: ReportTables) -> dict[str, Any]:
    """Return what the template shows."""
    return {
        "oracle": oracle(tables),
        "discriminators": _distances(tables, "particle", "td"),
        "wasserstein": {
            level: found
            for level in ("particle", "detector")
            if (found := _distances(tables, level, "wasserstein"))[1]
        },
        "response": responses(tables),
        "tests": _tests(tables),
        "failures": [
            f"{row.role} ({row.test}): {row.failure}"
            for row in tables["response"].itertuples()
            if row.failure
        ],
        "level": f"{LEVEL:g}",
    }


def oracle(tables: ReportTables) -> str:
    """Say what the oracle's distances mean for the methods; nothing without an oracle."""
    rows = tables["distances"]
    rows = rows[(rows["level"] == "particle") & rows["td"].notna()]
    mine = rows[rows["subject"] == ORACLE].set_index("observable")
    if mine.empty:
        return ""
    labels = _labels(tables)
    others = rows[~rows["subject"].isin([ORACLE, _PRIOR])]
    best = others.groupby("observable")["td"].min().reindex(mine.index)
    far = mine.index[mine["td"] > FLOORS * mine["td_floor"]]
    gap = mine.index[best - mine["td"] > (FLOORS - 1) * mine["td_floor"]]
    limits = (
        f"It exceeds {FLOORS_IN_WORDS} its floor in {formats.listing([labels[n] for n in far])}: "
        "there network or training limit every method, whatever the unfolding does."
        if len(far)
        else f"It is within {FLOORS_IN_WORDS} its floor in all {len(mine)} observables: network "
        "and training are good enough for these events."
    )
    behind = (
        "All methods stay behind it, by more than the floor, in "
        f"{formats.listing([labels[n] for n in gap])}: that is the price of the detector, of the "
        "iterations and of their start."
        if len(gap)
        else "In no observable all methods stay behind it by more than the floor."
    )
    return f"{limits} {behind}"


def responses(tables: ReportTables) -> list[tuple[str, str]]:
    """Say of every sample whether its response is that of the simulation."""
    return [(role, _words(role, *found)) for role, found in _pairs(tables).items()]


def differing(tables: ReportTables) -> list[str]:
    """Return the samples whose response differs from that of the simulation."""
    pairs = _pairs(tables)
    return [role for role, found in pairs.items() if _judged(found, len(pairs)) == "differs"]


def _pairs(tables: ReportTables) -> dict[str, tuple[pd.Series, pd.Series | None, int]]:
    """Return test, control and number of tests by sample."""
    rows = tables["response"]
    roles = list(dict.fromkeys(rows["role"]))
    found = {}
    for role in roles:
        own = rows[rows["role"] == role].set_index("test")
        control = own.loc["control"] if "control" in own.index else None
        found[role] = own.loc["sample"], control, len(roles)
    return found


def _judged(found: tuple[pd.Series, pd.Series | None, int], tests: int) -> str:
    test, control, _ = found
    return judged(test["p_value"], float("nan") if control is None else control["p_value"], tests)


def _words(role: str, test: pd.Series, control: pd.Series | None, tests: int) -> str:
    z = formats.number(test["z"], 2)
    verdict = _judged((test, control, tests), tests)
    if verdict == "same":
        return f"No difference to the simulation is found (z = {z})."
    if verdict == "differs":
        return (
            f"Differs from that of the simulation (z = {z}), or depends on something that these "
            "observables do not tell and that the samples differ in. Unfolding takes the "
            "simulation's response, and agreement at detector level cannot show that it is wrong."
        )
    if control is None or pd.isna(control["p_value"]):
        return "Not known: a network could not be trained."
    return (
        f"Not known: a difference is found (z = {z}), but also between halves of the simulation "
        f"(z = {formats.number(control['z'], 2)}), whose responses are the same."
    )


def _tests(tables: ReportTables) -> Table:
    header = ["sample", "test", "events", "AUC of particle level", "AUC that detector level adds"]
    header += ["z", "p-value"]
    body = [
        [
            row.role,
            "itself" if row.test == "sample" else "control",
            "–" if pd.isna(row.events) else formats.count(float(row.events)),
            formats.pair(row.auc_alone, row.auc_alone_error),
            formats.pair(row.auc, row.auc_error),
            formats.number(row.z, 2),
            formats.number(row.p_value, 2),
        ]
        for row in tables["response"].itertuples()
    ]
    return header, body


def _distances(tables: ReportTables, level: str, column: str) -> Table:
    """Return distances of all subjects by observable, with the floor of the first method."""
    rows = tables["distances"]
    rows = rows[(rows["level"] == level) & rows[column].notna()]
    methods = [method.name for method in tables.study.methods]
    there = set(rows["subject"])
    subjects = [name for name in (_PRIOR, *methods, ORACLE) if name in there]
    names = {_PRIOR: "before unfolding", ORACLE: "oracle"}
    labels, body = _labels(tables), []
    for observable, own in rows.groupby("observable", sort=False):
        found = own.set_index("subject")
        line = [labels.get(observable, observable)]
        line += [
            formats.number(found[column].get(subject, float("nan")), 2) for subject in subjects
        ]
        line.append(formats.number(found[f"{column}_floor"].get(methods[0], float("nan")), 2))
        body.append(line)
    return ["observable", *(names.get(s, s) for s in subjects), "floor"], body


def _labels(tables: ReportTables) -> dict[str, str]:
    labels = {observable.name: observable.label for observable in tables.study.observables}
    return labels | {_SLICED: "all together (sliced)"}
