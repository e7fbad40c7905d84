import pytest
import small_study

from omniflow.stages import weights

METHODS = {
    "none": {},
    "parallel": {"lanes": 3},
    "step": {"members": 2},
    "pretrained": {"start": "pretrained"},
    "backbone": {"start": "backbone"},
}


@pytest.fixture(scope="session", autouse=True)
def _runtime(tensorflow_runtime):
    return tensorflow_runtime


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("studies")


@pytest.fixture(scope="session")
def warm(folder):
    """A study with warm restarts, fixed splits and three networks a job."""
    restart = {"network": "warm", "rate_factor": 0.5, "split": "fixed"}
    plan = small_study.run(small_study.make_plan(folder, "warm", METHODS, restart, per_job=3))
    for method in METHODS:
        weights.combine(plan, method)
    return plan


@pytest.fixture(scope="session")
def means(folder):
    """A study with conditional means of misses and fakes, two networks a job."""
    acceptance = {"misses": "conditional_mean", "fakes": "conditional_mean"}
    plan = small_study.make_plan(folder, "means", {"parallel": {"lanes": 2}}, {}, 2, **acceptance)
    small_study.run(plan)
    weights.combine(plan, "parallel")
    return plan


@pytest.fixture(scope="session")
def cold(folder):
    """A study with cold restarts and fresh splits, one network a job."""
    methods = {"parallel": {"lanes": 2}}
    restart = {"network": "cold", "split": "fresh"}
    return small_study.run(small_study.make_plan(folder, "cold", methods, restart, per_job=1))
