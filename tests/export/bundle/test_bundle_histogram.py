"""Histograms of bundles: those of the study, and rules of families done by hand."""

import json

import export_samples
import handmade
import numpy as np
import pandas as pd
import pytest

import omniflow
from omniflow.errors import CovarianceWarning, InputError
from omniflow.expressions import ExpressionError

BLOCKS = {
    "passes": "training",
    "bootstrap_data": "data",
    "bootstrap_mc": "simulation",
    "prior": "prior",
    "model": "model",
}


@pytest.fixture
def foreign(tmp_path):
    events = handmade.frame()
    folder = handmade.write(tmp_path / "foreign", events, handmade.metadata(events))
    return omniflow.read_bundle(folder), events


@pytest.mark.parametrize("what", ["x", "square", "x - 2 * y"])
def test_contents_and_covariance_are_those_of_the_study(study, bundle, what):
    edges = [-2, -0.5, 0.5, 3]
    expected = what
    if what == "square":
        expected = "where(y > 0.5, x * x, nan)"
    with pytest.warns(CovarianceWarning, match="too few"):  # of replicas for an inverse
        theirs, blocks = study.histogram(expected, edges, method="hybrid", with_covariance=True)
    ours = bundle.histogram(what, edges)
    np.testing.assert_allclose(ours.content, theirs.values(), rtol=1e-6)
    np.testing.assert_allclose(ours.flow[0], theirs.values(flow=True)[[0, -1]], rtol=1e-6)
    assert set(ours.blocks) == set(BLOCKS)
    for name, matrix in ours.blocks.items():
        there = blocks[BLOCKS[name]]
        np.testing.assert_allclose(matrix, there, rtol=1e-3, atol=1e-5 * np.abs(there).max())
    np.testing.assert_allclose(ours.total, blocks["total"], rtol=1e-3, atol=1e-4)
    assert "bootstrap_data: 3 replicas are too few for 3 bins" in " ".join(ours.warnings)


def test_several_expressions_have_one_covariance(bundle):
    """Blocks on the diagonal are those of each alone, and the same twice is fully correlated."""
    both = bundle.histogram(["x", "1 * x"], [export_samples.EDGES] * 2)
    alone = bundle.histogram("x", export_samples.EDGES)
    first, second = both.rows.values()
    np.testing.assert_array_equal(both.content[first], alone.content)
    for name, matrix in both.blocks.items():
        for rows in (first, second):
            for columns in (first, second):
                np.testing.assert_allclose(matrix[rows, columns], alone.blocks[name], rtol=1e-9)
    np.testing.assert_allclose(np.diagonal(both.correlation[first, second]), 1, rtol=1e-9)


def test_the_stored_covariance_is_that_of_the_weights(bundle):
    stored, again = bundle.covariance, bundle.histogram(["x", "square"])
    assert stored.names == again.names
    np.testing.assert_allclose(stored.total, again.total, rtol=1e-12)
    np.testing.assert_allclose(stored.of_kind("statistical"), again.of_kind("statistical"))
    kinds = [again.of_kind(kind) for kind in ("statistical", "training", "systematic")]
    np.testing.assert_allclose(sum(kinds), sum(again.blocks.values()))


def test_conditions_and_unit_sums(study, bundle):
    edges = [-1, 0, 1]
    found = bundle.histogram("x", edges, where="y > 1")
    x, y = study.simulation.particle.event.T
    expected = np.histogram(x[y > 1], edges, weights=study.weights_of("hybrid")[y > 1])[0]
    np.testing.assert_allclose(found.content, expected, rtol=1e-6)
    shares = bundle.histogram("x", edges, normalise=True)
    assert shares.content.sum() == pytest.approx(1)
    plain = bundle.histogram("x", edges)
    np.testing.assert_allclose(shares.content, plain.content / plain.content.sum())
    np.testing.assert_array_equal(shares.effective, plain.effective)
    # Every row of the covariance of shares adds up to 0.
    scale = np.abs(shares.total).max()
    np.testing.assert_allclose(shares.total.sum(axis=0), 0, atol=1e-9 * scale)


def test_rules_of_families_of_another_tool(foreign):
    bundle, events = foreign
    found = bundle.histogram("mass")
    chosen = events[events["pt"] > 2]  # the selection of the observable

    def content(column):
        return np.histogram(chosen["mass"], [0, 1, 2, 3], weights=chosen[column])[0]

    nominal = content("unfolded")
    np.testing.assert_allclose(found.content, nominal)
    shifts = [content(name) - nominal for name in ("s0", "s1")]
    delta = (content("dd") - content("ref")) * nominal / content("ref")
    squares = np.histogram(chosen["mass"], [0, 1, 2, 3], weights=chosen["unfolded"] ** 2)[0]
    expected = {
        "stat": np.cov([content(f"r{i}") for i in range(3)], rowvar=False),
        "nn": np.cov([content(f"e{i}") for i in range(2)], rowvar=False) / 2,
        "np": sum(np.outer(shift, shift) for shift in shifts),
        "dd": np.outer(delta, delta),
        "sample": np.diag(squares),
    }
    assert set(found.blocks) == set(expected)
    for name, matrix in expected.items():
        np.testing.assert_allclose(found.blocks[name], matrix, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(found.total, sum(expected.values()), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(found.effective, nominal**2 / squares)
    assert found.kinds["dd"] == "systematic"


def test_weights_that_are_factors_are_multiplied_with_those_of_the_simulation(tmp_path):
    events = handmade.frame()
    plain = omniflow.read_bundle(
        handmade.write(tmp_path / "plain", events, handmade.metadata(events))
    )
    factors = events.copy()
    for name in set(events) - {"mass", "pt", "prior"}:
        factors[name] /= events["prior"]
    told = handmade.metadata(factors)
    told["weights"]["nominal_convention"] = "reweighting_factor"
    found = omniflow.read_bundle(handmade.write(tmp_path / "factors", factors, told))
    np.testing.assert_allclose(found.weights(), events["unfolded"])
    np.testing.assert_allclose(found.weights("base"), events["prior"])
    np.testing.assert_allclose(found.weights("factor"), factors["unfolded"])
    edges = [0, 5, 30]
    ours, theirs = found.histogram("pt", edges), plain.histogram("pt", edges)
    np.testing.assert_allclose(ours.content, theirs.content)
    np.testing.assert_allclose(ours.total, theirs.total)


def test_weights_by_name(study, bundle):
    ids = bundle.events.numbers("event_id")
    inside = {i: at for at, i in enumerate(study.simulation.event_id.tolist())}
    rows = [inside[i] for i in ids.tolist()]
    np.testing.assert_array_equal(bundle.weights(), study.weights_of("hybrid")[rows])
    replicas = bundle.weights("bootstrap_data")
    assert replicas.shape == (3, len(bundle))
    np.testing.assert_array_equal(replicas[1], bundle.weights("weights_bootstrap_data_2"))
    assert bundle.weights("lanes").shape == (4, len(bundle))
    factor = bundle.weights("base") * bundle.weights("factor")
    np.testing.assert_allclose(factor, bundle.weights(), rtol=1e-6)
    with pytest.raises(InputError, match="there is no weight 'nominaal': nominal, base, factor"):
        bundle.weights("nominaal")


def test_bins_that_cannot_be_relied_on_are_named(bundle, foreign):
    far = bundle.histogram("x", [-1, 1, 50, 60])
    assert any("no simulated event in 1 of 3 bins: [50, 60)" in line for line in far.warnings)
    few = [line for line in far.warnings if "fewer than 5,000 effective events" in line]
    assert len(few) == 1
    # Without replicas of the data their statistics are not known, and nothing is said of them.
    assert not any("statistics" in line for line in foreign[0].histogram("mass").warnings)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("y",), "y has no edges of its authors; give some"),
        (("x", [1, 0]), "edges of x must be numbers that rise"),
        (("x", [0, "a"]), "edges of x must be numbers that rise"),
        (("x", [0, np.inf]), "edges of x must be numbers that rise"),
        ((["x", "y"], [[0, 1]]), "has edges for 1 of 2 expressions"),
        ((["x", "x"],), "give one expression, or several that differ"),
        (([],), "give one expression"),
    ],
)
def test_histograms_that_cannot_be(bundle, arguments, message):
    with pytest.raises(InputError, match=message):
        bundle.histogram(*arguments)


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "x.__class__",
        "(lambda: 1)()",
        "open('/etc/passwd')",
        "z",
    ],
)
def test_expressions_run_no_code(bundle, text):
    with pytest.raises(ExpressionError):
        bundle.histogram(text, [0, 1])
    with pytest.raises(ExpressionError):
        bundle.histogram("x", [0, 1], where=text)


def test_conditions_are_of_events(bundle):
    with pytest.raises(InputError, match="'x' is no condition on events"):
        bundle.histogram("x", [0, 1], where="x")


def test_files_hold_all_of_it(bundle, tmp_path):
    found = bundle.histogram(["x", "square"])
    assert found.write(tmp_path / "h.json") == [tmp_path / "h.json"]
    content = json.loads((tmp_path / "h.json").read_text("utf-8"))
    np.testing.assert_allclose(content["covariance"]["total"]["matrix"], found.total)
    assert content["observables"][1]["edges"] == [0, 0.5, 2]
    found.write(tmp_path / "h.csv")
    table, covariance = (pd.read_csv(tmp_path / name) for name in ("h.csv", "h.covariance.csv"))
    np.testing.assert_allclose(table["error"], np.sqrt(np.diagonal(found.total)), rtol=1e-9)
    rows = covariance[covariance["block"] == "total"]
    np.testing.assert_allclose(rows["value"], found.total.ravel(), rtol=1e-9)
    assert rows["observable_j"].tolist()[:6] == ["x"] * 4 + ["square"] * 2
    with pytest.raises(InputError, match=r"h.txt: give a file that ends with .csv or .json"):
        found.write(tmp_path / "h.txt")
