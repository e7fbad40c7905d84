import numpy as np
import pytest
from training_inputs import classifier, twins

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
