"""Tables of scaling: what they compare is the same work."""

import importlib
import json
import sys
from pathlib import Path

import pytest

from omniflow.stages import training

NAMES = ("scaling", "studies")


@pytest.fixture
def scaling():
    before, sys.path[:] = list(sys.path), [str(Path(__file__).parents[2] / "benchmarks"), *sys.path]
    yield importlib.import_module("scaling")
    sys.path[:] = before
    for name in NAMES:
        del sys.modules[name]


def test_an_epoch_of_few_events_is_one_pass_over_them(scaling, tmp_path):
    """Else the cost per event would seem to fall with their number."""
    small = {"width": 8, "heads": 1, "blocks": 1, "class_blocks": 1}
    plan = scaling.synthetic(tmp_path, 1500, 4, 2, 1, **small)
    block = scaling.studies._block(plan)
    training.train_block(plan, block)
    (network,) = json.loads(plan.history(block).read_text(encoding="utf-8"))["networks"]
    summary = network["summary"]
    assert summary["updates_per_epoch"] == summary["train_events"] // 256 < 6
    assert len(network["epochs"]) == 3
