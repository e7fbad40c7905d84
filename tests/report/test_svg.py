import re

import numpy as np
import pytest
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import IdentityTransform

from omniflow.report import svg


@pytest.fixture
def axes():
    figure = Figure(figsize=(2, 1), dpi=svg.DPI)
    figure.patch.set_visible(False)
    axes = figure.add_axes((0, 0, 1, 1))  # data from 0 to 1 are 144 times 72 points
    axes.set_axis_off()
    axes.set(xlim=(0, 1), ylim=(0, 1))
    return axes


def drawn(axes):
    return svg.draw(axes.figure)


def test_lines_are_in_points_from_the_upper_left(axes):
    axes.plot([0.25, 0.5], [0.5, 1.0], color="#0072b2", linewidth=2, linestyle=(0, (4, 2)))
    found = drawn(axes)
    assert (found.width, found.height) == (144, 72)
    (path,) = re.findall("<path .*?/>", found.elements)
    assert re.findall(r"[\d.]+", re.search('d="(.*?)"', path)[1]) == ["36", "36", "72", "0"]
    assert 'stroke="#0072b2" stroke-width="2" stroke-dasharray="8 4"' in path
    assert 'fill="none"' in path


def test_only_what_reaches_beyond_is_clipped(axes):
    axes.plot([0.1, 0.9], [0.5, 0.5])
    assert "clip-path" not in drawn(axes).elements
    axes.plot([0.1, 0.9], [0.5, 1.5])
    found = drawn(axes)
    (name,) = re.findall(r"clip-path=\"url\(#(\w+)\)", found.elements)
    assert '<rect x="0.00" y="0.00" width="144.00" height="72.00"/>' in found.shared[name]


def test_markers_share_their_outline_and_absent_ones_are_left_out(axes):
    axes.plot([0.25, 0.5, np.nan, 0.75, 5.0], [0.5, 0.5, 0.5, np.nan, 0.5], "o")
    found = drawn(axes)
    uses = re.findall(r'<use href="#(\w+)" x="([\d.]+)" y="([\d.]+)"/>', found.elements)
    assert [(x, y) for _, x, y in uses] == [("36.00", "36.00"), ("72.00", "36.00")]
    assert {name for name, *_ in uses} == set(found.shared)


def test_equal_texts_are_one_definition(axes):
    for place in (10, 50):
        axes.add_artist(Text(place, 20, "2.2 π", transform=IdentityTransform()))
    found = drawn(axes)
    words = re.findall(r'<use href="#(\w+)" transform="translate\((\d+)', found.elements)
    assert [x for _, x in words] == ["10", "50"]
    (word,) = {name for name, _ in words}
    letters = re.findall(r'href="#(\w+)"', found.shared[word])
    assert len(letters) == 4  # 2 . 2 π
    assert letters[0] == letters[2]
    assert set(letters) | {word} == set(found.shared)


@pytest.mark.parametrize(("alpha", "paths"), [(1.0, 1), (0.5, 2)])
def test_opaque_lines_are_one_path(axes, alpha, paths):
    lines = [[(0.1, 0.1), (0.1, 0.2)], [(0.3, 0.1), (0.3, 0.2)]]
    axes.add_collection(LineCollection(lines, colors="#000000", alpha=alpha))
    elements = drawn(axes).elements
    assert elements.count("<path") == paths
    assert elements.count("M ") == 2
    assert ("stroke-opacity" in elements) is (alpha < 1)


def test_an_area_has_no_line_and_its_own_opacity(axes):
    axes.stairs([0.5], [0, 1], fill=True, color="#c4c4c4", alpha=0.6, linewidth=0)
    (path,) = re.findall("<path .*?/>", drawn(axes).elements)
    assert 'fill="#c4c4c4" fill-opacity="0.6"' in path
    assert "stroke" not in path


def test_pixels_lie_where_the_lines_would(axes):
    axes.plot([0.25, 0.75], [0.5, 0.5], linewidth=4, solid_capstyle="butt", rasterized=True)
    (image,) = re.findall("<image .*?/>", drawn(axes).elements)
    x, y, width, height = (
        float(re.search(rf' {name}="([\d.]+)"', image)[1]) for name in ("x", "y", "width", "height")
    )
    assert (x, x + width) == (pytest.approx(36, abs=1), pytest.approx(108, abs=1))
    assert (y, y + height) == (pytest.approx(34, abs=1), pytest.approx(38, abs=1))
    assert 'href="data:image/png;base64,' in image
