import numpy as np
import pandas as pd
import pytest

from omniflow.evaluation import convergence
from omniflow.evaluation.metrics import triangular_discriminator


def _tables(data, simulations, error=None):
    """Tables of one method and observable with simulated contents per iteration."""
    key = {"method": "none", "combine": "none", "observable": "q2"}
    error = np.sqrt(data) if error is None else error
    detector = [
        key | {"iteration": i, "bin": b, "data": data[b], "data_error": error[b],
               "simulation": q[b], "simulation_error": 0.0}
        for i, q in enumerate(simulations) for b in range(len(data))
    ]  # fmt: skip
    summary = [
        key | {"iteration": i, "td_floor": 0.0,
               "td": triangular_discriminator(data / data.sum(), q / q.sum())}
        for i, q in enumerate(simulations)
    ]  # fmt: skip
    return pd.DataFrame(detector), pd.DataFrame(summary)


def test_uncertainty_of_a_fall_is_its_scatter_over_data():
    """Data drawn 2000 times: the fall between two fixed simulations scatters as predicted."""
    rng = np.random.default_rng(1)
    truth = 1000 * np.array([1.0, 2, 3, 2, 1.5, 1])
    simulations = [truth * np.linspace(1.3, 0.7, 6), truth * np.linspace(1.1, 0.9, 6)]
    drawn = rng.poisson(truth, (2000, 6))
    distances = [
        [triangular_discriminator(p / p.sum(), q / q.sum()) for q in simulations] for p in drawn
    ]
    scatter = np.diff(distances, axis=1).std()
    rows = convergence.falls(*_tables(truth, simulations))
    assert rows["uncertainty"][0] == pytest.approx(scatter, rel=0.1)
    expected = -np.diff(distances, axis=1).mean()
    assert rows["fall"][0] == pytest.approx(expected, rel=0.1)
    assert np.isnan(rows["fall"][1])


def test_the_floor_adds_in_quadrature():
    truth = np.full(5, 400.0)
    detector, summary = _tables(truth, [truth * np.linspace(1.2, 0.8, 5), truth])
    first = convergence.falls(detector, summary)["uncertainty"][0]
    raised = convergence.falls(detector, summary.assign(td_floor=[9.0, 0.3]))["uncertainty"][0]
    assert raised == pytest.approx(np.hypot(first, 0.3))


def _falls(**observables):
    """Falls with uncertainty 1 from iteration 0 on; the last iteration has none."""
    rows = [
        {"observable": name, "iteration": i, "fall": fall, "uncertainty": 1.0}
        for name, falls in observables.items()
        for i, fall in enumerate([*falls, np.nan])
    ]
    return pd.DataFrame(rows)


@pytest.mark.parametrize(
    ("falls", "iteration", "observable"),
    [
        ({"q2": [9, 5, 2, 0.5, 0.1]}, 3, "q2"),
        ({"q2": [9, 0.5, 0.5, 0.5]}, 1, None),
        # The last to settle decides.
        ({"q2": [9, 0.5, 0.2, 0.1, 0], "jet_pt": [20, 5, 3, 2, 0.4]}, 4, "jet_pt"),
        # A pause does not count where it falls again.
        ({"q2": [9, 0.1, 3, 0.1, 0.1]}, 3, "q2"),
        # A distance that rises does not fall.
        ({"q2": [9, 2, -3, -3]}, 2, "q2"),
        # Still falling.
        ({"q2": [9, 5, 3]}, None, "q2"),
        ({"q2": [9]}, None, None),
    ],
)
def test_suggested_iteration(falls, iteration, observable):
    found = convergence.suggest(_falls(**falls))
    assert found.iteration == iteration
    assert found.observable == observable
    assert found.last == len(next(iter(falls.values())))


def test_the_reason_is_the_last_fall_that_counts():
    found = convergence.suggest(_falls(q2=[9, 5, 2.5, 0.5], y=[9, 5, 2, 0.5]))
    assert (found.iteration, found.observable, found.fall) == (3, "q2", 2.5)
    assert found.uncertainty == 1
