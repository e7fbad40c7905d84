import numpy as np
import pytest
import step_samples
from step_samples import events

from omniflow.errors import InputError, WeightError
from omniflow.unfolding import steps

# Two matched events, a miss, a fake, and one that passes nowhere.
WEIGHT = np.array([1.0, 2, 1, 1, 5])
DETECTOR = np.array([True, True, False, True, False])
PARTICLE = np.array([True, True, True, False, False])
UNREAD = np.nan  # logits of events that a step does not apply to are never looked at

PULL_LOGITS = np.array([[np.log(2), 0, UNREAD, np.log(0.5), UNREAD]], np.float32)
PUSH_LOGITS = np.array([[np.log(2), np.log(0.5), 0, UNREAD, UNREAD]], np.float32)
ALL_LOGITS = np.array([[np.log(2), np.log(0.5), 0, 0, np.log(2)]], np.float32)
ONES = np.ones(5)


def _setup(**changes):
    # Data of sum 8 at detector level (the last one fails), simulation of sum 4.
    data = events([3, 4, 1, 100], [True, True, True, False])
    simulation = events(WEIGHT, DETECTOR, PARTICLE)
    return step_samples.setup(data, simulation, **changes)


def _pull(setup, push=ONES, logits=PULL_LOGITS, aggregate="mean", clip=15.0):
    return steps.pull(setup, push, logits, aggregate, clip, "here")


def _push(setup, pull, logits=PUSH_LOGITS, aggregate="mean", clip=15.0):
    return steps.push(setup, pull, logits, aggregate, clip, "here")


# -- selections and sums -------------------------------------------------------------------------


def test_sums_are_those_at_detector_level():
    setup = _setup()
    assert (setup.sum_data, setup.sum_simulation) == (8.0, 4.0)
    assert setup.scale == 2.0
    assert _setup(scale=3.0).scale == 3.0
    np.testing.assert_array_equal(setup.particle, PARTICLE)
    assert _setup(particle_level="all").particle.all()


def test_data_without_particle_level_suffices():
    assert _setup().data.tolist() == [True, True, True, False]


def test_samples_that_cannot_be_unfolded_are_refused():
    data = events([1.0, 1], [True, True])
    with pytest.raises(InputError, match="particle level"):
        step_samples.setup(data, events([1.0], [True]))
    with pytest.raises(InputError, match="both levels"):
        step_samples.setup(data, events([1.0, 1], [True, False], [False, True]))
    with pytest.raises(InputError, match="positive"):
        step_samples.setup(events([1.0], [False]), events([1.0], [True], [True]))
    with pytest.raises(InputError, match="positive"):
        step_samples.setup(events([1.0, -1], [True] * 2), events([1.0], [True], [True]))


# -- step 1 --------------------------------------------------------------------------------------


def test_pull_of_matched_misses_and_fakes():
    # s = 2 makes the sums equal, so ratios are exp(logit): 2, 1, and 0.5 of the fake.
    pull, check = _pull(_setup())
    np.testing.assert_allclose(pull, [2, 1, 1, 0.5, 1], rtol=1e-6)
    assert check.sum_before == pytest.approx(8)
    assert check.sum_after == pytest.approx(2 * (2 + 2 + 0.5))
    assert (check.minimum, check.maximum) == (pytest.approx(0.5), pytest.approx(2))
    assert check.events == 3


def test_absolute_ratios_carry_the_yield():
    # s = 3: simulation of sum 12 against data of sum 8.
    pull, _ = _pull(_setup(scale=3.0))
    np.testing.assert_allclose(pull, [4 / 3, 2 / 3, 1, 1 / 3, 1], rtol=1e-6)


def test_shape_ratios_do_not():
    pull, _ = _pull(_setup(scale=3.0, normalization="shape"))
    np.testing.assert_allclose(pull, [2, 1, 1, 0.5, 1], rtol=1e-6)


def test_pull_multiplies_the_push_of_the_iteration_before():
    push = np.array([2.5, 0.625, 1.25, 1, 1])
    # Detector-level sum of 2 w nu: 5 + 2.5 + 2 = 9.5.
    pull, check = _pull(_setup(), push)
    expected = np.array([2.5 * 2, 0.625, 1.25 / (8 / 9.5), 0.5, 1 / (8 / 9.5)]) * 8 / 9.5
    np.testing.assert_allclose(pull, expected, rtol=1e-6)
    assert check.sum_before == pytest.approx(9.5)


@pytest.mark.parametrize("particle_level", ["all", "pass_gen"])
def test_step_1_does_not_ask_for_the_particle_level(particle_level):
    pull, _ = _pull(_setup(particle_level=particle_level))
    np.testing.assert_allclose(pull, [2, 1, 1, 0.5, 1], rtol=1e-6)


# -- step 2 --------------------------------------------------------------------------------------

PULL = np.array([2, 1, 1, 0.5, 1])


@pytest.mark.parametrize("scale", ["detector", 3.0])
def test_push_of_matched_misses_and_fakes(scale):
    # Sums of w over the unfolded events: 4 before and 5 with the pull weights, whatever s.
    nu, check = _push(_setup(scale=scale), PULL)
    np.testing.assert_allclose(nu, [2.5, 0.625, 1.25, 1, 1], rtol=1e-6)
    assert check.events == 3
    factor = 2 if scale == "detector" else 3
    assert check.sum_before == pytest.approx(4 * factor)
    assert check.sum_after == pytest.approx((2.5 + 1.25 + 1.25) * factor)


def test_push_of_a_shape():
    nu, _ = _push(_setup(normalization="shape"), PULL)
    np.testing.assert_allclose(nu, [2, 0.5, 1, 1, 1], rtol=1e-6)


def test_push_of_all_generated_records():
    # Sums of w over all five: 10 before, 10.5 with the pull weights.
    nu, check = _push(_setup(particle_level="all"), PULL, ALL_LOGITS)
    np.testing.assert_allclose(nu, np.array([2, 0.5, 1, 1, 2]) * 1.05, rtol=1e-6)
    assert check.events == 5


def test_push_does_not_depend_on_the_push_before():
    """nu_n is the ratio to the original simulation, not to the previous iteration."""
    setup = _setup()
    first, _ = _push(setup, PULL)
    second, _ = _push(setup, PULL)
    np.testing.assert_array_equal(first, second)


# -- conditional means ---------------------------------------------------------------------------

MEAN_LOGITS = np.array([[UNREAD, UNREAD, np.log(0.5), np.log(3), UNREAD]], np.float32)


def _mean(setup, before, learned, chosen, logits=MEAN_LOGITS, aggregate="mean"):
    return steps.conditional_mean(setup, before, learned, chosen, logits, aggregate, 15.0, "here")


@pytest.mark.parametrize("settings", [{}, {"scale": 3.0}, {"normalization": "shape"}])
def test_the_conditional_mean_of_misses_carries_its_yield(settings):
    """Omega of the matched events is 2 and 1, with base weights 1 and 2: a mean of 4/3."""
    setup = _setup(**settings)
    before = np.array([3, 0.5, 1.5, 1, 1])  # nu of the iteration before is 1.5, 0.5, 1.5
    omega = np.array([2, 1, 1, 7, 7])
    pull, check = _mean(setup, before, omega, setup.misses)
    np.testing.assert_allclose(pull, [3, 0.5, 1.5 * 4 / 3 * 0.5, 1, 1], rtol=1e-6)
    assert check.events == 1
    assert check.sum_before == pytest.approx(1.5 * setup.scale)
    assert check.sum_after == pytest.approx(setup.scale)
    assert check.maximum == pytest.approx(2 / 3)


@pytest.mark.parametrize("normalization", ["absolute", "shape"])
def test_the_conditional_mean_of_fakes(normalization):
    setup = _setup(normalization=normalization)
    nu = np.array([2.5, 0.5, 1.25, 1, 1])  # mean over matched events (2.5 + 2 x 0.5) / 3
    after, check = _mean(setup, nu, nu, setup.fakes)
    np.testing.assert_allclose(after, [2.5, 0.5, 1.25, 3.5 / 3 * 3, 1], rtol=1e-6)
    assert check.events == 1


def test_members_of_a_conditional_mean_are_aggregated():
    setup = _setup()
    logits = np.tile(MEAN_LOGITS, (3, 1))
    logits[:, 2] = np.log([1, 2, 6])
    for how, factor in (("mean", 3), ("median", 3)):  # of one event the yield is kept: the mean
        pull, _ = _mean(setup, ONES, ONES, setup.misses, logits, how)
        np.testing.assert_allclose(pull, [1, 1, factor, 1, 1], rtol=1e-6)


def test_a_sample_without_misses_or_fakes_has_no_conditional_mean():
    setup = _setup(particle_level="all")
    with pytest.raises(InputError, match=r"here: .*unfolding\.fakes"):
        _mean(setup, ONES, ONES, setup.fakes)


# -- members, clips, refusals --------------------------------------------------------------------


def test_members_are_aggregated_and_their_yield_kept():
    # Ratios of the first event 2, 1, 8; the others 1. Base weights 2, 4, 2.
    rows = np.repeat(PUSH_LOGITS * 0, 3, axis=0)
    rows[:, 0] = np.log([2, 1, 8])
    mean, median = (
        _push(_setup(normalization="shape"), PULL, rows, how)[0] for how in ("mean", "median")
    )
    np.testing.assert_allclose(mean, [11 / 3, 1, 1, 1, 1], rtol=1e-6)
    wanted, found = 2 * 11 / 3 + 6, 2 * 2 + 6
    np.testing.assert_allclose(median[:3], np.array([2, 1, 1]) * wanted / found, rtol=1e-6)
    np.testing.assert_array_equal(median[3:], [1, 1])


def test_clips_are_counted_over_all_members():
    rows = np.repeat(PULL_LOGITS, 2, axis=0)
    rows[0, 0], rows[1, 1], rows[1, 3] = 9, -9, 9
    pull, check = _pull(_setup(), logits=rows, clip=3.0)
    assert check.clipped == 3
    assert check.maximum < 2 * np.exp(3)
    np.testing.assert_allclose(pull[[2, 4]], [1, 1])


def test_nan_logits_of_events_that_take_part_are_refused():
    logits = PULL_LOGITS.copy()
    logits[0, 1] = np.nan
    with pytest.raises(WeightError, match="NaN"):
        _pull(_setup(), logits=logits)


def test_inputs_are_left_as_they_are():
    setup, push, logits = _setup(), ONES.copy(), PULL_LOGITS.copy()
    _pull(setup, push, logits)
    _push(setup, push, PUSH_LOGITS)
    np.testing.assert_array_equal(push, ONES)
    np.testing.assert_array_equal(logits, PULL_LOGITS)
    np.testing.assert_array_equal(setup.weight, WEIGHT)
