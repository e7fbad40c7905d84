import h5py
import numpy as np
import pytest
from model_inputs import randomised, small

from omniflow.errors import InputError
from omniflow.features.scaling import Scaling
from omniflow.models.signature import Signature
from omniflow.physics.dis.features import DIS, DIS_SUMS


def _scaling(**changes):
    values = {
        "particle_mean": np.arange(7.0),
        "particle_std": np.full(7, 2.0),
        "event_mean": np.arange(5.0) - 2,
        "event_std": np.full(5, 0.5),
    }
    return Scaling(**(values | changes))


def _signature(kind="pet", loss="bce_logistic", scaling=None, features=DIS, **classifier):
    return Signature(small(kind, **classifier), features, loss, scaling or _scaling())


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """A network of the signature that all others are compared with."""
    found = tmp_path_factory.mktemp("signature") / "x.weights.h5"
    randomised(small("pet")).save_weights(found)
    _signature().write(found)
    return found


def test_what_is_written_is_read(path):
    found = Signature.read(path)
    assert (found.classifier, found.loss) == (small("pet"), "bce_logistic")
    for name, values in vars(_scaling()).items():
        np.testing.assert_array_equal(getattr(found.scaling, name), values)
    _signature().require(path, head=True)


def test_keras_still_reads_the_weights(path):
    saved, model = randomised(small("pet")), randomised(small("pet"), seed=3)
    model.load_weights(path)
    for one, two in zip(saved.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"width": 16}, "classifier.width is 8 there and 16 here"),
        ({"neighbours": 2}, "classifier.neighbours is 3 there and 2 here"),
        ({"features": DIS_SUMS}, "define feature .* is .* there and .* here"),
        ({"kind": "deepsets"}, "classifier.kind is pet there and deepsets here"),
        ({"loss": "mlc_exp"}, "training.loss is bce_logistic there and mlc_exp here"),
        (
            {"scaling": _scaling(event_mean=np.array([-2, -1, 0.2, 1, 2]))},
            "event feature 'pt_e/Q' is 0 with standard deviation 0.5 there, 0.2 with 0.5 here",
        ),
        (
            {"scaling": _scaling(particle_std=np.array([2, 2, 2000, 2, 2, 2, 2]))},
            "particle feature 'log pt' is 2 with standard deviation 2 there, 2 with 2e\\+03 here",
        ),
        ({"scaling": _scaling(event_mean=np.zeros(3), event_std=np.ones(3))}, "5 event features"),
    ],
)
def test_another_network_is_refused(path, changes, message):
    with pytest.raises(InputError, match=message) as caught:
        _signature(**changes).require(path, head=True)
    assert str(path) in str(caught.value)
    assert "does not fit" in str(caught.value)


def test_what_does_not_matter_is_not_asked_for(path, tmp_path):
    near = _scaling(event_mean=_scaling().event_mean + 0.05, particle_std=np.full(7, 2.2))
    _signature(scaling=near, layer_scale=1e-4).require(path, head=True)
    # A new last layer may have another loss.
    _signature(loss="mlc_exp").require(path, head=False)
    mlp = tmp_path / "mlp.weights.h5"
    randomised(small("mlp")).save_weights(mlp)
    _signature("mlp").write(mlp)
    other = _scaling(particle_mean=np.full(7, 1e3))
    _signature("mlp", heads=4, neighbours=1, scaling=other).require(mlp, head=True)


def test_widths_are_compared_however_they_are_given(tmp_path):
    path = tmp_path / "mlp.weights.h5"
    randomised(small("mlp")).save_weights(path)
    _signature("mlp").write(path)
    _signature("mlp", width=64, blocks=4, layers=(8, 8)).require(path, head=True)
    with pytest.raises(InputError, match=r"classifier.layers is None there and \(8, 4\) here"):
        _signature("mlp", layers=(8, 4)).require(path, head=True)


def test_a_file_without_signature_is_refused(tmp_path):
    path = tmp_path / "x.weights.h5"
    with pytest.raises(InputError, match="no such file"):
        _signature().require(path, head=True)
    randomised(small("mlp")).save_weights(path)
    with pytest.raises(InputError, match="does not say for what inputs"):
        _signature("mlp").require(path, head=True)
    with h5py.File(path, "r+") as file:
        file.attrs["omniflow"] = '{"classifier": {"kind": "rnn"}, "loss": "x", "scaling": {}}'
    with pytest.raises(InputError, match="does not say for what inputs"):
        _signature("mlp").require(path, head=True)
