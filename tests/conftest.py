import html
import subprocess

import economy
import pytest

# Folders of the longest tests. They start first, so that no process ends with one of them alone.
FIRST = ("workflow", "proofs")


def pytest_configure(config):
    """Count what tests cost."""
    config.pluginmanager.register(economy.Economy())


def pytest_collection_modifyitems(items):
    """Put the folders of FIRST, in this order, before all others."""
    places = {folder: place for place, folder in enumerate(FIRST)}
    items.sort(key=lambda item: places.get(item.path.parent.name, len(FIRST)))


@pytest.fixture(scope="session")
def tensorflow_runtime():
    """TensorFlow with one thread: the settings can only be made before its first operation."""
    from omniflow.training import runtime

    runtime.configure(1)


@pytest.fixture
def float64():
    """Networks built inside the test are of double precision."""
    import keras

    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    yield
    keras.config.set_floatx("float32")
    keras.config.set_dtype_policy("float32")


@pytest.fixture
def undrawn(monkeypatch):
    """Figures are made but not written as SVG, most of a page's time: for tests of its text."""
    from omniflow.report import drawing

    def label(_, title):
        return f'<svg role="img" aria-label="{html.escape(title)}"></svg>'

    monkeypatch.setattr(drawing, "_svg", label)


@pytest.fixture
def sleeper():
    """A process that runs until the test ends it."""
    child = subprocess.Popen(["sleep", "300"])
    yield child
    child.kill()
    child.wait()
