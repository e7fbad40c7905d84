"""The notebooks of examples/: executed in a small form, and shown as they are."""

import importlib.util
import re
import shutil
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "examples.md").read_text(encoding="utf-8")


def _load():
    spec = importlib.util.spec_from_file_location("execute", ROOT / "examples" / "execute.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


execute = _load()
NOTEBOOKS = {path.stem: path for path in execute.notebooks()}


@pytest.fixture(params=NOTEBOOKS)
def path(request):
    return NOTEBOOKS[request.param]


def test_there_are_notebooks():
    assert set(NOTEBOOKS) == {"gaussian", "zjets"}


def test_outputs_are_of_the_code_beside_them(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert notebook.metadata["executed"] == execute.code(notebook), f"{path.name}: make examples"
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell.outputs]
    assert outputs
    assert "error" not in {output.output_type for output in outputs}
    assert not [text for text in execute.texts(notebook) if execute.PATHS.search(text)]


def test_figures_of_the_page_are_those_of_the_notebook(path):
    figures = list(execute.figures(nbformat.read(path, as_version=4)))
    assert figures
    for number, figure in enumerate(figures, 1):
        name = f"{path.stem}-{number}.png"
        assert (ROOT / "docs" / "examples" / name).read_bytes() == figure
        assert f"(examples/{name})" in PAGE


def test_tables_and_numbers_of_the_page_are_those_of_the_notebooks():
    said = "\n".join(
        text
        for path in NOTEBOOKS.values()
        for text in execute.texts(nbformat.read(path, as_version=4))
    ).splitlines()
    shown = [
        line
        for line in PAGE.splitlines()
        if re.match(r"\| (mass|mult|width|ln_rho|zg|tau21)", line)
    ]
    shown += re.findall(r"^(?:truth|unfolded): .*$", PAGE, re.MULTILINE)
    assert len(shown) == 9
    assert set(shown) <= set(said)


def test_the_gaussian_is_15_lines_and_the_page_shows_them():
    notebook = nbformat.read(NOTEBOOKS["gaussian"], as_version=4)
    first, second = [cell.source for cell in notebook.cells if cell.cell_type == "code"][:2]
    lines = [line for line in f"{first}\n{second}".splitlines() if line.strip()]
    assert len(lines) == 15
    (block,) = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert [line for line in block.splitlines() if line.strip()] == lines


def test_they_run(path, tmp_path):
    ignored = shutil.ignore_patterns("data", "simulation", "results", "*.html")
    shutil.copytree(path.parent, tmp_path / "folder", ignore=ignored)
    notebook = execute.run(path, tmp_path / "folder", small=True)
    text = "\n".join(execute.texts(notebook))
    assert len(list(execute.figures(notebook))) == 1
    if path.stem == "gaussian":
        rows = re.findall(r"(truth|unfolded): +mean (-?[\d.]+), width ([\d.]+)", text)
        assert [row[0] for row in rows] == ["truth", "unfolded", "unfolded"]
        (_, mean, width), *unfolded = rows
        for (
            _,
            found,
            spread,
        ) in unfolded:  # of 2000 events: the statistical error of the mean is 0.03
            assert float(found) == pytest.approx(float(mean), abs=0.12)
            assert float(spread) == pytest.approx(float(width), abs=0.12)
    else:
        rows = [line.split("|")[1:-1] for line in text.splitlines() if line.startswith("| ")]
        names = [row[0].strip() for row in rows[1:]]
        assert names == ["mass", "mult", "width", "ln_rho", "zg", "tau21"]
        assert all(float(number) > 0 for row in rows[1:] for number in row[1:])
        assert {file.name for file in (tmp_path / "folder").glob("*.html")} == {
            "mlp.html",
            "pet.html",
        }
