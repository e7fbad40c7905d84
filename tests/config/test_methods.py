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


@pytest.mark.parametrize(("given", "meant"), [(0.01, 0.01), ("1%", 0.01), (" 0.5 % ", 0.005)])
def test_targets_are_fractions_or_per_cent(given, meant):
    until = Method(lanes=10, until={"sigma_rel": given}).until
    assert (until.quantity, until.target) == ("sigma_rel", pytest.approx(meant))
    until = Method(lanes=10, until={"statistical": given}).until
    assert (until.quantity, until.target) == ("statistical", pytest.approx(meant))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"lanes": 9, "until": {}}, "give one target"),
        ({"lanes": 9, "until": {"sigma_rel": 0.1, "statistical": 0.1}}, "give one target"),
        ({"lanes": 9, "until": {"sigma_rel": 0}}, "greater than 0"),
        ({"lanes": 9, "until": {"sigma_rel": "some"}}, "valid number"),
        ({"lanes": 4, "until": {"sigma_rel": 0.1}}, "give 6 or 8"),
        ({"lanes": 9, "until": {"sigma_rel": 0.1}}, "give 8 or 10"),
        ({"lanes": 9, "until": {"sigma_rel": 0.1, "start": 2}}, "greater than or equal to 3"),
        (
            {
                **{"lanes": 8, "until": {"sigma_rel": 0.1}, "start": "pretrained"},
                "transfer": {"models": 3, "per_pass": True},
            },
            "would be other ones in the next",
        ),
    ],
)
def test_targets_that_cannot_be_are_refused(settings, words):
    with pytest.raises(ValidationError, match=words):
        Method(**settings)


def test_targets_name_observables_that_there_are():
    pythia = {"source": "pythia", "events": 10, "seed": 3}
    until = {"sigma_rel": "1%", "observables": ["q2", "q3"]}
    raw = {
        "study": {"name": "s"},
        "samples": {"data": pythia, "simulation": pythia | {"seed": 4}},
        "methods": {"many": {"lanes": 40, "until": until}},
    }
    with pytest.raises(ConfigError, match=r"methods\.many\.until\.observables: .*'q3'"):
        validate(raw)
