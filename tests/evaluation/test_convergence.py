import numpy as np
import pandas as pd
import pytest

from omniflow.evaluation import convergence
from omniflow.evaluation.metrics import triangular_discriminator
from omniflow.tables.convergence import CONVERGENCE


def _tables(data, simulations, error=None):
    """Tables of one method and observable with simulated contents per iteration."""
    key = {"method": "none", "combine": "none", "observable": "q2"}
    error, (many, bins) = np.sqrt(data) if error is None else error, np.shape(simulations)
    place = {"iteration": np.repeat(range(many), bins), "bin": np.tile(range(bins), many)}
    known = {"data": np.tile(data, many), "data_error": np.tile(error, many)}
    detector = key | place | known
    detector |= {"simulation": np.ravel(simulations), "simulation_error": 0.0}
    td = [triangular_discriminator(data / data.sum(), q / q.sum()) for q in simulations]
    summary = key | {"iteration": range(many), "td_floor": 0.0, "td": td}
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
    rows = convergence.falls("detector", *_tables(truth, simulations))
    assert rows["uncertainty"][0] == pytest.approx(scatter, rel=0.1)
    expected = -np.diff(distances, axis=1).mean()
    assert rows["fall"][0] == pytest.approx(expected, rel=0.1)
    assert len(rows) == 1


def test_the_floor_adds_in_quadrature():
    truth = np.full(5, 400.0)
    detector, summary = _tables(truth, [truth * np.linspace(1.2, 0.8, 5), truth])
    first = convergence.falls("detector", detector, summary)["uncertainty"][0]
    high = summary.assign(td_floor=[9.0, 0.3])
    raised = convergence.falls("detector", detector, high)["uncertainty"][0]
    assert raised == pytest.approx(np.hypot(first, 0.3))


def test_every_pair_of_iterations_has_its_fall():
    truth = np.full(5, 400.0)
    slope = np.linspace(0.5, -0.5, 5)
    rows = convergence.falls(
        "detector", *_tables(truth, [truth * (1 + slope * x) for x in (1, 0.5, 0.25)])
    )
    assert list(zip(rows["iteration"], rows["to"], strict=True)) == [(0, 1), (0, 2), (1, 2)]
    by_pair = rows.set_index(["iteration", "to"])["fall"]
    assert by_pair[0, 2] == pytest.approx(by_pair[0, 1] + by_pair[1, 2])


def test_observables_without_entries_have_no_fall():
    """They have no rows in detector.csv, and no distance."""
    truth = np.full(5, 400.0)
    detector, summary = _tables(truth, [truth * np.linspace(1.2, 0.8, 5), truth])
    empty = summary.assign(observable="jet_pt", td=np.nan, td_floor=np.nan)
    rows = convergence.falls("detector", detector, pd.concat([empty, summary]))
    assert set(rows["observable"]) == {"q2"}


def _slow(events, shrinking, iterations):
    """Suggestion for 22 bins whose difference shrinks by `shrinking` per iteration, and TDs."""
    bins = 22
    data = np.full(bins, events / bins)
    shape = np.sin(np.linspace(0, 2 * np.pi, bins, endpoint=False))
    simulations = [data * (1 + 0.032 * shrinking**i * shape) for i in range(iterations + 1)]
    detector, summary = _tables(data, simulations)
    floor = 1000 * 0.5 * bins / 2 / events  # data alone: sum of variances over twice the contents
    rows = convergence.falls("detector", detector, summary.assign(td_floor=floor))
    return convergence.suggest(rows), summary["td"].to_numpy()


def test_many_small_falls_add_up():
    """Each fall is below its uncertainty, those to the last iteration are not."""
    found, td = _slow(250_000, 0.95, 10)
    assert np.all(-np.diff(td)[1:] < 0.022)  # the floor alone is more
    assert td[1] - td[10] > 0.06
    assert 1 < found.iteration < 10
    assert (found.observable, found.to) == ("q2", 10)
    assert found.fall == pytest.approx(td[found.iteration - 1] - td[10])
    assert found.above_floor == ("q2",)


def test_without_a_difference_the_first_iteration_is_enough():
    found, _ = _slow(1000, 0.95, 10)
    assert (found.iteration, found.above_floor, found.rising) == (1, (), ())


def _falls(**observables):
    """Falls of distances per iteration from 0 on, with uncertainty 1 and a floor of 0.4."""
    rows = [
        {"observable": name, "iteration": i, "to": j, "td": td[j], "td_floor": 0.4,
         "fall": td[i] - td[j], "uncertainty": 1.0}
        for name, td in observables.items()
        for i in range(len(td)) for j in range(i + 1, len(td))
    ]  # fmt: skip
    return pd.DataFrame(rows)


@pytest.mark.parametrize(
    ("distances", "iteration", "observable"),
    [
        ({"q2": [17, 8, 3, 0.5, 0.2, 0.1]}, 3, "q2"),
        ({"q2": [9, 0.5, 0.3, 0.2, 0.1]}, 1, None),
        # The last to settle decides.
        ({"q2": [9, 0.5, 0.2, 0.1, 0, 0], "pt": [30, 10, 5, 2, 0.4, 0.3]}, 4, "pt"),
        # A pause does not count where it falls again.
        ({"q2": [9, 4, 3.9, 0.9, 0.8, 0.7]}, 3, "q2"),
        # Small falls that add up to more than the uncertainty count.
        ({"q2": [9, 4.0, 3.3, 2.6, 1.9, 1.2, 0.5]}, 5, "q2"),
        # A distance that rises does not fall.
        ({"q2": [9, 2, 0.5, 3, 3]}, 2, "q2"),
        # Still falling.
        ({"q2": [17, 8, 3, 0]}, None, "q2"),
        ({"q2": [9, 0]}, None, None),
    ],
)
def test_suggested_iteration(distances, iteration, observable):
    found = convergence.suggest(_falls(**distances))
    assert found.iteration == iteration
    assert found.observable == observable
    assert found.last == len(next(iter(distances.values()))) - 1


def test_the_reason_is_the_fall_that_forbids_to_stop_earlier():
    found = convergence.suggest(_falls(q2=[17, 8, 3, 0.5, 0.2], y=[17, 8, 2, 0.8, 0.5]))
    assert (found.iteration, found.observable, found.to) == (3, "q2", 4)
    assert found.fall == pytest.approx(2.8)
    assert found.uncertainty == 1


def test_distances_above_the_floor_and_rises_are_named():
    found = convergence.suggest(_falls(q2=[9, 5, 4.9, 4.8], y=[9, 0.3, 0.9, 2], x=[9, 1, 0.5, 1]))
    assert found.iteration == 1
    assert found.above_floor == ("q2", "x")
    assert found.rising == ("y",)
    # None is suggested: distances after the last iteration.
    found = convergence.suggest(_falls(q2=[17, 8, 3, 0.9], y=[3, 0.9, 0.8, 0.7]))
    assert (found.iteration, found.above_floor, found.rising) == (None, ("q2",), ())


def test_a_rise_is_judged_by_its_error_shared_among_rows_and_by_the_floor():
    rows = pd.DataFrame(
        # Two rows share 5%: one-sided limit 1.96
        [("a", -0.19, 0.1, 0.5, 0.1), ("b", -0.20, 0.1, 0.5, 0.1)],
        columns=["observable", "fall", "error", "td", "td_floor"],
    )
    assert list(convergence.rises(rows)["observable"]) == ["b"]
    assert convergence.rises(rows.assign(td_floor=0.6)).empty
    assert convergence.rises(rows.iloc[:0]).empty


def test_rises_are_rare_where_iterations_differ_by_chance():
    """Truth drawn 500 times, two results as far from its parent, nine observables together."""
    rng, false = np.random.default_rng(3), 0
    parent = np.full(12, 2000.0)
    wave = 0.03 * np.sin(np.linspace(0, 2 * np.pi, 12, endpoint=False))
    results = [parent * (1 + wave), parent * (1 - wave)]
    for _ in range(60):
        found = [_tables(rng.poisson(parent).astype(float), results) for _ in range(9)]
        detector, summary = (
            pd.concat([table.assign(observable=f"x{n}") for n, table in enumerate(each)])
            for each in zip(*found, strict=True)
        )
        false += not convergence.rises(convergence.falls("detector", detector, summary)).empty
    # 60 at 5%: 99% of the time no more than 7
    assert false <= 7


def test_truth_takes_the_place_of_data():
    keys = {"method": "none", "combine": "none", "observable": "q2"}
    metrics = pd.DataFrame(
        [
            keys | {"iteration": i, "bin": b, "truth": 50.0, "truth_error": 7.0, "prior": 60.0 + b,
                    "prior_error": 5.0, "mean": 55.0 - b, "mean_error": 6.0}
            for i in (1, 2) for b in range(3)
        ]
    )  # fmt: skip
    summary = pd.DataFrame(
        [keys | {"iteration": i, "td": 1.0 / i, "td_floor": 0.1, "td_prior": 3.0,
                 "td_prior_floor": 0.2} for i in (1, 2)]
    )  # fmt: skip
    rows = convergence.falls("particle", *convergence.truth_as_data(metrics, summary))
    assert list(zip(rows["iteration"], rows["to"], strict=True)) == [(0, 1), (0, 2), (1, 2)]
    assert list(rows["fall"]) == [2.0, 2.5, 0.5]


def test_suggestions_name_observables_in_one_cell():
    rows = [
        ("detector", "none", "none", name, i, j, 5.0, 0.1, fall, 0.9, 1.0)
        for name in ("q2", "y")
        for i, j, fall in ((0, 1, 9.0), (0, 2, 8.0), (1, 2, -3.0))
    ]
    found = convergence.stopping_table(pd.DataFrame(rows, columns=CONVERGENCE.names))
    (row,) = found.itertuples()
    assert (row.iteration, row.above_floor, row.rising) == (1, "q2 y", "q2 y")
    assert row.to is pd.NA


def test_without_distances_there_is_no_suggestion():
    assert convergence.stopping_table(CONVERGENCE.build([])).empty
