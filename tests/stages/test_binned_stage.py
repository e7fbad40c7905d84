"""Binned reference and acceptance of a study, from event files; nothing is trained."""

import math
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest

from omniflow.config import validate
from omniflow.events import slices, store
from omniflow.events.sample import Events, Level
from omniflow.physics.dis.kinematics import DIS_EVENT, DIS_PARTICLE
from omniflow.physics.jets import Jets
from omniflow.stages import binned, evaluation, samples
from omniflow.unfolding.plan import Plan

DATA = Path(__file__).parents[1] / "data"


@pytest.fixture(autouse=True)
def several_slices(monkeypatch):
    """Every sample is several slices."""
    monkeypatch.setattr(slices, "EVENTS", 130)


def make_plan(folder, data, unfolding=None, **observables):
    raw = {
        "study": {"name": "small", "output": str(folder / "results")},
        "samples": {
            "data": {"source": "h1", "files": [str(data)]},
            "simulation": {"source": "h1", "files": [str(DATA / "h1_simulation.h5")]},
        },
        "methods": {"none": {}},
        "unfolding": {"iterations": 3} | (unfolding or {}),
        "observables": {"names": ["q2", "jet_pt", "jet_tau21", "dphi_jet_e", "eta_e", "log10_pt"]}
        | observables,
    }
    plan = Plan(validate(raw))
    for role in plan.samples:
        samples.make_store(plan, role)
        samples.make_observables(plan, role)
    samples.make_axes(plan)
    return plan


def reference(plan):
    return binned.reference(binned.Simulation(plan))


@pytest.mark.parametrize(
    ("particle_level", "normalization"), [("all", "absolute"), ("pass_gen", "shape")]
)
def test_simulation_unfolds_to_its_own_truth(tmp_path, particle_level, normalization):
    shutil.copy(DATA / "h1_simulation.h5", tmp_path / "data.h5")
    unfolding = {"particle_level": particle_level, "normalization": normalization}
    if normalization == "shape":
        unfolding["scale"] = 3.0  # must not matter
    plan = make_plan(tmp_path, tmp_path / "data.h5", unfolding)
    unfolded = reference(plan)
    # particles are not matched
    assert list(unfolded) == ["q2", "jet_pt", "jet_tau21", "dphi_jet_e", "eta_e"]
    events = store.open_store(plan.store("simulation"))
    for name, truth in evaluation.fill(plan, "simulation", "particle", events.weight).items():
        if name in unfolded:
            assert truth.content.sum() > 100
            np.testing.assert_allclose(
                unfolded[name].content, np.tile(truth.content, (3, 1)), rtol=1e-9
            )


def _q2(path):
    """Q2, flags and weights of the records of an H1 file."""
    with h5py.File(path) as file:
        true, seen = file["gen_event_features"][:], file["reco_event_features"][:]
    return true[:, 0], seen[:, 0], seen[:, 6] == 1, seen[:, 5].astype(float)


def test_first_iteration_is_bayes_theorem(tmp_path):
    inner = [160, 200, 300, 500, 900]  # events are below and above
    plan = make_plan(
        tmp_path, DATA / "h1_nature.h5", region="all", binning={"q2": inner}, names=["q2"]
    )
    found = reference(plan)["q2"]
    edges = np.concatenate([[-np.inf], inner, [np.inf]])
    z, x, seen, weight = _q2(DATA / "h1_simulation.h5")
    _, measured, passes, data_weight = _q2(DATA / "h1_nature.h5")
    data = np.histogram(measured[passes], edges, weights=data_weight[passes])[0]
    variance = np.histogram(measured[passes], edges, weights=data_weight[passes] ** 2)[0]
    assert (data > 0).all()

    def theorem(weight):
        joint = np.histogram2d(z[seen], x[seen], [edges, edges], weights=weight[seen])[0]
        produced = np.histogram(z, edges, weights=weight)[0]
        expected = joint.sum(axis=0)
        posterior = np.divide(joint, expected, out=np.zeros_like(joint), where=expected > 0)
        return (posterior / (joint.sum(axis=1) / produced)[:, None])[1:-1]

    matrix = theorem(weight)
    np.testing.assert_allclose(found.content[0], matrix @ data, rtol=1e-9)
    # What one event more or less of its kind would change, from differences.
    step = 1e-4
    shifts = np.array(
        [
            (theorem(weight + step * one) - theorem(weight - step * one)) @ data / (2 * step)
            for one in np.eye(len(weight))
        ]
    )
    by_simulation = (weight[:, None] * shifts) ** 2
    np.testing.assert_allclose(
        found.variance[0], matrix**2 @ variance + by_simulation.sum(axis=0), rtol=1e-6
    )
    total = np.sum(matrix.sum(axis=0) ** 2 * variance)
    total += np.sum((weight * shifts.sum(axis=1)) ** 2)
    assert found.sum_covariance[0].sum() == pytest.approx(total, rel=1e-6)


@pytest.mark.parametrize("fakes", ["unity", "conditional_mean"])
def test_fakes_are_treated_as_in_omnifold(tmp_path, fakes):
    """Two iterations event by event: each fake has a weight of its own."""
    inner = [160, 250, 400]
    plan = make_plan(
        tmp_path, DATA / "h1_nature.h5", {"particle_level": "pass_gen", "fakes": fakes},
        region="all", binning={"q2": inner}, names=["q2"],
    )  # fmt: skip
    found = reference(plan)["q2"]
    edges = np.concatenate([[-np.inf], inner, [np.inf]])
    z, x, seen, weight = _q2(DATA / "h1_simulation.h5")
    with h5py.File(DATA / "h1_simulation.h5") as file:
        unfolded = file["gen_event_features"][:, 5] == 1
    _, measured, passes, data_weight = _q2(DATA / "h1_nature.h5")
    z, x = np.searchsorted(inner, z, "right"), np.searchsorted(inner, x, "right")
    data = np.histogram(measured[passes], edges, weights=data_weight[passes])[0]
    matched, fake = unfolded & seen, seen & ~unfolded
    assert fake.sum() > 20
    scale = data_weight[passes].sum() / weight[seen].sum()

    def fill(cell, chosen, weight):
        return np.bincount(cell[chosen], weight[chosen], 4)

    nu = np.ones(len(weight))
    for content in found.content:
        mean = fill(x, matched, weight * nu) / fill(x, matched, weight)
        push = np.where(fake, 1.0 if fakes == "unity" else mean[x], nu)
        omega = data / fill(x, seen, scale * weight * push)
        ratio = fill(z, matched, weight * omega[x]) / fill(z, matched, weight)
        nu = nu * ratio[z]
        expected = fill(z, unfolded, scale * weight * nu)
        np.testing.assert_allclose(content, expected[1:-1], rtol=1e-6)


# -- jets: every particle is one, and the particle's charge its tau21 ------------------------------

PT = [5.0, 8.0, 12.0, 20.0, 40.0]
FLOW = np.concatenate([[-np.inf], PT, [np.inf]])


@pytest.fixture
def particles_are_jets(monkeypatch):
    def cluster(level, definition):
        pt, eta, phi, tau21 = np.asarray(level.particles, float).T
        momentum = [pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta), pt * np.cosh(eta)]
        jets = Jets(definition, np.diff(level.offsets), np.stack(momentum, axis=1))
        monkeypatch.setattr(jets, "tau_ratio", lambda n: tau21, raising=False)
        return jets

    monkeypatch.setattr("omniflow.observables.chunk.cluster", cluster)


def _level(jets):
    """A level of events, each an array (jets, 3) of pt, eta, phi."""
    rows = np.concatenate(jets).reshape(-1, 3)
    particles = np.c_[rows, np.full(len(rows), 0.5)].astype(np.float32)
    offsets = np.concatenate([[0], np.cumsum([len(j) for j in jets])])
    return Level(np.ones((len(jets), 5), np.float32), particles, offsets, DIS_EVENT, DIS_PARTICLE)


def _true_jets(rng, n, slope):
    counts = rng.integers(0, 4, n)
    return [
        np.c_[4 + rng.exponential(slope, k), rng.uniform(-1, 2, k), rng.uniform(-np.pi, np.pi, k)]
        for k in counts
    ]


def _smeared(rng, jets):
    """Jets that are lost, moved, measured badly, or not there at particle level."""
    kept = jets[rng.random(len(jets)) < 0.8]
    measured = kept * np.c_[
        rng.normal(1, 0.2, len(kept)), np.ones(len(kept)), np.ones(len(kept))
    ] + rng.normal(0, 0.3, kept.shape) * [0, 1, 1]
    more = _true_jets(rng, 1, 5.0)[0][: rng.integers(0, 2)]
    return np.concatenate([measured, more])


def _sample(n, slope, seed, smear):
    rng = np.random.default_rng(seed)
    jets = _true_jets(rng, n, slope)
    passes, fiducial = rng.random(n) < 0.7, rng.random(n) < 0.9
    if smear:
        seen = [_smeared(rng, j) if p else j[:0] for j, p in zip(jets, passes, strict=True)]
    else:
        passes, fiducial, seen = np.ones(n, bool), np.ones(n, bool), jets
    ids = rng.permutation(10 * n)[:n].astype(np.uint64)
    weight = rng.uniform(0.5, 1.5, n)
    return Events(ids, weight, passes, fiducial, _level(seen), _level(jets))


def _jet_plan(folder, smear, **unfolding):
    role = {"source": "pythia", "events": 1000}
    plan = Plan(
        validate(
            {
                "study": {"name": "jets", "output": str(folder)},
                "samples": {"data": role | {"seed": 1}, "simulation": role | {"seed": 2}},
                "methods": {"none": {}},
                "unfolding": {"iterations": 2, "particle_level": "pass_gen"} | unfolding,
                "observables": {"names": ["jet_pt", "jet_tau21"], "binning": {"jet_pt": PT}},
            }
        )
    )
    for role, n, slope in (("data", 300, 8.0), ("simulation", 400, 6.0)):
        store.write(_sample(n, slope, n, smear), plan.store(role), {}, 7)
        samples.make_observables(plan, role)
    samples.make_axes(plan)
    return plan


def test_jets_of_a_perfect_detector_are_the_data_at_once(tmp_path, particles_are_jets):
    plan = _jet_plan(tmp_path, smear=False)
    found = reference(plan)["jet_pt"]
    data = store.open_store(plan.store("data"))
    pt, weight = np.asarray(data.particle.particles)[:, 0], np.asarray(data.weight)
    event = np.repeat(np.arange(len(weight)), np.diff(data.particle.offsets))
    numbers = np.array([np.histogram(pt[event == e], PT)[0] for e in range(len(weight))])
    assert numbers.max() > 1  # several jets of an event share a bin
    np.testing.assert_allclose(found.content, np.tile(weight @ numbers, (2, 1)), rtol=1e-9)
    # Nothing of the simulation matters; jets of one event count together.
    np.testing.assert_allclose(found.variance[0], weight**2 @ numbers**2, rtol=1e-9)
    total = np.sum((weight * numbers.sum(axis=1)) ** 2)
    assert found.sum_covariance[0].sum() == pytest.approx(total)
    table = binned.acceptance_table(binned.Simulation(plan))
    assert (table.efficiency == 1).all()
    assert (table.fake_fraction == 0).all()


def _pairs(events):
    """Per event its weight, matched pt pairs, and pt of misses and fakes: all pairs tried."""
    for e in range(len(events)):
        levels = [np.asarray(level.take(np.array([e])).particles, float)
                  for level in (events.particle, events.detector)]  # fmt: skip
        true, seen = (list(map(tuple, level[:, :3])) for level in levels)
        passes, unfolded = events.pass_detector[e], events.pass_particle[e]
        matched = []
        distances = {
            (a, b): math.hypot(a[1] - b[1], math.remainder(a[2] - b[2], 2 * math.pi))
            for a in true for b in seen if unfolded and passes
        }  # fmt: skip
        while distances and min(distances.values()) < 1:
            a, b = min(distances, key=distances.get)
            matched.append((a[0], b[0]))
            true.remove(a)
            seen.remove(b)
            distances = {k: d for k, d in distances.items() if k[0] != a and k[1] != b}
        yield (
            events.weight[e],
            matched,
            [a[0] for a in true] if unfolded else [],
            [b[0] for b in seen] if passes else [],
        )


def test_smeared_jets_against_brute_force(tmp_path, particles_are_jets):
    plan = _jet_plan(tmp_path, smear=True)
    simulation = binned.Simulation(plan)
    found = binned.reference(simulation)["jet_pt"]
    pairs = list(_pairs(store.open_store(plan.store("simulation"))))

    def fill(part, edges, column=None):
        values = [(v if column is None else v[column], event[0]) for event in pairs
                  for v in event[part]]  # fmt: skip
        assert len(values) > 30
        return np.histogram(*np.transpose(values)[:1], edges, weights=np.transpose(values)[1])[0]

    both = [(*pair, event[0]) for event in pairs for pair in event[1]]
    z, x, weight = np.transpose(both)
    joint = np.histogram2d(z, x, [FLOW, FLOW], weights=weight)[0]
    misses, fakes = fill(2, FLOW), fill(3, FLOW)
    data = store.open_store(plan.store("data"))
    event = np.repeat(np.arange(len(data)), np.diff(data.detector.offsets))
    measured = np.histogram(
        data.detector.particles[:, 0], FLOW, weights=np.asarray(data.weight)[event]
    )[0]
    omega = measured / (joint.sum(axis=0) + fakes)
    seen = joint.sum(axis=1)
    expected = (seen + misses) / seen * (joint @ omega)
    np.testing.assert_allclose(found.content[0], expected[1:-1], rtol=1e-6)
    # The same sums make the acceptance.
    table = binned.acceptance_table(simulation).query("observable == 'jet_pt'")
    assert table.low.tolist() == PT[:-1]
    np.testing.assert_allclose(
        table.efficiency, (fill(1, PT, 0) / (fill(1, PT, 0) + fill(2, PT))), rtol=1e-6
    )
    np.testing.assert_allclose(
        table.fake_fraction, (fill(3, PT) / (fill(1, PT, 1) + fill(3, PT))), rtol=1e-6
    )
    assert 0.3 < table.efficiency.mean() < 0.7
    assert table.fake_fraction.between(0.1, 0.9).all()


def test_acceptance_of_events_and_particles_against_histograms(tmp_path):
    plan = make_plan(
        tmp_path, DATA / "h1_nature.h5", {"particle_level": "pass_gen"}, names=["q2", "log10_pt"]
    )
    table = binned.acceptance_table(binned.Simulation(plan))
    with h5py.File(DATA / "h1_simulation.h5") as file:
        true, seen = file["gen_event_features"][:], file["reco_event_features"][:]
        particles = {"gen": file["gen_particle_features"][:, :, 0],
                     "reco": file["reco_particle_features"][:, :, 0]}  # fmt: skip
    fiducial, passes = true[:, 5] == 1, seen[:, 6] == 1
    weight = seen[:, 5].astype(float)
    edges = evaluation.edges(plan, "particle")

    def fill(name, level, chosen):
        if name == "q2":
            value = (true if level == "gen" else seen)[chosen, 0]
            return np.histogram(value, edges[name], weights=weight[chosen])[0]
        pt = particles[level][chosen]
        each = np.broadcast_to(weight[chosen, None], pt.shape)[pt > 0]
        return np.histogram(np.log10(pt[pt > 0]), edges[name], weights=each)[0]

    with np.errstate(invalid="ignore"):
        for name in ("q2", "log10_pt"):
            rows = table[table.observable == name].set_index("bin")
            efficiency = fill(name, "gen", fiducial & passes) / fill(name, "gen", fiducial)
            fakes = fill(name, "reco", passes & ~fiducial) / fill(name, "reco", passes)
            there = np.isfinite(efficiency) | np.isfinite(fakes)
            assert rows.index.tolist() == np.flatnonzero(there).tolist()
            np.testing.assert_allclose(rows.efficiency, efficiency[there], rtol=1e-9)
            np.testing.assert_allclose(rows.fake_fraction, fakes[there], rtol=1e-9)
            assert 0 < np.nanmean(fakes) < 1
            assert 0 < np.nanmean(efficiency) < 1
