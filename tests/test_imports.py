"""What imports load: each is measured in a process of its own."""

import ast
import json
import subprocess
import sys
from pathlib import Path

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


def test_the_algorithm_needs_no_configuration():
    """The steps are functions of arrays: neither pydantic nor anything of the configuration."""
    assert _loaded("omniflow.unfolding.steps") & (HEAVY | {"pydantic", "yaml", "h5py"}) == set()


@pytest.mark.parametrize(
    "module",
    [
        "omniflow.stages.training",
        "omniflow.stages.pretraining",
        "omniflow.stages.weights",
        "omniflow.stages.second",
        "omniflow.stages.samples",
    ],
)
def test_the_many_jobs_of_a_study_load_what_they_need_alone(module):
    """Trainings and aggregations: a study of 1,000 networks has hundreds of them."""
    slow = {"pandas", "scipy", "hist", "awkward", "uproot", "pyarrow", "importlib_metadata"}
    assert _loaded(f"{module}, omniflow.stages.command") & (HEAVY | slow) == set()


def test_histograms_need_no_tables():
    """A study has a job for every method and variant."""
    slow = {"pandas", "hist", "awkward", "uproot", "pyarrow"}
    assert _loaded("omniflow.stages.evaluation") & (HEAVY | slow) == set()


def test_names_of_observables_are_looked_up_without_event_files():
    """When a configuration is validated, not when the module is imported."""
    heavy = HEAVY | {"h5py", "pandas", "awkward", "hist"}
    module = "omniflow.config.observables"
    unseen = "assert 'omniflow.observables' not in sys.modules"
    assert _loaded(f"{module}, sys; {unseen}; {module}.Observables()") & heavy == set()


# From the lowest up, as docs/architecture.md has them. Entries of the registry use what is above
# the rest of their package, as a user's own modules do.
LAYERS = (
    "files errors units linked checksums process lock refusals registry outside",
    *("expressions", "config", "events", "physics", "sources", "features", "observables"),
    *("models native", "drafts", "training", "tables", "unfolding", "evaluation", "forecast"),
    *(
        "report",
        "stages",
        "api",
        "export",
        "pace",
        "workflow",
        "cli_parts",
        "cli_compare cli_export",
        "cli",
    ),
)
ENTRIES = {
    f"physics/dis/{name}.py" for name in ("features", "h1", "h1_file", "observables", "pythia")
}
PACKAGE = Path(__file__).parents[1] / "src" / "omniflow"


def _loaded_at_once(body):
    """Yield the import statements that run when a module is loaded."""
    for node in body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        elif isinstance(node, ast.If) and "TYPE_CHECKING" not in ast.dump(node.test):
            yield from _loaded_at_once([*node.body, *node.orelse])
        elif isinstance(node, ast.Try):
            yield from _loaded_at_once(node.body)


def _rooms(node):
    """Return the parts of the package that an import statement names."""
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    elif node.module == "omniflow":
        names = [f"omniflow.{alias.name}" for alias in node.names]
    else:
        names = [node.module or ""]
    return {name.split(".")[1] for name in names if name.startswith("omniflow.")}


def test_imports_point_downwards():
    rank = {room: height for height, rooms in enumerate(LAYERS) for room in rooms.split()}
    rooms = {
        path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in PACKAGE.rglob("*.py")
    }
    assert rooms - {"__init__"} == set(rank)
    wrong = []
    for path in PACKAGE.rglob("*.py"):
        name = path.relative_to(PACKAGE).as_posix()
        room = name.partition("/")[0].removesuffix(".py")
        if room == "__init__" or name in ENTRIES:
            continue
        for node in _loaded_at_once(ast.parse(path.read_text(encoding="utf-8")).body):
            wrong += [(name, other) for other in _rooms(node) if rank.get(other, -1) > rank[room]]
    assert wrong == []
