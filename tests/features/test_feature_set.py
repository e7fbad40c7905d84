import pytest

from omniflow.errors import ConfigError
from omniflow.features.feature_set import FeatureSet

SET = FeatureSet(
    {"log pt": "log(pt)", "scaled": 'pt / column("event.ht")'},
    {"met": "log1p(missing)"},
    ("eta", "phi"),
    {"missing": "maximum(met, 0)"},
)
PARTICLES = ("pt", "eta", "phi")


def test_names_are_what_networks_know_features_by():
    assert SET.names == (("log pt", "scaled"), ("met",))


def test_what_is_defined_is_there_for_those_behind():
    assert SET.lacking(("met", "ht"), PARTICLES) is None
    early = FeatureSet({}, {"x": "b"}, None, {"a": "b + met", "b": "met"})
    assert early.lacking(("met",), ()) == ("a", "b")


@pytest.mark.parametrize(
    ("event", "particles", "lacking"),
    [
        (("ht",), PARTICLES, ("missing", "met")),
        (("met",), PARTICLES, ("scaled", "event.ht")),
        # A column of particles is none of the event.
        (("met",), (*PARTICLES, "ht"), ("scaled", "event.ht")),
        (("met", "ht"), ("eta", "phi"), ("log pt", "pt")),
        (("met", "ht"), ("pt", "phi"), ("neighbours", "eta")),
    ],
)
def test_the_first_column_that_is_missing(event, particles, lacking):
    assert SET.lacking(event, particles) == lacking


def test_a_level_without_a_column_is_refused():
    SET.require("particle", ("met", "ht"), PARTICLES)
    message = (
        r"feature 'missing' needs 'met', which is no column of samples\.simulation at particle "
        r"level; did you mean 'mett'\? .* by classifier\.features\.particle"
    )
    with pytest.raises(ConfigError, match=message):
        SET.require("particle", ("mett", "ht"), PARTICLES)
    with pytest.raises(ConfigError, match="at detector level; there are none"):
        SET.require("detector", (), ())
