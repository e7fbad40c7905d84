"""Paths with `~` and environment variables, wherever the configuration has paths."""

from pathlib import Path

import pytest
import yaml

from omniflow.config import dump, validate
from omniflow.config.paths import escaped, expanded
from omniflow.errors import ConfigError
from omniflow.unfolding.plan import Plan


@pytest.fixture(autouse=True)
def _environment(monkeypatch):
    monkeypatch.setenv("HOME", "/users/me")
    monkeypatch.setenv("SCRATCH", "/scratch/me")
    monkeypatch.setenv("ODD", "~/a$SCRATCH")
    monkeypatch.setenv("EMPTY", "")
    monkeypatch.delenv("ABSENT", raising=False)


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("~", "/users/me"),
        ("~/data/a.h5", "/users/me/data/a.h5"),
        ("~root/a.h5", "/root/a.h5"),
        ("$HOME/a.h5", "/users/me/a.h5"),
        ("${SCRATCH}_2/$SCRATCH/a.h5", "/scratch/me_2//scratch/me/a.h5"),
        ("~/${SCRATCH}", "/users/me//scratch/me"),
        ("./~", "./~"),
        ("a~b/~/c", "a~b/~/c"),
        ("$$HOME/a$$$$b", "$HOME/a$$b"),
        ("a$/b$-c$", "a$/b$-c$"),
        ("$ODD", "~/a$SCRATCH"),  # once, as in a shell
    ],
)
def test_expanded(path, found):
    assert expanded(path) == found
    assert expanded(escaped(found)) == (
        found if found[0] != "~" else expanded(found[:1]) + found[1:]
    )


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("$ABSENT/a.h5", "variable ABSENT is not set"),
        ("a/${ABSENT}", "variable ABSENT is not set"),
        ("${ABSENT:-b}", "variable ABSENT:-b is not set"),
        ("$EMPTY/a.h5", "variable EMPTY is empty"),
        ("~nobody-of-this-name/a", "home folder of ~nobody-of-this-name is not known"),
    ],
)
def test_what_cannot_be_expanded_is_named(path, message):
    with pytest.raises(ValueError, match=message):
        expanded(path)


def _h1(*files):
    return {"source": "h1", "files": list(files)}


def _raw():
    """A configuration with a path of every kind."""
    return {
        "study": {"name": "s", "output": "$SCRATCH/results"},
        "samples": {
            "data": _h1("~/data.h5", "$$a/b.h5"),
            "simulation": _h1("${SCRATCH}/simulation.h5"),
            "backgrounds": {"photo": {"sample": _h1("$SCRATCH/photo.h5")}},
            "pretraining": {"weights": ["$SCRATCH/network.weights.h5"]},
        },
        "methods": {"none": {"start": "pretrained"}},
        "uncertainties": {
            "variations": {
                "model": {"simulation": _h1("$SCRATCH/model.h5")},
                "scale": {"simulation_weights": {"files": ["$SCRATCH/w.h5"], "dataset": "$x"}},
                "shifted": {"data": _h1("$SCRATCH/shifted.h5")},
            },
            "predictions": {"other": _h1("$SCRATCH/other.h5")},
        },
    }


def test_every_path_of_the_configuration_is_expanded():
    plan = Plan(validate(_raw()))
    assert plan.root == Path("/scratch/me/results/s")
    names = ("simulation", "photo", "network.weights", "model", "w", "shifted", "other")
    expected = {Path(f"/scratch/me/{name}.h5") for name in names}
    expected |= {Path("/users/me/data.h5"), Path("$a/b.h5")}
    assert set(plan.inputs.given) == expected
    # Names in files are no paths.
    assert plan.config.uncertainties.variations["scale"].simulation_weights.dataset == "$x"


def test_a_dumped_configuration_has_paths_in_full(monkeypatch):
    config = validate(_raw())
    text = dump(config)
    for name in ("HOME", "SCRATCH"):
        monkeypatch.setenv(name, "/elsewhere")
    assert validate(yaml.safe_load(text)) == config


def test_errors_name_key_and_variable():
    raw = _raw()
    raw["uncertainties"]["predictions"]["other"] = _h1("a.h5", "$ABSENT/other.h5")
    with pytest.raises(
        ConfigError, match=r"predictions\.other\.files\.1: the environment"
    ) as error:
        validate(raw)
    assert "variable ABSENT is not set" in str(error.value)


def test_weights_of_networks_have_their_ending_when_expanded(monkeypatch):
    raw = _raw()
    monkeypatch.setenv("NET", "/nets/one.weights.h5")
    raw["samples"]["pretraining"]["weights"] = ["$NET"]
    assert validate(raw).samples.pretraining.weights == ("/nets/one.weights.h5",)
    raw["samples"]["pretraining"]["weights"] = ["$SCRATCH"]
    with pytest.raises(ConfigError, match="match pattern"):
        validate(raw)
