import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from omniflow.report import drawing, figures, hover, svg, ticks
from omniflow.report.formats import Look
from omniflow.report.study_json import ObservableRecord

LOOK = Look("#0072b2", False, "o")
Q2 = ObservableRecord(
    name="q2",
    label="Q²",
    latex="Q^2",
    unit="GeV^2",
    kind="event",
    edges=(0, 5, 10),
    log_x=False,
    log_y=False,
)


@pytest.fixture
def axes():
    """Axes of 100 x 100 points for x and y from 0 to 10, 10 points from each edge."""
    figure = Figure(figsize=(120 / 72, 120 / 72), dpi=svg.DPI)
    axes = figure.add_axes((1 / 12, 1 / 12, 5 / 6, 5 / 6), axes_class=ticks.Panel)
    axes.set(xlim=(0, 10), ylim=(0, 10))
    return axes


def points(axes, *series, **kw):
    drawing.points(axes, *map(np.asarray, series), LOOK, **kw)
    axes.set(xlim=(0, 10), ylim=(0, 10))


def test_points_say_bin_and_value_with_error(axes):
    drawing.step(axes, np.ones(3), np.array([0.0, 2.0, 4.0, 10.0]), LOOK)
    axes.set_label(hover.place(Q2))
    points(axes, [1.5, 2.5, 7.0], [4.0, 5.25, 11.0], [0.5, 0.25, 1.0], label="none")
    ((name, colour, found),) = hover.read(axes.figure)
    assert (name, colour) == ("none", "#0072b2")
    assert found == [  # the last is above the axes
        (25.0, 70.0, "Q² 0 to 2 GeV²", "4.0\u00a0±\u00a00.5"),
        (35.0, 57.5, "Q² 2 to 4 GeV²", "5.25\u00a0±\u00a00.25"),
    ]


def test_absent_points_say_nothing(axes):
    points(axes, [1.0, 2.0], [np.nan, 3.0], [0.1, np.nan], label="none")
    ((_, _, found),) = hover.read(axes.figure)
    assert [text for *_, text in found] == ["3.000"]


def test_ranges_are_told_as_ranges(axes):
    points(axes, [1.0], [5.0], [[1.0], [2.0]], label="none")
    ((_, _, found),) = hover.read(axes.figure)
    assert found[0][3] == "5.000 (4.000 to 7.000)"


def test_series_apart_stand_at_the_same_iteration(axes):
    axes.set_label(f"Iteration {hover.WHOLE}")
    points(axes, [0.86, 1.86], [1, 2], [0, 0], label="none")
    ((_, _, found),) = hover.read(axes.figure)
    assert [place for _, _, place, _ in found] == ["Iteration 1", "Iteration 2"]


def test_only_what_has_a_label_is_told(axes):
    points(axes, [1.0], [5.0], [1.0])
    drawing.step(axes, np.ones(2), np.array([0.0, 2.0, 4.0]), LOOK)
    assert hover.read(axes.figure) == []


def test_outlines_are_told_at_the_middle_of_bins(axes):
    drawing.step(axes, np.array([2.0, 3.0]), np.array([0.0, 4.0, 10.0]), LOOK, label="truth")
    axes.set(xlim=(0, 10), ylim=(0, 10))
    ((name, _, found),) = hover.read(axes.figure)
    assert name == "truth"
    assert found == [(30.0, 90.0, "0 to 4", "2.000"), (80.0, 80.0, "4 to 10", "3.000")]


def test_errors_of_both_coordinates(axes):
    axes.set_label(f"spread {hover.HERE}, bias")
    axes.errorbar(4.0, 5.0, xerr=0.5, yerr=0.25, fmt="o", label="none")
    axes.set(xlim=(0, 10), ylim=(0, 10))
    ((_, _, found),) = hover.read(axes.figure)
    assert found == [(50.0, 60.0, "spread 4.0\u00a0±\u00a00.5, bias", "5.00\u00a0±\u00a00.25")]


def test_cells_of_a_matrix_are_told(monkeypatch):
    kept = []
    monkeypatch.setattr(drawing, "_svg", lambda figure, title: kept.append(figure) or "")
    figures.correlation(np.array([[1.0, -0.5], [np.nan, 1.0]]), title="t")
    kept[0].set_dpi(svg.DPI)
    found = {place: text for *_, place, text in hover.read(kept[0])[0][2]}
    assert found == {"bins 0, 0": "1.0", "bins 1, 0": "−0.50", "bins 1, 1": "1.0"}


def test_columns_of_a_study_are_told_as_its_tables_have_them(monkeypatch):
    kept = []
    monkeypatch.setattr(drawing, "_svg", lambda figure, title: kept.append(figure) or "")
    frame = pd.DataFrame(
        {"low": [0.0, 1.0], "high": [1.0, 3.0], "v": [0.01, 0.02], "v_error": [0.001, 0.002]}
    )
    figures.per_bin(Q2, {"a": frame}, {"a": LOOK}, "v", "V", title="t")
    kept[0].set_dpi(svg.DPI)
    ((name, _, found),) = hover.read(kept[0])
    assert name == "a"
    assert [text for *_, text in found] == [
        "0.0100\u00a0±\u00a00.0010",
        "0.0200\u00a0±\u00a00.0020",
    ]
