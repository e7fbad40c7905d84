import re

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator
from matplotlib.transforms import IdentityTransform

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


def drawn(axes, kind):
    """What was added to axes."""
    (found,) = [artist for artist in axes.get_children() if isinstance(artist, kind)]
    return found


def segments(axes):
    """Ends of the lines of ticks, (n, 2, 2)."""
    paths = [vertices for vertices, _, _ in drawn(axes, ticks.Lines).paths]
    return np.concatenate([path.reshape(-1, 3, 2)[:, :2] for path in paths])


def labels(axes):
    """Texts of labels, how they are laid out, and their places."""
    words = drawn(axes, ticks.Labels).words
    return [(word.lines[0].text, word, place) for word, place in words]


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
    below = {text: place[0] for text, _, place in labels(axes) if text.startswith("n")}
    assert below == pytest.approx({"n0": 40, "n2": 80, "n4": 120, "n6": 160})
    decades = [(word, place) for text, word, place in labels(axes) if "10^" in text]
    assert [place[1] for _, place in decades] == pytest.approx([20 + 70 * n / 3 for n in range(4)])
    for word, place in decades:
        width, _, _ = svg.measuring().get_text_width_height_descent(*word.lines[0][2:])
        assert word.lines[0].x == -width  # to the left of its place
        assert place[0] < 40


def test_labels_are_laid_out_as_matplotlib_does():
    """Their own `Text` would be drawn in the same places."""
    made, axes = figure(ticks.Panel)
    ticks.draw(made)
    drawn = svg.draw(made).elements
    texts = [text for text, _, _ in labels(axes)]
    assert len(texts) == 8
    for text, word, (x, y) in labels(axes):
        horizontal, vertical = ("center", "top") if "n" in text else ("right", "center_baseline")
        style = {"ha": horizontal, "va": vertical, "fontproperties": word.lines[0].font}
        alone = Figure(figsize=(200 / 72, 100 / 72), dpi=svg.DPI)
        alone.text(x, y, text, transform=IdentityTransform(), **style)
        alone.patch.set_visible(False)
        assert svg.draw(alone).elements in drawn


def test_the_name_of_an_axis_is_below_the_labels():
    made, axes = figure(ticks.Panel)
    axes.set_xlabel("name")
    ticks.draw(made)
    lowest = min(word.low + y for text, word, (_, y) in labels(axes) if text.startswith("n"))
    svg.draw(made)
    assert axes.xaxis.label.get_window_extent(svg.measuring()).y1 < lowest


def test_a_factor_of_all_labels_is_drawn():
    made = Figure(figsize=(200 / 72, 100 / 72), dpi=svg.DPI)
    axes = made.add_axes((0.2, 0.2, 0.7, 0.7), axes_class=ticks.Panel)
    axes.set(ylim=(0, 4e9))
    ticks.draw(made)
    (place,) = [p for text, _, p in labels(axes) if re.search(r"1e9|10\^\{9\}", text)]
    assert place == (40, pytest.approx(93))
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
    beside = {place[0] - bar.bbox.x1 for _, _, place in labels(bar)}
    assert len(labels(bar)) == 2
    assert max(beside) == min(beside)
    assert 0 < max(beside) < 10


def test_axes_make_no_ticks_of_matplotlib():
    made, axes = figure(ticks.Panel)
    ticks.draw(made)
    svg.draw(made)
    assert axes.xaxis.majorTicks == axes.yaxis.minorTicks == ()
