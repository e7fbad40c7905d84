import math

import numpy as np
import pytest

from omniflow.config.observables import Observables
from omniflow.errors import InputError
from omniflow.events.sample import Level
from omniflow.observables import compute as computing
from omniflow.observables import find
from omniflow.observables.compute import compute
from omniflow.physics.dis.kinematics import DIS_EVENT, DIS_PARTICLE
from omniflow.physics.jets import JetDefinition, cluster

NAMES = (
    *("eta_p_minus_eta_e", "log10_pt", "log10_pt_over_q", "jet_pt", "jet_eta", "jet_tau21"),
    *("q2", "eta_e", "dphi_jet_e", "y", "multiplicity"),
)


class StubJets:
    """Every particle is a jet; its charge stands for tau21."""

    def __init__(self, level):
        self.offsets, self.counts = level.offsets, level.counts
        self.event_index = np.repeat(np.arange(len(level)), level.counts)
        self.pt, self.eta, self.phi, self.charge = np.asarray(level.particles).T

    def tau_ratio(self, n):
        return self.charge


@pytest.fixture
def jets(monkeypatch):
    calls = []

    def cluster(level, definition):
        calls.append(len(level))
        return StubJets(level)

    monkeypatch.setattr("omniflow.observables.chunk.cluster", cluster)
    return calls


def observables(*names):
    return find.resolve(Observables(names=names or NAMES))


# Event 0: Q = 20 GeV, electron pT 5 along phi = atan2(4, 3), pz = 5 sinh(0.5); two particles.
# Event 1: fails the selection: rows of zeros, no particles. Event 2: phi_e = 3, one particle.
# Event 3: phi_e = 0, no particles.
SINH = 5 * math.sinh(0.5)
EVENT = np.array(
    [
        [400.0, 0.3, 3.0, 4.0, SINH],
        [0.0, 0.0, 0.0, 0.0, 0.0],
        [225.0, 0.5, 10 * math.cos(3.0), 10 * math.sin(3.0), -10 * math.sinh(1.0)],
        [900.0, 0.6, 10.0, 0.0, 0.0],
    ],
    dtype=np.float32,
)
PARTICLES = np.array(
    [[10.0, 1.5, 0.0, 0.25], [0.2, -1.0, 2.0, np.nan], [1.5, 0.75, -3.0, 0.5]], dtype=np.float32
)
LEVEL = Level(EVENT, PARTICLES, np.array([0, 2, 2, 3, 3]), DIS_EVENT, DIS_PARTICLE)

EXPECTED = {
    "eta_p_minus_eta_e": ([0, 0, 2], [1.0, -1.5, 1.75]),
    "log10_pt": ([0, 0, 2], [1.0, -0.698970, 0.176091]),
    "log10_pt_over_q": ([0, 0, 2], [-0.301030, -2.0, -1.0]),
    "jet_pt": ([0, 0, 2], [10.0, 0.2, 1.5]),
    "jet_eta": ([0, 0, 2], [1.5, -1.0, 0.75]),
    "jet_tau21": ([0, 2], [0.25, 0.5]),
    "q2": ([0, 2, 3], [400.0, 225.0, 900.0]),
    "eta_e": ([0, 2, 3], [0.5, -1.0, 0.0]),
    # event 2: -3 - 3 = -6 wraps to 0.283185
    "dphi_jet_e": ([0, 2], [math.pi - math.atan2(4, 3), math.pi - 0.283185]),
    "y": ([0, 2, 3], [0.3, 0.5, 0.6]),
    # no electron is needed to count particles
    "multiplicity": ([0, 1, 2, 3], [2.0, 0.0, 1.0, 0.0]),
}


@pytest.mark.parametrize("chunk", [1, 3, 100])
def test_values_by_hand(jets, monkeypatch, chunk):
    monkeypatch.setattr(computing, "CHUNK", chunk)
    found = compute(LEVEL, observables())
    assert list(found) == list(EXPECTED)
    for name, (index, value) in EXPECTED.items():
        assert found[name].event_index.dtype == np.int64
        assert found[name].value.dtype == np.float32
        assert found[name].event_index.tolist() == index, name
        np.testing.assert_allclose(found[name].value, value, rtol=0, atol=2e-6, err_msg=name)


def test_jets_are_clustered_once_and_only_if_asked(jets):
    compute(LEVEL, observables("q2", "log10_pt"))
    assert jets == []
    compute(LEVEL, observables("jet_pt", "jet_eta", "dphi_jet_e"))
    assert jets == [4]


def test_dphi_is_zero_back_to_back_and_never_negative(jets):
    rng = np.random.default_rng(1)
    phi_e, phi = rng.uniform(-np.pi, np.pi, (2, 500))
    phi[:5] = [np.pi, -np.pi, 0.0, np.pi / 2, -np.pi / 2]
    phi_e[:5] = [0.0, 0.0, np.pi, -np.pi / 2, np.pi / 2]
    event = np.c_[np.full(500, 300.0), np.full(500, 0.4), np.cos(phi_e), np.sin(phi_e), phi_e * 0]
    particles = np.c_[np.ones(500), np.zeros(500), phi, np.zeros(500)]
    level = Level(
        event.astype("f4"), particles.astype("f4"), np.arange(501), DIS_EVENT, DIS_PARTICLE
    )
    dphi = compute(level, observables("dphi_jet_e"))["dphi_jet_e"].value
    np.testing.assert_allclose(dphi[:5], 0, atol=1e-6)
    # the opening angle from the scalar product of unit vectors knows nothing of wrapping
    np.testing.assert_allclose(dphi, np.pi - np.arccos(np.cos(phi - phi_e)), atol=1e-5)


def _by_formulas(level):
    """What observables were before they were expressions: formulas, operation by operation."""
    q2, y, px, py, pz = np.asarray(level.event, dtype=np.float64).T
    pt, eta = np.asarray(level.particles, dtype=np.float64)[:, :2].T
    of_particle = np.repeat(np.arange(len(level)), level.counts)
    nan = np.where((np.hypot(px, py) > 0) & (q2 > 0), 0.0, np.nan)
    safe = np.where(np.isnan(nan), 1.0, np.hypot(px, py))
    eta_e, phi_e, q2 = np.arcsinh(pz / safe) + nan, np.arctan2(py, px) + nan, q2 + nan
    jets = cluster(level, JetDefinition("kt", 1.0, 5.0))
    of_jet = np.repeat(np.arange(len(level)), np.diff(jets.offsets))
    with_jets = np.flatnonzero(np.diff(jets.offsets))
    delta = jets.phi.astype(np.float64)[jets.offsets[with_jets]] - phi_e[with_jets]
    each = np.arange(len(level))
    return {
        "eta_p_minus_eta_e": (of_particle, eta - eta_e[of_particle]),
        "log10_pt": (of_particle, np.log10(pt)),
        "log10_pt_over_q": (of_particle, np.log10(pt / np.sqrt(q2[of_particle]))),
        "jet_pt": (of_jet, jets.pt),
        "jet_eta": (of_jet, jets.eta),
        "jet_tau21": (of_jet, jets.tau_ratio(2)),
        "q2": (each, q2),
        "eta_e": (each, eta_e),
        "dphi_jet_e": (with_jets, np.pi - np.abs((delta + np.pi) % (2 * np.pi) - np.pi)),
        "y": (each, y + nan),
        "multiplicity": (each, np.diff(level.offsets)),
    }


@pytest.mark.parametrize("name", ["nature", "simulation"])
@pytest.mark.parametrize("which", ["gen", "reco"])
def test_expressions_give_the_bits_of_formulas(excerpt, name, which):
    level = excerpt(name, which)[0]
    level.event[::7] = 0  # events that fail
    found, expected = compute(level, observables()), _by_formulas(level)
    assert list(found) == list(expected)
    for observable, (index, value) in expected.items():
        value = value.astype(np.float32)
        keep = np.isfinite(value)
        assert found[observable].event_index.tolist() == index[keep].tolist(), observable
        assert found[observable].value.tobytes() == value[keep].tobytes(), observable


def test_jets_are_what_they_were(excerpt):
    """As FastJet is called for kT jets of R = 1 and pT > 5 GeV, without this package's classes."""
    import awkward as ak
    import fastjet

    level = excerpt("simulation", "gen")[0].take(np.arange(300))
    pt, eta, phi = np.asarray(level.particles, dtype=np.float64)[:, :3].T
    momentum = (pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta), pt * np.cosh(eta))
    columns = dict(zip(("px", "py", "pz", "E"), momentum, strict=True))
    events = ak.unflatten(ak.zip(columns, with_name="Momentum4D"), level.counts)
    definition = fastjet.JetDefinition(fastjet.kt_algorithm, 1.0)
    sequence = fastjet.ClusterSequence(events, definition)
    jets = sequence.inclusive_jets(min_pt=5.0)
    constituents = ak.flatten(sequence.constituents(min_pt=5.0), axis=1)
    tau = fastjet.ClusterSequence(constituents, definition).njettiness(
        *("NormalizedMeasure", "KT_Axes", [1, 2], 1.0, 1.0)
    )
    tau = np.asarray(tau).reshape(-1, 2)
    px, py, pz = (ak.to_numpy(ak.flatten(jets[axis])) for axis in ("px", "py", "pz"))
    jet_pt, event = np.hypot(px, py), np.repeat(np.arange(300), ak.to_numpy(ak.num(jets)))
    order = np.lexsort((-jet_pt, event))
    several = ak.to_numpy(ak.num(constituents)) > 1
    tau21 = np.where(several, tau[:, 1] / np.where(several, tau[:, 0], 1), np.nan)[order]
    found = compute(level, observables("jet_pt", "jet_eta", "jet_tau21"))
    expected = {"jet_pt": jet_pt, "jet_eta": np.arcsinh(pz / jet_pt)}
    for name, value in expected.items():
        assert found[name].value.tobytes() == value[order].astype(np.float32).tobytes()
    tau21 = tau21[np.isfinite(tau21)].astype(np.float32)
    assert found["jet_tau21"].value.tobytes() == tau21.tobytes()


def test_multiplicity_is_of_any_sample_with_particles():
    columns = {"event_columns": (), "particle_columns": ("x",)}
    level = Level(np.zeros((2, 0), "f4"), np.ones((3, 1), "f4"), np.array([0, 1, 3]), **columns)
    assert compute(level, observables("multiplicity"))["multiplicity"].value.tolist() == [1, 2]
    level = Level(np.ones((2, 1), "f4"), np.zeros((0, 0), "f4"), np.zeros(3, int), ("x",), ())
    with pytest.raises(InputError, match="counts particles, of which this level has none"):
        compute(level, observables("multiplicity"))


def test_the_set_is_that_of_the_paper():
    assert Observables(names=["dis"]).names == NAMES[:9]
    assert Observables(names=["y", "dis", "multiplicity"]).names == ("y", *NAMES[:9], NAMES[10])


@pytest.mark.parametrize(
    ("name", "bins", "low", "high"),
    [
        ("eta_p_minus_eta_e", 22, -1, 4.5),
        ("log10_pt", 22, -1, 1.75),
        ("log10_pt_over_q", 24, -2.75, 0.25),
        ("jet_pt", 17, 5, 65),
        ("jet_eta", 17, -1.5, 2.75),
        ("jet_tau21", 20, 0, 1),
        ("q2", 15, 150, 5000),
        ("eta_e", 16, -1.6, 1.6),
        ("dphi_jet_e", 16, 0, 1.2),
        ("y", 15, 0.2, 0.7),
        ("multiplicity", 20, 0.5, 60.5),
    ],
)
def test_default_binnings(name, bins, low, high):
    (observable,) = observables(name)
    edges = np.array(observable.edges)
    assert len(edges) == bins + 1
    assert edges[[0, -1]].tolist() == pytest.approx([low, high])
    steps = np.diff(np.log(edges) if name == "q2" else edges)
    assert (steps > 0).all()
    if name != "jet_pt":
        np.testing.assert_allclose(steps, steps[0], rtol=1e-9)
