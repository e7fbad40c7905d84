"""The public face: names, and examples that run."""

import re
import subprocess
import sys
from importlib import resources
from pathlib import Path

import pytest

import omniflow

NAMES = [
    *(
        "Bundle",
        "ConfigError",
        "CovarianceWarning",
        "Events",
        "InputError",
        "Level",
        "LockError",
        "Observable",
        "OmniflowError",
    ),
    *("OutputError", "Source", "Study", "TrainingError", "WeightError", "__version__"),
    *("compare", "plan", "read", "read_bundle", "unfold"),
]


def test_public_names():
    assert omniflow.__all__ == NAMES
    assert dir(omniflow) == NAMES
    for name in NAMES:
        assert getattr(omniflow, name) is not None
    with pytest.raises(AttributeError, match="module 'omniflow' has no attribute 'unfolded'"):
        omniflow.unfolded  # noqa: B018


def test_names_are_loaded_when_they_are_used():
    code = """
import sys
import omniflow
assert not {"numpy", "pydantic", "tensorflow"} & set(sys.modules)
omniflow.InputError
assert "numpy" not in sys.modules
omniflow.Events, omniflow.Source, omniflow.Observable
assert not {"tensorflow", "keras", "matplotlib"} & set(sys.modules)
omniflow.unfold, omniflow.read, omniflow.Study
assert not {"tensorflow", "keras", "matplotlib", "snakemake"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


def test_types_are_part_of_the_package():
    assert resources.files(omniflow).joinpath("py.typed").is_file()


def test_the_page_runs(tmp_path, monkeypatch, undrawn):
    """The blocks of docs/python.md, one after the other: a fifth of the events, short epochs."""
    monkeypatch.chdir(tmp_path)
    page = (Path(__file__).parents[2] / "docs" / "python.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert len(blocks) == 5
    for many, few in (("events(4000,", "events(800,"), ("events(6000,", "events(1200,")):
        assert many in blocks[0]
        blocks[0] = blocks[0].replace(many, few)
    blocks = [re.sub(r'"epochs": \d+', '"epochs": 1, "min_updates": 20', each) for each in blocks]
    names = {"__name__": "__main__"}
    for block in blocks:
        exec(compile(block, "docs/python.md", "exec"), names)
    assert (tmp_path / "report.html").is_file()
    assert names["own"].weights.shape == (1200,)
