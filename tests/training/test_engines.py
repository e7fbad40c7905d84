import numpy as np
import pytest
from training_inputs import classifier, twins, two_classes

from omniflow.config.schema import Config
from omniflow.models import registry
from omniflow.training import compiler
from omniflow.training.compiler import CompilerError
from omniflow.training.engines import engine
from omniflow.training.graph import Graph
from omniflow.training.native import Native


def _config(kind="pet", wanted="auto"):
    data, simulation = ({"source": "h1", "files": [f"{name}.h5"]} for name in "xy")
    return Config.model_validate(
        {
            "study": {"name": "x"},
            "samples": {"data": data, "simulation": simulation},
            "classifier": classifier(kind).model_dump(),
            "methods": {"none": {}},
            "execution": {"engine": wanted},
        }
    )


@pytest.fixture(scope="module")
def model():
    return registry.build(classifier("pet"), 3, 2)


@pytest.fixture(scope="module")
def both(model):
    """Both engines, and parameters."""
    found = twins(2).features
    weights = registry.initial_weights(model, np.random.SeedSequence(1))
    rng = np.random.default_rng(2)
    weights = [w + rng.normal(0, 0.2, w.shape).astype(w.dtype) for w in weights]
    engines = Graph(model, found, 3), Native(model, classifier("pet"), found, 1)
    return engines, [registry.flatten(weights)]


@pytest.mark.parametrize("sources", [two_classes(100), (twins(100),)], ids=["classes", "twins"])
def test_engines_agree_on_loss_and_gradient(both, sources):
    indices = [np.random.default_rng(3).permutation(100)[:60] for _ in sources]
    engines, parameters = both
    found = [one.gradient(parameters, one.prepare([(sources, indices)])) for one in engines]
    ((loss,), (gradient,)), ((other_loss,), (other_gradient,)) = found
    assert other_loss == pytest.approx(loss, rel=1e-5)
    gradient = np.asarray(gradient)
    np.testing.assert_allclose(other_gradient, gradient, atol=1e-4 * np.abs(gradient).max())


def test_engines_agree_on_logits(both):
    source, index = twins(300), np.random.default_rng(4).permutation(300)[:200]
    engines, parameters = both
    results = []
    for one in engines:
        out = np.full(300, np.nan, np.float32)
        for events, (logits,) in one.logits(parameters, source, index):
            out[events] = logits
        results.append(out)
    assert np.isfinite(results[0]).sum() == 200
    assert np.std(results[0][index]) > 0.1
    np.testing.assert_allclose(results[1], results[0], atol=2e-5)


def test_a_gradient_is_of_its_batch_alone(both):
    engines, parameters = both
    batch = [((twins(100),), [np.arange(40)])]
    for one in engines:
        first, second = (
            np.array(one.gradient(parameters, one.prepare(batch))[1]) for _ in range(2)
        )
        np.testing.assert_array_equal(first, second)


def test_auto_takes_the_native_engine_for_pets_only(model):
    found = twins(2).features
    assert engine(_config(), model, found).name == "native"
    assert engine(_config(wanted="tensorflow"), model, found).name == "tensorflow"
    mlp = registry.build(classifier("mlp"), 3, 2)
    assert engine(_config("mlp"), mlp, found).name == "tensorflow"
    with pytest.raises(CompilerError, match="engine: native is for the classifier kind"):
        engine(_config("mlp", "native"), mlp, found)


@pytest.fixture
def no_compiler(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("CXX", "/bin/false")
    compiler.library.cache_clear()
    yield tmp_path
    compiler.library.cache_clear()


def test_without_compiler_tensorflow_takes_its_place_and_says_so(no_compiler, model, capsys):
    found = twins(2).features
    assert engine(_config(), model, found).name == "tensorflow"
    assert "TensorFlow engine is used, because: /bin/false" in capsys.readouterr().err
    with pytest.raises(CompilerError, match=r"/bin/false .* failed"):
        engine(_config(wanted="native"), model, found)
    assert not list(no_compiler.rglob("*.so"))


def test_the_library_is_kept_where_one_may_write(monkeypatch, tmp_path):
    no_folder = tmp_path / "file"
    no_folder.write_text("", encoding="utf-8")
    monkeypatch.setenv("XDG_CACHE_HOME", str(no_folder))
    monkeypatch.setenv("HOME", str(no_folder))
    monkeypatch.setattr(compiler, "SOURCES", tmp_path)
    assert compiler._cache() == tmp_path / "build"
    monkeypatch.setenv("HOME", str(tmp_path))
    assert compiler._cache() == tmp_path / ".cache" / "omniflow"
    monkeypatch.setattr(compiler, "SOURCES", no_folder)
    monkeypatch.setenv("HOME", str(no_folder))
    with pytest.raises(CompilerError, match="can be written to"):
        compiler._cache()
