"""Reserved events: whom no training meets, and what networks are judged on, from recorded ids."""

import numpy as np
import pytest
import small_study
from scipy.stats import chi2_contingency
from test_folds_stage import MEANS, Record

from omniflow.config import validate
from omniflow.errors import InputError
from omniflow.evaluation.scores import PARTS, Scores
from omniflow.events import folds, store
from omniflow.events.split import held_out
from omniflow.hdf5 import open_h5
from omniflow.stages import parts, scores, training
from omniflow.stages.diagnostics import classifiers
from omniflow.unfolding.coordinates import Network
from omniflow.unfolding.plan import Plan

RESERVED = 0.3
IDS = np.arange(50_000).astype(np.uint64)


def _plan(folder, name, methods=None, reserved=RESERVED, **sections):
    methods = methods or {"none": {}, "stacked": {"members": 2, "aggregate": "stacking"}}
    plan = small_study.make_plan(folder, name, methods, {}, 4, **MEANS)
    raw = plan.config.model_dump(mode="json") | sections
    raw["training"]["reserved"] = reserved
    return Plan(validate(raw))


@pytest.fixture(scope="module")
def study(folder):
    """All four steps, two iterations, warm restarts and fresh splits; ids that trainings met."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        record = Record(monkeypatch)
        plan = small_study.run(_plan(folder, "reserved"))
    return plan, record


def test_reserved_events_follow_from_their_ids(folder):
    plan = _plan(folder, "ids")
    whole = parts.reserved(plan, IDS)
    shuffled = np.random.default_rng(1).permutation(len(IDS))
    np.testing.assert_array_equal(parts.reserved(plan, IDS[shuffled]), whole[shuffled])
    pieces = [parts.reserved(plan, piece) for piece in np.array_split(IDS, 7)]  # as ranks read
    np.testing.assert_array_equal(np.concatenate(pieces), whole)
    error = np.sqrt(RESERVED * (1 - RESERVED) / len(IDS))
    assert abs(whole.mean() - RESERVED) < 4 * error
    for other in (held_out(IDS, 2**40 + 3, 0.2), folds.fold_of(IDS, 3)):
        table = np.zeros((2, 4))
        np.add.at(table, (whole.astype(int), other.astype(int)), 1)
        assert chi2_contingency(table[:, table.any(axis=0)]).pvalue > 1e-3
    raw = plan.config.model_dump(mode="json")
    raw["study"]["seed"] += 1
    assert 0.3 < np.mean(parts.reserved(Plan(validate(raw)), IDS) != whole) < 0.6


def test_no_training_meets_reserved_events(study):
    """Neither to train nor to stop, in any step and iteration, data included."""
    plan, record = study
    simulation, data = (store.open_store(plan.store(role)) for role in ("simulation", "data"))
    networks = [network for block in plan.all_blocks() for network in block.networks]
    assert len(networks) == 3 * 4 * 2  # members, steps, iterations
    for events, met in ((simulation, record.seen), (data, record.data)):
        reserved = set(events.event_id[parts.reserved(plan, events.event_id)].tolist())
        others = set(events.event_id.tolist()) - reserved
        assert len(reserved) > 80
        for network in networks:
            assert not met[network.name] & reserved
            if events is simulation or network.step == 1:
                assert len(met[network.name] & others) > 100


def test_reserved_events_are_unfolded_like_the_others(study):
    plan, _ = study
    simulation = store.open_store(plan.store("simulation"))
    (group,) = plan.groups("scratch-1", 1)
    with open_h5(plan.final_weights(group, 2)) as file:
        (ratio,) = file["ratio"][:]
    reserved = parts.reserved(plan, simulation.event_id) & simulation.pass_particle
    assert len(np.unique(ratio[reserved])) > 0.9 * reserved.sum()


@pytest.mark.parametrize("iteration", [1, 2])
def test_scores_of_step_2_are_of_reserved_and_of_trained_events(study, iteration):
    plan, record = study
    simulation = store.open_store(plan.store("simulation"))
    (group,) = plan.groups("scratch-1", 1)
    (block,) = plan.blocks(group, iteration, 2)
    with open_h5(plan.logits(block)) as file:
        (logits,) = file["logits"][:]
    with open_h5(plan.previous_weights(group, iteration, 2)) as file:
        (pull,) = file["ratio"][:].astype(float)
    ((network, found),) = scores.of_block(plan.networks_folder(block), block).items()
    weight = np.asarray(simulation.weight)
    reserved = parts.reserved(plan, simulation.event_id)
    trained = ~reserved & ~parts.judged(_split(plan), network, simulation.event_id)[0]
    for part, mask in zip(PARTS, (reserved, trained), strict=True):
        rows = mask & simulation.pass_particle
        direct = Scores.empty(15.0).plus(logits[rows], (weight * pull)[rows], weight[rows])
        assert found[part].events == rows.sum() > 50
        np.testing.assert_allclose(found[part].sums, direct.sums, rtol=1e-9, atol=1e-12)
    met = np.isin(simulation.event_id, list(record.seen[network.name]))
    assert met[trained & simulation.pass_particle].mean() > 0.8  # epochs end with a full batch


def _split(plan):
    """The same study with events held out by the networks' splits."""
    raw = plan.config.model_dump(mode="json")
    raw["training"]["reserved"] = 0
    return Plan(validate(raw))


def test_scores_of_step_1_hold_reserved_data(study):
    plan, _ = study
    samples = [store.open_store(plan.store(role)) for role in ("data", "simulation")]
    (block,) = plan.blocks(plan.group_of("scratch-1", 1, 0), 1, 1)
    (found,) = scores.of_block(plan.networks_folder(block), block).values()
    for row, events in enumerate(samples):
        rows = events.pass_detector & parts.reserved(plan, events.event_id)
        total = found["held-out"].sums[row].sum()
        assert total == pytest.approx(np.asarray(events.weight)[rows].sum())


def test_a_reserve_without_events_is_refused(study):
    plan, _ = study
    raw = plan.config.model_dump(mode="json")
    raw["training"]["reserved"] = 1e-9
    (block,) = plan.blocks(plan.group_of("scratch-1", 1, 0), 1, 1)
    with pytest.raises(InputError, match=r"training.reserved: 1e-09 reserves no events"):
        training.train_block(Plan(validate(raw)), block)


def test_reserved_events_are_what_the_network_is_judged_on(folder):
    """In all iterations the same; without them, and without folds, the network's own split."""
    with_them, without = _plan(folder, "a"), _plan(folder, "a", reserved=0)
    networks = [Network("scratch-1", 1, 0, 0, iteration, 2, 0) for iteration in (1, 2)]
    one, other = (parts.judged(with_them, network, IDS) for network in networks)
    np.testing.assert_array_equal(one[0], other[0])
    assert np.mean(one[1] != other[1]) > 0.1
    one, other = (parts.judged(without, network, IDS) for network in networks)
    for held, trained in (one, other):
        np.testing.assert_array_equal(held, ~trained)
    # Of the events that iteration 2 holds out, iteration 1 trained on 80%.
    assert abs(one[1][other[0]].mean() - 0.8) < 4 * np.sqrt(0.16 / other[0].sum())


@pytest.mark.parametrize(
    ("settings", "restart", "expected"),
    [
        ({"reserved": 0.1}, {}, ("reserved", 0.1, "warm")),
        ({"folds": 4}, {}, ("fold", 0.25, "warm")),
        ({}, {}, ("fresh", 0.2, "warm")),
        ({}, {"network": "cold"}, ("split", 0.2, "cold")),
        ({}, {"split": "fixed"}, ("split", 0.2, "kept")),
        ({}, {"network": "cold", "split": "fixed"}, ("split", 0.2, "kept")),
    ],
)
def test_studies_say_what_held_out_events_are(folder, settings, restart, expected):
    plan = small_study.make_plan(folder, "never", {"none": {}}, restart, 4)
    raw = plan.config.model_dump(mode="json")
    raw["classifier"]["dropout"] = 0.1
    if "folds" not in settings:
        raw["methods"]["thin"] = {"members": 3, "diversity": "dropout"}
    raw["training"] |= settings
    raw["uncertainties"]["data_replicas"] = 3
    found = classifiers.judged(Plan(validate(raw)))
    assert (found["events"], found["fraction"], found["split"]) == expected
    # Nothing is there, so that all that should have scores lack them: steps and iterations of one
    # network per chain, or of its folds; none of replicas.
    assert found["unscored"] == 2 * 2 * (settings.get("folds") or 2)
