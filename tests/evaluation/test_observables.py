import math
import sys
import types
from dataclasses import dataclass, replace

import h5py
import hist
import numpy as np
import pytest

from omniflow.config.observables import DEFAULT_OBSERVABLES
from omniflow.config.schema import Config
from omniflow.errors import ConfigError, InputError
from omniflow.evaluation import observables
from omniflow.events.sample import Level
from omniflow.physics.dis.kinematics import DIS_EVENT, DIS_PARTICLE
from omniflow.unfolding import fingerprints


@dataclass
class StubJets:
    offsets: np.ndarray
    pt: np.ndarray
    eta: np.ndarray
    phi: np.ndarray
    tau21: np.ndarray


def stub_cluster(level):
    """Every particle is a jet; its charge column stands for tau21."""
    column = {
        name: level.particles[:, i].astype(np.float32)
        for i, name in enumerate(level.particle_columns)
    }
    return StubJets(level.offsets, column["pt"], column["eta"], column["phi"], column["charge"])


@pytest.fixture
def jets(monkeypatch):
    calls = []
    module = types.ModuleType("omniflow.physics.jets")
    module.cluster = lambda level: calls.append(len(level)) or stub_cluster(level)
    monkeypatch.setitem(sys.modules, "omniflow.physics.jets", module)
    return calls


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
    "multiplicity": ([0, 2, 3], [2.0, 1.0, 0.0]),
}


@pytest.mark.parametrize("chunk", [1, 3, 100])
def test_values_by_hand(jets, monkeypatch, chunk):
    monkeypatch.setattr(observables, "CHUNK", chunk)
    found = observables.compute(LEVEL, EXPECTED)
    assert list(found) == list(EXPECTED)
    for name, (index, value) in EXPECTED.items():
        assert found[name].event_index.dtype == np.int64
        assert found[name].value.dtype == np.float32
        assert found[name].event_index.tolist() == index, name
        np.testing.assert_allclose(found[name].value, value, rtol=0, atol=2e-6, err_msg=name)


def test_jets_are_clustered_once_and_only_if_asked(jets):
    observables.compute(LEVEL, ["q2", "log10_pt"])
    assert jets == []
    observables.compute(LEVEL, ["jet_pt", "jet_eta", "dphi_jet_e"])
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
    dphi = observables.compute(level, ["dphi_jet_e"])["dphi_jet_e"].value
    np.testing.assert_allclose(dphi[:5], 0, atol=1e-6)
    # the opening angle from the scalar product of unit vectors knows nothing of wrapping
    np.testing.assert_allclose(dphi, np.pi - np.arccos(np.cos(phi - phi_e)), atol=1e-5)


def test_values_do_not_depend_on_the_other_events(jets):
    alone = observables.compute(LEVEL.take(np.array([2])), EXPECTED)
    together = observables.compute(LEVEL, EXPECTED)
    for name in EXPECTED:
        of_event = together[name].value[together[name].event_index == 2]
        np.testing.assert_array_equal(alone[name].value, of_event)


def test_nothing_of_no_events(jets):
    found = observables.compute(LEVEL.take(np.array([], dtype=int)), EXPECTED)
    assert all(len(entries) == 0 for entries in found.values())


def test_unphysical_values_have_no_entry(jets):
    particles = PARTICLES.copy()
    particles[0, 0] = 0.0
    found = observables.compute(replace(LEVEL, particles=particles), ["log10_pt"])["log10_pt"]
    assert found.event_index.tolist() == [0, 2]


def test_the_configuration_knows_the_same_observables():
    schema = Config.model_json_schema()
    names = schema["$defs"]["Observables"]["properties"]["names"]["items"]["enum"]
    assert list(observables.OBSERVABLES) == names
    assert len(DEFAULT_OBSERVABLES) == 9


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
    axis = observables.binning(name)
    assert isinstance(axis, hist.axis.Variable)
    assert (axis.name, len(axis)) == (name, bins)
    assert axis.edges[0] == pytest.approx(low)
    assert axis.edges[-1] == pytest.approx(high)
    steps = np.diff(np.log(axis.edges) if name == "q2" else axis.edges)
    assert (steps > 0).all()
    if name != "jet_pt":
        np.testing.assert_allclose(steps, steps[0], rtol=1e-9)


def test_binning_can_be_overridden():
    overrides = {"q2": (150, 300, 1000)}
    assert observables.binning("q2", overrides).edges.tolist() == [150, 300, 1000]
    assert len(observables.binning("y", overrides)) == 15
    assert observables.binning("q2").label.endswith("[GeV²]")


def test_unknown_observable_suggests_the_nearest():
    with pytest.raises(ConfigError, match="did you mean 'jet_tau21'"):
        observables.get("jet_tau12")
    with pytest.raises(ConfigError, match="known are eta_p_minus_eta_e"):
        observables.compute(LEVEL, ["thrust"])


def test_missing_column_is_named(jets):
    level = Level(np.ones((2, 1), "f4"), np.zeros((0, 0), "f4"), np.zeros(3, int), ("x",), ())
    with pytest.raises(InputError, match="'e_px' but the sample has x"):
        observables.compute(level, ["q2"])


class TestCache:
    def test_returns_what_was_computed(self, jets, tmp_path, monkeypatch):
        monkeypatch.setattr(observables, "CHUNK", 3)
        path = tmp_path / "observables.h5"
        observables.write(path, LEVEL, EXPECTED)
        found = observables.read(path, EXPECTED)
        assert set(found) == set(EXPECTED)
        for name, (index, value) in EXPECTED.items():
            assert found[name].event_index.dtype == np.int64
            assert found[name].event_index.tolist() == index
            np.testing.assert_allclose(found[name].value, value, rtol=0, atol=2e-6)
        assert list(observables.read(path, ["y"])) == ["y"]
        assert [file.name for file in tmp_path.iterdir()] == ["observables.h5"]

    def test_nothing_is_left_of_a_failed_write(self, tmp_path):
        level = replace(LEVEL, particle_columns=("a", "b", "c", "d"))
        with pytest.raises(InputError, match="'pt'"):
            observables.write(tmp_path / "observables.h5", level, ["q2", "log10_pt"])
        assert list(tmp_path.iterdir()) == []

    def test_bad_files_are_refused(self, tmp_path):
        path = tmp_path / "observables.h5"
        path.write_text("no")
        with pytest.raises(InputError, match="is not an HDF5 file"):
            observables.read(path, ["q2"])
        observables.write(path, LEVEL, ["q2"])
        with pytest.raises(InputError, match="of 4 events, but the sample has 5"):
            observables.read(path, ["q2"], events=5)
        assert len(observables.read(path, ["q2"], events=4)["q2"]) == 3
        with pytest.raises(InputError, match="jet_pt"):
            observables.read(path, ["jet_pt"])
        with h5py.File(path, "r+") as file:
            file["q2/count"][0] = 2
        with pytest.raises(InputError, match="q2/value"):
            observables.read(path, ["q2"])
        with h5py.File(path, "r+") as file:
            file.attrs["schema_version"] = 99
        with pytest.raises(InputError, match="version of observables is 99, expected 2"):
            observables.read(path, ["q2"])

    def test_objects_are_every_jet_every_event_or_every_particle(self, jets, tmp_path):
        path = tmp_path / "observables.h5"
        observables.write(path, LEVEL, ["jet_tau21", "dphi_jet_e", "log10_pt"])
        found = observables.read_objects(path, "jet_tau21", 4)
        assert found.event.tolist() == [0, 0, 2]
        # the second particle's tau21 does not exist, but it is a jet
        np.testing.assert_array_equal(found.value, PARTICLES[:, 3])
        np.testing.assert_array_equal(found.eta, PARTICLES[:, 1])
        np.testing.assert_array_equal(found.phi, PARTICLES[:, 2])
        found = observables.read_objects(path, "dphi_jet_e", 4)
        assert found.event.tolist() == [0, 1, 2, 3]
        assert np.isnan(found.value).tolist() == [False, True, False, True]
        assert found.value[2] == pytest.approx(math.pi - 0.283185, abs=1e-6)
        found = observables.read_objects(path, "log10_pt", 4)
        assert found.event.tolist() == [0, 0, 2]

    def test_without_observables_of_jets_none_are_stored(self, jets, tmp_path):
        path = tmp_path / "observables.h5"
        observables.write(path, LEVEL, ["q2", "log10_pt"])
        assert jets == []
        with h5py.File(path) as file:
            assert set(file) == {"q2", "log10_pt"}

    def test_two_entries_of_an_event_are_refused(self, tmp_path):
        path = tmp_path / "observables.h5"
        observables.write(path, LEVEL, ["q2"])
        with h5py.File(path, "r+") as file:
            file["q2/count"][:] = [1, 0, 2, 0]
        with pytest.raises(InputError, match="q2: event 2 has several entries"):
            observables.read_objects(path, "q2", 4)


def test_the_plan_knows_the_version_of_the_files():
    assert fingerprints.OBSERVABLES_VERSION == observables.SCHEMA_VERSION
