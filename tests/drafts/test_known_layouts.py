"""Every layout that is known: from files to event stores without an edit."""

from pathlib import Path

import awkward as ak
import h5py
import numpy as np
import pytest
import uproot
from drafted import planned, stores, through

from omniflow.drafts.content import look
from omniflow.drafts.layouts import known, recognised

DATA = Path(__file__).parents[1] / "data"
EVENTS = 60


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def rng():
    return np.random.default_rng(4)


def jets(rng, names, counts, scale=1.0):
    """Columns of particles by name: pt, eta, phi and mass."""
    total = int(counts.sum())
    numbers = (
        rng.uniform(25, 90, total) * scale,
        rng.uniform(-2, 2, total),
        rng.uniform(-3, 3, total),
        rng.uniform(1, 9, total) * scale,
    )
    return {n: ak.unflatten(v.astype("f4"), counts) for n, v in zip(names, numbers, strict=True)}


def tree(path, name, columns):
    """A TTree of columns."""
    counters = {key: f"n_{at}" for at, key in enumerate(columns)}
    kinds = {k: v.type if isinstance(v, ak.Array) else v.dtype for k, v in columns.items()}
    with uproot.recreate(path) as file:
        file.mktree(name, kinds, counter_name=counters.__getitem__).extend(columns)


def test_each_layout_has_a_title_of_its_own():
    titles = [layout.title for layout in known()]
    assert len(set(titles)) == len(titles) > 9
    assert known()[-1].rank > known()[0].rank


@pytest.mark.parametrize("suffix", ["root", "parquet"])
def test_nanoaod_of_one_file(tmp_path, suffix):
    text, data, simulation = through(tmp_path, DATA / f"nano_dy.{suffix}")
    assert len(data) == len(simulation) == 20
    assert (simulation.weight < 0).any()
    assert "TODO: there is one file" in text
    assert "scale_up" in simulation.weights
    assert set(simulation.detector.particle_columns) == {"pt", "eta", "phi", "mass"}


def test_h1(tmp_path):
    text, plan = planned(tmp_path, DATA / "h1_nature.h5", DATA / "h1_simulation.h5")
    assert plan.samples["data"].source == "h1"
    assert "TODO: all files have a particle level" in text
    data, simulation = stores(plan)
    assert len(data) == len(simulation) == 1000


def test_h1_data_without_truth(tmp_path):
    """Roles do not depend on the order of the files."""
    with h5py.File(DATA / "h1_nature.h5") as file, h5py.File("real.h5", "w") as real:
        for name in ("reco_particle_features", "reco_event_features"):
            real[name] = file[name][:]
    text, data, simulation = through(tmp_path, DATA / "h1_simulation.h5", "real.h5")
    assert data.particle is None
    assert simulation.particle is not None
    assert "Files without particle level are data" in text


def test_pfnano(tmp_path, rng):
    for name, truth in (("data", False), ("simulation", True)):
        counts = rng.integers(1, 6, EVENTS)
        columns = jets(rng, [f"PFCands_{n}" for n in ("pt", "eta", "phi", "mass")], counts)
        columns["PFCands_puppiWeight"] = ak.unflatten(np.ones(counts.sum(), "f4"), counts)
        columns |= jets(rng, [f"Jet_{n}" for n in ("pt", "eta", "phi", "mass")], counts)
        if truth:
            columns |= jets(rng, [f"GenCands_{n}" for n in ("pt", "eta", "phi", "mass")], counts)
            columns["genWeight"] = rng.normal(1, 0.1, EVENTS)
        columns |= {"run": np.ones(EVENTS, "u4"), "event": np.arange(EVENTS, dtype="u8")}
        tree(f"{name}.root", "Events", columns)
    text, data, simulation = through(tmp_path, "data.root", "simulation.root")
    assert "PFNano" in text
    assert "PFCands_puppiWeight > 0.5" in text
    assert data.particle is None
    assert len(simulation.particle.particles) > EVENTS


def test_delphes(tmp_path, rng):
    for name in ("nature", "simulation"):
        counts = rng.integers(1, 5, EVENTS)
        columns = {}
        for each in ("Jet", "GenJet"):
            members = [f"{each}/{each}.{n}" for n in ("PT", "Eta", "Phi", "Mass")]
            columns |= jets(rng, members, counts)
        for key, values in {
            "Event/Event.Number": np.arange(EVENTS, dtype="i8"),
            "Event/Event.Weight": rng.uniform(0.9, 1.1, EVENTS).astype("f4"),
            "MissingET/MissingET.MET": rng.uniform(1, 50, EVENTS).astype("f4"),
            "GenMissingET/GenMissingET.MET": rng.uniform(1, 50, EVENTS).astype("f4"),
        }.items():
            columns[key] = ak.unflatten(values, np.ones(EVENTS, int))
        tree(f"{name}.root", "Delphes", columns)
    text, data, simulation = through(tmp_path, "nature.root", "simulation.root")
    assert "Delphes" in text.splitlines()[0]
    assert simulation.detector.event_columns == ("met",)
    assert simulation.weight.min() > 0.89
    assert data.particle is not None


@pytest.mark.parametrize("kind", ["tree", "ntuple"])
def test_physlite(tmp_path, rng, kind):
    for name in ("data", "simulation"):
        counts = rng.integers(1, 5, EVENTS)
        columns = {}
        for each in ("AnalysisJetsAuxDyn", "AntiKt4TruthDressedWZJetsAuxDyn"):
            if each.startswith("Anti") and name == "data":
                continue
            columns |= jets(rng, [f"{each}.{n}" for n in ("pt", "eta", "phi", "m")], counts, 1000)
        columns["EventInfoAuxDyn.eventNumber"] = np.arange(EVENTS, dtype="u8") + 2**60
        columns["EventInfoAuxDyn.runNumber"] = np.full(EVENTS, 3, "u4")
        if name == "simulation":
            weights = rng.normal(size=(EVENTS, 3)).astype("f4") + 2
            columns["EventInfoAuxDyn.mcEventWeights"] = ak.from_regular(ak.Array(weights))
        if kind == "tree":
            tree(f"{name}.root", "CollectionTree", columns)
        else:
            with uproot.recreate(f"{name}.root") as file:
                file.mkrntuple("EventData", {k.replace(".", ":"): v for k, v in columns.items()})
    text, data, simulation = through(tmp_path, "data.root", "simulation.root")
    assert "DAOD_PHYSLITE" in text
    assert 25 <= simulation.particle.particles[:, 0].min() < 35  # GeV
    assert data.particle is None
    assert simulation.weight.tolist() != [1] * EVENTS


def zjets(path, rng, seed):
    arrays = {}
    for level in ("gen", "sim"):
        counts = rng.integers(1, 8, EVENTS)
        particles = rng.uniform(0.01, 1, (EVENTS, 8, 4))
        particles[np.arange(8) >= counts[:, None]] = 0
        arrays[f"{level}_particles"] = particles
        arrays[f"{level}_jets"] = rng.uniform(100, 300, (EVENTS, 4))
        arrays[f"{level}_mults"] = counts.astype("f8")
        names = ("widths", "lhas", "ang2s", "tau2s", "sdms", "zgs")
        arrays |= {f"{level}_{name}": rng.random(EVENTS) for name in names}
    np.savez(path, **arrays)


def test_public_z_jets(tmp_path, rng):
    """Several files per generator, which are told apart by their names."""
    for generator in ("Herwig", "Pythia26"):
        for at in range(3):
            zjets(f"{generator}_Zjet_pTZ-200GeV_{at}.npz", rng, at)
    files = sorted(tmp_path.glob("*.npz"))
    text, data, simulation = through(tmp_path, *(file.name for file in files))
    assert len(data) == len(simulation) == 3 * EVENTS
    assert "files: Herwig_Zjet_pTZ-200GeV_*.npz" in text
    assert "tau21" in text


def test_z_jets_as_hdf5(tmp_path, rng):
    for name in ("data", "simulation"):
        with h5py.File(f"{name}.h5", "w") as file:
            for level in ("reco", "gen"):
                file[level] = rng.normal(size=(EVENTS, 5, 13)).astype("f4")
                file[f"{level}_jets"] = rng.uniform(100, 300, (EVENTS, 4))
                file[f"{level}_subs"] = rng.random((EVENTS, 6))
    text, _, simulation = through(tmp_path, "data.h5", "simulation.h5")
    assert simulation.detector.event_columns[-1] == "tau21"
    assert "Constituents are in `reco`" in text
    passes = simulation.pass_detector
    assert 0 < passes.sum() < EVENTS


def test_frames_of_atlas(tmp_path):
    text, data, simulation = through(
        tmp_path, DATA / "pandas_fixed.h5", DATA / "pandas_data_columns.h5"
    )
    assert "as of a perfect detector" in text
    assert np.array_equal(simulation.detector.event, simulation.particle.event)
    assert data.particle is not None


def test_event_stores(tmp_path):
    """Stores of a study are files as any: the same events come out."""
    folder = tmp_path / "one"
    folder.mkdir()
    _, plan = planned(folder, DATA / "h1_nature.h5", DATA / "h1_simulation.h5")
    before = stores(plan)
    files = [plan.store(role) for role in ("data", "simulation")]
    text, *after = through(tmp_path, *files)
    assert recognised(look(str(files[0]))).title in text
    for one, other in zip(before, after, strict=True):
        order = [np.argsort(each.event_id) for each in (one, other)]
        for name in ("weight", "pass_detector", "pass_particle"):
            found = [np.asarray(getattr(each, name)) for each in (one, other)]
            assert np.array_equal(found[0][order[0]], found[1][order[1]])
        for level in ("detector", "particle"):
            found = [getattr(each, level) for each in (one, other)]
            assert np.array_equal(found[0].event[order[0]], found[1].event[order[1]])
            assert len(found[0].particles) == len(found[1].particles)


def test_tables_joined_by_an_id(tmp_path, rng):
    """As T2K's example: levels in trees of their own, in another order, with absent values."""
    for name in ("data", "simulation"):
        number = np.arange(EVENTS) + 10
        truth = {"evt_id": number, "p": rng.uniform(0, 2, EVENTS), "w": np.ones(EVENTS)}
        truth["angle"] = rng.uniform(0, 3, EVENTS)
        seen = rng.permutation(EVENTS)[: EVENTS - 9]
        reco = {key: values[seen].copy() for key, values in truth.items()}
        reco["p"] = np.where(rng.random(len(seen)) < 0.2, -1e6, reco["p"] * 1.1)
        with uproot.recreate(f"{name}.root") as file:
            for key, columns in (("reco", reco), ("truth", truth)):
                kinds = {column: values.dtype for column, values in columns.items()}
                if name == "simulation" or key == "reco":
                    file.mktree(key, kinds).extend(columns)
    text, data, simulation = through(tmp_path, "simulation.root", "data.root")
    assert "missing: [-1e+06]" in text
    assert len(simulation) == EVENTS
    assert len(data) == EVENTS - 9
    assert 0 < simulation.pass_detector.sum() < EVENTS - 9
    assert simulation.pass_particle.all()
