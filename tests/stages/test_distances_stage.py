"""Distances of a whole study against SciPy's, which sorts all values."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import wasserstein_distance

import omniflow
from omniflow import Events
from omniflow.evaluation import wasserstein
from omniflow.events import slices, store
from omniflow.stages.diagnostics import distances
from omniflow.stages.finished import Finished
from omniflow.tables.identifiability import DISTANCES

METHODS = {"none": {}, "parallel": {"lanes": 2}}
TRAINING = {
    **{"optimizer": "adam", "learning_rate": 1e-2, "warmup_epochs": 0, "epochs": 1},
    **{"min_updates": 10, "batch_size": 100},
}


def _events(n, mean, seed, truth=True):
    """Two observables, of which one does not exist everywhere; weights of either sign."""
    rng = np.random.default_rng(seed)
    x = rng.normal(mean, 1, n)
    y = np.where(rng.random(n) < 0.9, rng.exponential(1 + mean, n), np.nan)
    seen = {"x": x + rng.normal(0, 0.3, n), "y": y * rng.lognormal(0, 0.1, n)}
    seen = {"x": seen["x"], "y": np.nan_to_num(seen["y"], nan=-1)}
    weight = np.where(rng.random(n) < 0.02, -0.5, rng.uniform(0.5, 1.5, n))
    flags = {"pass_detector": rng.random(n) < 0.8, "pass_particle": rng.random(n) < 0.9}
    true = {"x": x, "y": np.nan_to_num(y, nan=-1)}
    if not truth:
        flags.pop("pass_particle")
    return Events.from_arrays(seen, true if truth else None, weight=weight, **flags)


def _study(truth=True, **sections):
    background = {"sample": _events(60, 1.0, 3), "factor": 0.5}
    define = {
        "x": {"expression": "x", "edges": [-3, -1, 0, 1, 3]},
        "y": {"expression": "where(y > 0, y, nan)", "edges": [0, 1, 2, 5]},
    }
    return omniflow.unfold(
        _events(300, 0.3, 1, truth),
        _events(500, 0.0, 2),
        methods=METHODS,
        iterations=2,
        passes=2,
        training=TRAINING,
        classifier={"kind": "mlp", "width": 4, "blocks": 1},
        backgrounds={"other": background},
        observables={"define": define},
        diagnostics={"second_classifier": False, "response": False},
        **sections,
    )


@pytest.fixture(scope="module")
def study():
    return _study()


def _values(events, level):
    passing = events.pass_detector if level == "detector" else events.pass_particle
    found = np.asarray(getattr(events, level).event, np.float64)
    found[:, 1] = np.where(found[:, 1] > 0, found[:, 1], np.nan)
    return np.where(passing[:, None], found, np.nan)


def _reference(study, level):
    """Values and weights of truth, or of data less background."""
    data, other = study.events("data"), study.events("background-other")
    if level == "particle":
        return _values(data, level), np.asarray(data.weight)
    values = np.concatenate([_values(data, level), _values(other, level)])
    return values, np.concatenate([data.weight, -0.5 * other.weight])


def _exact(x, y, u, v):
    """Area between cumulative distributions of any weights, in deviations of the first."""
    keep = np.isfinite(x), np.isfinite(y)
    (x, u), (y, v) = (
        (a[k], w[k] / w[k].sum()) for a, w, k in zip((x, y), (u, v), keep, strict=True)
    )
    points = np.concatenate([x, y])
    order = np.argsort(points)
    steps = np.cumsum(np.concatenate([u, -v])[order])[:-1]
    mean = u @ x
    return np.abs(steps) @ np.diff(points[order]) / np.sqrt(u @ (x - mean) ** 2)


def _weights(study, subject):
    simulation = study.events("simulation")
    if subject == "_prior":
        return study.scale * np.asarray(simulation.weight)
    return np.asarray(study.weights_of(subject))


def test_the_area_is_that_of_scipy_where_weights_are_positive():
    rng = np.random.default_rng(1)
    x, y, u, v = rng.normal(size=50), rng.normal(size=60), rng.random(50), rng.random(60)
    spread = np.sqrt(np.average((x - np.average(x, weights=u)) ** 2, weights=u))
    assert _exact(x, y, u, v) == pytest.approx(wasserstein_distance(x, y, u, v) / spread)


@pytest.mark.parametrize("level", ["particle", "detector"])
@pytest.mark.parametrize("subject", ["_prior", *METHODS])
def test_distances_are_those_of_sorted_values(study, level, subject):
    table = study.tables["distances"].set_index(["level", "subject", "observable"])
    values, weight = _reference(study, level)
    other = _values(study.events("simulation"), level)
    mine = _weights(study, subject)
    if level == "particle" or subject == "_prior":
        for column, name in enumerate("xy"):
            exact = _exact(values[:, column], other[:, column], weight, mine)
            found = table.loc[level, subject, name]
            # Values of backgrounds are no edges.
            tolerance = 1e-5 if level == "particle" else 5e-3
            assert found.wasserstein == pytest.approx(exact, rel=tolerance)
            assert 0 < found.wasserstein_floor < 0.2
    both = np.isfinite(values).all(axis=1), np.isfinite(other).all(axis=1)
    totals = [np.average(v[np.isfinite(v)], weights=weight[np.isfinite(v)]) for v in values.T]
    widths = [
        np.sqrt(np.average((v[k] - m) ** 2, weights=weight[k]))
        for v, k, m in zip(values.T, np.isfinite(values).T, totals, strict=True)
    ]
    along = wasserstein.directions(2).T
    if level == "particle":
        p, q = (
            (v[k] - totals) / widths @ along for v, k in zip((values, other), both, strict=True)
        )
        exact = np.mean(
            [
                _exact(a, b, weight[both[0]], mine[both[1]]) * _width(a, weight[both[0]])
                for a, b in zip(p.T, q.T, strict=True)
            ]
        )
        found = table.loc[level, subject, distances.SLICED]
        assert found.wasserstein == pytest.approx(exact, rel=1e-4)


def _width(values, weight):
    mean = np.average(values, weights=weight)
    return np.sqrt(np.average((values - mean) ** 2, weights=weight))


def test_binned_distances_stand_beside_them(study):
    """Those of the methods are those of the summary; the oracle has its own."""
    table, summary = study.tables["distances"], study.tables["summary"]
    rows = summary[(summary.iteration == 2) & (summary["combine"].isin(["none", "mean"]))]
    for row in rows.itertuples():
        keys = ("particle", row.method, row.observable)
        found = table.set_index(["level", "subject", "observable"]).loc[keys]
        assert (found.td, found.td_floor) == (row.td, row.td_floor)
        prior = table.set_index(["level", "subject", "observable"]).loc[
            "particle", "_prior", row.observable
        ]
        assert prior.td == row.td_prior
    oracle = table[table.subject == "_oracle"]
    assert set(oracle.level) == {"particle", "detector"}
    assert oracle[oracle.observable != distances.SLICED].td.gt(0).all()
    assert oracle.wasserstein.gt(0).all()


def test_slices_change_nothing_but_the_cells(study, monkeypatch):
    before = study.tables["distances"]
    monkeypatch.setattr(slices, "EVENTS", 77)
    diagnostics = study.plan.config.diagnostics.model_copy(update={"oracle": False})
    plan = type(study.plan)(
        study.plan.config.model_copy(update={"diagnostics": diagnostics}), study.plan.root
    )
    after = distances.tables(Finished(plan))[DISTANCES]
    keys = ["level", "subject", "observable"]
    both = after.merge(before, on=keys, suffixes=("", "_before"))
    assert len(both) == 2 * 3 * 3
    # Of 77 events the cells are coarse; floors also know less of the tails.
    for part, tolerance in (("wasserstein", 0.02), ("wasserstein_floor", 0.05)):
        np.testing.assert_allclose(both[part], both[f"{part}_before"], rtol=tolerance)


def test_a_part_of_the_events_is_projected_with_its_share_of_backgrounds(study, monkeypatch):
    finished = Finished(study.plan)
    monkeypatch.setattr(slices, "EVENTS", 100)
    whole = distances.tables(finished)[DISTANCES].set_index(["level", "subject", "observable"])
    monkeypatch.setattr(wasserstein, "PROJECTED", 200)
    part = distances.tables(finished)[DISTANCES].set_index(["level", "subject", "observable"])
    sliced = part.index.get_level_values("observable") == distances.SLICED
    pd.testing.assert_frame_equal(part[~sliced], whole[~sliced])
    assert (part.wasserstein_floor[sliced] > whole.wasserstein_floor[sliced]).all()
    # All of 60 events of the background are subtracted, and 200 of 300 data stand for all of them.
    level = distances._Level(study.plan, "detector", {"_prior": np.ones(500)})
    (reference, _) = level._compared(["x"], distances._alone, 200)["x"]
    data, other = (store.open_store(study.plan.store(r)) for r in ("data", "background-other"))
    first = np.arange(200)[np.asarray(data.pass_detector)[:200]]
    subtracted = 0.5 * np.asarray(other.weight)[np.asarray(other.pass_detector)].sum()
    expected = 1.5 * np.asarray(data.weight)[first].sum() - subtracted
    assert reference.total[0] == pytest.approx(expected)


def test_real_data_have_distances_at_detector_level_alone():
    study = _study(truth=False)
    table = study.tables["distances"]
    assert set(table.level) == {"detector"}
    assert set(table.subject) == {"_prior", *METHODS}
    assert table.wasserstein.gt(0).all()
