from copy import deepcopy
from functools import reduce

import numpy as np
import pytest
from plans import PYTHIA, all_networks, make_plan, state
from scipy import stats

from omniflow.errors import ConfigError
from omniflow.physics.dis.h1 import H1
from omniflow.physics.dis.pythia import Pythia
from omniflow.unfolding.coordinates import NOMINAL, parted, prefixed
from omniflow.unfolding.estimate import Rates, estimate
from omniflow.unfolding.jobs import jobs
from omniflow.unfolding.variants import ROLES, Variant, replica_weights

METHODS = {"parallel": {"lanes": 3}, "step": {"members": 2}}
WEIGHTS = {"files": ["weights.h5"], "dataset": "factor"}
ALL = {
    "data_replicas": 2,
    "simulation_replicas": 3,
    "toys": 1,
    "variations": {
        "model": {"simulation": PYTHIA | {"seed": 7, "shower": "vincia"}},
        "scale": {"simulation_weights": WEIGHTS},
    },
}
EVENTS = np.arange(400_000, dtype=np.uint64)


def with_variants(**changes):
    return make_plan(METHODS, uncertainties=ALL | changes)


# -- weights of replicas -------------------------------------------------------------------------


def test_replicas_are_poisson_distributed():
    found = replica_weights(11, Variant("data-3", "data", 3), EVENTS)
    n = len(EVENTS)
    assert abs(found.mean() - 1) < 4 / np.sqrt(n)
    assert abs(found.var() - 1) < 4 * np.sqrt(3 / n)  # the fourth central moment is 4
    counts = np.bincount(found.astype(int), minlength=7)[:7]
    expected = n * stats.poisson.pmf(np.arange(7), 1)
    assert np.all(np.abs(counts - expected) < 4.5 * np.sqrt(expected))


def test_an_event_has_its_weight_whatever_the_order():
    replica = Variant("simulation-1", "simulation", 1)
    order = np.random.default_rng(1).permutation(len(EVENTS))
    whole = replica_weights(11, replica, EVENTS)
    assert np.array_equal(replica_weights(11, replica, EVENTS[order]), whole[order])
    parts = [replica_weights(11, replica, part) for part in np.array_split(EVENTS, 7)]
    assert np.array_equal(np.concatenate(parts), whole)


def test_replicas_are_independent():
    places = [(11, "data", 1), (11, "data", 2), (11, "simulation", 1), (12, "data", 1)]
    rows = np.array(
        [replica_weights(seed, Variant("", kind, n), EVENTS) for seed, kind, n in places]
    )
    correlation = np.corrcoef(rows) - np.eye(len(rows))
    assert np.abs(correlation).max() < 4.5 / np.sqrt(len(EVENTS))
    # Nor are neighbouring events of one replica related.
    assert abs(np.corrcoef(rows[0, 1:], rows[0, :-1])[0, 1]) < 4.5 / np.sqrt(len(EVENTS))


# -- what there is -------------------------------------------------------------------------------


def test_variants_of_a_study():
    plan = with_variants()
    assert plan.variants.names == [
        *("nominal", "data-1", "data-2", "simulation-1", "simulation-2", "simulation-3"),
        *("model", "scale", "toy-1"),
    ]
    assert plan.variants.methods == ("parallel",)
    assert plan.variants.results[:4] == ["parallel", "step", "data-1.parallel", "data-2.parallel"]
    assert len(plan.variants.results) == 2 + 8
    assert set(plan.samples) == {"data", "simulation", "model.simulation", "toy-1.data"}
    assert plan.variants.role("simulation", "model") == "model.simulation"
    assert plan.variants.role("data", "model") == "data"
    assert plan.variants.role("data", "toy-1") == "toy-1.data"


def test_without_variants_nothing_is_added():
    plan = make_plan(METHODS)
    assert plan.variants.names == [NOMINAL]
    assert plan.variants.methods == ()
    assert plan.variants.results == list(METHODS)
    assert plan.uncertainty_tables == []


def test_every_variant_runs_the_lanes_of_its_methods():
    plan = with_variants()
    networks = all_networks(plan)
    # 3 lanes of 1 pass, 3 iterations, 2 steps; nominal: 2 passes of both methods.
    assert sum(n.variant == "data-2" for n in networks) == 3 * 3 * 2
    assert sum(n.variant == NOMINAL for n in networks) == 2 * (3 + 2) * 3 * 2
    assert {n.chain for n in networks if n.variant != NOMINAL} == {"scratch-1"}
    size = estimate(plan, rate=1000.0)
    assert size.variants == 8 * 18
    assert size.networks == len(networks) + 2 * len(plan.second_subjects) + plan.has_oracle
    more = all_networks(with_variants(passes=2, methods=["parallel", "step"]))
    assert sum(n.variant == "model" for n in more) == 2 * (3 + 2) * 3 * 2


def test_variants_share_random_numbers_and_toys_do_not():
    plan = with_variants()
    networks = all_networks(plan)
    nominal = {
        (n.chain, n.pass_, n.k, n.iteration, n.step): state(plan, n)
        for n in networks
        if n.variant == NOMINAL
    }
    for n in networks:
        same = state(plan, n) == nominal[n.chain, n.pass_, n.k, n.iteration, n.step]
        assert same == (n.variant != "toy-1"), n.name


def test_networks_of_variants_have_names_and_places_of_their_own():
    plan = with_variants()
    networks = all_networks(plan)
    for found in (
        {n.name for n in networks},
        {plan.checkpoint(n) for n in networks},
        {plan.fingerprints.training((n,)) for n in networks},
        {(plan.networks_folder(b), plan.network_file(n)) for n, b in networks.items()},
    ):
        assert len(found) == len(networks)
    for group, _, _ in plan.stages():
        assert plan.group(group.chain, group.pass_, group.slug) == group


def test_nominal_networks_do_not_know_of_variants():
    with_them, without = with_variants(), make_plan(METHODS)
    for network, block in all_networks(without).items():
        assert all_networks(with_them)[network] == block
        for plan_of in (with_them, without):
            assert "nominal" not in str(plan_of.networks_folder(block))
        assert with_them.fingerprints.training((network,)) == without.fingerprints.training(
            (network,)
        )
        assert with_them.inputs.block(block) == without.inputs.block(block)


def test_another_weight_file_trains_its_variation_anew():
    plan = with_variants()
    scale = {"scale": {"simulation_weights": WEIGHTS | {"dataset": "other"}}}
    other = with_variants(variations=ALL["variations"] | scale)
    for network in all_networks(plan):
        same = plan.fingerprints.training((network,)) == other.fingerprints.training((network,))
        assert same == (network.variant != "scale")


def test_jobs_read_the_samples_of_their_variant():
    plan = with_variants()
    for block in plan.all_blocks():
        inputs, variant = plan.inputs.block(block), block.group.variant
        role = "model.simulation" if variant == "model" else "simulation"
        level = "detector" if block.step == 1 else "particle"
        assert plan.features(role, level) in inputs
        assert (plan.variants.weight_files("scale")[0] in inputs) == (variant == "scale")
        data = plan.features("toy-1.data" if variant == "toy-1" else "data", "detector")
        assert (data in inputs) == (block.step == 1)


def test_everything_that_a_job_needs_is_made_before():
    plan = with_variants()
    made = {plan.variants.weight_files("scale")[0]}
    for job in jobs(plan, Rates({1: 1000.0, 2: 1000.0}, "")):
        assert made.issuperset(job.inputs), job.rule
        made.update(job.outputs)
    assert made.issuperset(plan.uncertainty_tables)


def test_two_sides_make_one_block():
    names = ["jes_up", "jes_down", "model", "pdf_up"]
    variations = {name: {"simulation_weights": WEIGHTS} for name in names}
    assert with_variants(variations=variations).variants.blocks() == {
        "jes": ("jes_up", "jes_down"),
        "model": ("model",),
        "pdf_up": ("pdf_up",),
    }


def test_names_are_taken_apart_as_they_were_made():
    for variant in (NOMINAL, "data-3", "model_up"):
        assert parted(prefixed(variant, "lanes-0-4")) == (variant, "lanes-0-4")
    assert prefixed(NOMINAL, "x") == "x"


# -- samples -------------------------------------------------------------------------------------


def test_toys_take_other_events():
    generated = Pythia(source="pythia", events=10, seed=3)
    seeds = {generated.next(n).seed for n in range(5)}
    assert len(seeds) == 5
    assert generated.next(0) == generated
    read = H1(source="h1", files=("a.h5",), events=100, skip=50)
    assert [read.next(n).skip for n in (1, 2)] == [150, 250]
    last = Pythia(source="pythia", events=10, seed=900_000_000)
    Pythia.model_validate(last.next(3).model_dump())


def test_toys_may_take_simulations_of_their_own():
    plan = with_variants(toys=2, toy_simulations=True)
    assert plan.variants.role("simulation", "toy-2") == "toy-2.simulation"
    assert plan.variants.role("data", "toy-2") == "toy-2.data"
    seeds = {plan.samples[role].seed for role in plan.samples if "toy" in role or "." not in role}
    assert len(seeds) == 6  # data and simulation, two of each
    with pytest.raises(ConfigError, match="toy_simulations: there are no toys"):
        with_variants(toys=0, toy_simulations=True)


def test_simulations_of_toys_are_other_events():
    """Records of one file: simulation 0 to 99 with those of two toys to 299, data after them."""
    samples = {"simulation": _h1("f.h5", 0, 100), "data": _h1("f.h5", 300, 50)}
    wanted = {"toys": 2, "toy_simulations": True}
    make_plan({"none": {}}, samples=samples, uncertainties=wanted)
    samples["data"] = _h1("f.h5", 299, 50)
    with pytest.raises(ConfigError, match=r"samples\.data and uncertainties\.toys \(sim"):
        make_plan({"none": {}}, samples=samples, uncertainties=wanted)
    make_plan({"none": {}}, samples=samples, uncertainties={"toys": 2})
    samples = {"simulation": _h1("f.h5", 0, 100), "data": _h1("g.h5", 0, 50)}
    samples["simulation"].pop("events")
    with pytest.raises(ConfigError, match=r"needs samples\.simulation\.events"):
        make_plan({"none": {}}, samples=samples, uncertainties=wanted)


def test_samples_of_one_kind_have_one_origin():
    one, other = (Pythia(source="pythia", events=n, seed=n) for n in (3, 4))
    assert one.origins() == other.origins()
    assert not one.origins() & one.model_copy(update={"shower": "vincia"}).origins()
    files = [H1(source="h1", files=f) for f in (("a", "b"), ("b",), ("c",))]
    assert files[0].origins() & files[1].origins()
    assert not files[0].origins() & files[2].origins()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data_replicas": 1}, "at least 2"),
        ({"methods": ["other"]}, "there is no method 'other'"),
        ({"passes": 3}, "more than study.passes"),
        ({"variations": {"data-3": {"simulation_weights": WEIGHTS}}}, "is the name of something"),
        (
            {
                "variations": {
                    name: {"simulation_weights": WEIGHTS} for name in ("data_up", "data_down")
                }
            },
            "'data_up' is the name of something",
        ),
        ({"variations": {"x": {}}}, "give simulation"),
        ({"variations": {"x": {"simulation": PYTHIA}}}, "the same events"),
        (
            {"variations": {"x": {"simulation": PYTHIA, "simulation_weights": WEIGHTS}}},
            "not both",
        ),
    ],
)
def test_settings_that_cannot_be(changes, message):
    with pytest.raises(ConfigError, match=message):
        with_variants(**changes)


def _h1(name, skip=0, events=None):
    return {"source": "h1", "files": [name], "skip": skip, "events": events}


@pytest.mark.parametrize("source", ["h1", "pythia"])
@pytest.mark.parametrize(
    "where",
    [
        *("samples.simulation", "samples.backgrounds.photo", "samples.pretraining.numerator"),
        *("uncertainties.variations.model.simulation", "uncertainties.variations.model.data"),
        "uncertainties.predictions.other",
    ],
)
def test_toys_are_other_events(source, where):
    """Toys of 500 records after the first 500: records 500 to 1999 of the file, or three seeds."""
    data = _h1("f.h5", 0, 500) if source == "h1" else PYTHIA
    samples = {
        "data": data,
        "simulation": PYTHIA | {"seed": 92},
        "backgrounds": {"photo": {"sample": PYTHIA | {"seed": 93}}},
        "pretraining": {"numerator": PYTHIA | {"seed": 94}, "denominator": PYTHIA | {"seed": 95}},
    }
    wanted = {
        "toys": 3,
        "variations": {"model": {key: PYTHIA | {"seed": 96 + k} for k, key in enumerate(ROLES)}},
        "predictions": {"other": PYTHIA | {"seed": 98}},
    }
    make_plan(samples=samples, uncertainties=wanted)

    def with_other(sample):
        raw = deepcopy({"samples": samples, "uncertainties": wanted})
        *path, last = where.split(".")
        section = reduce(dict.__getitem__, path, raw)
        section[last] = {"sample": sample} if "photo" in where else sample
        return make_plan(**raw)

    if source == "h1":
        shared, free = [_h1("f.h5", 1999, 10), _h1("f.h5", 700)], _h1("f.h5", 2000)
        records = r"\(records 1999 to 2008 of f\.h5; records 500 to 1999 of f\.h5\)"
    else:
        seeds = [3 + 3 * 100_003, 3 + 100_003]
        shared, free = [PYTHIA | {"seed": seed} for seed in seeds], PYTHIA | {"seed": 4}
        records = rf"\(seed {seeds[0]}; seed {seeds[0]}\)"
    message = rf"{where} and uncertainties\.toys hold the same events {records}; toys follow"
    with pytest.raises(ConfigError, match=message):
        with_other(shared[0])
    with pytest.raises(ConfigError, match=rf"{where} and uncertainties\.toys hold"):
        with_other(shared[1])
    with_other(free)


@pytest.mark.parametrize("role", ROLES)
def test_varied_samples_are_other_events_than_backgrounds_and_pretraining(role):
    samples = {
        "data": PYTHIA,
        "simulation": PYTHIA | {"seed": 92},
        "backgrounds": {"photo": {"sample": PYTHIA | {"seed": 93}}},
        "pretraining": {"simulation": PYTHIA | {"seed": 94}},
    }
    for seed, name in ((93, "backgrounds.photo"), (94, "pretraining.simulation")):
        varied = {"variations": {"model": {role: PYTHIA | {"seed": seed}}}}
        message = rf"variations\.model\.{role} and samples\.{name} hold the same events"
        with pytest.raises(ConfigError, match=message):
            make_plan(samples=samples, uncertainties=varied)
    pair = samples["pretraining"] | {"allow_overlap": True}
    make_plan(samples=samples | {"pretraining": pair}, uncertainties=varied)
