"""A classifier of the user's own: the example in examples/outside."""

import shutil
import subprocess
import sys
from pathlib import Path

import keras
import model_inputs as make
import numpy as np
import pytest
import yaml
from test_signature import _scaling

from omniflow import registry as rooms
from omniflow.config import dump, load, validate
from omniflow.config.training import Classifier
from omniflow.errors import ConfigError, InputError
from omniflow.models import registry
from omniflow.models.keras_model import KerasModel
from omniflow.models.signature import Signature
from omniflow.physics.dis.features import DIS
from omniflow.unfolding.plan import Plan

EXAMPLE = Path(__file__).parents[2] / "examples" / "outside" / "classifier.py"
SETTINGS = {"kind": "classifier:small", "options": {"units": 4}}


def _raw(**classifier):
    samples = {role: {"source": "h1", "files": [role]} for role in ("data", "simulation")}
    study = {"name": "own"}
    return {
        "study": study,
        "samples": samples,
        "methods": {"none": {}},
        "classifier": SETTINGS | classifier,
    }


@pytest.fixture
def folder(tmp_path):
    shutil.copy(EXAMPLE, tmp_path / "classifier.py")
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(_raw()))
    return tmp_path


def _model(function, monkeypatch, **settings):
    monkeypatch.setattr(rooms, "find", lambda room, name: function)
    return registry.build(Classifier(kind="mine:model", **settings), 3, 2)


def test_it_is_found_beside_the_configuration_and_by_jobs_elsewhere(folder):
    config = load(folder / "study.yaml")
    assert config.classifier.kind == f"{folder}/classifier.py:small"
    assert validate(yaml.safe_load(dump(config))).classifier == config.classifier


def test_validation_and_plan_import_neither_it_nor_tensorflow(folder):
    (folder / "classifier.py").write_text("raise SystemExit\n")
    code = (
        "import sys; from omniflow.config import load; from omniflow.unfolding.plan import Plan\n"
        f"plan = Plan(load({str(folder / 'study.yaml')!r})); plan.fingerprints.training()\n"
        "assert 'tensorflow' not in sys.modules and 'keras' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("classifier", "message"),
    [
        ({"kind": "nothing:small"}, "nothing: no such module, neither beside the configuration"),
        ({"kind": "deepset"}, "there is no classifier 'deepset'; did you mean 'deepsets'"),
        ({"kind": "mlp"}, "options are for classifiers of your own, and mlp is none"),
    ],
)
def test_names_that_stand_for_nothing_are_refused(classifier, message):
    with pytest.raises(ConfigError, match=message):
        validate(_raw(**classifier))


def test_it_is_a_network_like_any_other(folder, tmp_path):
    settings = load(folder / "study.yaml").classifier
    own = KerasModel(registry.build(settings, make.PARTICLE, make.EVENT, output=0.5))
    layout, model = own.layout, own.keras()
    assert layout.size == (make.PARTICLE + 1) * 4 + (4 + 1 + make.EVENT + 1) * 4 + 5
    assert layout.backbone == layout.size - 5
    first, again, other = (layout.initial(np.random.SeedSequence(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert np.any(first != other)
    inputs = make.padded(make.some_events(), 9)
    given = {name: inputs[name] for name in registry.inputs_of(model)}
    own.save(first, tmp_path / "own.weights.h5")
    np.testing.assert_array_equal(own.load(tmp_path / "own.weights.h5"), first)
    outputs = model(given).numpy()[:, 0]
    assert np.ptp(outputs) > 0.01
    longer = make.padded(make.some_events(), 12)
    padded = model({name: longer[name] for name in given}).numpy()[:, 0]
    np.testing.assert_allclose(padded, outputs, atol=1e-6)
    model.set_weights(layout.split(layout.neutral(first)))
    np.testing.assert_allclose(model(given).numpy(), 0.5)


def test_its_text_decides_on_trainings_and_its_place_does_not(folder):
    def fingerprint():
        return Plan(load(folder / "study.yaml")).fingerprints.training()

    before = fingerprint()
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    shutil.copy(folder / "classifier.py", elsewhere)
    assert Plan(validate(_raw(), root=elsewhere)).fingerprints.training() == before
    assert Plan(validate(_raw(options={}), root=elsewhere)).fingerprints.training() != before
    with open(folder / "classifier.py", "a") as file:
        file.write("# edited\n")
    assert fingerprint() != before
    config = load(folder / "study.yaml")
    store = Plan(config).fingerprints.store("data")
    assert Plan(validate(_raw(kind="mlp", options={}))).fingerprints.store("data") == store


def test_the_signature_knows_its_text(folder, tmp_path):
    settings = load(folder / "study.yaml").classifier
    path = tmp_path / "x.weights.h5"
    registry.build(settings, 7, 5).save_weights(path)
    Signature(settings, DIS, "bce_logistic", _scaling(), "abc").write(path)
    moved = settings.model_copy(update={"kind": "/elsewhere/classifier.py:small"})
    Signature(moved, DIS, "bce_logistic", _scaling(), "abc").require(path, head=True)
    with pytest.raises(InputError, match="has another text here than there"):
        Signature(moved, DIS, "bce_logistic", _scaling(), "other").require(path, head=True)
    with pytest.raises(InputError, match=r"classifier.kind is small there and mlp here"):
        Signature(Classifier(kind="mlp"), DIS, "bce_logistic", _scaling()).require(path, head=True)
    (folder / "classifier.py").unlink()
    assert Signature.read(path).text == "abc"  # without the module


def _functional(*layers, name="event"):
    def make(settings, particle_features, event_features):
        x = first = keras.Input((event_features,), name=name)
        for layer in layers:
            x = layer()(x)
        return keras.Model({name: first}, x)

    return make


def _layer(width, name):
    return lambda: keras.layers.Dense(width, name=name)


@pytest.mark.parametrize(
    ("function", "settings", "message"),
    [
        (lambda *_: 3, {}, "returned int; it must be a function"),
        (
            lambda: 3,
            {},
            r"fails when it builds a model \(TypeError: .* called with \(settings, part",
        ),
        (_functional(_layer(1, "last")), {}, "has no layer `head`"),
        (_functional(_layer(2, "head")), {}, r"`head` has weights \[\(2, 2\), \(2,\)\]"),
        (_functional(_layer(1, "head"), _layer(1, "more")), {}, "`head` is not the last one"),
        (
            _functional(keras.layers.BatchNormalization, _layer(1, "head")),
            {},
            "moving_variance change without gradients",
        ),
        (
            _functional(lambda: keras.layers.Dense(1, activation="sigmoid", name="head")),
            {},
            "`head` has the activation sigmoid, and what it returns is the logit",
        ),
        (_functional(_layer(1, "head"), name="evnt"), {}, "wants inputs evnt; there are particles"),
        (_functional(_layer(1, "head")), {"dropout": 0.1}, "has no list `dropped` of the kernels"),
    ],
)
def test_what_cannot_be_trained_is_refused(function, settings, message, monkeypatch):
    with pytest.raises(ConfigError, match=message):
        _model(function, monkeypatch, **settings)


def test_kernels_of_more_axes_are_drawn_as_well(monkeypatch):
    def make(settings, particle_features, event_features):
        x = first = keras.Input((event_features,), name="event")
        x = keras.layers.Reshape((event_features, 1))(x)
        x = keras.layers.Conv1D(50, 2, name="window")(x)
        x = keras.layers.Flatten()(x)
        return keras.Model({"event": first}, keras.layers.Dense(1, name="head")(x))

    model = _model(make, monkeypatch)
    layout = KerasModel(model).layout
    kernel = layout.split(layout.initial(np.random.SeedSequence(1)))[0]
    assert kernel.shape == (2, 1, 50)
    # Glorot (2010): a variance of 2 over inputs plus outputs, 2 (1 + 50).
    assert kernel.std() == pytest.approx(np.sqrt(2 / 102), rel=0.2)
    assert np.abs(kernel).max() <= np.sqrt(6 / 102)
    expected = 2 * 100 / 102 + 2 * 50 / 51
    assert layout.variance == pytest.approx(expected)
