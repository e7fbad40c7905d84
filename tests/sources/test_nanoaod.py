"""Real events in CMS's NanoAOD layout, as ROOT and as Parquet: one mapping, the same events."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from mapped_files import read, same, source

from omniflow.events import store
from omniflow.events.ingest import ingest

DATA = Path(__file__).parents[1] / "data"
FILES = {"root": DATA / "nano_dy.root", "parquet": DATA / "nano_dy.parquet"}


def level(jet, met):
    return {
        "event": {
            "met": {"expression": f"{met}_pt", "unit": "GeV"},
            "ht": {"expression": f"sum({jet}_pt[abs({jet}_eta) < 2.5])", "unit": "GeV"},
            "n": f"count({jet}_pt[{jet}_pt > 30])",
        },
        "particles": {name: f"{jet}_{name}" for name in ("pt", "eta", "phi", "mass")},
        "keep": f"abs({jet}_eta) < 4.7",
    }


SETTINGS = {
    "detector": level("Jet", "MET") | {"selection": "HLT_IsoMu24 or count(Jet_pt) > 0"},
    "particle": level("GenJet", "GenMET") | {"selection": "count(GenJet_pt) > 1"},
    "weight": "genWeight",
    "weights": {"scale_up": "genWeight * nth(LHEScaleWeight, 8)"},
    "id": ["run", "luminosityBlock", "event"],
}


def test_both_formats_give_the_same_events():
    events = {kind: read(kind, path, **SETTINGS) for kind, path in FILES.items()}
    same(events["root"], events["parquet"])


@pytest.mark.parametrize("kind", FILES)
def test_events_by_brute_force(kind):
    """Against the file as Python's lists."""
    rows = pq.read_table(FILES["parquet"]).to_pylist()
    events = read(kind, FILES[kind], **SETTINGS)
    assert events.weight.tolist() == [row["genWeight"] for row in rows]
    assert (events.weight < 0).any()
    assert len(set(events.event_id.tolist())) == len(rows) == 40
    passes = [row["HLT_IsoMu24"] or len(row["Jet_pt"]) > 0 for row in rows]
    assert events.pass_detector.tolist() == passes
    assert events.pass_particle.tolist() == [len(row["GenJet_pt"]) > 1 for row in rows]
    assert any(len(row["GenJet_pt"]) == 0 for row in rows)
    for found, jet, met, used in (
        (events.detector, "Jet", "MET", passes),
        (events.particle, "GenJet", "GenMET", [True] * 40),
    ):
        for at, row in enumerate(rows):
            columns = [row[f"{jet}_{name}"] for name in ("pt", "eta", "phi", "mass")]
            jets = list(zip(*columns, strict=True))
            ht = sum(pt for pt, eta, *_ in jets if abs(eta) < 2.5)
            number = sum(pt > 30 for pt, *_ in jets)
            wanted = [row[f"{met}_pt"], ht, number] if used[at] else [0, 0, 0]
            np.testing.assert_allclose(found.event[at], wanted, rtol=1e-6)
            kept = [j for j in jets if abs(j[1]) < 4.7] if used[at] else []
            particles = found.particles[found.offsets[at] : found.offsets[at + 1]]
            assert particles.tolist() == np.float32(kept).reshape(-1, 4).tolist()


def test_stores_of_both_formats_are_equal(tmp_path):
    sums = {}
    for kind, path in FILES.items():
        ingest(source(kind, path, **SETTINGS), tmp_path / f"{kind}.h5", 3)
        sums[kind] = store.checksum(tmp_path / f"{kind}.h5")
        found = store.provenance(tmp_path / f"{kind}.h5")
        assert [Path(file["name"]).name for file in found["files"]] == [path.name]
    assert sums["root"] == sums["parquet"]
