import numpy as np
import pytest
from matplotlib.figure import Figure

from omniflow.report import drawing
from omniflow.report.formats import Look
from omniflow.report.study_json import ObservableRecord


def record(**changes):
    base = {"name": "x", "label": "x", "latex": "x", "unit": "", "kind": "event"}
    base |= {"log_x": False, "log_y": False}
    return ObservableRecord(**(base | {"edges": (0, 1)} | changes))


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"latex": r"\eta_e"}, r"$\eta_e$"),
        ({"latex": r"$p_T$", "unit": "GeV"}, r"$p_T$  [GeV]"),
        ({"latex": r"\notlatex{", "label": "ηₑ"}, "ηₑ"),
        ({"latex": "", "label": "a$b", "unit": "GeV^2"}, r"a\$b  [GeV²]"),
    ],
)
def test_axis_label(changes, text):
    assert drawing.axis_label(record(**changes)) == text


@pytest.mark.parametrize(
    ("changes", "shape", "text"),
    [
        ({"kind": "jet", "unit": "GeV"}, False, "Jets per GeV"),
        ({"kind": "event", "unit": "GeV^2"}, True, "Fraction of events per GeV²"),
        ({"kind": "other"}, False, "Entries per unit"),
    ],
)
def test_density_label(changes, shape, text):
    assert drawing.density_label(record(**changes), shape) == text


@pytest.mark.parametrize(("low", "scale"), [(0.5, "log"), (0.0, "log"), (-3.0, "linear")])
def test_values_below_0_have_a_place_on_the_axis(low, scale):
    axes = Figure().subplots()
    drawing.scale(axes, [np.array([low, 10.0, 100.0])], log=True)
    assert axes.get_yscale() == scale
    assert scale == "log" or axes.get_ylim()[0] <= low


def test_axes_without_numbers_are_as_matplotlib_makes_them():
    nothing = np.full(3, np.nan)
    axes, plain = (Figure().subplots() for _ in range(2))
    drawing.points(axes, np.arange(3.0), nothing, nothing, Look("#000000", False, "o"))
    drawing.scale(axes, [nothing])
    plain.plot(np.arange(3.0), nothing)
    assert axes.get_ylim() == plain.get_ylim()


def test_ratios_below_0_have_a_place_and_outliers_none():
    axes = Figure().subplots()
    drawing.around_one(axes, [np.array([1.0, -0.4])], "")
    assert axes.get_ylim()[0] <= -0.4
    drawing.around_one(axes, [np.array([1.0, 0.9, 9.0])], "")
    assert axes.get_ylim() == (0, 2)
