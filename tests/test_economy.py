"""The rule itself: what tests cost is counted where it arises, and more than planned is told."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import economy
import pytest


def test_places_have_their_own_counts():
    costs = economy.Costs()
    with costs.at("stages"):
        costs.add("networks", 2)
        with costs.at("stages", "warm"):
            costs.add("networks", 5)
        costs.add("networks", 1)
    found = costs.found
    assert found["stages", "", "networks"] == 3
    assert found["stages", "warm", "networks"] == 5
    assert found["stages", "", "seconds"] >= 0


def test_fixtures_of_the_session_count_once():
    """Each process of pytest makes its own; seconds are those of all."""
    one = Counter({("a", "", "networks"): 3, ("a", "warm", "networks"): 5, ("a", "", "seconds"): 1})
    other = Counter({("a", "warm", "networks"): 5, ("a", "warm", "seconds"): 2})
    assert economy.summed([one, other]) == {"a": Counter({"networks": 8, "seconds": 3})}


def test_more_than_the_budget_is_told(monkeypatch):
    monkeypatch.setattr(economy, "PYTHONS", {"a": 1})
    monkeypatch.setattr(economy, "NETWORKS", {"a": 4})
    fine = {"a": Counter(pythons=1, networks=4), "cluster": Counter(pythons=99)}
    assert economy.exceeded(fine) == []
    assert economy.exceeded({"free": Counter(networks=99)}) == []
    found = economy.exceeded({"a": Counter(networks=5), "new": Counter(pythons=1)})
    assert [line.split(":")[0] for line in found] == ["tests/a", "tests/new"]
    assert "5 networks, and its budget is 4" in found[0]


@pytest.mark.parametrize(
    ("path", "folder"),
    [("api/test_size.py", "api"), ("stages", "stages"), ("test_economy.py", ""), ("..", "")],
)
def test_folders_of_files(path, folder):
    assert economy.folder_of((economy.TESTS / path).resolve()) == folder


def test_pythons_are_told_from_other_programs():
    assert economy.starts_python([Path(sys.executable), "-c", ""])
    assert economy.starts_python([str(Path(sys.executable).parent / "mkdocs"), "build"])
    assert economy.starts_python("python3 -m pip", shell=True)
    assert economy.starts_python(args=Path(sys.executable))
    assert not economy.starts_python(["bash", "-c", "python"])


def test_processes_of_pytest_itself_are_not_counted():
    """They start before there are tests, one for each core of the machine."""
    counts = subprocess.Popen.__init__
    economy.Economy()
    assert subprocess.Popen.__init__ is counts


def test_budgets_are_those_of_folders_that_are_there():
    named = {*economy.PYTHONS, *economy.NETWORKS, *economy.FREE}
    assert [name for name in named if not (economy.TESTS / name).is_dir()] == []
