import sys

import pytest

from omniflow.errors import ConfigError
from omniflow.outside import load, located, text

SHAPES = """\
import helper
from dataclasses import dataclass

@dataclass
class Shape:
    value: int = helper.VALUE

def thrust(level):
    return 1
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "shapes.py").write_text(SHAPES)
    (tmp_path / "helper.py").write_text("VALUE = 7\n")
    (tmp_path / "kit").mkdir()
    (tmp_path / "kit" / "__init__.py").write_text("size = 3\n")
    (tmp_path / "kit" / "inner.py").write_text("size = 4\n")
    yield tmp_path
    sys.modules.pop("helper", None)


def test_modules_beside_the_configuration_come_first(folder):
    assert load("shapes:thrust", [folder])(None) == 1
    assert load("shapes:Shape.value", [folder]) == 7
    assert load("kit:size", [folder]) == 3
    assert load("kit.inner:size", [folder]) == 4
    assert located("shapes:thrust", [folder]) == f"{folder}/shapes.py:thrust"
    assert located("kit:size", [folder]) == f"{folder}/kit/__init__.py:size"
    (folder / "json.py").write_text("dumps = 5\n")
    assert load("json:dumps", [folder]) == 5
    import json

    assert json.dumps(1) == "1"
    assert str(folder) not in sys.path


def test_the_first_of_several_folders_counts(folder, tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "shapes.py").write_text("thrust = 2\n")
    assert load("shapes:thrust", [tmp_path / "other", folder]) == 2
    assert load("shapes:thrust", [folder, tmp_path / "other"]) != 2


def test_files_are_named_by_their_path(folder, monkeypatch):
    assert load(f"{folder}/shapes.py:thrust")(None) == 1
    assert load("kit/inner.py:size", [folder]) == 4
    monkeypatch.chdir(folder)
    assert located("shapes:thrust") == f"{folder}/shapes.py:thrust"


def test_installed_modules_stay_as_they_are(folder):
    assert located("math:pi", [folder]) == "math:pi"
    assert load("os.path:join", [folder])("a", "b") == "a/b"


def test_a_changed_file_is_read_again(folder):
    assert load("shapes:thrust", [folder]) is load("shapes:thrust", [folder])
    (folder / "shapes.py").write_text("thrust = 9\n")
    assert load("shapes:thrust", [folder]) == 9


def test_text_is_that_of_the_file(folder):
    assert text(located("shapes:thrust", [folder])) == text("shapes:thrust", [folder]) == SHAPES
    assert "def dedent" in text("textwrap:dedent")
    assert text("omniflow.files:write_text") == ""
    assert text("math:pi") == ""
    (folder / "shapes.py").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match=r"shapes\.py: cannot be read"):
        text("shapes:thrust", [folder])


def test_a_missing_module_matters_only_to_those_who_need_it(folder):
    for reference in ("no_such_module_of_ours:x", f"{folder}/gone.py:x"):
        assert located(reference, [folder]) == reference
        for needs in (load, text):
            with pytest.raises(ConfigError, match="there is no such module"):
                needs(reference, [folder])


@pytest.mark.parametrize("reference", ["thrust", "shapes:", ":x", "a b:x", "shapes:1", "..a:b", ""])
def test_what_names_no_object_is_refused(reference):
    with pytest.raises(ConfigError, match="names no object; write `module:object`"):
        load(reference)


def test_errors_name_file_object_and_remedy(folder):
    with pytest.raises(ConfigError, match=r"shape:thrust: there is no such module \(looked for "):
        load("shape:thrust", [folder])
    with pytest.raises(ConfigError, match=r"shape\.py:x: .*put the file beside the configuration"):
        load("shape.py:x", [folder])
    with pytest.raises(ConfigError, match=r"shapes\.py: has no object 'trust'; it has .*thrust"):
        load("shapes:trust", [folder])
    (folder / "bad.py").write_text("import no_such_thing_of_ours\n")
    with pytest.raises(ConfigError, match=r"bad\.py: cannot be imported \(ModuleNotFoundError"):
        load("bad:x", [folder])
    assert not [name for name in sys.modules if name.startswith("bad_")]
