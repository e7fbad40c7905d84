"""Reports in headless Chromium: one browser for all tests, which need `chromium` in the PATH."""

import shutil
import sys
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

sys.path.insert(0, str(Path(__file__).parents[1] / "report"))

from study_factory import FIVE, OBSERVABLES, Model, Strategy, write_study

from omniflow.report import page

NAMES = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="session")
def chromium():
    program = next(filter(None, map(shutil.which, NAMES)), None)
    assert program, f"none of {', '.join(NAMES)} is here: install Chromium (.ci/browser does)"
    with sync_playwright() as playwright:
        # Without a sandbox, which root cannot have; the pages are our own.
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


def _report(folder, model):
    page.write(write_study(folder / "study", model), folder / "report.html")
    return folder / "report.html"


@pytest.fixture(scope="session")
def comparison(tmp_path_factory):
    """A report of five methods and two observables."""
    model = Model(FIVE, ("q2", "jet_tau21"), passes=3, iterations=2, epochs=3)
    return _report(tmp_path_factory.mktemp("comparison"), model)


@pytest.fixture(scope="session")
def measurement(tmp_path_factory):
    """A report of one method on data without truth."""
    model = Model(
        {"parallel": Strategy(lanes=3)}, ("q2",), passes=2, iterations=2, epochs=2, has_truth=False
    )
    return _report(tmp_path_factory.mktemp("measurement"), model)


@pytest.fixture(scope="session")
def large(tmp_path_factory):
    """A report of ten methods and nine observables, all that there are, with scatter."""
    more = {
        "parallel-3": Strategy(lanes=3, spread=0.6),
        "parallel-4": Strategy(lanes=4, spread=0.5),
        "step-2": Strategy(members=2, spread=0.8),
        "step-4": Strategy(members=4, spread=0.65),
        "hybrid-3-2": Strategy(lanes=3, members=2, spread=0.5),
    }
    model = Model(FIVE | more, tuple(OBSERVABLES), passes=2, iterations=2, epochs=4, jitter=0.1)
    return _report(tmp_path_factory.mktemp("large"), model)


class Visit:
    """An open report, and what went wrong while it was open."""

    def __init__(self, browser, path, width):
        self.page = browser.new_page(viewport={"width": width, "height": 800})
        self.faults, self.requests = [], []
        self.page.on("console", lambda message: self.faults.append(message.text))
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(path.as_uri())
        self.page.wait_for_selector("html[data-figures=ready]")

    def count(self, selector):
        return self.page.locator(selector).count()


@pytest.fixture
def visit(chromium):
    """Open a report at a width; at the end nothing may have gone wrong in it."""
    opened = []

    def enter(path, width=1280):
        opened.append((path, Visit(chromium, path, width)))
        return opened[-1][1]

    yield enter
    for path, one in opened:
        assert one.faults == []
        assert one.requests == [path.as_uri()]
        one.page.close()
