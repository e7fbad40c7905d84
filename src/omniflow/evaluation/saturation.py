"""Saturation: whether networks would have learned more in a longer training.

With X the sum of the learning rate over all updates, a training of twice the length has twice X,
and a loss that falls like a power of X falls by about half of dL / d ln X more (between 0.69 of it,
for a logarithm, and 0.38, for the inverse square). The slope is taken over the second half of the
epochs, where the schedule has spent a known part f of X: the gain is (fall in that half) / (2 f).
That the last epoch is the best is no sign: a schedule that ends with small rates makes it so.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

SATURATION_COLUMNS = ("chain", "step", "iteration", "networks", "whole", "learned", "gain")


def saturation(histories: pd.DataFrame, uninformed: float) -> pd.DataFrame:
    """Return how much of the loss longer trainings would still have gained.

    Of step 1 in iteration 1, whose ratio is the largest, and of the other steps in the last.

    Args:
        histories: rows of histories.csv.
        uninformed: loss of a ratio of 1 everywhere.

    Returns:
        One row per chain and step (SATURATION_COLUMNS): `whole`, the fraction of networks that
        patience did not stop early; `learned`, mean fall of the held-out loss below `uninformed`;
        `gain`, estimate of what twice as many epochs would add, relative to `learned` (infinite
        where nothing was learned).
    """
    own = histories[histories["purpose"] == "unfolding"]
    first = own["step"] == "1"
    own = own[own["iteration"] == first.map({True: 1, False: own["iteration"].max()})]
    stage = ["chain", "step", "iteration"]
    networks = _networks(own, [*stage, "pass", "lane", "member", "fold"])
    found = networks.groupby(stage, sort=False).agg(
        networks=("epochs", "size"),
        whole=("epochs", lambda epochs: (epochs == own["epoch"].max()).mean()),
        best=("best", "mean"),
        expected=("expected", "mean"),
    )
    found["learned"] = uninformed - found["best"]
    found["gain"] = (found["expected"] / found["learned"]).where(found["learned"] > 0, np.inf)
    return found.reset_index()[list(SATURATION_COLUMNS)]


def _networks(epochs: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Return epochs, lowest held-out loss and expected further fall of each network."""
    networks = epochs.groupby(keys, sort=False)
    late = epochs["epoch"] > networks["epoch"].transform("max") // 2
    # Histories have the rate of an epoch's last update; the mean is between it and the one before.
    before = networks["learning_rate"].shift().fillna(epochs["learning_rate"])
    rate = ((epochs["learning_rate"] + before) / 2).where(epochs["epoch"] > 0, 0.0)
    found = epochs.assign(
        early=epochs["val_loss"].mask(late), rate=rate, late_rate=rate.where(late, 0.0)
    ).groupby(keys, sort=False)
    sums, lowest = found[["late_rate", "rate"]].sum(), found[["early", "val_loss"]].min()
    fall = lowest["early"] - lowest["val_loss"]
    return pd.DataFrame(
        {
            "epochs": found["epoch"].max(),
            "best": lowest["val_loss"],
            "expected": fall * sums["rate"] / (2 * sums["late_rate"]),
        }
    )
