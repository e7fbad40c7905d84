import numpy as np
import pandas as pd
import pytest

from omniflow.evaluation import trainings
from omniflow.training.losses import LOSSES


@pytest.mark.parametrize("loss", ["bce_logistic", "mlc_exp"])
def test_networks_that_know_less_than_nothing_are_noted(loss):
    """Whatever the loss of a ratio of 1 is."""
    uninformed = LOSSES[loss].uninformed
    coordinates = {"chain": "scratch-1", "pass": 1, "member": 0, "fold": 0}
    coordinates |= {"iteration": 1, "step": "2"}
    values = uninformed + np.array([-0.1, 0.005, 0.01])
    timing = pd.DataFrame([coordinates | {"lane": i, "val_loss": v} for i, v in enumerate(values)])
    (note,) = trainings.poor(timing, uninformed)
    assert note.startswith("1 of 3 networks")
    assert "scratch-1 pass 1 lane 2 member 0" in note
    assert trainings.poor(timing[:2], uninformed) == []


def test_hours_count_threads_and_ranks_and_the_lanes_of_the_method():
    rows = [
        {"chain": "scratch-1", "pass": pass_, "lane": lane, "seconds": 1800.0 * pass_,
         "threads": 2, "ranks": 2, "device": "CPU"}
        for pass_ in (1, 2) for lane in range(3)
    ]  # fmt: skip
    timing = pd.DataFrame(rows).astype({"threads": "Int64"})
    hours, error = trainings.core_hours(timing, "scratch-1", lanes=2)
    assert hours == pytest.approx((4 + 8) / 2)
    assert error == pytest.approx((8 - 4) / 2)
    on_gpu = trainings.core_hours(timing.assign(device="NVIDIA"), "scratch-1", lanes=2)
    assert on_gpu[0] == pytest.approx((2 + 4) / 2)
    timing.loc[0, "threads"] = pd.NA
    assert np.isnan(trainings.core_hours(timing, "scratch-1", lanes=2)[0])
