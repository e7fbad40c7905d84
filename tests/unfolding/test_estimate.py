import pytest

from omniflow.config import validate
from omniflow.config.schema import Classifier
from omniflow.models import registry
from omniflow.unfolding.estimate import EVENT_FEATURES, PARTICLE_FEATURES, estimate, parameters
from omniflow.unfolding.plan import Plan


def _plan(tmp_path, acceptance=None, **execution):
    sample = {"source": "pythia", "events": 1000, "seed": 1}
    return Plan(
        validate(
            {
                "study": {"name": "s", "passes": 2, "output": str(tmp_path)},
                "samples": {"data": sample, "simulation": sample | {"seed": 2}},
                "unfolding": {"iterations": 3} | (acceptance or {}),
                "methods": {"none": {}, "parallel": {"lanes": 4}, "step": {"members": 2}},
                "execution": execution,
            }
        )
    )


@pytest.mark.usefixtures("tensorflow_runtime")
@pytest.mark.parametrize("kind", ["pet", "deepsets", "mlp"])
def test_parameters_agree_with_the_built_network(kind):
    settings = Classifier(kind=kind, width=64)
    model = registry.build(settings, PARTICLE_FEATURES, EVENT_FEATURES)
    # Biases, norms and scales are left out of the estimate.
    assert sum(parameters(settings)) == pytest.approx(model.count_params(), rel=0.04)


def test_networks_and_shared_networks(tmp_path):
    size = estimate(_plan(tmp_path))
    assert size.methods["none"].networks == 2 * 3 * 2
    assert size.methods["parallel"].networks == 4 * 2 * 3 * 2
    assert size.methods["parallel"].shared == 2 * 3 * 2
    assert size.networks == (4 + 2) * 2 * 3 * 2
    assert not size.measured


def test_jobs_depend_on_their_size_but_networks_do_not(tmp_path):
    one, five = (estimate(_plan(tmp_path, networks_per_job=n)) for n in (1, 5))
    assert one.networks == five.networks
    assert one.jobs == one.networks
    assert five.jobs == 2 * 2 * 3 * 2


def test_conditional_means_are_networks_too(tmp_path):
    unity = estimate(_plan(tmp_path))
    size = estimate(_plan(tmp_path, {"misses": "conditional_mean"}))
    assert size.networks == 3 * unity.networks / 2
    assert size.jobs == 3 * unity.jobs / 2
    # 1040 passing events in step 1, 1000 in step 2, 520 matched events in step 1b.
    assert size.seconds == pytest.approx(unity.seconds * 2560 / 2040)


def test_rates_of_a_finished_study_replace_the_rule_of_thumb(tmp_path):
    plan = _plan(tmp_path)
    plan.table("timing.csv").parent.mkdir(parents=True)
    plan.table("timing.csv").write_text("step,events_per_second\n1,100\n1,300\n2,50\n")
    size = estimate(plan)
    epochs = plan.config.training.epochs
    # 52% of both samples at 200 events/s in step 1, all simulation at 50 events/s in step 2.
    expected = 36 * epochs * (0.52 * 2000 / 200 + 1000 / 50)
    assert size.measured
    assert size.seconds == pytest.approx(expected)
