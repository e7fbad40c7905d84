import math
from dataclasses import replace

import pytest
from study_factory import Model, Strategy, copied, made

from omniflow.report import formats, tradeoff
from omniflow.report.page import render
from omniflow.report.study_json import MethodRecord


def test_points_are_averages_of_the_tables(tables):
    """`parallel` has half of the spread and bias of `none`, `pretrained` 0.9 and 2 times them."""
    found = {point.method: point for point in tradeoff.points(tables)}
    rows = tables["summary"][tables["summary"]["iteration"] == 2].set_index("method")
    none = rows.loc["none"]
    assert found["none"].spread == pytest.approx(sum(none["sigma_rel"]) / 2)
    assert found["none"].bias == pytest.approx(sum(none["bias_rel"]) / 2)
    assert found["parallel"].spread == pytest.approx(0.5 * found["none"].spread)
    assert found["pretrained"].spread == pytest.approx(0.9 * found["none"].spread)
    assert found["pretrained"].bias > 1.5 * found["none"].bias
    for point in found.values():  # the model's errors are 10% of every average
        assert point.spread_error == pytest.approx(0.1 * point.spread)
        assert point.bias_error == pytest.approx(0.1 * point.bias)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"start": "scratch"}, "new networks"),
        ({"start": "pretrained", "models": 1}, "pre-trained backbone and head"),
        (
            {"start": "backbone", "models": 3, "freeze_epochs": 5, "backbone_rate_factor": 0.2},
            "pre-trained backbone, new head, 3 pre-trained models, backbone frozen for 5 epochs, "
            "backbone at 0.2 times the rate",
        ),
        (
            {"start": "backbone", "models": 1, "freeze_epochs": "all", "backbone_rate_factor": 0.2},
            "pre-trained backbone, new head, backbone frozen",
        ),
        (
            {"start": "pretrained", "models": 6, "per_pass": True},
            "pre-trained backbone and head, 6 pre-trained models, others in each pass",
        ),
    ],
)
def test_policies_in_words(changes, words):
    assert tradeoff.policy(_record(**changes)) == words


def _record(**changes):
    record = {"name": "m", "lanes": 1, "members": 1, "aggregate": None, "chain": "c"}
    record |= {"networks_per_pass": 2, "combine": ["none"]}
    return MethodRecord.model_validate(record | changes)


@pytest.mark.parametrize(
    ("changes", "shared"),
    [
        ({"start": "scratch"}, False),
        ({"start": "backbone", "models": 1}, True),
        ({"start": "backbone", "lanes": 2, "members": 3, "models": 6}, True),
        ({"start": "backbone", "lanes": 2, "members": 3, "models": 23, "per_pass": True}, True),
        ({"start": "backbone", "lanes": 2, "members": 3, "models": 24, "per_pass": True}, False),
        # Members that are copies of one network start once.
        ({"start": "backbone", "members": 5, "networks": 1, "models": 4, "per_pass": True}, False),
    ],
)
def test_pretrained_models_that_passes_share_are_told(changes, shared):
    text = tradeoff.shared_models([_record(**changes)], 4)
    assert text.startswith("Passes of m share pre-trained models.") is shared
    assert bool(text) is shared


def test_the_page_shows_every_method(rendered):
    text = rendered[1]
    assert 'id="tradeoff"' in text
    assert 'href="#tradeoff"' in text
    section = text.split('id="tradeoff"')[1].split("</section>")[0]
    assert 'aria-label="Bias against spread"' in section
    for name in ("none", "parallel", "pretrained"):
        assert f">{name}</th>" in section
    assert "pre-trained backbone and head" in section
    assert "Passes of pretrained share pre-trained models" in section


@pytest.mark.usefixtures("unmade")
@pytest.mark.parametrize("changes", [{"has_truth": False}, {"passes": 1}])
def test_without_truth_or_spread_there_is_no_trade_off(changes, model):
    tables = made(replace(model, observables=("q2",), iterations=1, **changes))
    assert tradeoff.panel(tables, formats.looks([m.name for m in tables.study.methods])) is None
    assert "tradeoff" not in render(tables)


def test_points_beyond_measure_are_drawn():
    """One method, no spread at all and no error: still a figure."""
    tables = made(Model({"none": Strategy(spread=0.0)}, ("q2",), passes=2, iterations=1, error=0.0))
    (point,) = tradeoff.points(tables)
    assert point.spread == 0
    panel = tradeoff.panel(tables, formats.looks(["none"]))
    assert math.isfinite(point.bias)
    assert "<svg" in panel.figure


def test_a_method_of_one_pass_has_no_point(tables):
    rows = tables["summary"]["method"] == "none"
    tables["summary"].loc[rows, ["sigma_rel", "sigma_rel_error", "bias_rel_error"]] = math.nan
    tables["summary"].loc[rows, "passes"] = 1
    looks = formats.looks([m.name for m in tables.study.methods])
    panel = tradeoff.panel(tables, looks)
    assert panel.note.endswith("because their spread is not known: none.")
    assert len(panel.rows) == 3
    assert panel.rows[0][3] == "–"
    tables = copied(tables)
    tables["summary"].loc[:, "sigma_rel"] = math.nan
    assert tradeoff.panel(tables, looks) is None
