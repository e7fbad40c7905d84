"""Rounds of lanes, from weights of lanes that are made up."""

from pathlib import Path

import numpy as np
import pytest

from omniflow.config import validate
from omniflow.errors import WeightError
from omniflow.evaluation.lanes import draws, upper_factor
from omniflow.events import slices, store
from omniflow.hdf5 import create_h5
from omniflow.stages import lanes, samples
from omniflow.unfolding import rounds
from omniflow.unfolding.plan import Plan

DATA = Path(__file__).parents[1] / "data"
PASSES, EDGES = 2, [160, 200, 300, 500, 900]


@pytest.fixture(autouse=True)
def several_slices(monkeypatch):
    """Every sample is several slices."""
    monkeypatch.setattr(slices, "EVENTS", 400)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A folder with event stores, observables and axes."""
    plan = _plan(tmp_path_factory.mktemp("rounds"), {"sigma_rel": 0.01})
    for role in plan.samples:
        samples.make_store(plan, role)
        samples.make_observables(plan, role)
    samples.make_axes(plan)
    return plan.root.parent


def _plan(folder, until, how="mean", normalization="absolute", edges=EDGES, **method):
    raw = {
        "study": {"name": "small", "passes": PASSES, "output": str(folder)},
        "samples": {
            "data": {"source": "h1", "files": [str(DATA / "h1_nature.h5")]},
            "simulation": {"source": "h1", "files": [str(DATA / "h1_simulation.h5")]},
        },
        "methods": {"many": {"lanes": 12, "until": until, **method}},
        "combine": [how],
        "unfolding": {
            **{"iterations": 1, "particle_level": "pass_gen"},
            "normalization": normalization,
        },
        "observables": {"names": ["q2"], "binning": {"q2": edges}},
    }
    return Plan(validate(raw))


class Made:
    """Weights of lanes, and what follows from them by NumPy alone."""

    def __init__(self, plan, scatter):
        self.plan, simulation = plan, store.open_store(plan.store("simulation"))
        rng = np.random.default_rng(3)
        shape = (PASSES, 12, len(simulation))
        nu = np.exp(scatter * rng.normal(size=(PASSES, 12, 1)) * rng.normal(size=shape[2]))
        self.nu = (nu * np.exp(scatter * rng.normal(size=shape))).astype(np.float32)
        for pass_ in plan.passes:
            for group in plan.groups("scratch-1", pass_):
                with create_h5(plan.final_weights(group, 1)) as file:
                    file.create_dataset("ratio", data=self.nu[pass_ - 1, list(group.lanes)])
        self.inside, data = (
            np.asarray(simulation.pass_particle),
            store.open_store(plan.store("data")),
        )
        seen = np.asarray(simulation.pass_detector)
        self.measured = np.histogram(data.detector.event[data.pass_detector, 0], EDGES)[0]
        self.base = np.count_nonzero(data.pass_detector) / np.count_nonzero(seen)
        self.q2 = np.asarray(simulation.particle.event)[self.inside, 0]

    def contents(self, nu, squared=False):
        weight = (self.base * nu[self.inside].astype(float)) ** (2 if squared else 1)
        return np.histogram(self.q2, EDGES, weights=weight)[0]

    def single(self, count):
        """Contents (pass, lane, bin)."""
        return np.array([[self.contents(lane) for lane in each[:count]] for each in self.nu])


def _measured(plan, number=1):
    lanes.measure(plan, "many", number)
    return rounds.read(plan, "many", number)


def test_the_mean_scatters_as_single_lanes_over_the_square_root(prepared):
    plan = _plan(prepared, {"sigma_rel": 0.005})
    single = Made(plan, 0.1).single(4)
    spread = np.sqrt(single.var(axis=1, ddof=1).mean(axis=0) / 4) / single.mean(axis=(0, 1))
    found = _measured(plan)
    assert found.spreads["q2"].value == pytest.approx(spread.mean(), rel=1e-6)
    limit = spread.mean() * upper_factor(PASSES, 4)
    assert found.spreads["q2"].limit == pytest.approx(limit, rel=1e-6)
    assert found.lanes == 4
    assert found.wanted > 12
    # The next round has as many as there may be.
    last = _measured(plan, 2)
    single = Made(plan, 0.1).single(12)
    spread = np.sqrt(single.var(axis=1, ddof=1).mean(axis=0) / 12) / single.mean(axis=(0, 1))
    assert (last.lanes, last.following(12)) == (12, None)
    assert last.spreads["q2"].value == pytest.approx(spread.mean(), rel=1e-6)


def test_shapes_scatter_less_than_yields(prepared):
    plan = _plan(prepared, {"sigma_rel": 0.005}, normalization="shape")
    single = Made(plan, 0.1).single(4)
    single = single / single.sum(axis=2, keepdims=True)
    spread = np.sqrt(single.var(axis=1, ddof=1).mean(axis=0) / 4) / single.mean(axis=(0, 1))
    assert _measured(plan).spreads["q2"].value == pytest.approx(spread.mean(), rel=1e-3)


def test_other_combinations_are_made_of_drawn_lanes(prepared):
    plan = _plan(prepared, {"sigma_rel": 0.005}, how="median")
    made, drawn = Made(plan, 0.1), draws(4, "median")
    combined = np.empty((PASSES, len(drawn), len(EDGES) - 1))
    for pass_, draw in np.ndindex(combined.shape[:2]):
        nu = made.nu[pass_][list(drawn[draw])].astype(float)
        median = np.median(nu, axis=0)
        inside = made.inside
        median *= nu[:, inside].sum(axis=1).mean() / median[inside].sum()
        combined[pass_, draw] = made.contents(median)
    spread = np.sqrt(combined.var(axis=1, ddof=1).mean(axis=0) * 4 / 3)
    value = np.mean(spread / made.single(4).mean(axis=(0, 1)))
    assert _measured(plan).spreads["q2"].value == pytest.approx(value, rel=0.01)


def test_statistical_errors_are_of_data_and_simulation(prepared):
    plan = _plan(prepared, {"statistical": 0.3})
    made = Made(plan, 0.1)
    single, mean = made.single(4), made.nu[:, :4].astype(float).mean(axis=1)
    whole = np.array([made.contents(each) for each in mean])
    simulated = np.array([made.contents(each, squared=True) for each in mean]).mean(axis=0)
    error = np.hypot(1 / np.sqrt(made.measured), np.sqrt(simulated) / whole.mean(axis=0))
    spread = np.sqrt(single.var(axis=1, ddof=1).mean(axis=0) / 4) / whole.mean(axis=0)
    assert _measured(plan).spreads["q2"].value == pytest.approx(np.mean(spread / error), rel=1e-5)


def test_lanes_that_agree_are_enough_and_leave_no_logits(prepared, capsys):
    plan = _plan(prepared, {"sigma_rel": 0.005})
    Made(plan, 1e-4)
    (group, *_) = plan.groups("scratch-1", 1)
    logits = plan.logits(plan.blocks(group, 1, 2)[0])
    logits.parent.mkdir(parents=True, exist_ok=True)
    logits.touch()
    found = _measured(plan)
    assert found.met
    assert rounds.decided(plan).config.methods["many"].lanes == 4
    assert "many: 4 lanes after 1 round(s) meet the target" in capsys.readouterr().out
    assert not logits.exists()


def test_jobs_behind_rounds_have_as_many_lanes_as_were_decided(prepared):
    plan = _plan(prepared, {"sigma_rel": 0.005})
    Made(plan, 1e-4)
    lanes.measure(plan, "many", 1)
    seen = []
    lanes.decided(lambda plan, method: seen.append((method, plan.with_lanes({}).config)))(
        plan, method="many"
    )
    ((method, config),) = seen
    assert method == "many"
    assert config.methods["many"].lanes == 4


def test_an_observable_without_content_is_named(prepared, monkeypatch):
    plan = _plan(prepared, {"sigma_rel": 0.005})
    Made(plan, 0.1)
    monkeypatch.setattr("omniflow.evaluation.lanes.average", lambda *_: float("nan"))
    with pytest.raises(WeightError, match="q2 has no bin with content"):
        lanes.measure(plan, "many", 1)
