import numpy as np
import pytest

from omniflow.config.diagnostics import WeightLimits
from omniflow.events.quality import effective_size, judge, measure, of_sample, words
from omniflow.events.sample import Events, Level

LIMITS = WeightLimits()


def sample(weight, passes):
    n = len(weight)
    empty = np.zeros((0, 0), np.float32), np.zeros(n + 1, int)
    level = Level(np.zeros((n, 1), np.float32), *empty, ("x",), ())
    ids = np.arange(10, 10 + n, dtype=np.uint64)
    return Events(ids, np.asarray(weight, float), np.asarray(passes), None, level, None)


def test_kish_by_hand():
    # 3 of weight 1 and one of 3: 36 / 12
    found = measure(np.array([1.0, 1, 3, 1]), np.array([7, 8, 9, 10]))
    assert found.effective == pytest.approx(3)
    assert (found.events, found.total, found.negative) == (4, 6, 0)
    assert found.largest == pytest.approx(0.5)
    assert found.heaviest == 9
    np.testing.assert_allclose(effective_size(np.array([6.0, -2, 0]), [12.0, 4, 0]), [3, 1, 0])


def test_unit_weights_of_both_signs():
    """A fraction f of -1 leaves (1 - 2 f)^2 of the events."""
    weight = np.ones(1000)
    weight[:420] = -1
    found = measure(weight)
    assert found.effective == pytest.approx(1000 * 0.16**2)
    assert found.negative == pytest.approx(0.42)
    assert found.largest == pytest.approx(0.001)


@pytest.mark.parametrize("size", [1e-300, 1.0, 1e200])
def test_the_size_of_all_weights_plays_no_part(size):
    found = measure(size * np.array([1.0, 1, 3, 1]))
    assert found.effective == pytest.approx(3)
    assert found.largest == pytest.approx(0.5)


def test_weights_that_are_all_0_have_no_size():
    assert measure(np.zeros(3)).effective == 0


def test_good_weights_are_not_judged():
    rng = np.random.default_rng(1)
    assert judge(measure(rng.lognormal(0, 0.5, 10_000)), LIMITS, 11_000) == ""


def test_one_weight_of_1e12_is_judged_in_words():
    weight = np.ones(1000)
    weight[17] = 1e12
    text = judge(measure(weight, np.arange(1000)), LIMITS)
    assert (
        "the effective sample size is 1.0 of 1,000 events (0.10%; limit effective: 10.00%)" in text
    )
    assert "the event with id 17 carries 100.00% of the sum of magnitudes" in text
    assert "negative" not in text
    assert "effective sample size 1.0 (0.10%)" in words(measure(weight))


def test_each_limit_is_that_of_the_configuration():
    weight = np.concatenate([np.ones(90), -np.ones(10)])  # effective 64, largest 1%
    assert judge(measure(weight), LIMITS) == ""
    limits = {"effective": 0.65, "largest": 0.009, "negative": 0.09}
    for name, value in limits.items():
        text = judge(measure(weight), WeightLimits(**{name: value}))
        assert f"limit {name}" in text
        assert text.count("limit") == 1
    assert judge(measure(weight), WeightLimits(effective=0.63, largest=0.02, negative=0.1)) == ""


@pytest.mark.parametrize(("before", "poor"), [(70.0, False), (40.0, True), (170.0, True)])
def test_changes_of_the_yield(before, poor):
    assert ("changed from" in judge(measure(np.ones(80)), LIMITS, before)) == poor


def test_samples_are_judged_as_a_whole_and_where_they_pass():
    weight, passes = np.ones(100), np.arange(100) < 20
    assert of_sample(sample(weight, passes), "data", LIMITS) == []
    weight[3] = 30  # 23% of all events, 61% of those that pass
    (note,) = of_sample(sample(weight, passes), "data", WeightLimits(largest=0.5, effective=0))
    assert note.startswith("data, events that pass: poor weights: the event with id 13 carries 61")
    (note,) = of_sample(sample(weight, passes), "data", LIMITS)
    assert note.startswith("data: poor weights")
