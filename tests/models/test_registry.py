import functools
import re
from pathlib import Path

import h5py
import model_inputs as make
import numpy as np
import pytest

from omniflow.config import load
from omniflow.config.training import Classifier
from omniflow.features.feature_set import resolved
from omniflow.models import registry
from omniflow.models.classifiers import architecture
from omniflow.models.keras_model import KerasModel
from omniflow.registry import BUILT_IN
from omniflow.training.losses import LOSSES

ROOT = Path(__file__).parents[2]
KINDS = sorted(BUILT_IN["classifier"])


@pytest.fixture(scope="module", params=KINDS)
def model(request):
    return make.randomised(make.small(request.param), seed=5)


def _datasets(path):
    found = []
    with h5py.File(path) as file:
        file.visititems(
            lambda _, item: found.append(item[...]) if isinstance(item, h5py.Dataset) else None
        )
    return found


def test_every_parameter_is_in_the_checkpoint(model, tmp_path):
    path = tmp_path / "network.weights.h5"
    model.save_weights(path)
    stored = sorted(array.tobytes() for array in _datasets(path))
    assert stored == sorted(array.tobytes() for array in model.get_weights())
    assert sum(len(item) for item in stored) == 4 * model.count_params()


def test_a_checkpoint_brings_back_the_same_network(model, tmp_path):
    path = tmp_path / "network.weights.h5"
    model.save_weights(path)
    inputs = make.padded(make.some_events(), 9)
    saved, before = model.get_weights(), make.logits(model, inputs)
    other = make.randomised(make.small(model.name), seed=6)
    assert np.abs(make.logits(other, inputs) - before).max() > 0.01
    other.load_weights(path)
    for ours, theirs in zip(other.get_weights(), saved, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(make.logits(other, inputs), before)


def test_the_class_token_is_a_parameter():
    model = registry.build(make.small("pet"), make.PARTICLE, make.EVENT)
    token = model.token.token
    assert any(token is variable for variable in model.trainable_variables)


def test_initial_weights_follow_from_the_seed_alone(model):
    """Not from what the model holds: a job trains many networks with one model."""

    def draw(seed):
        layout = KerasModel(model).layout
        return layout.split(layout.initial(np.random.SeedSequence(seed)))

    first = draw(11)
    model.set_weights([w + 1 for w in model.get_weights()])
    again, other = draw(11), draw(12)
    matrices = 0
    for a, b, c in zip(first, again, other, strict=True):
        np.testing.assert_array_equal(a, b)
        assert a.dtype == np.float32
        if a.ndim == 2:
            matrices += 1
            assert np.mean(a == c) < 0.01
            assert np.abs(a).max() <= np.sqrt(6 / sum(a.shape))
    assert matrices > 2
    large = max(first, key=np.size)
    assert large.std() == pytest.approx(np.sqrt(2 / sum(large.shape)), rel=0.15)


def test_a_freshly_built_network_starts_with_neutral_biases_and_norms():
    settings = make.small("pet", layer_scale=0.01)
    model = registry.build(settings, make.PARTICLE, make.EVENT)
    layout = KerasModel(model).layout
    drawn = layout.split(layout.initial(np.random.SeedSequence(1)))
    expected = {"bias": 0.0, "edge_bias": 0.0, "beta": 0.0, "gamma": 1.0, "scale": 0.01}
    seen = set()
    for variable, value in zip(model.weights, drawn, strict=True):
        if value.ndim == 1:
            seen.add(variable.name)
            np.testing.assert_allclose(value, expected[variable.name])
    assert seen == set(expected)


def test_networks_do_not_start_from_each_other(model):
    """The weights depend on the seed, not on how the network was built or used before."""
    drawn = [
        KerasModel(
            registry.build(make.small(model.name), make.PARTICLE, make.EVENT)
        ).layout.initial(np.random.SeedSequence(3))
        for _ in range(2)
    ]
    np.testing.assert_array_equal(*drawn)


def test_a_neutral_head_changes_the_head_alone(model):
    layout = KerasModel(model).layout
    old = np.ones(layout.size, np.float32)
    found = layout.split(layout.neutral(old))
    assert np.all(old == 1)
    changed = [w.shape for w in found if np.all(w == 0)]
    width = model.head.kernel.shape[0]
    assert sorted(changed) == [(1,), (width, 1)]
    assert sum(bool(np.all(w == 1)) for w in found) == len(found) - 2


@functools.cache
def _outputs_about(neutral, kind):
    """Outputs of a network that starts around `neutral`, as drawn and with a neutral head."""
    model = registry.build(make.small(kind), make.PARTICLE, make.EVENT, output=neutral)
    layout, inputs = KerasModel(model).layout, make.padded(make.some_events(), 9)
    drawn, found = layout.initial(np.random.SeedSequence(5)), []
    for parameters in (drawn, layout.neutral(drawn)):
        model.set_weights(layout.split(parameters))
        found.append(make.logits(model, inputs).astype(float))
    return found


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_network_with_a_neutral_head_gives_every_event_the_ratio_one(kind, loss):
    outputs = _outputs_about(LOSSES[loss].neutral, kind)
    drawn, neutral = map(LOSSES[loss].log_ratio, outputs)
    assert np.ptp(drawn) > 0.01
    np.testing.assert_allclose(neutral, 0, atol=1e-7)


@pytest.mark.parametrize(
    ("path", "config"),
    [
        ("config/paper.yaml", "paper"),
        ("docs/closure.md", "closure"),
        ("docs/method/networks.md", None),
    ],
)
def test_stated_numbers_of_parameters_are_those_of_the_networks(path, config):
    settings = load(ROOT / f"config/{config}.yaml").classifier if config else Classifier()
    preset = "dis" if settings.features == "auto" else settings.features
    seen = resolved(preset, (), ())
    number = architecture(settings, len(seen.particles), len(seen.event)).layout.size
    stated = re.findall(r"(\d[\d,]+)\s+parameters", (ROOT / path).read_text(encoding="utf-8"))
    assert stated == [f"{number:,}"] * len(stated)
    assert stated or path == "docs/closure.md"
