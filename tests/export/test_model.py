import export_toys as toys
import numpy as np
import pytest
import yaml

from omniflow.errors import ConfigError, InputError
from omniflow.export import model
from omniflow.export.model import Sample, template
from omniflow.export.references import Reference

BINS = {"x": 3, "y": 2}


@pytest.fixture
def result():
    """A result beside its truth and two predictions."""
    contents = {name: np.arange(5.0) + k for k, name in enumerate(("truth", "one", "two"))}
    references = {
        name: Reference(content, np.eye(5), name == "truth") for name, content in contents.items()
    }
    return toys.result(np.ones(5), {"data": np.eye(5)}, BINS, references=references)


def _read(folder, given):
    path = folder / "model.yaml"
    path.write_text(yaml.safe_dump(given))
    return model.read(path)


def test_templates_are_predictions_and_their_differences(result):
    found = template(Sample(name="a", prediction="two", scale=3.0), result)
    np.testing.assert_allclose(found.content, 3 * (np.arange(5.0) + 2))
    assert found.statistics == {"two": 3}
    found = template(Sample(name="a", prediction="two", minus="one", scale=2.0), result)
    assert found.content.tolist() == [2] * 5
    assert found.statistics == {"two": 2, "one": -2}


def test_what_shares_events_with_the_result_has_no_statistics_of_its_own(result):
    found = template(Sample(name="a", prediction="two", minus="truth"), result)
    assert found.statistics == {"two": 1}


def test_contents_are_those_of_each_observable(result):
    given = {"y": (4.0, 5.0), "x": (1.0, 2.0, 3.0)}
    found = template(Sample(name="a", contents=given, scale=2.0), result)
    assert found.content.tolist() == [2, 4, 6, 8, 10]
    assert found.statistics == {}


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"prediction": "three"}, "no prediction of sample a 'three': truth, one, two"),
        ({"contents": {"x": (1.0, 2.0, 3.0)}}, "y has 2 bins, and none are given"),
        ({"contents": {"x": (1.0,), "y": (1.0, 2.0)}}, "x has 3 bins, and 1 are given"),
    ],
)
def test_templates_that_do_not_fit_are_refused(result, given, text):
    with pytest.raises(InputError, match=text):
        template(Sample(name="a", **given), result)


def test_without_a_file_it_is_the_first_prediction_times_mu(result):
    assert model.default(result).samples == (Sample(name="one", prediction="one", parameter="mu"),)


def test_without_predictions_it_is_the_simulation():
    references = {n: Reference(np.ones(2), np.eye(2), True) for n in ("truth", "simulation")}
    result = toys.result(np.ones(2), {"data": np.eye(2)}, references=references)
    assert model.default(result).samples[0].prediction == "simulation"


def test_parameters_come_with_that_of_interest_first(tmp_path):
    samples = [
        {"name": "a", "prediction": "one", "parameter": "shape", "start": 0},
        {"name": "b", "prediction": "two", "parameter": "mu", "bounds": [-1, 2]},
        {"name": "c", "prediction": "one"},
    ]
    found = _read(tmp_path, {"interest": "mu", "samples": samples})
    told = {name: (each.start, each.bounds) for name, each in found.parameters.items()}
    assert list(told.items()) == [("mu", (1, (-1, 2))), ("shape", (0, (0, 10)))]


A = {"name": "a", "prediction": "one", "parameter": "mu"}


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"interest": "mu", "samples": []}, "samples"),
        ({"interest": "nu", "samples": [A]}, "'nu' is the parameter of no sample"),
        ({"interest": "mu", "samples": [A, A]}, "given twice: a, a"),
        ({"interest": "mu", "samples": [A, {**A, "name": "b", "start": 2}]}, "mu: has two starts"),
        ({"interest": "mu", "samples": [{"name": "a", "parameter": "mu"}]}, "give prediction or"),
        ({"interest": "mu", "samples": [{**A, "start": 11}]}, "start 11 is not within bounds"),
        ({"interest": "mu", "samples": [{**A, "predicted": 1}]}, "did you mean 'prediction'"),
        (
            {"interest": "mu", "samples": [{"name": "a", "contents": {"x": [1]}, "minus": "one"}]},
            "minus: is subtracted from a prediction",
        ),
    ],
)
def test_models_that_are_none_are_refused(tmp_path, given, text):
    with pytest.raises(ConfigError, match=text):
        _read(tmp_path, given)
