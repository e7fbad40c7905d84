import dataclasses

import export_toys as toys
import numpy as np
import pytest

from omniflow.export import thumbnails


def _with(**changed):
    result = toys.measured()
    axis = dataclasses.replace(result.axes[0], edges=tuple(np.geomspace(1, 50, 7)), **changed)
    return dataclasses.replace(result, axes=(axis,))


@pytest.mark.parametrize("label", ["$p_{T", "50$ of $\\frac", "η_p"])
def test_labels_are_text_and_no_formulas(tmp_path, label):
    figure = thumbnails.spectrum(_with(label=label))
    assert figure.axes[0].get_xlabel() == label.replace("$", r"\$") + " [GeV]"
    full, small = thumbnails.save(figure, tmp_path / "x.png")
    assert (full.name, small.name) == ("x.png", "thumb_x.png")
    assert small.stat().st_size > 500


def test_axes_are_those_of_the_observable():
    (axes,) = thumbnails.spectrum(_with(log_x=True, log_y=True)).axes
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    result = _with(log_x=True, log_y=True)
    result = dataclasses.replace(result, content=result.content - result.content.max())
    (axes,) = thumbnails.spectrum(result).axes
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "linear")


def test_results_without_errors_are_drawn():
    bare = dataclasses.replace(toys.measured(), blocks={}, total=None)
    (axes,) = thumbnails.spectrum(bare).axes
    assert axes.get_ylabel() == "events"


def test_equal_figures_are_equal_bytes(tmp_path):
    figures = [thumbnails.matrix(np.eye(3), "bin") for _ in range(2)]
    paths = [thumbnails.save(f, tmp_path / f"{n}.png") for n, f in enumerate(figures)]
    for first, second in zip(*paths, strict=True):
        assert first.read_bytes() == second.read_bytes()
