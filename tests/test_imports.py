"""What imports load: each is measured in a process of its own."""

import json
import subprocess
import sys

import pytest

CODE = """
import json, sys
before = set(sys.modules)
import {module}
print(json.dumps(sorted(set(sys.modules) - before)))
"""
HEAVY = {"tensorflow", "keras", "fastjet", "pythia8mc", "snakemake", "matplotlib", "horovod"}


def _loaded(module):
    result = subprocess.run(
        [sys.executable, "-c", CODE.format(module=module)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stderr == ""
    return {name.split(".")[0] for name in json.loads(result.stdout)}


def test_the_package_loads_nothing_else():
    loaded = _loaded("omniflow")
    assert "omniflow" in loaded
    assert loaded & (HEAVY | {"h5py", "numpy", "pandas", "pydantic", "yaml"}) == set()


@pytest.mark.parametrize(
    "module",
    [
        "omniflow.unfolding.plan",
        "omniflow.config",
        "omniflow.observables.find",
        "omniflow.physics.dis.observables",
    ],
)
def test_the_plan_needs_no_event_files_and_no_networks(module):
    assert _loaded(module) & (HEAVY | {"h5py", "pandas", "awkward", "hist"}) == set()


@pytest.mark.parametrize(
    "module",
    ["omniflow.events.batches", "omniflow.unfolding.steps", "omniflow.stages.training"],
)
def test_networks_are_loaded_when_one_is_built(module):
    assert _loaded(module) & HEAVY == set()


def test_names_of_observables_are_looked_up_without_event_files():
    """When a configuration is validated, not when the module is imported."""
    heavy = HEAVY | {"h5py", "pandas", "awkward", "hist"}
    module = "omniflow.config.observables"
    unseen = "assert 'omniflow.observables' not in sys.modules"
    assert _loaded(f"{module}, sys; {unseen}; {module}.Observables()") & heavy == set()
