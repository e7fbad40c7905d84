import re
from pathlib import Path

import numpy as np
import pytest
import yaml
from toy_level import LEVEL

from omniflow.config.observables import Observables
from omniflow.events.sample import Level
from omniflow.observables import find
from omniflow.observables.compute import compute

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "examples" / "outside"
PAGE = (ROOT / "docs" / "observables.md").read_text(encoding="utf-8")


def test_thrust_of_known_shapes():
    ring = np.linspace(0, 2 * np.pi, 720, endpoint=False)
    shapes = [[0.3], [0.3, 0.3 + np.pi], ring, [], [0, np.pi / 2]]
    phi = np.concatenate(shapes)
    counts = [len(shape) for shape in shapes]
    rows = np.stack([np.full(len(phi), 3.0), phi], axis=1).astype(np.float32)
    offsets = np.concatenate([[0], np.cumsum(counts)])
    level = Level(np.zeros((5, 0), np.float32), rows, offsets, (), ("pt", "phi"))
    define = {"thrust": {"object": "shapes:transverse_thrust", "edges": [0.6, 1.0]}}
    section = Observables.model_validate({"define": define}, context={"root": FOLDER})
    found = compute(level, find.resolve(section))["thrust"]
    assert found.event_index.tolist() == [0, 1, 2, 4]
    assert found.value == pytest.approx([1, 1, 2 / np.pi, np.sqrt(0.5)], abs=1e-4)


def _blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def test_the_page_shows_what_works(tmp_path):
    text, apart, other_bins = _blocks("yaml")
    raw = yaml.safe_load(text)["observables"]
    section = Observables.model_validate(raw, context={"root": FOLDER})
    found = [observable for observable in find.resolve(section) if observable.name in raw["define"]]
    assert [observable.name for observable in found] == list(raw["define"])
    values = compute(LEVEL, found)
    assert values["ht"].value.tolist() == [58, 0, 50]
    assert values["n_jets"].value.tolist() == [1, 0, 1]

    section = Observables.model_validate(yaml.safe_load(apart)["observables"])
    momenta = ("pt", "eta", "phi")
    columns = {
        "detector": (("MET_pt", "n_vertices"), (*momenta, "quality")),
        "particle": (("true_met", "n_vertices"), (*momenta, "pdg")),
    }
    assert find.levels(section, columns) == {
        "met": ("detector", "particle"),
        "quality": ("detector",),
        "flavour": ("particle",),
        "pileup": ("detector",),
    }

    section = Observables.model_validate(yaml.safe_load(other_bins)["observables"])
    assert find.levels(section, {"detector": ((), momenta), "particle": ((), momenta)}) == {
        "pt": ("detector", "particle"),
        "pt_measured": ("detector",),
    }

    (code,) = _blocks("python")
    (tmp_path / "mine.py").write_text(code)
    define = {"charge": {"object": "mine:charge"}, "density": {"object": "mine:density"}}
    section = Observables.model_validate({"define": define}, context={"root": tmp_path})
    values = compute(LEVEL, find.resolve(section))
    assert values["charge"].value.tolist() == [0, 0, 1]
    assert values["density"].value.tolist() == [25, 50]
