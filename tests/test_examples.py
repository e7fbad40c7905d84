"""Examples in docstrings: those of all modules that have any run, and give what they say."""

import ast
import doctest
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "src"
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts): path
    for path in sorted(ROOT.rglob("*.py"))
    if ">>> " in path.read_text(encoding="utf-8")
}


def test_there_are_examples():
    """Of the public interface, and of functions that an example explains best."""
    public = {"omniflow.api.read", "omniflow.api.study", "omniflow.api.unfold"}
    public |= {"omniflow.events.sample", "omniflow.observables.observable"}
    assert public <= set(MODULES)
    assert len(MODULES) >= 30


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name):
    module = importlib.import_module(name)
    found = doctest.testmod(module, optionflags=doctest.ELLIPSIS)
    assert found.failed == 0
    assert found.attempted > 0


@pytest.mark.parametrize("name", MODULES)
def test_examples_stand_in_docstrings(name):
    """Where doctest finds them: not in comments or other texts."""
    tree = ast.parse(MODULES[name].read_text(encoding="utf-8"))
    kinds = ast.Module | ast.ClassDef | ast.FunctionDef
    texts = [ast.get_docstring(node) or "" for node in ast.walk(tree) if isinstance(node, kinds)]
    shown = MODULES[name].read_text(encoding="utf-8").count(">>> ")
    assert sum(text.count(">>> ") for text in texts) == shown
