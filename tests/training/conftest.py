import pytest
from training_inputs import two_classes


@pytest.fixture(scope="session", autouse=True)
def _runtime(tensorflow_runtime):
    return tensorflow_runtime


@pytest.fixture(scope="session")
def trainer():
    """One traced trainer for all tests: none of them may leave a trace in it."""
    from small_networks import make_trainer

    return make_trainer()


@pytest.fixture(scope="session")
def fit(trainer):
    """The reference training on two classes."""
    from small_networks import train

    return train(trainer, two_classes())
