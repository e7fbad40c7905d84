import re

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator

from omniflow.report import svg, ticks

SIDES = ("bottom", "top", "left", "right")


def figure(panel):
    """A figure of 200 x 100 points whose axes reach from (40, 20) to (180, 90)."""
    made = Figure(figsize=(200 / 72, 100 / 72), dpi=svg.DPI)
    axes = made.add_axes((0.2, 0.2, 0.7, 0.7), axes_class=panel)
    axes.set(xlim=(0, 7), ylim=(1, 1000), yscale="log")
    axes.xaxis.set_major_locator(FixedLocator([0, 2, 4, 6, 8]))
    axes.xaxis.set_minor_locator(FixedLocator([1, 3, 4, 5, 7]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"n{x:g}"))
    axes.yaxis.set_major_locator(LogLocator(numticks=9))
    axes.yaxis.set_minor_locator(LogLocator(subs=range(2, 10), numticks=9))
    axes.tick_params(which="both", direction="in", **dict.fromkeys(SIDES, True))
    return made, axes


def segments(axes):
    """Ends of the lines of ticks that were added to axes, (n, 2, 2)."""
    found = [line.get_xydata().reshape(-1, 3, 2)[:, :2] for line in axes.lines]
    return np.concatenate(found)


def test_ticks_of_all_sides_point_inwards():
    made, axes = figure(ticks.Panel)
    ticks.draw(made)
    ends = segments(axes)
    below = ends[np.isclose(ends[:, 0, 1], 20) & (ends[:, 0, 0] == ends[:, 1, 0])]
    above = ends[np.isclose(ends[:, 0, 1], 90) & (ends[:, 0, 0] == ends[:, 1, 0])]
    places = sorted(40 + 20 * n for n in range(8))  # 140 points for 7 units
    assert sorted(below[:, 0, 0]) == pytest.approx(places)  # the tick at 8 is outside
    assert sorted(above[:, 0, 0]) == pytest.approx(places)
    assert (below[:, 1, 1] > 20).all()
    assert (above[:, 1, 1] < 90).all()
    major = np.isin(np.round(below[:, 0, 0]), [40, 80, 120, 160])
    assert below[major, 1, 1].min() > below[~major, 1, 1].max()
    left = ends[np.isclose(ends[:, 0, 0], 40) & (ends[:, 0, 1] == ends[:, 1, 1])]
    decades = 20 + 70 * np.log10([*range(1, 10), *range(10, 100, 10), *range(100, 1001, 100)]) / 3
    assert sorted(left[:, 0, 1]) == pytest.approx(sorted(decades))


def test_labels_stand_beside_their_ticks():
    made, axes = figure(ticks.Panel)
    ticks.draw(made)
    below = {t.get_text(): t for t in axes.texts if t.get_text().startswith("n")}
    assert {text: t.get_position()[0] for text, t in below.items()} == pytest.approx(
        {"n0": 40, "n2": 80, "n4": 120, "n6": 160}
    )
    decades = [t for t in axes.texts if "10^" in t.get_text()]
    assert [t.get_position()[1] for t in decades] == pytest.approx(
        [20 + 70 * n / 3 for n in range(4)]
    )
    assert all(t.get_ha() == "right" and t.get_position()[0] < 40 for t in decades)


def test_the_name_of_an_axis_is_below_the_labels():
    made, axes = figure(ticks.Panel)
    axes.set_xlabel("name")
    ticks.draw(made)
    renderer = svg.measuring()
    lowest = min(
        t.get_window_extent(renderer).y0 for t in axes.texts if t.get_text().startswith("n")
    )
    svg.draw(made)
    assert axes.xaxis.label.get_window_extent(renderer).y1 < lowest


def test_a_factor_of_all_labels_is_drawn():
    made = Figure(figsize=(200 / 72, 100 / 72), dpi=svg.DPI)
    axes = made.add_axes((0.2, 0.2, 0.7, 0.7), axes_class=ticks.Panel)
    axes.set(ylim=(0, 4e9))
    ticks.draw(made)
    (factor,) = [t for t in axes.texts if re.search(r"1e9|10\^\{9\}", t.get_text())]
    assert factor.get_position() == (40, pytest.approx(93))
    made.patch.set_visible(False)
    drawn = svg.draw(made).elements
    words = re.findall(r'<use href="#(\w+)" transform="translate\(40\.00 7\.00\)', drawn)
    assert len(words) == 1
    assert drawn.count(f"#{words[0]}") == 1


def test_labels_of_a_scale_of_colours_stand_beside_it():
    made = Figure(figsize=(200 / 72, 100 / 72), dpi=svg.DPI)
    axes = made.add_axes((0.2, 0.2, 0.7, 0.7), axes_class=ticks.Panel)
    bar = made.colorbar(axes.pcolormesh([[0.0, 1.0]], vmin=0, vmax=1), ax=axes, ticks=[0, 1]).ax
    ticks.draw(made)
    svg.draw(made)  # which places it
    beside = {text.get_position()[0] - bar.bbox.x1 for text in bar.texts}
    assert len(bar.texts) == 2
    assert max(beside) == min(beside)
    assert 0 < max(beside) < 10


def test_axes_make_no_ticks_of_matplotlib():
    made, axes = figure(ticks.Panel)
    ticks.draw(made)
    svg.draw(made)
    assert axes.xaxis.majorTicks == axes.yaxis.minorTicks == ()
