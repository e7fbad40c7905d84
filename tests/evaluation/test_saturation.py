import numpy as np
import pandas as pd
import pytest

from omniflow.config.training import Training
from omniflow.evaluation.saturation import saturation
from omniflow.training.schedule import learning_rates

LN2 = np.log(2)


def histories(loss, rates, **network):
    """Rows of one network with held-out losses from epoch 0 and rates from epoch 1."""
    keys = {"chain": "scratch-1", "pass": 1, "lane": 0, "member": 0, "fold": 0}
    keys |= {"iteration": 1, "step": "2", "purpose": "unfolding"} | network
    epochs = np.arange(len(loss))
    columns = {"epoch": epochs, "val_loss": loss, "learning_rate": np.insert(rates, 0, np.nan)}
    return pd.DataFrame(keys | columns)


def schedule_of(kind, epochs, updates=50):
    """The rate of each epoch's last update, and the share spent by the end of epochs 0, 1 ..."""
    settings = Training(schedule=kind, epochs=epochs, warmup_epochs=0)
    rates = learning_rates(settings, range(epochs * updates), updates, 1.0)
    spent = np.insert(np.cumsum(rates), 0, 0)[::updates]
    return np.array(rates[updates - 1 :: updates]), spent / spent[-1]


@pytest.mark.parametrize("epochs", [4, 8, 40])
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
def test_the_gain_does_not_depend_on_the_schedule(schedule, epochs, learned, low, high):
    rates, spent = schedule_of(schedule, epochs)
    loss = LN2 - 0.02 * learned(spent)
    row = saturation(histories(loss, rates), LN2).iloc[0]
    coarse = 0.01 + 0.2 / epochs
    assert low - coarse <= row["gain"] <= high + coarse
    assert row["learned"] == pytest.approx(0.02)


def test_step_1_is_judged_in_the_first_iteration_and_others_in_the_last():
    loss, rates = np.linspace(LN2, 0.68, 5), np.ones(4)
    rows = pd.concat(
        histories(loss, rates, iteration=i, step=step) for i in (1, 2) for step in ("1", "2")
    )
    found = saturation(rows, LN2)
    assert dict(zip(found["step"], found["iteration"], strict=True)) == {"1": 1, "2": 2}


def test_networks_that_patience_stopped_are_not_whole():
    loss, rates = np.linspace(LN2, 0.68, 9), np.ones(8)
    rows = pd.concat([histories(loss, rates), histories(loss[:5], rates[:4], lane=1)])
    (row,) = saturation(rows, LN2).itertuples()
    assert (row.networks, row.whole) == (2, 0.5)


def test_networks_that_learned_nothing_have_an_infinite_gain():
    loss = np.linspace(0.8, LN2 + 0.01, 5)
    assert saturation(histories(loss, np.ones(4)), LN2)["gain"].item() == np.inf


def test_pre_training_is_left_out():
    rows = histories(np.linspace(LN2, 0.68, 5), np.ones(4))
    other = histories(np.full(5, 0.5), np.ones(4), purpose="pretraining", iteration=0, step="0")
    assert len(saturation(pd.concat([rows, other]), LN2)) == 1
