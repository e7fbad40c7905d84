"""Histograms of smaller ensembles, from weights of lanes and logits of members that are made up."""

import itertools
from pathlib import Path

import h5py
import numpy as np
import pytest

from omniflow.config import validate
from omniflow.evaluation.ensembles import networks_table
from omniflow.events import slices, store
from omniflow.hdf5 import create_h5
from omniflow.stages import ensembles, evaluation, samples, weights
from omniflow.unfolding.plan import Plan

DATA = Path(__file__).parents[1] / "data"
LANES, PASSES = 4, 2
EDGES = [160, 200, 300, 500, 900]
COMBINE = {"mean": np.mean, "median": np.median}


@pytest.fixture(autouse=True)
def several_slices(monkeypatch):
    """Every sample is several slices."""
    monkeypatch.setattr(slices, "EVENTS", 130)


def _plan(folder, how, methods, passes=PASSES, iterations=2, per_job=3):
    raw = {
        "study": {"name": "small", "passes": passes, "output": str(folder)},
        "samples": {
            "data": {"source": "h1", "files": [str(DATA / "h1_nature.h5")]},
            "simulation": {"source": "h1", "files": [str(DATA / "h1_simulation.h5")]},
        },
        "methods": methods,
        "combine": [how],
        "unfolding": {"iterations": iterations, "particle_level": "pass_gen"},
        "observables": {"names": ["q2"], "binning": {"q2": EDGES}},
        "execution": {"networks_per_job": per_job},
    }
    plan = Plan(validate(raw))
    for role in plan.samples:
        samples.make_store(plan, role)
        samples.make_observables(plan, role)
    samples.make_axes(plan)
    return plan


class Reference:
    """Histograms by NumPy alone, from the stored events."""

    def __init__(self, plan):
        self.simulation = store.open_store(plan.store("simulation"))
        self.inside = np.asarray(self.simulation.pass_particle)
        with h5py.File(plan.store("data")) as file:
            self.total = file["weight"][:][file["pass_detector"][:] == 1].sum()
        seen, weight = np.asarray(self.simulation.pass_detector), np.asarray(self.simulation.weight)
        self.base = weight[self.inside] * self.total / weight[seen].sum()
        self.q2 = np.asarray(self.simulation.particle.event)[self.inside, 0]

    def combined(self, ratios, how):
        """Return one ratio per event of (K, n), with the mean of the K yields."""
        ratio = COMBINE[how](ratios, axis=0)
        return ratio * (ratios @ self.base).mean() / (ratio @ self.base)

    def content(self, ratio):
        return np.histogram(self.q2, EDGES, weights=self.base * ratio)[0]


def _results(plan):
    for method in plan.config.methods:
        weights.combine(plan, method)
        evaluation.make_histograms(plan, method)
    return {
        (found.method, found.varied): found
        for found in ensembles.read_ensembles(plan, plan.config.observables.names)
    }


@pytest.mark.parametrize("how", ["mean", "median"])
def test_ensembles_are_combined_from_the_final_weights(tmp_path, how):
    plan = _plan(tmp_path, how, {"parallel": {"lanes": LANES}, "none": {}})
    reference = Reference(plan)
    rng = np.random.default_rng(3)
    shape = (PASSES, LANES, len(reference.simulation))
    nu = rng.lognormal(0, 0.5, shape).astype(np.float32)
    for pass_ in plan.passes:
        for group in plan.groups("scratch-1", pass_):
            for iteration in plan.iterations:
                found = nu[pass_ - 1, list(group.lanes)] + np.float32(2 - iteration)
                with create_h5(plan.weights(group, iteration, 2)) as file:
                    file.create_dataset("ratio", data=found)

    ((key, found),) = _results(plan).items()
    assert key == ("parallel", "lanes")
    assert (found.combine, found.lanes, found.members, found.networks) == (how, LANES, 1, LANES)
    assert len(found.subsets) == 2**LANES - 1
    for row, subset in enumerate(found.subsets):
        for pass_ in range(PASSES):
            lanes = nu[pass_][list(subset)][:, reference.inside].astype(float)
            content = reference.content(reference.combined(lanes, how))
            np.testing.assert_allclose(found.contents["q2"][row, pass_], content, rtol=1e-6)
    # All lanes are the method's own result, whose ratios are stored in float32.
    (*_, last) = evaluation.read_histograms(plan, "parallel", "particle")
    np.testing.assert_allclose(found.contents["q2"][-1], last.histograms["q2"].content, rtol=1e-6)
    with h5py.File(plan.histograms("none")) as file:
        assert "networks" not in file
        assert "members" not in file


def _write_pull(plan, group, pull):
    with create_h5(plan.weights(group, 1, 1)) as file:
        file.create_dataset("ratio", data=pull.astype(np.float32))


def _write_logits(plan, group, logits):
    """Logits (lane, member, event) of step 2 by the jobs of a group."""
    rows = iter(logits[list(group.lanes)].reshape(-1, logits.shape[-1]).astype(np.float32))
    for block in plan.blocks(group, 1, 2):
        with create_h5(plan.logits(block)) as file:
            mine = list(itertools.islice(rows, len(block.networks)))
            file.create_dataset("logits", data=np.stack(mine))


@pytest.mark.parametrize(
    ("aggregate", "how", "per_job"),
    [("mean", "mean", 2), ("median", "mean", 6), ("mean", "median", 3)],
)
def test_members_of_the_last_step_are_combined_from_their_logits(tmp_path, aggregate, how, per_job):
    """Of three members: aggregated in each of two lanes, and these combined."""
    settings = {"members": 3, "aggregate": aggregate}
    methods = {"hybrid": {"lanes": 2, **settings}, "step": settings, "none": {}}
    plan = _plan(tmp_path, how, methods, iterations=1, per_job=per_job)
    reference = Reference(plan)
    inside, events = reference.inside, len(reference.simulation)
    (chain,) = (slug for slug in plan.chains if slug != "scratch-1")
    rng = np.random.default_rng(4)
    pull = rng.lognormal(0.2, 0.3, (PASSES, 2, events)).astype(np.float32)
    logits = rng.normal(0, 0.5, (PASSES, 2, 3, events)).astype(np.float32)
    for pass_ in plan.passes:
        for group in plan.groups(chain, pass_):
            _write_pull(plan, group, pull[pass_ - 1, list(group.lanes)])
            _write_logits(plan, group, logits[pass_ - 1])
            weights.aggregate(plan, group, 1, 2)
        for group in plan.groups("scratch-1", pass_):
            with create_h5(plan.weights(group, 1, 2)) as file:
                file.create_dataset("ratio", data=np.ones((1, events), np.float32))

    found = _results(plan)
    assert set(found) == {("hybrid", "lanes"), ("hybrid", "members"), ("step", "members")}
    for method, lanes in (("hybrid", 2), ("step", 1)):
        mine = found[method, "members"]
        assert (mine.lanes, mine.members, mine.networks) == (lanes, 3, 3 * lanes)
        assert len(mine.subsets) == 7
        for row, subset in enumerate(mine.subsets):
            for pass_ in range(PASSES):
                nu = []
                for lane in range(lanes):
                    pulled = pull[pass_, lane][inside].astype(float)
                    yields = (pulled @ reference.base) / reference.base.sum()
                    ratios = yields * np.exp(logits[pass_, lane][list(subset)][:, inside])
                    nu.append(reference.combined(ratios.astype(float), aggregate))
                content = reference.content(reference.combined(np.array(nu), how))
                np.testing.assert_allclose(mine.contents["q2"][row, pass_], content, rtol=1e-5)
        # All members are the method's own result.
        (*_, last) = evaluation.read_histograms(plan, method, "particle")
        content = last.histograms["q2"].content
        np.testing.assert_allclose(mine.contents["q2"][-1], content, rtol=1e-6)


def test_weights_without_members_have_no_curve(tmp_path):
    """As an earlier version wrote them."""
    plan = _plan(tmp_path, "mean", {"step": {"members": 2}}, iterations=1)
    events = len(store.open_store(plan.store("simulation")))
    for pass_ in plan.passes:
        for group in plan.groups("scratch-2-mean", pass_):
            with create_h5(plan.weights(group, 1, 2)) as file:
                file.create_dataset("ratio", data=np.ones((1, events), np.float32))
    assert _results(plan) == {}


def test_members_of_known_scatter_follow_the_square_root(tmp_path, monkeypatch):
    """Yields of members scatter by 5%, those of the earlier step, which a pass shares, by 3%."""
    monkeypatch.setattr(slices, "EVENTS", 10_000)  # other tests have several slices
    passes, members = 60, 4
    plan = _plan(tmp_path, "mean", {"step": {"members": members}}, passes, iterations=1)
    events = len(store.open_store(plan.store("simulation")))
    rng = np.random.default_rng(5)
    for pass_ in plan.passes:
        (group,) = plan.groups("scratch-4-mean", pass_)
        _write_pull(plan, group, np.full((1, events), 1 + rng.normal(0, 0.03)))
        own = np.log(1 + rng.normal(0, 0.05, (1, members, 1)))
        _write_logits(plan, group, np.repeat(own, events, axis=2))
        weights.aggregate(plan, group, 1, 2)
    (found,) = _results(plan).values()
    table = networks_table([found], None, "absolute")
    n = np.arange(1, members + 1)
    assert table.members.tolist() == table.networks.tolist() == n.tolist()
    assert set(table.varied) == {"members"}
    assert set(table.lanes) == {1}
    expected = np.sqrt(0.05**2 / n + 0.03**2)
    assert np.all(np.abs(table.sigma_rel - expected) < 3 * table.sigma_rel_error)
    row = table.iloc[-1]
    assert row.sigma_rel_error / row.sigma_rel == pytest.approx(1 / np.sqrt(2 * passes), rel=0.3)
    assert abs(row.floor_squared - 0.03**2) < 3 * row.floor_squared_error
    np.testing.assert_allclose(table.expected, table.sigma_rel[0] / np.sqrt(n))
