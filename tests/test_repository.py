"""What stands around the package: linters, hooks, CI, recipes of images and environments."""

import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

import omniflow

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
IMAGES = {
    name: (ROOT / "envs" / name).read_text(encoding="utf-8")
    for name in ("Dockerfile", "apptainer.def")
}


def _commands(target):
    """Return the commands of a target of the Makefile."""
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    found = re.search(rf"^{re.escape(target)}:.*\n((?:\t.*\n)+)", text, re.MULTILINE)
    return [line.strip() for line in found[1].splitlines()]


def _constraints():
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = (line.split("==") for line in lines if "==" in line and not line.startswith("#"))
    return {_canonical(name): version for name, version in pins}


def _canonical(name):
    return re.sub(r"[-_.]+", "-", name.partition("[")[0]).lower()


def _pythons():
    known = (re.search(r"Python :: (3\.\d+)$", each) for each in PROJECT["classifiers"])
    return [found[1] for found in known if found]


def test_hooks_are_the_linters_of_ci():
    """In the environment of make, so that their versions are those of constraints.txt."""
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    assert [repo["repo"] for repo in config["repos"]] == ["local"]
    hooks = config["repos"][0]["hooks"]
    commands = [command.replace("$(BIN)", ".venv/bin") for command in _commands("lint")]
    assert [hook["entry"] for hook in hooks] == commands
    assert {hook["language"] for hook in hooks} == {"system"}
    tools = {Path(command.split()[0]).name for command in commands}
    assert tools == {"mypy", "ruff", "snakefmt", "snakemake"}
    assert tools <= set(_constraints())


def test_workflow_runs_what_ci_runs():
    text = (ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")
    jobs = yaml.safe_load(text)["jobs"]
    steps = [step for job in jobs.values() for step in job["steps"]]
    for step in steps:
        if "uses" in step:
            assert re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40}", step["uses"])
    runs = [step["run"] for step in steps if "run" in step]
    for command in (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines():
        if command == "make smoke":  # on one Python that the other jobs do not have
            assert "make .venv-smoke/python3.13/passed" in runs
        elif re.match(r"make |\.ci/", command):
            assert any(run == command or run.startswith(f"{command} PYTHON=") for run in runs)
    tested = jobs["test"]["strategy"]["matrix"]["python"]
    assert [*tested, "3.13"] == _pythons()


@pytest.mark.parametrize(
    "path",
    [
        ".ci/run",
        ".ci/browser",
        ".ci/cluster",
        *(f"envs/{path.name}" for path in (ROOT / "envs").glob("*.sh")),
    ],
)
def test_scripts_are_shell(path):
    assert os.access(ROOT / path, os.X_OK)
    subprocess.run(["bash", "-n", ROOT / path], check=True)


@pytest.mark.parametrize("name", ["cpu.yaml", "gpu.yaml"])
def test_conda_environments_have_the_versions_of_constraints(name):
    content = yaml.safe_load((ROOT / "envs" / name).read_text(encoding="utf-8"))
    (packages,) = (each["pip"] for each in content["dependencies"] if isinstance(each, dict))
    pins = dict(each.split("==") for each in packages if "==" in each)
    known = _constraints() | {"tensorflow": _constraints()["tensorflow-cpu"]}
    assert len(pins) > 10
    assert {n: v for n, v in pins.items() if known[_canonical(n)] != v} == {}


def _shell(name):
    """Return the commands of a recipe as scripts."""
    if name == "Dockerfile":
        joined = IMAGES[name].replace("\\\n", " ")
        return re.findall(r"^RUN (.*)$", joined, re.MULTILINE)
    return re.findall(r"^%post\n((?:    .*\n)+)", IMAGES[name], re.MULTILINE)


def _copied(name):
    """Return the files of the checkout that a recipe copies, by its two stages."""
    if name == "Dockerfile":
        stages = IMAGES[name].split("\nFROM ")[1:]
        lines = [re.findall(r"^COPY (?!--from)(.*)$", stage, re.MULTILINE) for stage in stages]
        return [sorted(p for line in found for p in line.split()[:-1]) for found in lines]
    parts = re.findall(r"^%files\n((?:    .*\n)+)", IMAGES[name], re.MULTILINE)
    return [sorted(line.split()[0] for line in part.splitlines()) for part in parts]


@pytest.mark.parametrize("name", IMAGES)
def test_recipes_of_images(name):
    """What they copy is there, their commands are shell, and versions are those that are tested."""
    scripts, copied = _shell(name), _copied(name)
    assert len(scripts) == len(copied) == 2
    for script in scripts:
        subprocess.run(["bash", "-n"], input=script, text=True, check=True)
    assert "--constraint constraints.txt" in scripts[0]
    assert [path for paths in copied for path in paths if not (ROOT / path).exists()] == []
    assert {"src", "constraints.txt", "pyproject.toml", "README.md"} <= set(copied[0])
    assert {"Snakefile", "workflow", "profiles", "config"} <= set(copied[1])
    (python,) = set(re.findall(r"PYTHON=(3\.\d+)|From: python:(3\.\d+)-slim", IMAGES[name]))
    assert "".join(python) in _pythons()
    (extras,) = re.findall(r"EXTRAS=(\S+)\n", IMAGES[name])
    assert set(extras.split(",")) <= set(PROJECT["optional-dependencies"])


def test_recipes_of_images_copy_the_same_files():
    assert _copied("Dockerfile") == _copied("apptainer.def")


def test_contributing_names_what_there_is():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    named = re.findall(r"`([\w./-]+\.(?:py|h|cpp|md|txt|yml|toml|json|cff|def))`", text)
    named += re.findall(r"\]\(([\w./-]+)\)", text)
    assert len(named) > 40
    folders = (ROOT, ROOT / "src" / "omniflow")
    assert [name for name in named if not any((each / name).is_file() for each in folders)] == []
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"`make ([\w-]+)`", text)) <= targets


def test_versions_of_the_package_agree():
    version = PROJECT["version"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert version == omniflow.__version__ == citation["version"]
    assert re.search(r"^## \[(.+?)\]", changelog, re.MULTILINE)[1] == version
