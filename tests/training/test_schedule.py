import itertools
import math

import pytest
from training_inputs import settings

from omniflow.training.schedule import learning_rates


def _rates(count, factor=1.0, **changes):
    chosen = settings(learning_rate=0.5, **changes)
    return learning_rates(chosen, range(count), 10, factor)


def test_the_warm_up_rises_linearly_to_the_peak():
    rates = _rates(31, warmup_epochs=3.0, schedule="constant", epochs=5)
    steps = [b - a for a, b in itertools.pairwise(rates)]
    assert rates[0] == pytest.approx(0.5 / 31)
    assert steps == pytest.approx([0.5 / 31] * 30)
    assert rates[30] == 0.5


def test_the_warm_up_may_end_within_an_epoch():
    rates = _rates(20, warmup_epochs=0.5, schedule="constant", epochs=5)
    assert rates[:6] == pytest.approx([0.5 * i / 6 for i in range(1, 7)])
    assert rates[6:] == [0.5] * 14


def test_the_cosine_falls_to_one_per_cent():
    rates = _rates(61, warmup_epochs=1.0, schedule="cosine", epochs=6)
    assert rates[10] == pytest.approx(0.5)
    middle = 0.5 * (0.01 + 0.99 / 2)
    assert rates[35] == pytest.approx(middle)
    quarter = 0.5 * (0.01 + 0.99 * 0.5 * (1 + math.sqrt(0.5)))
    assert (rates[22] + rates[23]) / 2 == pytest.approx(quarter, rel=1e-3)
    assert rates[60] == pytest.approx(0.005)
    assert all(a > b for a, b in itertools.pairwise(rates[10:]))


def test_without_warm_up_the_peak_comes_first():
    assert _rates(1, warmup_epochs=0.0, schedule="cosine") == [0.5]


def test_the_rate_stays_at_its_end_value():
    rates = _rates(200, warmup_epochs=0.0, schedule="cosine", epochs=2)
    assert rates[20:] == pytest.approx([0.005] * 180)


def test_a_warm_up_longer_than_the_training():
    rates = _rates(40, warmup_epochs=9.0, schedule="cosine", epochs=4)
    assert rates == pytest.approx([0.5 * i / 91 for i in range(1, 41)])


@pytest.mark.parametrize("schedule", ["cosine", "constant"])
def test_the_factor_multiplies_every_rate(schedule):
    whole = _rates(50, warmup_epochs=2.0, schedule=schedule, epochs=5)
    half = _rates(50, 0.5, warmup_epochs=2.0, schedule=schedule, epochs=5)
    assert half == pytest.approx([rate / 2 for rate in whole])
