import itertools
import math

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.stats import kstest
from small_networks import fit_one, initial_weights, layout, make_trainer, train
from training_inputs import settings, two_classes

from omniflow.errors import TrainingError
from omniflow.training.ecd import ECD, Constants, constants


def _path(optimizer, start, loss, steps, every=1, direction=None):
    """Parameters (steps / every, d) and directions after updates with the exact gradient."""
    x, u = np.array(start, float), optimizer.state["direction"]
    if direction is not None:
        u[...] = direction
    places, directions = [], []
    for step in range(1, steps + 1):
        value, gradient = loss(x)
        optimizer.update(x, gradient, value, optimizer._constants.dt)
        if step % every == 0:
            places.append(x.copy())
            directions.append(u.copy())
    return np.array(places), np.array(directions)


def _ecd(size, dt=0.01, eta=1.0, f0=-1.0, nu_hat=0.0, seed=0, kind="float64"):
    optimizer = ECD(size, kind, nu_hat)
    optimizer.start(Constants(dt, eta, f0, seed))
    return optimizer


def _quadratic(minimum=0.0, curvature=1.0):
    """Value and gradient."""
    return lambda x: (minimum + (curvature * x * x).sum(), 2 * curvature * x)


# -- the rule --------------------------------------------------------------------------------------


def test_the_first_step_is_along_minus_the_gradient():
    x, gradient = np.full(7, 2.0), np.array([1.0, -2.0, 0.5, 3.0, 0.0, 1.0, -1.0])
    _ecd(7, eta=7.0, nu_hat=0.3).update(x, gradient.copy(), 0.4, 0.25)
    np.testing.assert_allclose(x - 2, -0.25 * gradient / np.linalg.norm(gradient), rtol=1e-12)


@pytest.mark.parametrize("nu_hat", [0.0, 0.5])
def test_the_direction_is_a_unit_vector_and_steps_have_one_length(nu_hat):
    start = np.random.default_rng(0).normal(size=20)
    places, directions = _path(
        _ecd(20, 0.02, 30.0, -1.0, nu_hat), start, _quadratic(curvature=np.linspace(1, 3, 20)), 200
    )
    np.testing.assert_allclose(np.linalg.norm(directions, axis=1), 1, rtol=1e-12)
    np.testing.assert_allclose(np.diff(places, axis=0), 0.02 * directions[1:], atol=1e-12)
    turns = np.linalg.norm(np.diff(directions, axis=0), axis=1)
    assert turns.min() > 0


def test_an_update_is_the_one_of_the_paper():
    rng = np.random.default_rng(1)
    u, g, x = rng.normal(size=(3, 4))
    u /= np.linalg.norm(u)
    optimizer, moved = _ecd(4, eta=20.0, f0=-0.3), x.copy()
    optimizer.state["direction"][...] = u
    optimizer.update(moved, g.copy(), 0.5, 0.1)
    turned = u - 0.1 * 20 * 4 / (2 * 3 * 0.8) * (g - (u @ g) * u)
    np.testing.assert_allclose(moved, x + 0.1 * turned / np.linalg.norm(turned), rtol=1e-12)


def test_without_gradient_nothing_moves():
    x = np.ones(3)
    _ecd(3, nu_hat=0.5).update(x, np.zeros(3), 0.5, 0.1)
    np.testing.assert_array_equal(x, 1)


def test_one_parameter_has_no_direction():
    with pytest.raises(ValueError, match="at least two parameters"):
        ECD(1)


@pytest.mark.parametrize("kind", ["float32", "float64"])
def test_bounces_are_normal_numbers_of_seed_and_update(kind):
    """Two optimisers that differ by the bounce alone, whose other part is known."""
    size, nu_hat = 4000, 3.0
    start = np.random.default_rng(0).normal(size=size)

    def bounce(seed, updates):
        optimizer = _ecd(size, nu_hat=nu_hat, seed=seed, kind=kind)
        optimizer.state["direction"][...] = start / np.linalg.norm(start)
        optimizer.state["updates"][...] = updates
        optimizer.update(np.zeros(size, kind), np.zeros(size, kind), 0.5, 0.1)
        u = optimizer.state["direction"].astype(float)
        return u  # along start / |start| + nu_hat z / sqrt(d)

    first, again, other, later = (bounce(*each) for each in ((7, 3), (7, 3), (8, 3), (7, 4)))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    # z is all but orthogonal to u: the cosine is 1 / sqrt(1 + nu_hat^2).
    unit = start / np.linalg.norm(start)
    for u in (first, other, later):
        assert u @ unit == pytest.approx(1 / math.sqrt(1 + nu_hat**2), abs=0.06)
    z = [u / (u @ unit) - unit for u in (first, other, later)]
    z = [each / each.std() for each in z]
    for a, b in itertools.combinations(z, 2):
        assert abs(a @ b) / size < 4 / math.sqrt(size)
    assert kstest(z[0], "norm").pvalue > 1e-3


# -- the dynamics ----------------------------------------------------------------------------------


def _drift(dt):
    """Largest relative change of what is conserved in an isotropic basin, over 5 units of time."""
    eta, f0 = 5.0, -1.0
    start = np.array([0.9, 0.4, -0.3])
    places, directions = _path(
        _ecd(3, dt, eta, f0),
        start,
        _quadratic(),
        round(5 / dt),
        direction=np.array([0.0, 0.6, 0.8]),
    )
    loss = (places**2).sum(axis=1)
    wedge = np.linalg.norm(np.cross(places, directions), axis=1)
    conserved = (loss - f0) ** (-eta * 3 / (2 * 2)) * wedge
    assert np.ptp(wedge) / wedge.mean() > 0.5
    return np.abs(conserved / conserved[0] - 1).max()


def test_energy_is_conserved_up_to_the_step():
    """(F - F0)^(-eta d / (2 (d - 1))) |Theta ^ u|: another coefficient drifts several-fold."""
    drift = _drift(1e-3)
    assert 0.001 < drift < 0.03
    assert drift / _drift(5e-4) == pytest.approx(2, rel=0.1)


def test_a_trajectory_in_two_dimensions_is_that_of_an_independent_integration():
    eta, f0, dt, steps = 3.0, -0.5, 2e-4, 10_000
    stretch = np.array([1.0, 4.0])

    def loss(x):
        value = (stretch * x * x).sum() + 0.3 * x[0] ** 3
        return value, 2 * stretch * x + np.array([0.9 * x[0] ** 2, 0])

    def derivative(_, state):
        x, angle = state[:2], state[2]
        u, across = (
            np.array([np.cos(angle), np.sin(angle)]),
            np.array([-np.sin(angle), np.cos(angle)]),
        )
        value = (stretch * x * x).sum() + 0.3 * x[0] ** 3
        gradient = 2 * stretch * x + np.array([0.9 * x[0] ** 2, 0])
        return [*u, -eta * 2 / (2 * (value - f0)) * (gradient @ across)]

    start = np.array([0.8, -0.5])
    gradient = 2 * stretch * start + np.array([0.9 * start[0] ** 2, 0])
    angle = math.atan2(*-gradient[::-1])
    expected = solve_ivp(
        derivative, (0, steps * dt), [*start, angle], rtol=1e-10, atol=1e-12, dense_output=True
    )
    places, directions = _path(_ecd(2, dt, eta, f0), start, loss, steps)
    times = dt * np.arange(1, steps + 1)
    found = expected.sol(times).T
    assert np.abs(np.diff(found[:, 2])).sum() > 2.5  # it turns
    np.testing.assert_allclose(places, found[:, :2], atol=5e-4)
    np.testing.assert_allclose(np.cos(found[:, 2]), directions[:, 0], atol=1e-3)


@pytest.mark.parametrize(("d", "eta", "dt_hat"), [(100, 50.0, 0.1), (200, 10.0, 0.05)])
def test_the_typical_radius_is_that_of_the_measure(d, eta, dt_hat):
    """Equation 13 in its exact form, with bounces that make the motion mix.

    The path starts half as far out again, and forgets it within some hundred updates; medians of
    other seeds scatter by 0.4%.
    """
    minimum, f0, curvature = 0.4, -0.6, 2.0
    exact = (minimum - f0) * (d - 1) / (curvature * (1 + d * (eta - 1)))
    start = np.random.default_rng(2).normal(size=d)
    start *= 1.5 * math.sqrt(exact) / np.linalg.norm(start)
    optimizer = _ecd(d, dt_hat / math.sqrt(eta), eta, f0, nu_hat=0.3, seed=5)
    places, _ = _path(optimizer, start, _quadratic(minimum, curvature), 5000, every=10)
    radius = np.linalg.norm(places, axis=1)
    assert np.median(radius[100:]) == pytest.approx(math.sqrt(exact), rel=0.05)


# -- in a training ---------------------------------------------------------------------------------


def test_the_defaults_follow_from_the_run():
    made = constants(settings(optimizer="ecd"), 800, 192.0, 3)
    dt_hat = settings().ecd.dt_hat
    assert made.eta == pytest.approx((800 * dt_hat) ** 2 / 192)
    # All steps together are as long as the initial parameters.
    assert 800 * made.dt == pytest.approx(math.sqrt(192))
    assert made.f0 == math.log(2) - 1
    assert constants(settings(optimizer="ecd", loss="mlc_exp"), 800, 192.0, 3).f0 == -1
    given = settings(optimizer="ecd", ecd={"dt_hat": 0.5, "eta": 16.0, "f0": -0.25})
    made = constants(given, 800, 192.0, 3)
    assert (made.dt, made.eta, made.f0, made.seed) == (0.125, 16.0, -0.25, 3)


def test_the_variance_is_that_of_the_initial_weights():
    trainer = make_trainer("deepsets")
    draws = np.array([initial_weights(trainer, seed) for seed in range(300)])
    expected = draws.var(axis=0).sum()
    assert layout(trainer).variance == pytest.approx(expected, rel=0.02)


def test_the_constants_reach_the_optimiser():
    trainer = make_trainer(optimizer="ecd", epochs=1, patience=7, ema=0.0, clip_norm=1e-9)
    found = train(trainer, two_classes())
    updates = found.summary["updates_per_epoch"]
    length = math.sqrt(layout(trainer).variance) / updates
    assert found.history[1]["learning_rate"] == pytest.approx(length, rel=1e-6)
    start = initial_weights(trainer)
    moved = np.linalg.norm(np.array(trainer.learner().parameters) - start)
    assert 0 < moved <= updates * length * (1 + 1e-6)


def test_another_network_before_changes_nothing():
    trainer = make_trainer(optimizer="ecd", ecd={"nu_hat": 0.1}, epochs=2)
    fit = train(trainer, two_classes())
    train(trainer, two_classes(400, seed=5), initial=8, split=5, order=9)
    again = train(trainer, two_classes())
    np.testing.assert_array_equal(fit.parameters, again.parameters)
    other = train(make_trainer(optimizer="ecd", epochs=2), two_classes())
    assert not np.array_equal(fit.parameters, other.parameters)  # bounces are there


def test_a_loss_that_reaches_the_offset_ends_the_network():
    trainer = make_trainer(optimizer="ecd", ecd={"f0": 0.6, "eta": 1.0}, epochs=40)
    with pytest.raises(
        TrainingError,
        match=r"lane 3: training loss of epoch .* reached "
        r"training\.ecd\.f0, 0\.6.*Set a lower one",
    ):
        fit_one(trainer, two_classes(), initial_weights(trainer), name="lane 3")


def test_advice_is_about_what_acts():
    trainer = make_trainer(optimizer="ecd")
    nan = np.full_like(initial_weights(trainer), np.nan)
    with pytest.raises(TrainingError, match=r"training\.ecd\.dt_hat"):
        fit_one(trainer, two_classes(), nan)
