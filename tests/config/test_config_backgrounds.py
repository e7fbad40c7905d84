import pytest

from omniflow.config import validate
from omniflow.config.samples import Background
from omniflow.errors import ConfigError
from omniflow.physics.dis.pythia import Pythia

PYTHIA = {"source": "pythia", "events": 1000, "seed": 3}


def _raw(**backgrounds):
    samples = {"data": PYTHIA, "simulation": PYTHIA | {"seed": 4}, "backgrounds": backgrounds}
    return {"study": {"name": "test"}, "samples": samples, "methods": {"none": {}}}


def _refused(pattern, **backgrounds):
    with pytest.raises(ConfigError, match=pattern):
        validate(_raw(**backgrounds))


def test_backgrounds_have_a_sample_a_factor_and_an_uncertainty():
    found = validate(_raw(photo={"sample": PYTHIA | {"seed": 5}})).samples.backgrounds
    sample = Pythia(source="pythia", events=1000, seed=5)
    assert found == {"photo": Background(sample=sample, factor=1.0, uncertainty=0.0)}
    assert validate(_raw()).samples.backgrounds == {}


def test_backgrounds_are_other_events_than_data_simulation_and_each_other():
    _refused(r"samples\.data and samples\.backgrounds\.photo hold", photo={"sample": PYTHIA})
    other = {"sample": PYTHIA | {"seed": 4}}
    _refused(r"samples\.simulation and samples\.backgrounds\.photo hold", photo=other)
    twice = {"sample": PYTHIA | {"seed": 5}}
    _refused(r"samples\.backgrounds\.one and samples\.backgrounds\.two hold", one=twice, two=twice)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"factor": 0}, r"backgrounds\.photo\.factor"),
        ({"factor": -1}, r"backgrounds\.photo\.factor"),
        ({"uncertainty": -0.1}, r"backgrounds\.photo\.uncertainty"),
        ({"uncertainty": 1.5}, r"backgrounds\.photo\.uncertainty"),
        ({"factr": 1}, r"backgrounds\.photo\.factr: unknown key; did you mean 'factor'"),
    ],
)
def test_values_out_of_range_are_refused(changes, message):
    _refused(message, photo={"sample": PYTHIA | {"seed": 5}} | changes)


def test_names_stand_in_paths():
    _refused("backgrounds", **{"../photo": {"sample": PYTHIA | {"seed": 5}}})
