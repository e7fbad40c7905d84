import export_toys as toys
import h5py
import numpy as np
import pytest

from omniflow.errors import InputError
from omniflow.export.binned import binned, correlation, error, positive
from omniflow.stages import predictions


@pytest.fixture(scope="module")
def found(study):
    return binned(study)


def test_covariances_are_those_of_the_joint_table(study, found):
    with h5py.File(study.plan.table("joint_covariance.h5")) as file:
        assert [n.decode() for n in file["observable"]] == ["x"] * 3 + ["y"] * 2
        np.testing.assert_allclose(found.content, file["none/mean"], rtol=1e-12)
        group = file["none/covariance"]
        assert set(group) == {*found.blocks, "total"}
        np.testing.assert_allclose(found.total, group["total"], rtol=1e-9)
        for name, block in found.blocks.items():
            np.testing.assert_allclose(block, group[name], rtol=1e-9)
    assert list(found.blocks) == ["data", "simulation", "training", "model", "scale"]
    assert found.systematics == ("model", "scale")
    assert found.absent == {}


def test_shifts_are_those_of_the_table(study, found):
    table = study.tables["shifts"].set_index(["variation", "observable"])["shift"].sort_index()
    sides = {"model": ("model_up", "model_down"), "scale": ("scale",)}
    assert {name: len(each) for name, each in found.shifts.items()} == {"model": 2, "scale": 1}
    for name, variations in sides.items():
        for variation, shift in zip(variations, found.shifts[name], strict=True):
            for observable, rows in found.rows.items():
                expected = table.loc[variation, observable]
                np.testing.assert_allclose(shift[rows], expected, rtol=1e-9, atol=1e-9)


def test_contents_are_those_of_the_metrics(study, found):
    table = study.tables["metrics"].set_index("observable")
    table = table[table["method"] == "none"]
    for observable, rows in found.rows.items():
        of = table.loc[observable]
        np.testing.assert_allclose(found.content[rows], of["mean"], rtol=1e-9)
        truth, prior = found.references["truth"], found.references["simulation"]
        np.testing.assert_allclose(truth.content[rows], of["truth"], rtol=1e-9)
        np.testing.assert_allclose(error(truth.covariance)[rows], of["truth_error"], rtol=1e-9)
        np.testing.assert_allclose(prior.content[rows], of["prior"], rtol=1e-9)


@pytest.mark.parametrize("name", ["study", "plain"])
def test_references_are_what_results_are_tested_against(request, name):
    study = request.getfixturevalue(name)
    result, compared = binned(study), predictions.make(study.plan)
    named = {"truth", "simulation", "standard", "shifted"} if name == "study" else {"simulation"}
    assert set(result.references) == named
    own = 0
    for observable, rows in result.rows.items():
        for each, reference in result.references.items():
            expected = compared[observable][each]
            np.testing.assert_allclose(reference.content[rows], expected.content, rtol=1e-9)
            for block in expected.blocks.values():
                found = reference.covariance[rows, rows]
                np.testing.assert_allclose(found, block.matrix, rtol=1e-9, atol=1e-12)
                own += 1
    assert own == (4 if name == "study" else 0)
    shared = {each for each, reference in result.references.items() if reference.shared}
    assert shared == named & {"truth", "simulation"}


def test_predictions_are_correlated_between_observables(found):
    """The same events fill both."""
    square = found.references["standard"].covariance
    assert np.abs(correlation(square)[found.rows["x"], found.rows["y"]]).max() > 0.05


def test_what_is_absent_is_said_with_what_would_give_it(plain):
    found = binned(plain)
    assert list(found.blocks) == ["training"]
    assert found.absent == {
        "data": "set uncertainties.data_replicas",
        "simulation": "set uncertainties.simulation_replicas",
        "systematic": "set uncertainties.variations",
    }
    assert found.statistical is None
    assert found.content[found.rows["x"]].sum() == pytest.approx(1)
    table = plain.tables["metrics"].query("combine == 'mean'")
    spread = table["sigma_rel"] * table["mean"] / np.sqrt(2)
    np.testing.assert_allclose(error(found.total), spread, rtol=1e-9)


def test_methods_without_uncertainties_say_how_to_get_them(study, found):
    other = binned(study, "again")
    np.testing.assert_array_equal(other.content, found.content)
    np.testing.assert_allclose(other.blocks["training"], found.blocks["training"], rtol=1e-9)
    remedy = "name again in uncertainties.methods"
    assert other.absent == dict.fromkeys(("data", "simulation", "systematic"), remedy)
    assert other.shifts == {}


@pytest.mark.parametrize("how", ["mean", "median"])
def test_every_combination_of_lanes_can_be_taken(plain, how):
    found = binned(plain, "parallel", how)
    table = plain.tables["metrics"].query(f"combine == '{how}'")
    np.testing.assert_allclose(found.content, table["mean"], rtol=1e-9)
    assert found.combine == how


def test_some_observables_in_another_order(found):
    swapped = found.of(["y", "x"])
    assert swapped.names == ("y", "x")
    order = [3, 4, 0, 1, 2]
    np.testing.assert_array_equal(swapped.content, found.content[order])
    np.testing.assert_array_equal(swapped.total, found.total[np.ix_(order, order)])
    np.testing.assert_array_equal(swapped.shifts["model"][1], found.shifts["model"][1][order])
    assert swapped.rows == {"y": slice(0, 2), "x": slice(2, 5)}
    truth = found.references["truth"]
    np.testing.assert_array_equal(swapped.references["truth"].content, truth.content[order])


@pytest.mark.parametrize(
    ("method", "combine", "text"),
    [("both", None, "no method 'both'"), (None, "median", "no combination of none 'median'")],
)
def test_what_is_not_there_is_refused(study, method, combine, text):
    with pytest.raises(InputError, match=text):
        binned(study, method, combine)


def test_observables_that_are_not_there_are_refused(found):
    with pytest.raises(InputError, match="no observable 'z': x, y"):
        found.of(["z"])


def test_statistics_have_no_eigenvalue_below_0():
    below = np.array([[1.0, 2.0], [2.0, 1.0]])  # eigenvalues 3 and -1
    result = toys.result(np.ones(2), {"data": below, "training": np.eye(2)})
    np.testing.assert_allclose(result.statistical, [[1.5, 1.5], [1.5, 1.5]])
    assert positive(np.eye(2)).tolist() == np.eye(2).tolist()


def test_correlations_of_bins_without_error_are_0():
    found = correlation(np.array([[-1.0, 0.5], [0.5, 4.0]]))
    assert found.tolist() == [[1, 0], [0, 1]]
