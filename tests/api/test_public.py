"""The public face: names, and examples that run."""

import doctest
import importlib
import subprocess
import sys
from importlib import resources

import pytest

import omniflow

NAMES = [
    *("ConfigError", "Events", "InputError", "Level", "LockError", "Observable", "OmniflowError"),
    *("OutputError", "Source", "Study", "TrainingError", "WeightError", "__version__"),
    *("read", "unfold"),
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


@pytest.mark.parametrize("module", ["omniflow.events.sample", "omniflow.api.unfold"])
def test_examples_run(module):
    found = doctest.testmod(importlib.import_module(module))
    assert found.attempted >= 5
    assert found.failed == 0
