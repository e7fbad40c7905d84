import re
from pathlib import Path

import pytest

from omniflow.errors import ConfigError
from omniflow.tables import catalogue, document
from omniflow.tables.catalogue import FILES, TABLES

ROOT = Path(__file__).parents[2]


def test_every_module_with_declarations_is_in_the_catalogue():
    folder = Path(catalogue.__file__).parent
    declaring = {
        path.stem
        for path in folder.glob("*.py")
        if re.search(r"^[A-Z_0-9]+ = (Table|File)\(", path.read_text("utf-8"), re.M)
    }
    assert declaring == {module.__name__.rpartition(".")[2] for module in catalogue.MODULES}


def test_names_are_declared_once():
    names = [file.name for file in FILES]
    assert len(set(names)) == len(names)
    assert {f"{stem}.csv" for stem in TABLES} == {n for n in names if n.endswith(".csv")}


@pytest.mark.parametrize("table", TABLES.values(), ids=lambda table: table.stem)
def test_declarations_are_complete(table):
    assert len(set(table.names)) == len(table.names)
    assert set(table.key) <= set(table.names)
    for said in (table.meaning, *(column.meaning for column in table.columns)):
        assert said
        assert "\n" not in said
        assert not re.search(r"(?<!\\)\|", said)  # it would end the cell of a Markdown table


def test_the_page_is_that_of_the_declarations():
    text = (ROOT / document.PAGE_FILE).read_text("utf-8")
    assert text == document.page(text), "run python -m omniflow.tables.document"
    for name in (file.name for file in FILES):
        assert f"| `{name}` |" in text


def test_what_is_written_by_hand_stays(tmp_path):
    page = tmp_path / document.PAGE_FILE
    page.parent.mkdir()
    page.write_text(f"before\n\n{document.BEGIN}\noutdated\n{document.END}\n\nafter\n", "utf-8")
    document.main(["--root", str(tmp_path)])
    text = page.read_text("utf-8")
    assert text.startswith("before\n\n<!--")
    assert text.endswith("-->\n\nafter\n")
    assert "| `lane` | whole number |" in text
    assert "outdated" not in text


def test_other_folders_and_pages_are_refused(tmp_path, capsys):
    with pytest.raises(ConfigError, match=r"has no docs/formats\.md"):
        document.write(tmp_path)
    with pytest.raises(ConfigError, match="has no place for tables"):
        document.page("text")
    with pytest.raises(SystemExit):
        document.main(["--root", str(tmp_path)])
    assert "run this in the root" in capsys.readouterr().err
