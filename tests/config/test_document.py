import json
import re
from pathlib import Path

import jsonschema
import pytest

from omniflow import config
from omniflow.config import document
from omniflow.errors import ConfigError

ROOT = Path(__file__).parents[2]
SMALL = {
    "study": {"name": "demo"},
    "samples": {
        "data": {"source": "h1", "files": ["data.h5"]},
        "simulation": {"source": "pythia", "events": 100, "seed": 2},
    },
    "methods": {"none": {}},
}


@pytest.fixture(scope="module")
def validator():
    schema = json.loads((ROOT / "config" / "schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def changed(*path, value):
    copy = json.loads(json.dumps(SMALL))
    target = copy
    for key in path[:-1]:
        target = target.setdefault(key, {})
    target[path[-1]] = value
    return copy


@pytest.mark.parametrize(
    ("path", "text"),
    [("config/schema.json", document.schema_text), ("docs/configuration.md", document.page)],
)
def test_files_are_those_of_the_models(path, text):
    message = f"{path} is not what the models give: run python -m omniflow.config.document"
    assert (ROOT / path).read_text(encoding="utf-8") == text(), message


def test_write_gives_both_files_and_nothing_else(tmp_path):
    (tmp_path / "pyproject.toml").touch()
    document.main(["--root", str(tmp_path)])
    files = {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()}
    assert files == {"pyproject.toml", "config/schema.json", "docs/configuration.md"}
    for name in ("config/schema.json", "docs/configuration.md"):
        assert (tmp_path / name).read_bytes() == (ROOT / name).read_bytes()


def test_write_refuses_another_folder(tmp_path):
    with pytest.raises(ConfigError, match=r"pyproject\.toml"):
        document.write(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_main_ends_with_the_message(tmp_path, capsys):
    with pytest.raises(SystemExit) as caught:
        document.main(["--root", str(tmp_path)])
    assert caught.value.code == 1
    assert "pyproject.toml" in capsys.readouterr().err


def test_schema_accepts_a_small_study(validator):
    validator.validate(SMALL)


@pytest.mark.parametrize(
    "wrong",
    [
        changed("study", "sed", value=1),
        changed("study", "passes", value=0),
        changed("training", "learning_rate", value="fast"),
        changed("samples", "data", value={"source": "h1"}),
        changed("samples", "data", value={"source": "root", "files": ["a"]}),
        changed("methods", value={}),
        changed("methods", "none", "lanes", value=-1),
        changed("combine", value=["average"]),
        {key: value for key, value in SMALL.items() if key != "samples"},
    ],
)
def test_schema_refuses(validator, wrong):
    assert not validator.is_valid(wrong)


def test_configs_name_the_schema_and_fit_it(validator):
    configs = sorted((ROOT / "config").glob("*.yaml"))
    assert configs
    for path in configs:
        text = path.read_text(encoding="utf-8")
        first = text.splitlines()[0]
        assert first == "# yaml-language-server: $schema=schema.json", path
        validator.validate(config.read(path))


def test_page_has_a_row_for_every_key():
    # Every key of the schema's objects, found without the code that makes the tables.
    schema = document.schema()
    models = [schema, *schema["$defs"].values()]
    wanted = sorted(key for model in models for key in model["properties"])
    assert sorted(re.findall(r"^\| `(\w+)` \|", document.page(), re.M)) == wanted


def test_page_rows_say_what_a_user_needs():
    page = document.page()
    for row in (
        "| `seed` | whole number ≥ 0 | `1` | Seed from which",
        "| `events` | whole number ≥ 1 | required | Generated records",
        "| `events` | whole number ≥ 1 or null | none | Use only",
        "| `start` | one of `scratch`, `pretrained`, `backbone` | `scratch` | ",
        "| `files` | list of at least 1, each text | required | ",
        "| `methods` | mapping from a name to [Method](#method) | required | ",
        "| `validation` | number > 0, &lt; 1 | `0.2` | ",
    ):
        assert row in page
    assert "Used as `methods.<name>`." in page
    assert "Used as `unfolding.restart`." in page


def test_page_links_and_tables_are_whole():
    page = document.page()
    headings = {h.lower().replace(" ", "-") for h in re.findall(r"^## (.+)$", page, re.M)}
    assert set(re.findall(r"\(#([\w-]+)\)", page)) <= headings
    for line in page.splitlines():
        if line.startswith("|"):
            assert len(re.findall(r"(?<!\\)\|", line)) == 5, line
