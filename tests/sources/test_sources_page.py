"""The configurations of docs/sources.md read files of the layouts that they are meant for."""

import re
from pathlib import Path

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import uproot
import yaml
from mapped_files import lists

from omniflow import config
from omniflow.events.sample import Events

ROOT = Path(__file__).parents[2]
NANO = ROOT / "tests" / "data" / "nano_dy.root"
DEMO = yaml.safe_load((ROOT / "config" / "demo.yaml").read_text("utf-8"))
BLOCKS = [
    yaml.safe_load(block)
    for block in re.findall(
        r"^```yaml\n(.*?)^```$", (ROOT / "docs" / "sources.md").read_text("utf-8"), re.M | re.S
    )
]


def samples(kind, number, **files):
    """The events of a page's configuration of a kind of source, with these files."""
    blocks = [block for block in BLOCKS if block["samples"]["data"]["source"] == kind]
    block = blocks[number]
    found = config.validate(block if "study" in block else DEMO | block, "sources.md").samples
    chosen = [getattr(found, role).with_files([str(path)]) for role, path in files.items()]
    return [Events.joined(list(sample.read())) for sample in chosen]


def test_every_block_is_read_here():
    kinds = [block["samples"]["data"]["source"] for block in BLOCKS]
    assert kinds == ["root", "parquet", "parquet", "npz", "hdf5", "root"]


def test_nanoaod():
    data, simulation = samples("root", 0, data=NANO, simulation=NANO)
    rows = pq.read_table(NANO.with_suffix(".parquet")).to_pylist()
    kept = [
        [p for p, e in zip(row["Jet_pt"], row["Jet_eta"], strict=True) if p > 25 and abs(e) < 2.5]
        for row in rows
    ]
    passes = [row["HLT_IsoMu24"] and sum(p > 25 for p in row["Jet_pt"]) >= 2 for row in rows]
    assert data.particle is None
    for events in (data, simulation):
        assert events.pass_detector.tolist() == passes
        assert lists(events.detector, "pt") == [
            jets if ok else [] for jets, ok in zip(kept, passes, strict=True)
        ]
    assert simulation.weights["scale_up"].tolist() == pytest.approx(
        [row["genWeight"] * row["LHEScaleWeight"][8] for row in rows]
    )


def test_levels_with_columns_of_their_own(tmp_path):
    track = [[{"pt": 1.0, "eta": 0.0, "phi": 0.5, "d0": 0.1}] * 2, []]
    gen = [[{"pt": 2.0, "eta": 0.0, "phi": 0.5, "pdgId": 211}], [{"pt": 1, "pdgId": 11}] * 3]
    full = [[{"eta": 1.0, "phi": 0.0} | each for each in event] for event in gen]
    table = pa.table({"track": track, "met": [5.0, 6.0], "gen": full})
    path = tmp_path / "events.parquet"
    pq.write_table(table, path)
    data, simulation = samples("parquet", 0, data=path, simulation=path)
    assert data.particle is None
    for events in (data, simulation):
        assert events.detector.event_columns == ("met",)
        assert lists(events.detector, "d0") == [pytest.approx([0.1, 0.1]), []]
    assert simulation.particle.event_columns == ()
    assert simulation.particle.event.shape == (2, 0)
    assert lists(simulation.particle, "pdg") == [[211], [11, 11, 11]]


def test_parquet(tmp_path):
    def jets(*pt):
        return [{"pt": p, "eta": 0.5, "phi": 180.0} for p in pt]

    table = {"jets": [jets(20000.0, 30000.0), jets()], "truth": [jets(25000.0), jets(1000.0)]}
    for name in ("events", "simulation"):
        pq.write_table(pa.table(table), tmp_path / f"{name}.parquet")
    data, simulation = samples(
        "parquet", 1, data=tmp_path / "events.parquet", simulation=tmp_path / "simulation.parquet"
    )
    assert lists(data.detector, "pt") == [[20, 30], []]
    assert lists(simulation.particle, "pt") == [[25], [1]]
    np.testing.assert_allclose(simulation.particle.particles[:, 2], [np.pi] * 2, rtol=1e-6)


def test_npz(tmp_path):
    arrays = {}
    for level, pt in (("gen", [160.0, 140]), ("sim", [140.0, 170])):
        arrays[f"{level}_jets"] = np.array([[p, 0.1, 0.2, 20] for p in pt])
        arrays[f"{level}_widths"] = np.array([0.1, 0.2])
        arrays[f"{level}_particles"] = np.array([[[0.5, 0.1, 0.1, 0.2], [0.0] * 4]] * 2)
    np.savez(tmp_path / "a.npz", **arrays)
    data, simulation = samples("npz", 0, data=tmp_path / "a.npz", simulation=tmp_path / "a.npz")
    for events in (data, simulation):
        assert events.pass_detector.tolist() == [False, True]
        assert events.pass_particle.tolist() == [True, False]
        assert lists(events.detector, "pt") == [[], [50]]
        assert lists(events.particle, "pt") == [[50], [50]]


def test_hdf5(tmp_path):
    for name in ("data", "simulation"):
        with h5py.File(tmp_path / f"{name}.h5", "w") as file:
            file["pt"] = [[3.0, 2], [1, 0]]
            file["eta"] = [[0.0, 1], [0.5, 0]]
            file["phi"] = [[1.0, 0], [2, 0]]
            file["event/met"] = [5.0, 6]
            file["truth/n"], file["truth/met"] = [1, 2], [7.0, 8]
            for column in ("pt", "eta", "phi"):
                file[f"truth/{column}"] = [1.0, 2, 3]
    data, simulation = samples(
        "hdf5", 0, data=tmp_path / "data.h5", simulation=tmp_path / "simulation.h5"
    )
    assert lists(data.detector, "eta") == [[0, 1], [0.5]]
    assert simulation.detector.event.tolist() == [[5], [6]]
    assert lists(simulation.particle, "pt") == [[1], [2, 3]]


def test_separate_tables(tmp_path):
    tables = {
        "reco": {"evt_id": [7, 3], "p": [1.5, -1e6], "angle": [0.1, 0.2], "w": [1.0, 1]},
        "truth": {
            "evt_id": [3, 4, 7],
            "p": [30.0, 40, 70],
            "angle": [0.3, 0.4, 0.7],
            "w": [2.0] * 3,
        },
    }
    with uproot.recreate(tmp_path / "a.root") as file:
        for name, content in tables.items():
            arrays = {key: np.array(values) for key, values in content.items()}
            file.mktree(name, {key: each.dtype for key, each in arrays.items()}).extend(arrays)
    data, simulation = samples("root", 1, data=tmp_path / "a.root", simulation=tmp_path / "a.root")
    assert data.pass_detector.tolist() == [True, False]
    assert simulation.event_id.tolist() == [3, 4, 7]
    assert simulation.pass_detector.tolist() == [False, False, True]
    assert simulation.particle.event[:, 0].tolist() == [30, 40, 70]
    assert simulation.weight.tolist() == [2, 2, 2]
