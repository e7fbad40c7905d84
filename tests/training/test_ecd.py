import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.integrate import solve_ivp
from small_networks import fit_one, initial_weights, make_trainer, train
from training_inputs import settings, two_classes

from omniflow.errors import TrainingError
from omniflow.models import registry
from omniflow.training.ecd import ECD, constants

pytestmark = pytest.mark.usefixtures("float64")


def _path(optimizer, start, loss, steps, every=1, direction=None):
    """Parameters (steps / every, d) and directions after updates with the exact gradient."""
    x = keras.Variable(np.asarray(start), dtype="float64")
    optimizer.build([x])
    u = optimizer.variables[-1]
    if direction is not None:
        u.assign(direction)

    @tf.function
    def run():
        places = tf.TensorArray(tf.float64, steps // every)
        directions = tf.TensorArray(tf.float64, steps // every)
        for i in tf.range(steps // every):
            for _ in tf.range(every):
                with tf.GradientTape() as tape:
                    value = loss(x.value)
                optimizer.apply([tape.gradient(value, x.value)], [x], loss=value)
            places = places.write(i, x.value)
            directions = directions.write(i, u.value)
        return places.stack(), directions.stack()

    return tuple(array.numpy() for array in run())


def _quadratic(minimum=0.0, curvature=1.0):
    return lambda x: minimum + tf.reduce_sum(curvature * x * x)


# -- the rule --------------------------------------------------------------------------------------


def test_the_first_step_is_along_minus_the_gradient_of_all_variables():
    variables = [keras.Variable(np.full(shape, 2.0)) for shape in ((3,), (2, 2))]
    gradients = [np.array([1.0, -2.0, 0.5]), np.array([[3.0, 0.0], [1.0, -1.0]])]
    norm = math.sqrt(sum((g**2).sum() for g in gradients))
    optimizer = ECD(0.25, eta=7.0, f0=-1.0, nu_hat=0.3)
    optimizer.apply([tf.constant(g) for g in gradients], variables, loss=0.4)
    for variable, gradient in zip(variables, gradients, strict=True):
        np.testing.assert_allclose(variable.numpy() - 2, -0.25 * gradient / norm, rtol=1e-12)


@pytest.mark.parametrize("nu_hat", [0.0, 0.5])
def test_the_direction_is_a_unit_vector_and_steps_have_one_length(nu_hat):
    start = np.random.default_rng(0).normal(size=20)
    places, directions = _path(
        ECD(0.02, 30.0, -1.0, nu_hat), start, _quadratic(curvature=np.linspace(1, 3, 20)), 200
    )
    np.testing.assert_allclose(np.linalg.norm(directions, axis=1), 1, rtol=1e-12)
    np.testing.assert_allclose(np.diff(places, axis=0), 0.02 * directions[1:], atol=1e-12)
    turns = np.linalg.norm(np.diff(directions, axis=0), axis=1)
    assert turns.min() > 0


def test_an_update_is_the_one_of_the_paper():
    rng = np.random.default_rng(1)
    u, g, x = rng.normal(size=(3, 4))
    u /= np.linalg.norm(u)
    optimizer, variable = ECD(0.1, eta=20.0, f0=-0.3), keras.Variable(x)
    optimizer.build([variable])
    optimizer.variables[-1].assign(u)
    optimizer.apply([tf.constant(g)], [variable], loss=0.5)
    turned = u - 0.1 * 20 * 4 / (2 * 3 * 0.8) * (g - (u @ g) * u)
    np.testing.assert_allclose(
        variable.numpy(), x + 0.1 * turned / np.linalg.norm(turned), rtol=1e-12
    )


def test_without_gradient_nothing_moves():
    optimizer, variable = ECD(0.1, nu_hat=0.5), keras.Variable(np.ones(3))
    optimizer.apply([tf.zeros(3, tf.float64)], [variable], loss=0.5)
    np.testing.assert_array_equal(variable.numpy(), 1)


def test_what_it_cannot_do_is_refused():
    with pytest.raises(ValueError, match="at least two parameters"):
        ECD().build([keras.Variable(np.ones(1))])
    with pytest.raises(ValueError, match="needs the loss"):
        ECD().apply([tf.ones(2)], [keras.Variable(np.ones(2))])


def test_keras_can_make_it_again():
    made = ECD(0.125, 30.0, -0.3, 1e-6, 7)
    assert ECD.from_config(made.get_config()).get_config() == made.get_config()


# -- the dynamics ----------------------------------------------------------------------------------


def _drift(dt):
    """Largest relative change of what is conserved in an isotropic basin, over 5 units of time."""
    eta, f0 = 5.0, -1.0
    start = np.array([0.9, 0.4, -0.3])
    places, directions = _path(
        ECD(dt, eta, f0), start, _quadratic(), round(5 / dt), direction=np.array([0.0, 0.6, 0.8])
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
        return tf.reduce_sum(stretch * x * x) + 0.3 * x[0] ** 3

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
    places, directions = _path(ECD(dt, eta, f0), start, loss, steps)
    times = dt * np.arange(1, steps + 1)
    found = expected.sol(times).T
    assert np.abs(np.diff(found[:, 2])).sum() > 2.5  # it turns
    np.testing.assert_allclose(places, found[:, :2], atol=5e-4)
    np.testing.assert_allclose(np.cos(found[:, 2]), directions[:, 0], atol=1e-3)


@pytest.mark.parametrize(("d", "eta", "dt_hat"), [(100, 50.0, 0.1), (200, 10.0, 0.05)])
def test_the_typical_radius_is_that_of_the_measure(d, eta, dt_hat):
    """Equation 13 in its exact form, with bounces that make the motion mix."""
    minimum, f0, curvature = 0.4, -0.6, 2.0
    exact = (minimum - f0) * (d - 1) / (curvature * (1 + d * (eta - 1)))
    start = np.random.default_rng(2).normal(size=d)
    start *= math.sqrt(exact) / np.linalg.norm(start)
    optimizer = ECD(dt_hat / math.sqrt(eta), eta, f0, nu_hat=0.3, seed=5)
    places, _ = _path(optimizer, start, _quadratic(minimum, curvature), 30_000, every=10)
    radius = np.linalg.norm(places, axis=1)
    assert np.median(radius[300:]) == pytest.approx(math.sqrt(exact), rel=0.05)


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
    draws = np.array([registry.flatten(initial_weights(trainer, seed)) for seed in range(300)])
    expected = draws.var(axis=0).sum()
    assert registry.initial_variance(trainer.engine.model) == pytest.approx(expected, rel=0.02)


def test_the_constants_reach_the_optimiser():
    trainer = make_trainer(optimizer="ecd", epochs=1, patience=7, ema=0.0, clip_norm=1e-9)
    found = train(trainer, two_classes())
    updates = found.summary["updates_per_epoch"]
    length = math.sqrt(registry.initial_variance(trainer.engine.model)) / updates
    assert found.history[1]["learning_rate"] == pytest.approx(length, rel=1e-6)
    start = registry.flatten(initial_weights(trainer))
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
    nan = [np.full_like(w, np.nan) for w in initial_weights(trainer)]
    with pytest.raises(TrainingError, match=r"training\.ecd\.dt_hat"):
        fit_one(trainer, two_classes(), nan)
