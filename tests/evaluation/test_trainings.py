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
