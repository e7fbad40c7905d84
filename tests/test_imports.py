"""What imports load: measured in processes of their own, one for all that may load the same."""

import ast
import json
import subprocess
import sys
from pathlib import Path

CODE = """
import json, sys
before = set(sys.modules)
import {modules}
print(json.dumps(sorted(set(sys.modules) - before)))
"""
HEAVY = {"tensorflow", "keras", "fastjet", "pythia8mc", "snakemake", "matplotlib", "horovod"}


def _modules(*modules):
    """Return the modules that imports load, all of them in one process."""
    result = subprocess.run(
        [sys.executable, "-c", CODE.format(modules=", ".join(modules))],
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stderr == ""
    return set(json.loads(result.stdout))


def _loaded(*modules):
    """Return the packages that imports load, all of them in one process."""
    return {name.split(".")[0] for name in _modules(*modules)}


def test_the_package_loads_nothing_else():
    loaded = _loaded("omniflow")
    assert "omniflow" in loaded
    assert loaded & (HEAVY | {"h5py", "numpy", "pandas", "pydantic", "yaml"}) == set()


def test_the_plan_needs_no_event_files_and_no_networks():
    loaded = _loaded(
        "omniflow.unfolding.plan",
        "omniflow.config",
        "omniflow.observables.find",
        "omniflow.physics.dis.observables",
    )
    assert loaded & (HEAVY | {"h5py", "pandas", "awkward", "hist"}) == set()


def test_the_algorithm_needs_no_configuration():
    """The steps are functions of arrays: neither pydantic nor anything of the configuration."""
    assert _loaded("omniflow.unfolding.steps") & (HEAVY | {"pydantic", "yaml", "h5py"}) == set()


def test_the_many_jobs_of_a_study_load_what_they_need_alone():
    """Trainings and aggregations: a study of 1,000 networks has hundreds of them."""
    jobs = ("training", "pretraining", "weights", "second", "samples", "command")
    loaded = _loaded("omniflow.events.batches", *(f"omniflow.stages.{job}" for job in jobs))
    slow = {"pandas", "scipy", "hist", "awkward", "uproot", "pyarrow", "importlib_metadata"}
    assert loaded & (HEAVY | slow) == set()


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
    "files errors hdf5 units linked checksums process lock refusals registry outside",
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


def test_distributions_are_loaded_where_they_are_used():
    """Half a second for tables, report and `omniflow.unfold`; `scipy.special` has most of them."""
    wrong = [
        path.name
        for path in PACKAGE.rglob("*.py")
        for node in _loaded_at_once(ast.parse(path.read_text(encoding="utf-8")).body)
        if "scipy.stats" in ast.unparse(node)
    ]
    assert wrong == []
