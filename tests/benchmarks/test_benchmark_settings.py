"""Settings of benchmarks: each is a valid configuration, and each script finds what it imports."""

import ast
import importlib
from pathlib import Path

import pytest
import yaml

from omniflow.config import validate

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
SCRIPTS = sorted(BENCHMARKS.rglob("*.py"))


def _settings(name):
    return yaml.safe_load((BENCHMARKS / "iterations" / name).read_text(encoding="utf-8"))


def _merged(base, over):
    sections = {k: _merged(base.get(k) or {}, v) for k, v in over.items() if isinstance(v, dict)}
    return base | over | sections


@pytest.mark.parametrize("policy", _settings("policies.yaml"))
def test_policies_change_the_closure(policy):
    text = (BENCHMARKS.parent / "config" / "closure.yaml").read_text(encoding="utf-8")
    base = yaml.safe_load(text)
    change = _settings("policies.yaml")[policy]
    found, closure = validate(_merged(base, change or {})), validate(base)
    assert (found == closure) == (change is None)


@pytest.mark.parametrize("pair", _settings("pairs.yaml"))
def test_pairs_are_samples(pair):
    data, simulation = _settings("pairs.yaml")[pair]
    samples = {"data": data, "simulation": simulation}
    validate({"study": {"name": "s"}, "samples": samples, "methods": {"none": {}}})


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_what_scripts_import_is_there(path):
    """Scripts run for hours or need other codes: what they import of ours is looked up."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("omniflow"):
            module = importlib.import_module(node.module)
            for alias in node.names:
                if not hasattr(module, alias.name):
                    importlib.import_module(f"{node.module}.{alias.name}")
