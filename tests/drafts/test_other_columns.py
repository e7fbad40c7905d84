"""Files of no known layout: columns find their places by names and numbers."""

import awkward as ak
import h5py
import numpy as np
import pandas as pd
import pytest
import uproot
from drafted import through

N = 400


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def rng():
    return np.random.default_rng(7)


def parquet(name, columns):
    pd.DataFrame(columns).to_parquet(name)


def test_absent_numbers_weights_and_ids(tmp_path, rng):
    passes = rng.random(N) < 0.8
    for name in ("data", "simulation"):
        columns = {"pt_reco": np.where(passes, rng.normal(30, 3, N), -999), "n": np.arange(N)}
        columns |= {"eventNumber": np.arange(N) + 7, "comment": ["x"] * N}
        if name == "simulation":
            columns |= {"pt_truth": rng.normal(30, 3, N), "weight": rng.normal(1, 0.2, N)}
        parquet(f"{name}.parquet", columns)
    text, data, simulation = through(tmp_path, "data.parquet", "simulation.parquet")
    assert "missing: [-999]" in text
    assert "Not used: comment" in text
    assert data.pass_detector.sum() == simulation.pass_detector.sum() == passes.sum()
    assert sorted(data.event_id) == list(range(7, N + 7))
    assert simulation.weight.std() > 0.1
    assert simulation.particle.event_columns == ("pt",)


def test_pairs_without_a_word_for_the_detector(tmp_path, rng):
    for name in ("d", "s"):
        columns = {"mass": rng.normal(90, 3, N), "width": rng.random(N)}
        if name == "s":
            columns |= {"mass_true": rng.normal(90, 3, N), "width_true": rng.random(N)}
            columns["process"] = rng.integers(0, 4, N)
        with uproot.recreate(f"{name}.root") as file:
            file.mktree("tree", {k: v.dtype for k, v in columns.items()}).extend(columns)
    text, data, _ = through(tmp_path, "d.root", "s.root")
    assert "Not used: process" in text
    assert data.detector.event_columns == ("mass", "width")


def test_jets_in_mev_and_degrees(tmp_path, rng):
    counts = rng.integers(0, 5, N)
    total = counts.sum()
    columns = {}
    for name in ("recojet", "truthjet"):
        numbers = {"pt": rng.uniform(2e4, 9e4, total), "eta": rng.normal(size=total)}
        numbers["phi"] = rng.uniform(-180, 180, total)
        for key, values in numbers.items():
            columns[f"{name}_{key}"] = ak.unflatten(values.astype("f4"), counts)
    with uproot.recreate("a.root") as file:
        file.mktree("nominal", {k: v.type for k, v in columns.items()}).extend(columns)
    text, _, simulation = through(tmp_path, "a.root")
    assert "unit: MeV" in text
    assert simulation.particle.particle_columns == ("pt", "eta", "phi")
    assert 20 <= simulation.particle.particles[:, 0].max() <= 90
    assert np.abs(simulation.detector.particles[:, 2]).max() <= np.pi


def test_absent_truth_makes_fakes(tmp_path, rng):
    truth = np.where(rng.random(N) < 0.1, np.nan, rng.normal(size=N))
    parquet("a.parquet", {"reco_x": rng.normal(size=N), "gen_x": truth})
    text, _, simulation = through(tmp_path, "a.parquet")
    assert "particle_level: pass_gen" in text
    assert "selection: isfinite(gen_x)" in text
    assert 0 < (~simulation.pass_particle).sum() < N / 4


def test_an_id_that_repeats_is_not_taken(tmp_path, rng):
    numbers = {"x_r": rng.normal(size=N), "x_t": rng.normal(size=N), "event": np.arange(N) // 2}
    parquet("a.parquet", numbers)
    text, data, _ = through(tmp_path, "a.parquet")
    assert "TODO: event repeats in 200 of 400 records" in text
    assert len(np.unique(data.event_id)) == N // 2


def test_arrays_of_events_and_flags(tmp_path, rng):
    """The names that OmniFold's own examples have; data of another name, in order."""
    passes = rng.random(N) < 0.9
    arrays = {key: rng.normal(size=(N, 3)) for key in ("MCgen", "MCreco")}
    np.savez("mc.npz", pass_reco=passes, **arrays)
    np.savez("data.npz", measured=rng.normal(size=(N, 3)))
    text, data, simulation = through(tmp_path, "mc.npz", "data.npz")
    assert "taken in their order" in text
    assert data.pass_detector.all()
    assert simulation.pass_detector.sum() == passes.sum()
    assert simulation.detector.event.shape == (N, 3)


def test_padded_particles(tmp_path, rng):
    filled = (np.arange(7) < rng.integers(1, 8, N)[:, None])[..., None]
    arrays = {}
    for name in ("measured", "truth"):
        numbers = [rng.uniform(1, 9, (N, 7)), rng.normal(size=(N, 7)), rng.uniform(-3, 3, (N, 7))]
        arrays[name] = np.where(filled, np.stack(numbers, -1), 0)
    np.savez("a.npz", **arrays)
    text, _, simulation = through(tmp_path, "a.npz")
    assert simulation.particle.particle_columns == ("pt", "eta", "phi")
    assert "TODO: what is which?" in text
    with h5py.File("b.h5", "w") as file:
        for at, key in enumerate(("pt", "eta", "phi")):
            for name in ("measured", "truth"):
                file[f"{name}/{key}"] = arrays[name][..., at]
    _, _, other = through(tmp_path, "b.h5")
    assert np.array_equal(simulation.particle.particles, other.particle.particles)


def test_flat_particles_with_counts(tmp_path, rng):
    """Each with its own counter, one of which is of offsets."""
    counts = {name: rng.integers(1, 6, N) for name in ("det", "part")}
    with h5py.File("a.h5", "w") as file:
        for name, each in counts.items():
            for key in ("pt", "eta", "phi"):
                file[f"{name}_{key}"] = rng.uniform(1, 3, each.sum()).astype("f4")
        file["det_n"] = counts["det"]
        file["part_offsets"] = np.concatenate([[0], np.cumsum(counts["part"])])
    text, data, simulation = through(tmp_path, "a.h5")
    assert "part_pt: part_offsets" in text
    assert len(data) == len(simulation) == N // 2
    assert len(simulation.detector.particles) == counts["det"][N // 2 :].sum()


def test_letters_of_all_kinds(tmp_path, rng):
    columns = {
        f"{a} ({b})": rng.normal(size=N) for a in ("jet mass", "τ21") for b in ("reco", "gen")
    }
    parquet("a.parquet", columns)
    text, _, simulation = through(tmp_path, "a.parquet")
    assert simulation.detector.event_columns == ("jet_mass", "x_21")
    assert "column('τ21 (gen)')" in text


def test_columns_with_a_long_tail_are_seen_as_logarithms(tmp_path, rng):
    for name in ("data", "simulation"):
        scale = 100 * (1 - rng.random(2000)) ** -1.2
        columns = {"Q2_reco": scale * rng.normal(1, 0.05, 2000), "y_reco": rng.random(2000)}
        if name == "simulation":
            columns |= {"Q2_gen": scale, "y_gen": rng.random(2000)}
        parquet(f"{name}.parquet", columns)
    text, *_ = through(tmp_path, "data.parquet", "simulation.parquet")
    assert "features: { event: { log_Q2: log(Q2), y: y } }" in text


def test_what_is_not_positive_everywhere_has_no_logarithm(tmp_path, rng):
    for name in ("data", "simulation"):
        scale = 100 * (1 - rng.random(2000)) ** -1.2
        columns = {"q_reco": scale.copy()}
        if name == "data":
            columns["q_reco"][:3] = -1.5
        if name == "simulation":
            columns |= {"q_gen": scale}
        parquet(f"{name}.parquet", columns)
    text, *_ = through(tmp_path, "data.parquet", "simulation.parquet")
    assert "log" not in text.partition("classifier:")[2].partition("training:")[0]


def test_a_selection_that_data_cannot_tell_is_asked_for(tmp_path, rng):
    """The simulation keeps events that fail; the data are of unknown selection."""
    passes, fiducial = rng.random(N) < 0.8, rng.random(N) < 0.7
    parquet("data.parquet", {"pt_reco": rng.normal(30, 3, N)})
    columns = {"pt_reco": np.where(passes, rng.normal(30, 3, N), -999), "isReco": passes}
    columns |= {"pt_truth": np.where(fiducial, rng.normal(30, 3, N), -999), "isFiducial": fiducial}
    parquet("simulation.parquet", columns)
    text, _, simulation = through(tmp_path, "data.parquet", "simulation.parquet")
    assert "the simulation has the selection isReco, which the data do not hold" in text
    # Events without truth cannot be unfolded, whatever flag says that they have none.
    assert "particle_level: pass_gen" in text
    assert simulation.pass_particle.sum() == fiducial.sum()
