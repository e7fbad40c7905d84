import subprocess
import sys

import matplotlib
import numpy as np
import pandas as pd

from omniflow.report import figures
from omniflow.report.content import edges_of, on_edges
from omniflow.report.study_json import ObservableRecord


def record(**changes):
    base = {"name": "x", "label": "x", "latex": "x", "unit": "", "kind": "event"}
    base |= {"log_x": False, "log_y": False}
    return ObservableRecord(**(base | {"edges": (0, 1)} | changes))


def test_absent_bins_are_gaps():
    frame = pd.DataFrame({"low": [0.0, 2.0], "high": [1.0, 4.0], "v": [5.0, 7.0]})
    other = pd.DataFrame({"low": [0.0, 1.0], "high": [1.0, 2.0], "v": [1.0, 2.0]})
    edges = edges_of([frame, other])
    assert edges.tolist() == [0, 1, 2, 4]
    np.testing.assert_array_equal(on_edges(frame, "v", edges), [5, np.nan, 7])


def test_many_loss_curves_become_pixels():
    def curves(networks):
        n = networks * 100
        return pd.DataFrame(
            {"pass": 1, "lane": np.repeat(np.arange(networks), 100), "member": 0, "step": "1",
             "iteration": 1, "fold": 0, "epoch": np.tile(np.arange(100), networks),
             "loss": np.linspace(0.7, 0.6, n), "val_loss": np.linspace(0.7, 0.65, n)}
        )  # fmt: skip

    few = figures.losses(curves(2), "#0072b2", 0.693, title="few")
    many = figures.losses(curves(200), "#0072b2", 0.693, title="many")
    assert "data:image/png" not in few
    assert "data:image/png" in many
    assert len(many) < 400_000  # 40,000 points twice would be over a megabyte as lines


def test_caller_s_style_is_left_alone():
    matplotlib.rcParams["svg.hashsalt"] = "mine"
    series = {"a": (np.arange(3.0), np.ones(3), np.zeros(3))}
    look = {"a": figures.Look("#000000", False, "o")}
    figures.by_iteration(series, look, "y", title="t")
    assert matplotlib.rcParams["svg.hashsalt"] == "mine"


def test_report_package_does_not_import_matplotlib_by_itself():
    code = "import sys, omniflow.report.cells; print('matplotlib' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
