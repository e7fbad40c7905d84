import pytest


@pytest.fixture(scope="session", autouse=True)
def _runtime(tensorflow_runtime):
    return tensorflow_runtime
