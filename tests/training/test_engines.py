import errno
import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from training_inputs import classifier, twins

from omniflow.config.schema import Config
from omniflow.models.classifiers import architecture
from omniflow.training import compiler, runtime
from omniflow.training.compiler import CompilerError
from omniflow.training.engines import engine, require, shared
from omniflow.training.losses import LOSSES
from omniflow.training.native import Native
from omniflow.training.runtime import EngineError


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
def pet():
    return architecture(classifier("pet"), 3, 2)


def test_jobs_of_one_process_share_what_is_alike():
    found = twins(2).features
    mlp, sets = (architecture(classifier(kind), 3, 2) for kind in ("mlp", "deepsets"))
    with shared():
        one, two = (engine(_config("mlp", "tensorflow"), mlp, found) for _ in range(2))
        other = engine(_config("deepsets"), sets, found)
        assert one is two
        assert other is not one
    assert engine(_config("mlp", "tensorflow"), mlp, found) is not one


@pytest.mark.parametrize("kind", ["pet", "deepsets", "mlp"])
def test_auto_takes_the_native_engine_for_what_is_built_in(kind):
    found, model = twins(2).features, architecture(classifier(kind), 3, 2)
    assert engine(_config(kind), model, found).name == "native"


def test_tensorflow_is_taken_on_request():
    found, model = twins(2).features, architecture(classifier("mlp"), 3, 2)
    assert engine(_config("mlp", "tensorflow"), model, found).name == "tensorflow"


def _own(config):
    """The configuration with a classifier of the user's own."""
    own = config.classifier.model_copy(update={"kind": "own.py:make"})
    return config.model_copy(update={"classifier": own})


def test_other_classifiers_are_tensorflow_s():
    found, model = twins(2).features, architecture(classifier("mlp"), 3, 2)
    assert engine(_own(_config("mlp")), model, found).name == "tensorflow"
    message = "engine: native has the classifier kinds pet, deepsets, mlp, and not own.py:make"
    with pytest.raises(CompilerError, match=message):
        engine(_own(_config("mlp", "native")), model, found)


@pytest.fixture
def no_compiler(monkeypatch, tmp_path):
    monkeypatch.setattr(compiler, "_folders", lambda: [tmp_path])
    monkeypatch.setenv("CXX", "/bin/false")
    compiler.library.cache_clear()
    yield tmp_path
    compiler.library.cache_clear()


def test_without_compiler_tensorflow_takes_its_place_and_says_so(no_compiler, capsys):
    found, mlp = twins(2).features, architecture(classifier("mlp"), 3, 2)
    assert engine(_config("mlp"), mlp, found).name == "tensorflow"
    said = "TensorFlow engine is used, because the native engine cannot be had: /bin/false"
    assert said in capsys.readouterr().err
    with pytest.raises(CompilerError, match=r"/bin/false .* failed"):
        engine(_config("mlp", "native"), mlp, found)
    assert not list(no_compiler.rglob("*.so"))


def test_what_nothing_can_train_is_told_before(no_compiler, monkeypatch):
    require(_config())  # TensorFlow is there
    with pytest.raises(CompilerError, match=r"/bin/false --version failed: without a word; instal"):
        require(_config(wanted="native"))
    monkeypatch.setattr(runtime, "installed", lambda: False)
    with pytest.raises(EngineError, match=r"native engine cannot be had: .*g\+\+.* cxx-compiler"):
        require(_config())
    with pytest.raises(EngineError, match=r"execution.engine is tensorflow. .*omniflow\[cpu\]"):
        require(_config(wanted="tensorflow"))
    with pytest.raises(EngineError, match=r"classifier\.kind is own\.py:make"):
        require(_own(_config()))
    monkeypatch.delenv("CXX")
    monkeypatch.setenv("PATH", str(no_compiler))
    with pytest.raises(EngineError, match="no C\\+\\+ compiler is installed; install one"):
        require(_config())
    (no_compiler / compiler._name(compiler._flags())).touch()  # built before
    require(_config())


def test_without_compiler_a_library_of_the_package_is_used_where_it_fits(
    no_compiler, pet, capsys, monkeypatch
):
    monkeypatch.undo()
    built = compiler._built(compiler._flags()) or Path(compiler.library()._name)
    own = no_compiler / "baseline.so"
    own.write_bytes(built.read_bytes())
    compiler.library.cache_clear()
    found = twins(2).features
    monkeypatch.setattr(compiler, "BASELINE", own)
    assert engine(_config(), pet, found).name == "native"  # one that was built here comes first
    compiler.library.cache_clear()
    monkeypatch.setattr(compiler, "_folders", lambda: [no_compiler])
    monkeypatch.setenv("CXX", "/bin/false")
    require(_config(wanted="native"))
    assert engine(_config(wanted="native"), pet, found).name == "native-baseline"
    said = capsys.readouterr().err
    assert "own library is used, which may be slower: /bin/false --version failed" in said
    compiler.library.cache_clear()
    monkeypatch.setattr(compiler, "NEEDED", {"a flag of later processors"})
    with pytest.raises(CompilerError, match=r"/bin/false .* failed"):
        engine(_config(wanted="native"), pet, found)


@pytest.fixture
def caches(monkeypatch, tmp_path):
    """The three folders for the library, and a compiler that writes a few bytes, slowly."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    script = tmp_path / "c++"
    script.write_text('#!/bin/sh\neval "out=\\${$#}"\nprintf %s $$ > "$out"\nsleep 0.5\n')
    script.chmod(0o755)
    monkeypatch.setenv("CXX", str(script))
    monkeypatch.setattr(compiler.ctypes, "CDLL", str)
    monkeypatch.setattr(compiler, "FLAGS", ("of no other library",))
    compiler.library.cache_clear()
    yield [tmp_path / "xdg/omniflow", tmp_path / "home/.cache/omniflow", compiler.SOURCES / "build"]
    compiler.library.cache_clear()


def test_the_library_is_kept_where_one_may_write(caches, monkeypatch):
    xdg, home, beside = caches
    folders = compiler._folders()
    assert folders == caches
    assert compiler._writable(folders) == xdg
    xdg.rmdir()
    xdg.write_text("no folder", encoding="utf-8")
    assert compiler._writable(folders) == home
    monkeypatch.delenv("HOME")
    assert compiler._folders() == [xdg, beside]
    with pytest.raises(CompilerError, match="can be written to"):
        compiler._writable([xdg, xdg / "none"])


def test_a_library_is_loaded_from_a_folder_that_cannot_be_written_to(caches, monkeypatch):
    path = Path(compiler.library())
    assert path.parent == caches[0]
    compiler.library.cache_clear()
    found = caches[1] / path.name
    found.parent.mkdir(parents=True)
    path.rename(found)
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert compiler.library() == str(found)


def test_other_flags_make_another_library(caches, monkeypatch):
    plain = compiler.library()
    compiler.library.cache_clear()
    monkeypatch.setenv("OMNIFLOW_CXXFLAGS", "-mno-avx512f -g")
    assert Path(compiler.library()).parent == Path(plain).parent
    assert compiler.library() != plain


def test_file_systems_without_locks_will_do(caches, monkeypatch):
    def refused(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(compiler.fcntl, "flock", refused)
    assert Path(compiler.library()).parent == caches[0]


def test_jobs_that_build_at_the_same_time_leave_one_library(caches, tmp_path):
    """As where there are no locks."""
    path = tmp_path / "pet.so"
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(compiler._build, path, ())
        time.sleep(0.25)  # its file is there, and not yet whole
        pool.submit(compiler._build, path, ()).result()
        first.result()
    assert path.read_text().isdigit()
    assert sorted(tmp_path.iterdir()) == [tmp_path / "c++", path]


@pytest.fixture
def new_loss(monkeypatch):
    """A loss that Python knows and native/loss.h does not."""
    new = replace(LOSSES["mlc_exp"], number=len(LOSSES))
    monkeypatch.setitem(LOSSES, "mlc_new", new)
    return "mlc_new"


def test_the_native_engine_refuses_a_loss_that_it_does_not_have(new_loss, pet):
    """It must not train as another one."""
    with pytest.raises(CompilerError, match=r"native/loss\.h has no loss mlc_new"):
        Native(pet.layout, classifier("pet"), twins(2).features, 1, new_loss)


@pytest.mark.parametrize("number", [-1, 6, 1000])
def test_no_number_but_those_of_losses_is_known(number):
    library = compiler.library()
    assert not library.omniflow_knows_loss(number)
    known = [loss.number for loss in LOSSES.values()]
    assert all(library.omniflow_knows_loss(number) for number in known)
    assert len(set(known)) == len(known)
