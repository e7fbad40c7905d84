import pytest
from pydantic import ValidationError

from omniflow.config import validate
from omniflow.config.unfolding import Method
from omniflow.errors import ConfigError


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"aggregate": "truncated_mean", "members": 2}, "at least 3 members"),
        ({"aggregate": "stacking"}, "at least 2 members"),
        ({"diversity": "dropout"}, "at least 2 members"),
        ({"diversity": "dropout", "members": 2, "aggregate": "stacking"}, "one by one"),
        ({"diversity": "identical_starts"}, "at least 2 members"),
        (
            {"diversity": "identical_starts", "members": 2, "start": "backbone"},
            "start: scratch",
        ),
    ],
)
def test_methods_that_cannot_be_are_refused(settings, words):
    with pytest.raises(ValidationError, match=words):
        Method(**settings)


def test_stacking_is_for_members_alone():
    assert Method(aggregate="stacking", members=2).diversity == "seeds"
    pythia = {"source": "pythia", "events": 10, "seed": 3}
    raw = {
        "study": {"name": "s"},
        "samples": {"data": pythia, "simulation": pythia | {"seed": 4}},
        "methods": {"none": {}},
        "combine": ["stacking"],
    }
    with pytest.raises(ConfigError, match="combine"):
        validate(raw)


def test_members_of_one_network_need_units_that_are_dropped():
    pythia = {"source": "pythia", "events": 10, "seed": 3}
    raw = {
        "study": {"name": "s"},
        "samples": {"data": pythia, "simulation": pythia | {"seed": 4}},
        "methods": {"thinned": {"members": 3, "diversity": "dropout"}},
    }
    with pytest.raises(ConfigError, match=r"classifier\.dropout is 0"):
        validate(raw)
    validate(raw | {"classifier": {"dropout": 0.2}})
