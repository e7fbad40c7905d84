"""The fit of an unfolded spectrum, in a small form."""

import json
import re
import runpy
from pathlib import Path

import pyhf
import pytest

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "fits"


@pytest.fixture(scope="module")
def printed(tmp_path_factory):
    """What the example prints, and the folder that it ran in."""
    folder = tmp_path_factory.mktemp("fits")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        lines = []
        patch.setattr("builtins.print", lambda *words, **_: lines.extend(map(str, words)))
        runpy.run_path(str(EXAMPLE / "fit.py"))["main"](600, 8, 5, 2)
    yield "\n".join(lines), folder
    pyhf.set_backend("numpy", "scipy")


def test_strength_and_shape_are_fitted(printed):
    text, folder = printed
    spec = json.loads((folder / "workspaces" / "mass.json").read_text())
    pyhf.schema.validate(spec, "workspace.json")
    (mu,) = re.findall(r"^mu +(-?[\d.]+) \+- ([\d.]+)$", text, re.MULTILINE)
    (shape,) = re.findall(r"^shape +(-?[\d.]+) \+- ([\d.]+)$", text, re.MULTILINE)
    assert abs(float(mu[0]) - 1) < 4 * float(mu[1])
    assert abs(float(shape[0])) < 4 * float(shape[1])
    notes = json.loads((folder / "workspaces" / "notes.json").read_text())
    parameters = notes["workspaces"]["mass"]["parameters"]
    assert {"statistical", "training", "resolution", "statistics_peak"} <= set(parameters)


def test_q_and_cls_fall_and_rise_with_the_strength(printed):
    rows = re.findall(r"^mu = ([\d.]+): q_mu ([\d.]+), CLs ([\d.]+)$", printed[0], re.MULTILINE)
    near, far = ((float(mu), float(q), float(cls)) for mu, q, cls in rows)
    assert near[0] < far[0]
    assert near[1] <= far[1]
    assert near[2] >= far[2]


def test_the_chi2_stands_beside_it(printed):
    rows = re.findall(r"^(as fitted|standard, no peak) +([\d.]+) +([\d.]+)$", printed[0], re.M)
    (_, fitted, _), (_, without, _) = rows
    assert float(fitted) < float(without)
    assert all(full != alone for _, full, alone in rows)


def test_numbers_of_the_page_are_those_of_the_example():
    """Lines of the form that the example prints, which somebody has run."""
    page = (ROOT / "docs" / "fits.md").read_text("utf-8")
    for name in ("mu ", "shape ", "q_0 ", "as fitted", "standard, no peak"):
        assert re.search(rf"^{name}", page, re.MULTILINE), name
    assert (EXAMPLE / "model.yaml").read_text("utf-8").split("\n", 2)[2] in page
