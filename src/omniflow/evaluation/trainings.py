"""Tables of trainings: networks, epochs, and what methods cost."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from omniflow.tables.trainings import COST, HISTORIES, TIMING
from omniflow.unfolding.coordinates import NOMINAL, STEP_NAMES, prefixed


@dataclass(frozen=True)
class Priced:
    """A method whose cost is told.

    Attributes:
        chain: slug of its chain, whose first `lanes` lanes are its own.
        models: numbers of the pre-trained models that it uses.
        networks_per_pass: trainings in one pass.
    """

    chain: str
    lanes: int
    models: tuple[int, ...]
    networks_per_pass: int


# Of timing.csv, and of histories.csv.
TrainingRows = tuple[list[dict[str, Any]], list[dict[str, Any]]]


def training_rows(content: Mapping[str, Any]) -> TrainingRows:
    """Return the rows of the networks of a file of histories."""
    timing, epochs = [], []
    for record in content["networks"]:
        keys = _place(record["network"])
        timing.append(keys | _timing(record, content["job"]))
        empty = dict.fromkeys(HISTORIES.names[len(keys) + 1 :], np.nan)
        epochs += [keys | empty | epoch for epoch in record["epochs"]]
    return timing, epochs


def trainings_tables(files: Iterable[TrainingRows]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Build timing.csv and histories.csv from the rows of files of histories."""
    timing: list[dict[str, Any]] = []
    epochs: list[dict[str, Any]] = []
    for networks, found in files:
        timing += networks
        epochs += found
    return TIMING.build(timing), HISTORIES.build(epochs)


def _place(network: Mapping[str, Any]) -> dict[str, Any]:
    """Return the coordinates of a network as columns."""
    return {
        "chain": prefixed(network.get("variant", NOMINAL), network["chain"]),
        "pass": network["pass_"],
        "lane": network["lane"],
        "member": network["member"],
        "fold": network.get("fold", 0),
        "iteration": network["iteration"],
        "step": STEP_NAMES[network["step"]],
        "purpose": "unfolding" if network["step"] else "pretraining",
    }


def _timing(record: Mapping[str, Any], job: Mapping[str, Any]) -> dict[str, Any]:
    """Return what timing.csv tells of a network."""
    summary, trained = record["summary"], record["epochs"][1:]
    return {
        "start": record["start"]["policy"],
        "events": summary["train_events"] + summary["held_out_events"],
        "epochs": len(trained),
        "best_epoch": record["best_epoch"],
        "shrink_factor": record["factor"],
        "seconds": summary["seconds"],
        "events_per_second": np.mean([epoch["events_per_second"] for epoch in trained]),
        "val_loss": record["val_loss"],
        "parameters": record["parameters"],
        "job_seconds": job["seconds"],
        "device": job["device"],
        "threads": job.get("threads"),  # earlier versions do not say
        "engine": record["engine"],
        "ranks": record["ranks"],
        "restarts": record["attempt"],
        "resumed": summary["resumed"],
    }


def cost_table(methods: Mapping[str, Priced], timing: pd.DataFrame) -> pd.DataFrame:
    """Build cost.csv: networks and seconds of training per pass.

    Args:
        methods: by name.
        timing: the table of this name.

    Returns:
        One row per method.
    """
    rows = []
    pretraining = timing[timing["purpose"] == "pretraining"]
    for name, method in methods.items():
        mine = timing[(timing["chain"] == method.chain) & (timing["lane"] < method.lanes)]
        models = pretraining[pretraining["lane"].isin(method.models)]
        seconds = mine.groupby("pass")["seconds"].sum()
        error = seconds.std(ddof=1) / np.sqrt(len(seconds)) if len(seconds) > 1 else np.nan
        rows.append(
            {
                "method": name,
                "networks_per_pass": method.networks_per_pass,
                "seconds_per_pass": seconds.mean(),
                "seconds_per_pass_error": error,
                "passes": len(seconds),
                "pretraining_seconds": float(models["seconds"].sum()),
            }
        )
    return COST.build(rows)


def core_hours(timing: pd.DataFrame, chain: str, lanes: int) -> tuple[float, float]:
    """Return hours of training of a pass times cores, mean over passes, and its error.

    On a GPU hours are counted once per rank. NaN where threads are not known; one pass has no
    error.

    Args:
        timing: the table of this name.
        chain: slug of the method's chain.
        lanes: of the method.
    """
    mine = timing[(timing["chain"] == chain) & (timing["lane"] < lanes)]
    threads = mine["threads"].astype(float).where(mine["device"] == "CPU", 1.0)
    each = mine["seconds"] * threads * mine["ranks"] / 3600
    hours = each.groupby(mine["pass"]).agg(lambda one: one.sum(skipna=False))
    error = hours.std(ddof=1) / np.sqrt(len(hours)) if len(hours) > 1 else np.nan
    return float(hours.mean(skipna=False)), float(error)


def poor(timing: pd.DataFrame, uninformed: float) -> list[str]:
    """Return a note on networks that know less than a ratio of 1 everywhere.

    Args:
        timing: the table of this name.
        uninformed: loss of a ratio of 1 everywhere.
    """
    found = timing[timing["val_loss"] > uninformed + 0.01 * np.log(2)]
    if found.empty:
        return []
    return [
        f"{len(found)} of {len(timing)} networks have a held-out loss above {uninformed:.3g}, "
        f"that of a ratio of 1 everywhere: {_names(found)}. Train longer or with another rate."
    ]


def restarted(timing: pd.DataFrame) -> list[str]:
    """Return a note that names the networks that were trained anew after divergence."""
    found = timing[timing["restarts"] > 0]
    if found.empty:
        return []
    return [
        f"{len(found)} of {len(timing)} networks diverged and were trained anew with other random "
        f"numbers: {_names(found)}. Their histories say why."
    ]


def _names(timing: pd.DataFrame) -> str:
    """Name networks, ten at most."""
    names = [
        f"{row.chain} pass {row.pass_} lane {row.lane} member {row.member} "
        f"iteration {row.iteration} step {row.step}" + (f" fold {row.fold}" if row.fold else "")
        for row in timing.rename(columns={"pass": "pass_"}).head(10).itertuples()
    ]
    return "; ".join(names) + (f" and {len(timing) - 10} more" if len(timing) > 10 else "")
