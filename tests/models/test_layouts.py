"""Layouts of built-in classifiers and their files, beside Keras' models and files."""

import h5py
import model_inputs as make
import numpy as np
import pytest

from omniflow.config.training import Classifier
from omniflow.errors import InputError
from omniflow.models import registry
from omniflow.models.classifiers import architecture
from omniflow.models.keras_model import KerasModel
from omniflow.models.layout import Layout, Parameter
from omniflow.registry import BUILT_IN

SETTINGS = [
    Classifier(kind=kind, **sizes)
    for kind in sorted(BUILT_IN["classifier"])
    for sizes in (
        {"width": 8, "heads": 2, "blocks": 3, "class_blocks": 2, "layer_scale": 0.1},
        {"width": 6, "heads": 1, "blocks": 1, "class_blocks": 1},
        {"width": 4, "blocks": 11, "class_blocks": 11},  # numbers of two digits
    )
]
SETTINGS += [Classifier(kind=kind, layers=(7, 12, 5)) for kind in ("mlp", "deepsets")]


@pytest.fixture(scope="module", params=SETTINGS, ids=lambda s: f"{s.kind}-{s.layers or s.blocks}")
def both(request):
    """Without Keras, and the layout that Keras' model has."""
    built = architecture(request.param, make.PARTICLE, make.EVENT, output=0.25)
    model = registry.build(request.param, make.PARTICLE, make.EVENT, output=0.25)
    return built, KerasModel(model)


def test_the_layout_is_that_of_the_model(both):
    built, model = (one.layout for one in both)
    for ours, theirs in zip(built.parameters, model.parameters, strict=True):
        assert (ours.name, ours.shape) == (theirs.name, theirs.shape)
        if not ours.drawn:
            np.testing.assert_array_equal(np.float32(ours.constant), theirs.constant)
    assert built.dropped == model.dropped
    for name in ("size", "dtype", "backbone", "variance", "starts"):
        assert getattr(built, name) == getattr(model, name)
    assert built.units() == model.units()


def test_weights_are_drawn_alike_bit_by_bit(both):
    draws = [one.layout.initial(np.random.SeedSequence(3)) for one in both]
    assert draws[0].dtype == np.float32
    np.testing.assert_array_equal(*draws)
    np.testing.assert_array_equal(*(one.layout.neutral(draws[0]) for one in both))


def test_files_are_keras_files_both_ways(both, tmp_path):
    """Keras' own `save_weights` and `load_weights`, on a model that has held others."""
    built, model = both
    drawn = built.layout.initial(np.random.SeedSequence(4))
    drawn += np.arange(len(drawn), dtype=np.float32)  # no two are the same
    ours, theirs = (tmp_path / f"{name}.weights.h5" for name in ("ours", "theirs"))
    built.save(drawn, ours)
    for reader in both:
        np.testing.assert_array_equal(reader.load(ours), drawn)
    model.save(drawn + 1, theirs)
    np.testing.assert_array_equal(built.load(theirs), drawn + 1)


def test_files_of_other_networks_are_refused(tmp_path):
    path = tmp_path / "network.weights.h5"
    mlp, wider, deeper = (
        architecture(Classifier(kind="mlp", **sizes), 3, 2)
        for sizes in ({"blocks": 2, "width": 8}, {"blocks": 2, "width": 9}, {"blocks": 3})
    )
    mlp.save(np.zeros(mlp.layout.size, np.float32), path)
    with pytest.raises(InputError, match=r"event_0/kernel is \(2, 8\) there, not \(2, 9\)"):
        wider.load(path)
    with pytest.raises(InputError, match=r"configured architecture \(it has other layers"):
        deeper.load(path)
    path.write_bytes(b"damaged")
    with pytest.raises(InputError, match="does not hold a network"):
        mlp.load(path)
    with pytest.raises(InputError, match="does not hold a network"):
        mlp.load(tmp_path / "none.h5")


def test_what_else_a_file_holds_does_not_matter(tmp_path):
    """The signature is an attribute."""
    path = tmp_path / "network.weights.h5"
    mlp = architecture(Classifier(kind="mlp"), 3, 2)
    drawn = mlp.layout.initial(np.random.SeedSequence(1))
    mlp.save(drawn, path)
    with h5py.File(path, "r+") as file:
        file.attrs["omniflow"] = "{}"
    np.testing.assert_array_equal(mlp.load(path), drawn)


def test_places_are_of_all_parameters():
    layout = Layout((Parameter("a", (2, 3)), Parameter("b", (4,)), Parameter("c", (1,))))
    np.testing.assert_array_equal(layout.places(["c", "a", "b"]), [10, 0, 6])
    for wrong in (["a", "b"], ["a", "b", "d"], ["a", "a", "b", "c"]):
        with pytest.raises(ValueError, match="not the parameters"):
            layout.places(wrong)
