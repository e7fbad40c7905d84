import itertools

import numpy as np
import pytest

from omniflow.unfolding.stacking import cross, stack


def _sample(rng, members=3, events=4000, noise=(0.2, 0.5, 1.0)):
    """Ratios of two Gaussians, known to the members with errors of their own, and the classes."""
    a = rng.random(events) < 0.5
    x = rng.normal(np.where(a, 0.5, -0.5), 1)
    logits = x + rng.normal(0, 1, (members, events)) * np.array(noise[:members])[:, None]
    weight = rng.uniform(0.5, 1.5, events)
    return np.exp(logits), np.where(a, weight, 0), np.where(a, 0, weight)


def _loss(weights, ratios, a, b, likelihood):
    r = np.einsum("m,mk->k", weights, ratios)
    f = r / (1 + r)
    if likelihood:
        return (-(a * np.log(r)).sum() / a.sum() + (b * (r - 1)).sum() / b.sum()) / 2
    return (-(a * np.log(f)).sum() / a.sum() - (b * np.log(1 - f)).sum() / b.sum()) / 2


def _grid(members, steps):
    """All convex weights that are multiples of 1 / steps."""
    for cuts in itertools.combinations(range(steps + members - 1), members - 1):
        edges = np.array([-1, *cuts, steps + members - 1])
        yield (np.diff(edges) - 1) / steps


@pytest.mark.parametrize("likelihood", [False, True])
@pytest.mark.parametrize("seed", [0, 1])
def test_weights_are_those_of_a_brute_force_grid(seed, likelihood):
    sample = _sample(np.random.default_rng(seed))
    found = stack(*sample, likelihood)
    assert found.weights.sum() == pytest.approx(1)
    assert np.all(found.weights >= 0)
    best = min(_grid(3, 50), key=lambda weights: _loss(weights, *sample, likelihood))
    np.testing.assert_allclose(found.weights, best, atol=0.02)
    lowest = _loss(best, *sample, likelihood)
    assert lowest - 1e-4 < found.loss <= lowest + 1e-12
    assert found.loss == pytest.approx(_loss(found.weights, *sample, likelihood))
    assert found.loss_mean == pytest.approx(_loss(np.full(3, 1 / 3), *sample, likelihood))
    expected = [_loss(one, *sample, likelihood) for one in np.eye(3)]
    np.testing.assert_allclose(found.losses, expected)


@pytest.mark.parametrize("likelihood", [False, True])
def test_the_truth_among_wrong_members_gets_all_weight(likelihood):
    rng = np.random.default_rng(3)
    ratios, a, b = _sample(rng, 3, 100_000, (0, 1, 1))
    ratios[1:] = np.exp(rng.normal(0, 2, ratios[1:].shape))  # know nothing
    found = stack(ratios, a, b, likelihood)
    assert found.weights[0] > 0.98


@pytest.mark.parametrize("likelihood", [False, True])
def test_the_truth_between_two_members_is_found(likelihood):
    """r = 0.3 u + 0.7 v with p_A = r p_B exactly, so that 0.3 and 0.7 are the optimum."""
    rng = np.random.default_rng(4)
    u, v = rng.exponential(1, (2, 200_000))  # of mean 1 under B
    ratio = 0.3 * u + 0.7 * v
    # Every event stands in both classes, as in step 2.
    found = stack(np.array([u, v]) + 1e-9, ratio, np.ones_like(u), likelihood)
    np.testing.assert_allclose(found.weights, [0.3, 0.7], atol=0.01)


@pytest.mark.parametrize("members", [2, 5, 9])
@pytest.mark.parametrize("likelihood", [False, True])
def test_a_stack_is_never_worse_than_equal_weights_or_any_member(members, likelihood):
    for seed in range(8):
        rng = np.random.default_rng(seed)
        a, b = rng.exponential(1, (2, 60)) * (rng.random((2, 60)) < 0.7)
        ratios = np.exp(np.clip(rng.normal(0, rng.choice([0.1, 2, 8]), (members, 60)), -15, 15))
        found = stack(ratios, a, b, likelihood)
        assert found.loss <= found.loss_mean
        assert found.loss <= found.losses.min()
        assert found.weights.sum() == pytest.approx(1)
        assert found.weights.min() >= 0


def test_equal_members_leave_the_loss_alone():
    ratios, a, b = _sample(np.random.default_rng(5), 1)
    found = stack(np.repeat(ratios, 4, axis=0), a, b, False)
    np.testing.assert_allclose(found.losses, found.loss)
    assert found.loss == pytest.approx(found.loss_mean)


def test_the_scale_of_class_weights_does_not_matter():
    ratios, a, b = _sample(np.random.default_rng(6))
    one, two = stack(ratios, a, b, False), stack(ratios, 1e4 * a, 1e-3 * b, False)
    np.testing.assert_allclose(one.weights, two.weights, atol=1e-4)
    assert one.loss == pytest.approx(two.loss)


def _crossed_by_hand(ratios, a, b, likelihood, half):
    """Each half judged with the weights of the other, by the losses above."""
    members, found = len(ratios), []
    for one in (half, ~half):
        decides, judged = ((ratios[:, part], a[part], b[part]) for part in (one, ~one))
        best = min(np.eye(members), key=lambda weights: _loss(weights, *decides, likelihood))
        weights = [stack(*decides, likelihood).weights, np.full(members, 1 / members), best]
        found.append([_loss(each, *judged, likelihood) for each in weights])
    return np.mean(found, axis=0)


@pytest.mark.parametrize("likelihood", [False, True])
def test_halves_judge_each_other(likelihood):
    rng = np.random.default_rng(7)
    sample = _sample(rng, events=600)
    half = rng.random(600) < 0.5
    found = cross(*sample, likelihood, half)
    expected = _crossed_by_hand(*sample, likelihood, half)
    np.testing.assert_allclose([found.stacked, found.mean, found.best], expected)
    assert found == cross(*sample, likelihood, ~half)


def test_a_half_without_a_class_judges_nothing():
    ratios, a, b = _sample(np.random.default_rng(8), events=50)
    found = cross(ratios, a, b, False, a > 0)  # all of class A in one half
    assert np.all(np.isnan([found.stacked, found.mean, found.best]))


@pytest.mark.parametrize("likelihood", [False, True])
def test_the_gain_is_unbiased_on_events_that_did_not_decide(likelihood):
    """Members of equal noise around the truth: equal weights are the best, and nothing is gained.

    The true gain of weights is their gain on 40,000 more events.
    """
    rng = np.random.default_rng(9)
    noise = (0.5,) * 4
    everything = _sample(rng, 4, 40_000, noise)

    def gain(weights, sample):
        equal = np.full(4, 0.25)
        return _loss(equal, *sample, likelihood) - _loss(weights, *sample, likelihood)

    rows = []
    for _ in range(80):
        sample = _sample(rng, 4, 300, noise)
        half = rng.random(300) < 0.5
        crossed, whole = cross(*sample, likelihood, half), stack(*sample, likelihood)
        parts = [
            stack(*(array[..., part] for array in sample), likelihood) for part in (half, ~half)
        ]
        true = np.mean([gain(part.weights, everything) for part in parts])
        rows.append(
            [
                whole.loss_mean - whole.loss - gain(whole.weights, everything),
                crossed.mean - crossed.stacked - true,
                true,
            ]
        )
    means = np.mean(rows, axis=0)
    errors = np.std(rows, axis=0, ddof=1) / np.sqrt(len(rows))
    assert means[0] > 5 * errors[0]  # too optimistic on the events that decided
    assert abs(means[1]) < 3 * errors[1]
    assert means[2] < -5 * errors[2]  # weights that follow fluctuations lose
