"""Names that a table above keeps: an entry more may be chosen without another change."""

import dataclasses
import json

import numpy as np
import pytest

from omniflow.config import document, validate
from omniflow.errors import ConfigError
from omniflow.training.losses import LOSSES
from omniflow.unfolding import combine

SAMPLE = {"source": "pythia", "events": 10, "seed": 1}
RAW = {
    "study": {"name": "s"},
    "samples": {"data": SAMPLE, "simulation": SAMPLE | {"seed": 2}},
    "methods": {"step": {"members": 3}},
}


def test_a_loss_is_an_entry_of_its_table(monkeypatch):
    new = dataclasses.replace(LOSSES["bce_logistic"], number=None)
    monkeypatch.setitem(LOSSES, "bce_new", new)
    assert validate(RAW | {"training": {"loss": "bce_new"}}).training.loss == "bce_new"
    assert "bce_new" in json.dumps(document.schema())


def test_a_combination_is_an_entry_of_its_table(monkeypatch):
    monkeypatch.setitem(combine.FUNCTIONS, "maximum", lambda ratios: ratios.max(axis=0))
    raw = RAW | {"combine": ["maximum"], "methods": {"a": {"members": 3, "aggregate": "maximum"}}}
    config = validate(raw)
    assert config.combine == ("maximum",)
    assert config.methods["a"].aggregate == "maximum"
    ratios = np.array([[1.0, 2.0], [3.0, 1.0]])
    found = combine.combine(ratios, "maximum", np.ones(2))
    np.testing.assert_allclose(found, np.array([3.0, 2.0]) * 3.5 / 5)  # mean yield 3.5


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"training": {"loss": "bce_logistc"}}, "training.loss: .*did you mean 'bce_logistic'"),
        ({"combine": ["medain"]}, "combine.0: there are mean, .*did you mean 'median'"),
        ({"combine": ["stacking"]}, "combine.0: there are mean, median"),
        ({"training": {"loss": 3}}, "training.loss: Input should be a valid string"),
    ],
)
def test_other_names_are_told_with_the_nearest(changes, message):
    with pytest.raises(ConfigError, match=message):
        validate(RAW | changes)


def test_stacking_aggregates_members():
    config = validate(RAW | {"methods": {"a": {"members": 3, "aggregate": "stacking"}}})
    assert config.methods["a"].aggregate == "stacking"
