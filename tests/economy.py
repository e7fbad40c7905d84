"""What tests cost, in counts: Pythons that they start, and networks that they train.

Counts do not depend on the machine and its load, as seconds do. Those of a folder stay within its
budget, or the run fails: whoever needs more raises it here, where a review sees it. At the end of a
run of several folders stands a table of them, with the processor seconds beside.
"""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

TESTS = Path(__file__).parent
COUNTED = ("pythons", "networks")
# By folder; one that is missing starts none. A fixture of the session counts once, however many
# processes of pytest make it.
PYTHONS = {
    **{"": 13, "api": 1, "docs": 1, "examples": 2, "export": 3, "expressions": 1, "models": 1},
    **{"outside": 2, "physics": 2, "report": 1, "smoke": 3, "training": 2, "workflow": 12},
    "fuzz": 4,  # two, and again when a file has ended them
}
# By folder; one that is missing trains what it needs.
NETWORKS = {
    **{"": 50, "api": 380, "benchmarks": 1, "docs": 40, "examples": 140, "export": 230},
    **{"fuzz": 20, "proofs": 310, "stages": 540, "training": 350, "workflow": 140},
}
# Whose tests are about processes: run by commands of their own.
FREE = ("browser", "cluster")


class Costs:
    """Counts of this process by place: folder, fixture of the session (or none), what."""

    def __init__(self) -> None:
        """Nothing has been counted."""
        self.found: Counter[tuple[str, str, str]] = Counter()
        self._places, self._begin = [("", "")], 0.0

    def add(self, what: str, number: float) -> None:
        """Count something at the place where the run is."""
        self.found[(*self._places[-1], what)] += number

    def _settle(self) -> None:
        """Count the processor seconds since this was called last, those of ended children too."""
        now = sum(os.times()[:4])
        self.add("seconds", now - self._begin)
        self._begin = now

    @contextmanager
    def at(self, folder: str, fixture: str = "") -> Iterator[None]:
        """Count at a place within this context."""
        self._settle()
        self._places.append((folder, fixture))
        try:
            yield
        finally:
            self._settle()
            self._places.pop()


def starts_python(args: Any, *_: Any, **__: Any) -> bool:
    """Return whether arguments of `Popen` start an interpreter, which takes half a second."""
    words = [args] if isinstance(args, str | os.PathLike) else args
    first = Path(os.fsdecode(words[0]).split()[0])
    return first.name.startswith("python") or first.parent == Path(sys.executable).parent


def folder_of(path: Path) -> str:
    """Return the folder of tests that a file or folder belongs to; empty at the top and outside."""
    parts = path.relative_to(TESTS).parts if path.is_relative_to(TESTS) else ()
    return parts[0] if parts and (len(parts) > 1 or path.is_dir()) else ""


def summed(costs: list[Counter[tuple[str, str, str]]]) -> dict[str, Counter[str]]:
    """Return what several processes have counted by folder; a fixture counts where it is most."""
    found: dict[str, Counter[str]] = {}
    for folder, fixture, what in set().union(*costs):
        each = [count[folder, fixture, what] for count in costs]
        number = max(each) if fixture and what in COUNTED else sum(each)
        found.setdefault(folder, Counter())[what] += number
    return found


def exceeded(costs: dict[str, Counter[str]]) -> list[str]:
    """Return a line for each budget that a folder does not keep."""
    lines = []
    for folder in sorted(set(costs) - set(FREE)):
        found = costs[folder]
        budgets = PYTHONS.get(folder, 0), NETWORKS.get(folder, found["networks"])
        lines += [
            f"tests/{folder}: {found[what]} {what}, and its budget is {most}: make do with fewer,"
            " or raise it in tests/economy.py"
            for what, most in zip(COUNTED, budgets, strict=True)
            if found[what] > most
        ]
    return lines


def table(costs: dict[str, Counter[str]]) -> list[str]:
    """Return the lines of a table, the dearest folder first."""
    order = sorted(costs, key=lambda folder: -costs[folder]["seconds"])
    rows = [
        f"{costs[folder]['seconds']:8.1f} {costs[folder]['pythons']:7} "
        f"{costs[folder]['networks']:8}  tests/{folder}"
        for folder in order
    ]
    return [" seconds pythons networks", *rows]


class Economy:
    """A plugin of pytest that counts, adds up what its processes have counted, and compares."""

    def __init__(self) -> None:
        """Nothing has been counted."""
        self._costs, self._others = Costs(), []
        self._total: dict[str, Counter[str]] = {}

    def _count(self, owner: type, name: str, what: str, number: Callable[..., int]) -> None:
        """Count calls of a method."""
        inner = getattr(owner, name)

        @functools.wraps(inner)
        def counted(this: object, *arguments: Any, **named: Any) -> Any:
            self._costs.add(what, number(*arguments, **named))
            return inner(this, *arguments, **named)

        setattr(owner, name, counted)

    def pytest_collection_finish(self) -> None:
        """Count from now on: processes of pytest itself, as many as the machine has cores, do not.

        Here the package is imported without being in anybody's way.
        """
        from omniflow.training.trainer import Trainer

        self._count(subprocess.Popen, "__init__", "pythons", starts_python)
        self._count(Trainer, "fit", "networks", lambda tasks, *_: len(tasks))

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        """A test, its fixtures included, counts for its folder."""
        with self._costs.at(folder_of(item.path)):
            return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: Any) -> Iterator[None]:
        """A fixture of the session counts for the folder that it is defined in."""
        if fixturedef.scope != "session":
            return (yield)
        with self._costs.at(folder_of(TESTS.parent / fixturedef.baseid), fixturedef.argname):
            return (yield)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Take what another process has counted."""
        found = getattr(node, "workeroutput", {}).get("economy", ())
        self._others.append(Counter({tuple(place): number for *place, number in found}))

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Hand over what was counted; where all of it is, fail if a budget is exceeded."""
        found = self._costs.found
        if hasattr(session.config, "workeroutput"):
            session.config.workeroutput["economy"] = [[*at, n] for at, n in found.items()]
            return
        self._total = summed([found, *self._others])
        if exceeded(self._total) and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Show the table of a run of several folders, and what is too much."""
        if len(self._total) > 3:  # beside pytest itself and the fixtures of all
            terminalreporter.section("what tests cost")
            terminalreporter.write_line("\n".join(table(self._total)))
        for line in exceeded(self._total):
            terminalreporter.write_line(line, red=True)
