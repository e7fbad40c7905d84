import pytest

from omniflow.config import dump, validate
from omniflow.config.features import of_level
from omniflow.config.text import combined
from omniflow.errors import ConfigError


def config(features):
    sample = {"source": "npz", "detector": {"event": ["x"]}, "particle": {"event": ["x"]}}
    samples = {"data": sample | {"files": "a.npz"}, "simulation": sample | {"files": "b.npz"}}
    raw = {"study": {"name": "s"}, "methods": {"none": {}}, "samples": samples}
    return validate(raw | {"classifier": {"kind": "mlp", "features": features}})


def test_one_set_serves_both_levels():
    found = config({"event": ["x"]}).classifier.features
    assert of_level(found, "detector") is of_level(found, "particle") is found
    assert of_level("columns", "particle") == "columns"


def test_levels_have_sets_of_their_own(tmp_path):
    first = config({"detector": "columns", "particle": {"event": {"log x": "log(x)"}}})
    found = first.classifier.features
    assert of_level(found, "detector") == "columns"
    assert of_level(found, "particle").event == {"log x": "log(x)"}
    # What is written down is read again.
    (tmp_path / "study.yaml").write_text(dump(first))
    assert validate(combined([tmp_path / "study.yaml"])) == first


def test_a_level_that_is_left_out_is_automatic():
    assert of_level(config({"particle": "columns"}).classifier.features, "detector") == "auto"


@pytest.mark.parametrize(
    ("features", "message"),
    [
        ({"detector": "colums"}, r"features\.detector: .* did you mean 'columns'"),
        ({"particle": {"evnt": ["x"]}}, r"features\.particle\.evnt: .* did you mean 'event'"),
        ({"particle": {"event": ["x +"]}}, r"features\.particle\.event\.x \+: not an expression"),
        ({"particle": {}}, "give features: particles, event or both"),
        ({"particle": "columns", "event": ["x"]}, "features.event: unknown key; valid keys: det"),
        ({"evnt": ["x"]}, r"1 problem\(s\)\n  classifier\.features\.evnt: unknown key; did you"),
        (3, "give the name of a preset"),
    ],
)
def test_what_is_wrong_is_told_once(features, message):
    with pytest.raises(ConfigError, match=message):
        config(features)
