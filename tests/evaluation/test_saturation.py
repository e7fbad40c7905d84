import numpy as np
import pandas as pd
import pytest

from omniflow.evaluation.saturation import saturation

LN2 = np.log(2)


def histories(loss, rates, **network):
    """Rows of one network with held-out losses from epoch 0 and rates from epoch 1."""
    keys = {"chain": "scratch-1", "pass": "1", "lane": "0", "member": "0", "fold": "0"}
    keys |= {"iteration": "1", "step": "2", "purpose": "unfolding"} | network
    epochs = np.arange(len(loss))
    columns = {"epoch": epochs, "val_loss": loss, "learning_rate": np.insert(rates, 0, np.nan)}
    return pd.DataFrame(keys | columns)


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
@pytest.mark.parametrize(
    ("learned", "low", "high"),
    # What twice the sum of rates adds, relative to what was learned, and the estimate's limits:
    # ln 2 of a logarithm that has grown to 4 (0.17), an exponential that has settled (0)
    [
        (lambda x: np.log1p(x * np.expm1(4.0)) / 4, 0.1, 0.2),
        (lambda x: -np.expm1(-6 * x) / -np.expm1(-6.0), 0.0, 0.06),
        (lambda x: x, 0.5, 0.5),
    ],
)
def test_the_gain_does_not_depend_on_the_schedule(schedule, learned, low, high):
    epochs = 40
    middle = (np.arange(epochs) + 0.5) / epochs
    rates = np.ones(epochs) if schedule == "constant" else (1 + np.cos(np.pi * middle)) / 2
    spent = np.insert(np.cumsum(rates), 0, 0) / rates.sum()
    loss = LN2 - 0.02 * learned(spent)
    row = saturation(histories(loss, rates), LN2).iloc[0]
    assert low - 0.01 <= row["gain"] <= high + 0.01
    assert row["learned"] == pytest.approx(0.02)


def test_step_1_is_judged_in_the_first_iteration_and_others_in_the_last():
    loss, rates = np.linspace(LN2, 0.68, 5), np.ones(4)
    rows = pd.concat(
        histories(loss, rates, iteration=str(i), step=step) for i in (1, 2) for step in ("1", "2")
    )
    found = saturation(rows, LN2)
    assert dict(zip(found["step"], found["iteration"], strict=True)) == {"1": 1, "2": 2}


def test_networks_that_patience_stopped_are_not_whole():
    loss, rates = np.linspace(LN2, 0.68, 9), np.ones(8)
    rows = pd.concat([histories(loss, rates), histories(loss[:5], rates[:4], lane="1")])
    (row,) = saturation(rows, LN2).itertuples()
    assert (row.networks, row.whole) == (2, 0.5)


def test_networks_that_learned_nothing_have_an_infinite_gain():
    loss = np.linspace(0.8, LN2 + 0.01, 5)
    assert saturation(histories(loss, np.ones(4)), LN2)["gain"].item() == np.inf


def test_pre_training_is_left_out():
    rows = histories(np.linspace(LN2, 0.68, 5), np.ones(4))
    other = histories(np.full(5, 0.5), np.ones(4), purpose="pretraining", iteration="", step="")
    assert len(saturation(pd.concat([rows, other]), LN2)) == 1
