import numpy as np
import pandas as pd
import pytest
from study_factory import Model, Strategy, changed, copied, made

from omniflow.report import faults


@pytest.fixture(scope="module")
def good():
    """A study without faults: two methods, three iterations, Q2 and tau21."""
    methods = {"none": Strategy(), "parallel": Strategy(lanes=3, spread=0.5)}
    return made(Model(methods, passes=2, epochs=3))


@pytest.fixture
def tables(good):
    return copied(good)


def found(tables):
    return {fault.subject: fault.text.replace("\u00a0", " ") for fault in faults.find(tables)}


def move(tables, level, observable, iteration, td, error=0.05, method=None):
    """Set the distance after one iteration in convergence.csv; others keep theirs."""
    rows = tables["convergence"]
    own = (rows["level"] == level) & (rows["observable"] == observable)
    own &= rows["method"].isin([method] if method else rows["method"].unique())
    here, from_here = own & (rows["to"] == iteration), own & (rows["iteration"] == iteration)
    rows.loc[here, "fall"] += rows.loc[here, "td"] - td
    rows.loc[from_here, "fall"] += td - (rows.loc[from_here, "td"] + rows.loc[from_here, "fall"])
    rows.loc[here, "td"] = td
    rows.loc[here | from_here, "error"] = error


def test_a_good_study_has_no_faults(tables):
    assert found(tables) == {}


def test_a_distance_beyond_twice_its_floor_is_not_converged(tables):
    rows = tables["detector_summary"]
    rows.loc[(rows["iteration"] == 3) & (rows["observable"] == "q2"), "td"] = 1.7
    text = found(tables)["Not converged"]
    assert "exceeds twice its floor in Q² (TD 1.7, floor 0.12)" in text
    assert "more iterations alone would help little" in text
    assert "training.epochs" in text


def test_a_distance_that_still_falls_asks_for_iterations(tables):
    move(tables, "detector", "q2", 2, 1.0)
    text = found(tables)["Not converged"]
    assert "still falls in Q²" in text
    assert "raise unfolding.iterations" in text


def _histories(tables, losses):
    """Give every network these held-out losses by epoch, at a constant rate."""
    rows = tables["histories"]
    first = rows[rows["epoch"] == 1]
    parts = [first.assign(epoch=e, val_loss=loss) for e, loss in enumerate(losses)]
    return changed(tables, histories=pd.concat(parts, ignore_index=True))


def test_losses_that_still_fall_are_too_short(tables):
    """A loss that falls in proportion to the epochs would fall as much again."""
    text = found(_histories(tables, np.linspace(0.6931, 0.66, 13)))["Trained too short"]
    assert "used all epochs" in text
    assert "training.epochs" in text


def test_losses_that_have_settled_are_long_enough(tables):
    settled = 0.66 + 0.0331 * np.exp(-np.arange(13.0))
    assert "Trained too short" not in found(_histories(tables, settled))


def test_a_worse_last_iteration_is_told_with_the_one_that_data_support(tables):
    move(tables, "particle", "q2", 3, 0.66, method="parallel")
    rows = tables["stopping"]
    rows.loc[rows["method"] == "parallel", "iteration"] = 2
    text = found(tables)["Iterations"]
    assert "Iteration 3 is farther from truth than iteration 2" in text
    assert "Q² (parallel: TD 0.66, before 0.040)" in text
    assert "The data support iteration 2 (parallel)" in text
    assert "unfolding.iterations to 2" in text


def test_a_rise_at_detector_level_is_told(tables):
    move(tables, "detector", "q2", 3, 0.9)
    text = found(tables)["Iterations"]
    assert "farther from data at detector level than iteration 2" in text


@pytest.mark.parametrize(
    ("td", "error"),
    # By less than errors allow, and to below the floor
    [(0.5, 0.1), (0.11, 0.001)],
)
def test_a_rise_within_statistics_or_below_the_floor_is_none(tables, td, error):
    move(tables, "particle", "q2", 2, min(0.36, td - 0.05), error)
    move(tables, "particle", "q2", 3, td, error)
    assert "Iterations" not in found(tables)


def test_worse_than_the_binned_reference(tables):
    rows = tables["summary"]
    rows.loc[(rows["iteration"] == 3) & (rows["observable"] == "q2"), "td"] = 5.0
    text = found(tables)["Binned reference"]
    assert "closer to truth in Q² (TD 5.0, binned 0.71)" in text
    assert "training.epochs" in text


def test_a_binned_reference_that_follows_fluctuations_is_no_fault(tables):
    """Both within what statistics give: its distance may be 0 though nothing is better."""
    tables["bayes_summary"]["td"] = 0.01
    assert "Binned reference" not in found(tables)


def test_farther_from_truth_than_the_prior(tables):
    move(tables, "particle", "jet_tau21", 3, 5.2)
    text = found(tables)["Prior"]
    assert "moves jet τ₂₁ (TD 5.2, prior 4.0) away from truth" in text
    assert "unfolding.iterations" in text


def test_networks_that_know_less_than_nothing(tables):
    tables["timing"].loc[tables["timing"].index[:7], "val_loss"] = 0.72
    text = found(tables)["Networks"]
    assert text.startswith("7 of ")
    assert "training.learning_rate" in text


def test_faults_come_in_the_order_of_their_weight(tables):
    tables["timing"].loc[tables["timing"].index[:7], "val_loss"] = 0.72
    move(tables, "particle", "q2", 3, 5.2)
    rows = tables["detector_summary"]
    rows.loc[rows["iteration"] == 3, "td"] = 5.0
    assert list(found(tables)) == ["Networks", "Not converged", "Iterations", "Prior"]


def test_all_methods_need_no_names(tables):
    rows = tables["detector_summary"]
    chosen = (rows["iteration"] == 3) & (rows["observable"] == "q2")
    rows.loc[chosen & (rows["method"] == "none"), "td"] = 1.7
    assert "Q² (none: TD 1.7" in found(tables)["Not converged"]
