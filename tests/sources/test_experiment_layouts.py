"""Layouts that experiments write, as small files: some ten lines of YAML map each of them."""

import re
from pathlib import Path
from shutil import copy

import awkward as ak
import numpy as np
import pytest
import uproot
import yaml
from mapped_files import lists, refused, source
from test_indices import jagged

from omniflow import config
from omniflow.events.plausibility import Plausibility
from omniflow.events.sample import Events
from omniflow.stages import preflight
from omniflow.unfolding.plan import Plan

RNG = np.random.default_rng(9)
COUNTS = np.array([2, 0, 3, 1, 0, 4])
EVENTS, PARTICLES = len(COUNTS), int(COUNTS.sum())
DATA = Path(__file__).parents[1] / "data"
HEAD = {"study": {"name": "s"}, "methods": {"none": {}}}


def samples(text):
    """Data and simulation of a configuration, whose names fit: their events."""
    found = config.validate(HEAD | yaml.safe_load(text))
    assert preflight.problems(Plan(found)) == []
    assert preflight.missing(Plan(found)) == []
    for sample in (found.samples.data, found.samples.simulation):
        yield Events.joined(list(sample.read()))


def flat(low, high):
    return RNG.uniform(low, high, PARTICLES).astype("f4")


def of_jets(prefix, scale=1.0):
    """Columns of jets by name, lists of events."""
    columns = {"pt": flat(20, 90) * scale, "eta": flat(-4, 4), "phi": flat(-3, 3)}
    return {f"{prefix}{name}": values for name, values in columns.items()}


def write(path, name, columns):
    """A TTree of columns; those with as many rows as there are particles are lists."""
    types = {}
    for key, values in columns.items():
        if isinstance(values, np.ndarray) and len(values) == PARTICLES:
            columns[key] = values = jagged(values)
        types[key] = values.type if isinstance(values, ak.Array) else values.dtype
    with uproot.recreate(path) as file:
        counter = {key: f"n_{at}" for at, key in enumerate(types)}
        file.mktree(name, types, counter_name=counter.__getitem__).extend(columns)


def as_lists(values):
    return ak.to_list(jagged(values))


def test_pfnano(tmp_path, monkeypatch):
    """NanoAOD with particle-flow candidates."""
    monkeypatch.chdir(tmp_path)
    wanted = {}
    for name in ("data", "simulation"):
        columns = of_jets("PFCands_") | of_jets("GenCands_")
        columns |= {"PFCands_puppiWeight": flat(0, 1), "PFCands_charge": np.ones(PARTICLES, "i4")}
        columns |= {"event": np.arange(EVENTS, dtype="u8"), "run": np.ones(EVENTS, "u4")}
        columns |= {"HLT_PFJet500": COUNTS > 0, "genWeight": RNG.normal(1, 0.1, EVENTS)}
        wanted[name] = columns["PFCands_pt"], columns["PFCands_puppiWeight"] > 0.5
        write(tmp_path / f"{name}.root", "Events", columns)
    data, simulation = samples("""
samples:
  data: &pf
    source: root
    files: data.root
    detector:
      particles: { pt: PFCands_pt, eta: PFCands_eta, phi: PFCands_phi }
      keep: PFCands_puppiWeight > 0.5 and PFCands_charge != 0
      selection: HLT_PFJet500
    id: [run, event]
  simulation:
    <<: *pf
    files: simulation.root
    weight: genWeight
    particle: { particles: { pt: GenCands_pt, eta: GenCands_eta, phi: GenCands_phi } }
""")
    for events, (pt, keep) in zip((data, simulation), wanted.values(), strict=True):
        assert events.detector.particles[:, 0].tolist() == pt[keep].tolist()
        assert events.pass_detector.tolist() == (COUNTS > 0).tolist()
    assert data.particle is None
    assert len(simulation.particle.particles) == PARTICLES


def test_delphes(tmp_path, monkeypatch):
    """Members of classes in folders, one entry in lists of events, arrays per jet."""
    monkeypatch.chdir(tmp_path)
    one = np.arange(1, EVENTS + 1)

    def single(values):
        return ak.unflatten(values, np.ones(EVENTS, int))

    tau = RNG.uniform(0, 1, (PARTICLES, 5)).astype("f4")
    columns = {}
    for name in ("Jet", "GenJet"):
        jets = {"PT": flat(20, 90), "Eta": flat(-4, 4), "Phi": flat(-3, 3), "Mass": flat(1, 9)}
        columns |= {f"{name}/{name}.{key}": values for key, values in jets.items()}
        columns[f"{name}/{name}.fUniqueID"] = np.ones(PARTICLES, "u4")
        columns[f"{name}/{name}.Tau[5]"] = ak.unflatten(tau.ravel(), COUNTS * 5)
        columns[f"{name}_size"] = COUNTS.astype("i4")
    columns["Event/Event.Number"] = single(one.astype("i8"))
    columns["Event/Event.Weight"] = single(one.astype("f4"))
    columns["MissingET/MissingET.MET"] = single(RNG.uniform(0, 50, EVENTS).astype("f4"))
    columns["GenMissingET/GenMissingET.MET"] = single(RNG.uniform(0, 50, EVENTS).astype("f4"))
    pt = columns["GenJet/GenJet.PT"]
    for name in ("data", "simulation"):
        write(tmp_path / f"{name}.root", "Delphes", dict(columns))
    data, simulation = samples("""
samples:
  data: &delphes
    source: root
    files: data.root
    detector:
      particles: { pt: Jet.PT, eta: Jet.Eta, phi: Jet.Phi, tau21: "Jet.Tau[1] / Jet.Tau[0]" }
      event: { met: first(MissingET.MET) }
    id: first(Event.Number)
  simulation:
    <<: *delphes
    files: simulation.root
    weight: first(Event.Weight)
    particle:
      particles:
        { pt: GenJet.PT, eta: GenJet.Eta, phi: GenJet.Phi, tau21: "GenJet.Tau[1] / GenJet.Tau[0]" }
      event: { met: first(GenMissingET.MET) }
""")
    assert data.event_id.tolist() == simulation.weight.tolist() == one.tolist()
    assert lists(simulation.particle, "pt") == as_lists(pt)
    ratio = (tau[:, 1].astype(float) / tau[:, 0]).astype("f4")
    assert lists(data.detector, "tau21") == as_lists(ratio)
    level = {"particles": {"unique": "fUniqueID"}}
    message = r"has no column 'fUniqueID'; did you mean Jet\.fUniqueID or GenJet\.fUniqueID"
    refused(message, "root", "data.root", detector=level)
    level = {"particles": {"tau": "Jet.Tau"}}
    message = r"data\.root:Delphes;?.*: Jet\.Tau: holds 5 numbers per particle: take one by its"
    refused(message, "root", "data.root", detector=level)


def physlite():
    """Columns of DAOD_PHYSLITE; momenta in MeV, -999 GeV where a jet has no charge."""
    columns = {}
    for name in ("AnalysisJetsAuxDyn", "AntiKt4TruthDressedWZJetsAuxDyn"):
        columns |= of_jets(f"{name}.", 1000)
        columns[f"{name}.m"] = flat(1000, 9000)
    columns["AnalysisJetsAuxDyn.JVT"] = flat(0, 1)
    columns["EventInfoAuxDyn.eventNumber"] = np.arange(EVENTS, dtype="u8") + 2**60
    columns["EventInfoAuxDyn.runNumber"] = np.full(EVENTS, 3, "u4")
    columns["MET_Core_AnalysisMETAuxDyn.sumet"] = jagged(flat(1e4, 9e4))
    return columns


PHYSLITE = """
samples:
  data: &physlite
    source: root
    files: "data/*.root"
    detector:
      particles:
        pt: { expression: AnalysisJetsAuxDyn.pt, unit: MeV }
        eta: AnalysisJetsAuxDyn.eta
        phi: AnalysisJetsAuxDyn.phi
      keep: AnalysisJetsAuxDyn.JVT > 0.5
    id: [EventInfoAuxDyn.runNumber, EventInfoAuxDyn.eventNumber]
  simulation:
    <<: *physlite
    files: simulation.root
    weight: nth(EventInfoAuxDyn.mcEventWeights, 0)
    particle:
      particles:
        pt: { expression: AntiKt4TruthDressedWZJetsAuxDyn.pt, unit: MeV }
        eta: AntiKt4TruthDressedWZJetsAuxDyn.eta
        phi: AntiKt4TruthDressedWZJetsAuxDyn.phi
"""


@pytest.mark.parametrize("kind", ["tree", "ntuple"])
def test_physlite(tmp_path, monkeypatch, kind):
    """In TTrees names have dots, in RNTuples colons, which go into quotes."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    text, wanted = PHYSLITE, []
    for name in ("data/a", "data/b", "simulation"):
        columns = physlite()
        weights = RNG.normal(size=(EVENTS, 3)).astype("f4")
        columns["EventInfoAuxDyn.mcEventWeights"] = ak.from_regular(ak.Array(weights))
        columns["EventInfoAuxDyn.eventNumber"] += len(wanted) * np.uint64(EVENTS)
        keep = columns["AnalysisJetsAuxDyn.JVT"] > 0.5
        wanted.append((columns["AnalysisJetsAuxDyn.pt"][keep], weights[:, 0]))
        if kind == "tree":
            write(tmp_path / f"{name}.root", "CollectionTree", columns)
            continue
        content = {
            key.replace(".", ":"): jagged(values) if len(values) == PARTICLES else values
            for key, values in columns.items()
        }
        with uproot.recreate(tmp_path / f"{name}.root") as file:
            file.mkrntuple("EventData", content)
    if kind == "ntuple":
        text = re.sub(r"(\w+AuxDyn)\.(\w+)", r"column('\1:\2')", text)
        text = re.sub(r"id: \[(.*), (.*)\]", r'id: ["\1", "\2"]', text)
        text = re.sub(r"expression: (column\S+\)),", r'expression: "\1",', text)
    data, simulation = samples(text)
    pt = [(found.astype(float) / 1000).astype("f4") for found, _ in wanted]
    assert data.detector.particles[:, 0] == pytest.approx(np.concatenate(pt[:2]), rel=1e-6)
    assert simulation.detector.particles[:, 0] == pytest.approx(pt[2], rel=1e-6)
    assert simulation.weight.tolist() == wanted[2][1].tolist()
    assert len(np.unique(data.event_id)) == 2 * EVENTS


@pytest.mark.parametrize("where", ["AnalysisJetsAuxDyn.pt", "AnalysisJetsAuxDyn.phi"])
def test_missing_numbers_of_physlite(tmp_path, monkeypatch, where):
    monkeypatch.chdir(tmp_path)
    columns = physlite()
    columns[where][3] = -999
    write(tmp_path / "a.root", "CollectionTree", columns)
    level = yaml.safe_load(PHYSLITE)["samples"]["data"]["detector"]
    del level["keep"]
    sample = source("root", "a.root", detector=level)
    plausibility = Plausibility(sample.units(), sample.rules(), sample.converted())
    for part in sample.read():
        plausibility.add(part)
    unit = " MeV" if where.endswith("pt") else ""
    (warning,) = plausibility.warnings(sample.place)
    name = where.rpartition(".")[2]
    assert warning.startswith(f"{name} at detector level is -999{unit} in a.root: event 2, and 1 ")
    assert warning.endswith("it probably stands for a missing one; name it in `missing`.")


def test_public_z_jets(tmp_path, monkeypatch):
    """Of OmniFold: one file after the other, each padded to a length of its own."""
    monkeypatch.chdir(tmp_path)
    numbers = {}
    for generator in ("Herwig", "Pythia26"):
        for at, most in enumerate((7, 4, 9)):
            arrays = {}
            for level in ("gen", "sim"):
                counts = RNG.integers(1, most + 1, 20)
                particles = RNG.uniform(0.01, 1, (20, most, 4))
                particles[np.arange(most) >= counts[:, None]] = 0
                arrays[f"{level}_particles"] = particles
                arrays[f"{level}_jets"] = RNG.uniform(10, 300, (20, 4))
                arrays[f"{level}_mults"] = counts.astype("f8")
                arrays |= {f"{level}_{name}": RNG.random(20) for name in ("widths", "zgs", "sdms")}
                numbers.setdefault((generator, level), []).append(counts)
            np.savez(f"{generator}_Zjet_pTZ-200GeV_{at}.npz", **arrays)
    data, simulation = samples("""
samples:
  data: &z
    source: npz
    files: "Herwig_Zjet_*.npz"
    detector:
      particles: { pt: "100 * sim_particles[0]", eta: "sim_particles[1]", phi: "sim_particles[2]" }
      event: { pt_jet: "sim_jets[0]", mult: sim_mults, zg: sim_zgs }
    particle:
      particles: { pt: "100 * gen_particles[0]", eta: "gen_particles[1]", phi: "gen_particles[2]" }
      event: { pt_jet: "gen_jets[0]", mult: gen_mults, zg: gen_zgs }
  simulation: { <<: *z, files: "Pythia26_Zjet_*.npz" }
""")
    for generator, events in (("Herwig", data), ("Pythia26", simulation)):
        for level, found in (("sim", events.detector), ("gen", events.particle)):
            counts = np.concatenate(numbers[generator, level])
            assert found.counts.tolist() == found.event[:, 1].tolist() == counts.tolist()


def test_frames_of_pandas(tmp_path, monkeypatch):
    """`df` as ATLAS writes it, here in both forms that hold plain names."""
    monkeypatch.chdir(tmp_path)
    copy(DATA / "pandas_fixed.h5", "data.h5")
    copy(DATA / "pandas_data_columns.h5", "simulation.h5")
    data, simulation = samples("""
samples:
  data: &atlas
    source: hdf5
    files: data.h5
    detector: { event: [pT_ll, eta_l1, Ntracks_trackj1] }
    weight: weights_nominal
    replicas: [weights_ensemble_0]
    id: index
  simulation:
    <<: *atlas
    files: simulation.h5
    particle: { event: [pT_ll, eta_l1, Ntracks_trackj1] }
classifier: { kind: mlp }
""")
    assert np.array_equal(data.detector.event, simulation.particle.event)
    assert "replica-1" in data.weights
