import h5py
import pytest
from plans import make_plan

from omniflow.config import validate
from omniflow.config.training import Classifier
from omniflow.errors import ConfigError
from omniflow.forecast import forecast
from omniflow.models import registry
from omniflow.physics.dis.h1 import H1
from omniflow.unfolding.coordinates import ORACLE
from omniflow.unfolding.estimate import (
    EVALUATION,
    epoch_events,
    estimate,
    histogrammed,
    measured_rates,
    missing_files,
    network_seconds,
    parameters,
    rates,
    refuse_impossible_toys,
    second_seconds,
)
from omniflow.unfolding.jobs import jobs
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
                "training": {"min_updates": 1},
                "execution": execution,
                "diagnostics": {"second_classifier": False, "oracle": False, "response": False},
            }
        )
    )


@pytest.mark.usefixtures("tensorflow_runtime")
@pytest.mark.parametrize("kind", ["pet", "deepsets", "mlp"])
def test_parameters_agree_with_the_built_network(tmp_path, kind):
    settings = Classifier(kind=kind, width=64)
    config = _plan(tmp_path).config.model_copy(update={"classifier": settings})
    model = registry.build(settings, 7, 5)
    # Biases, norms and scales are left out of the estimate.
    assert sum(parameters(Plan(config), "particle")) == pytest.approx(
        model.count_params(), rel=0.04
    )


def test_networks_and_shared_networks(tmp_path):
    size = estimate(_plan(tmp_path))
    assert size.methods["none"].networks == 2 * 3 * 2
    assert size.methods["parallel"].networks == 4 * 2 * 3 * 2
    assert size.methods["parallel"].shared == 2 * 3 * 2
    assert size.networks == (4 + 2) * 2 * 3 * 2
    assert "rule of thumb" in size.rates.source


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


def _timing(plan, *rows):
    """Write the columns of the timing table that matter, with threads last."""
    lines = ["step,events_per_second,device,engine,ranks,threads", *rows]
    plan.table("timing.csv").parent.mkdir(parents=True, exist_ok=True)
    plan.table("timing.csv").write_text("\n".join(lines) + "\n")


def test_rates_of_a_finished_study_replace_the_rule_of_thumb(tmp_path):
    plan = _plan(tmp_path)
    _timing(plan, "1,100,CPU,native,1,1", "1,300,CPU,tensorflow,1,", "2,50,CPU,native,1,1.0")
    size = estimate(plan)
    # 52% of both samples at 200 events/s in step 1, all simulation at 50 events/s in step 2.
    per_pass = 0.52 * 2000 / 200 + 1000 / 50
    # 80% are trained on and 20% evaluated in every epoch; before and after them 20% and all.
    epochs = plan.config.training.epochs * (0.8 + 0.2 / EVALUATION) + 1.2 / EVALUATION
    assert "measured" in size.rates.source
    assert size.seconds == pytest.approx(36 * epochs * per_pass)


@pytest.mark.parametrize(
    ("execution", "wanted"),
    [
        ({}, {1: 200, 2: 50}),
        ({"engine": "native"}, {1: 100, 2: 50}),
        ({"engine": "tensorflow"}, None),  # none in step 2
        ({"threads": 4}, {1: 400, 2: 200}),
        ({"threads": 2}, None),
        ({"ranks": 2}, {1: 800, 2: 400}),
        ({"ranks": 4}, None),
        ({"gpus": 1}, {1: 5000, 2: 2500}),
        ({"gpus": 1, "threads": 32}, {1: 5000, 2: 2500}),
        ({"gpus": 2, "ranks": 2}, None),
    ],
)
def test_rates_of_jobs_that_ran_otherwise_do_not_count(tmp_path, execution, wanted):
    plan = _plan(tmp_path, **execution)
    _timing(
        plan,
        *("1,100,CPU,native,1,1", "1,300,CPU,tensorflow,1,1", "2,50,CPU,native,1,1"),
        *("1,400,CPU,native,1,4", "2,200,CPU,native,1,4"),
        *("1,800,CPU,native,2,1", "2,400,CPU,native,2,1"),
        *("1,5000,NVIDIA H100,tensorflow,1,1", "2,2500,NVIDIA H100,tensorflow,1,8"),
    )
    assert measured_rates(plan) == wanted
    assert ("rule of thumb" in rates(plan).source) == (wanted is None)


def test_a_given_rate_replaces_all_others(tmp_path):
    plan = _plan(tmp_path)
    _timing(plan, "1,100,CPU,native,1,1", "2,50,CPU,native,1,1")
    found = rates(plan, 1000.0)
    assert found.events_per_second == {1: 1000.0, 2: 1000.0}
    assert "given" in found.source
    seconds = network_seconds(plan, found)
    assert seconds[2] == pytest.approx(2 * network_seconds(plan, rates(plan, 2000.0))[2])
    assert seconds[1] / seconds[2] == pytest.approx(0.52 * 2)


def test_missing_files_are_named(tmp_path):
    (tmp_path / "there.h5").write_bytes(b"")
    files = [str(tmp_path / name) for name in ("there.h5", "absent.h5")]
    assert missing_files(H1(source="h1", files=files)) == files[1:]
    assert missing_files(_plan(tmp_path).config.samples.data) == []


def test_further_predictions_take_time():
    stacked = make_plan({"step": {"members": 4, "aggregate": "stacking"}})
    copies = make_plan(
        {"step": {"members": 4, "diversity": "dropout"}}, classifier={"dropout": 0.1}
    )
    speed = rates(stacked, 100.0)
    for plan, events in ((stacked, 200), (copies, 3 * 1000)):
        (chain,) = plan.chains
        plain, found = network_seconds(plan, speed), network_seconds(plan, speed, chain)
        # Of 1000 events at 100 per second the held-out fifth once more, or three more logits each.
        assert found[2] - plain[2] == pytest.approx(events / 100 / EVALUATION)
        assert found[0] == plain[0]
        trainings = [job for job in jobs(plan, speed) if job.rule == "train"]
        second = len(plan.second_subjects) * second_seconds(plain) + plain[ORACLE]
        work = sum(job.work for job in trainings)
        assert work + second == pytest.approx(estimate(plan, 100.0).seconds)


@pytest.mark.parametrize(("how", "more"), [("mean", 4), ("median", 15)])
def test_smaller_ensembles_are_histogrammed_too(how, more):
    plan = make_plan({"parallel": {"lanes": 4}, "none": {}}, combine=[how], passes=3)
    # 3 passes of 3 iterations; of four lanes there are 15 subsets.
    assert histogrammed(plan, "parallel") == 3 * (3 + more)
    assert histogrammed(plan, "none") == 3 * 3
    work = {job.outputs[0]: job.work for job in jobs(plan, rates(plan)) if job.outputs}
    one, all_ = (work[plan.histograms(method)] for method in ("none", "parallel"))
    assert all_ / one == pytest.approx((3 + more) / 3)


def _toys(files, **changes):
    data = {"source": "h1", "files": [str(file) for file in files], "events": 10}
    samples = {"data": data, "simulation": {"source": "pythia", "events": 1000, "seed": 1}}
    return make_plan({"none": {}}, samples=samples, uncertainties={"toys": 2} | changes)


def test_toys_of_data_without_truth_are_refused(tmp_path):
    for name, levels in (("real.h5", ["reco"]), ("pseudo.h5", ["reco", "gen"])):
        with h5py.File(tmp_path / name, "w") as file:
            for level in levels:
                file.create_dataset(f"{level}_event_features", (30, 1), "f4")
    real, pseudo, absent = (tmp_path / f"{name}.h5" for name in ("real", "pseudo", "absent"))
    with pytest.raises(ConfigError, match=r"uncertainties\.toys: .*real\.h5 .*has no particle"):
        refuse_impossible_toys(_toys([real]))
    with pytest.raises(ConfigError, match="pseudo-data"):
        next(forecast(_toys([real]), None, None))
    refuse_impossible_toys(_toys([real], toys=0))
    refuse_impossible_toys(_toys([pseudo]))
    refuse_impossible_toys(_toys([absent]))
    refuse_impossible_toys(make_plan(uncertainties={"toys": 2}))


def test_more_toys_than_records_are_refused(tmp_path):
    for name, records in (("a.h5", 25), ("b.h5", 14)):
        with h5py.File(tmp_path / name, "w") as file:
            for level in ("reco", "gen"):
                file.create_dataset(f"{level}_event_features", (records, 1), "f4")
    one, both = [tmp_path / "a.h5"], [tmp_path / "a.h5", tmp_path / "b.h5"]
    # Data and two toys of 10 records each take 30; of 25 one toy is there, of 39 two.
    with pytest.raises(ConfigError, match=r"record 29, but .* hold 25: enough for 1 toys"):
        refuse_impossible_toys(_toys(one))
    refuse_impossible_toys(_toys(one, toys=1))
    refuse_impossible_toys(_toys(both))
    with pytest.raises(ConfigError, match=r"record 39, but .* hold 39: enough for 2 toys"):
        refuse_impossible_toys(_toys(both, toys=3))


@pytest.mark.parametrize(("least", "events"), [(1, 0.8 * 2000), (10, 10 * 256), (6, 0.8 * 2000)])
def test_an_epoch_has_at_least_so_many_updates(least, events):
    plan = make_plan(training={"min_updates": least, "epochs": 7})
    assert epoch_events(plan, 2000) == pytest.approx(events)
    assert epoch_events(plan, 0) == 0
    speed = rates(plan, 100.0)
    # Step 2: 1000 events, held-out ones eight times, logits of all.
    trained = max(0.8 * 1000, least * 256)
    seconds = (7 * trained + (8 * 0.2 + 1) * 1000 / EVALUATION) / 100
    assert network_seconds(plan, speed)[2] == pytest.approx(seconds)
