"""Seeds: sound files of every kind that omniflow reads, so small that most bytes matter."""

from pathlib import Path

import awkward as ak
import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import uproot

import omniflow
from omniflow.events import store

DATA = Path(__file__).parents[1] / "data"
EVENTS = 24

_DETECTOR = {"event": ["x"], "particles": {"pt": "pt", "eta": "eta"}}
_FLAT = {"detector": _DETECTOR, "counts": {"pt": "n", "eta": "n"}}


def columns(events=EVENTS, seed=1):
    """Columns of events, and particles as lists."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 4, events)
    pt, eta = rng.exponential(2, counts.sum()) + 1, rng.normal(size=counts.sum())
    return rng.normal(size=events), counts, pt.astype("f4"), eta.astype("f4")


def hdf5(path):
    """Chunked, compressed and contiguous datasets, and a table."""
    x, n, pt, eta = columns()
    with h5py.File(path, "w") as file:
        file.create_dataset("x", data=x, chunks=(8,), compression="gzip", fletcher32=True)
        file.create_dataset("n", data=n.astype("i4"), chunks=(8,), maxshape=(None,))
        file["pt"], file["eta"] = pt, eta
        file.attrs["made"] = "by a test"
    return {"kind": "hdf5", **_FLAT}


def h1(path):
    """The layout of H1, a few events."""
    with h5py.File(DATA / "h1_simulation.h5") as whole, h5py.File(path, "w") as file:
        for name, dataset in whole.items():
            file.create_dataset(name, data=dataset[:10], chunks=True, compression="gzip")
    return {"kind": "h1"}


def pandas(path):
    """A table that pandas wrote."""
    path.write_bytes((DATA / "pandas_fixed.h5").read_bytes())
    with h5py.File(path) as file:
        name = next(iter(file))
        labels = [label.decode() for label in file[f"{name}/block0_items"][:2]]
    return {"kind": "hdf5", "detector": {"event": labels}}


def npz(path):
    """Compressed arrays, one of them padded and one stored column by column."""
    x, n, pt, eta = columns()
    grid = np.asfortranarray(np.stack([x, x, x], axis=1))
    np.savez_compressed(path, x=x, n=n, pt=pt, eta=eta, grid=grid)
    return {
        "kind": "npz",
        "detector": {"event": ["x", "grid_1"], "particles": _DETECTOR["particles"]},
        "counts": _FLAT["counts"],
    }


def npz_plain(path):
    """Arrays that are not compressed: of padded particles."""
    x, n, _, _ = columns()
    there = np.arange(4) < n[:, None]
    padded = np.where(there, 1 + np.abs(x[:, None]), 0)[:, :, None] * np.array([1, 0.5])
    np.savez(path, x=x.astype(">f8"), p=padded)
    particles = {"pt": "p_0", "eta": "p_1"}
    return {"kind": "npz", "detector": {"event": ["x"], "particles": particles}}


def parquet(path):
    """Numbers, lists, and lists of records, in two groups of rows."""
    x, n, pt, eta = columns()
    lists = ak.unflatten(ak.zip({"pt": pt, "eta": eta}), n)
    table = pa.table({"x": x, "pt": ak.to_list(lists.pt), "Jet": ak.to_list(lists)})
    pq.write_table(table, path, row_group_size=10, compression="zstd")
    return {
        "kind": "parquet",
        "detector": {"event": ["x"], "particles": {"pt": "pt", "eta": "Jet.eta"}},
    }


def parquet_plain(path):
    """Numbers that are neither compressed nor encoded."""
    x, *_ = columns()
    pq.write_table(pa.table({"x": x}), path, compression="none", use_dictionary=False)
    return {"kind": "parquet", "detector": {"event": ["x"]}}


def _root(path, make):
    x, n, pt, eta = columns()
    jets = ak.unflatten(ak.zip({"pt": pt, "eta": eta}), n)
    with uproot.recreate(path, compression=None) as file:
        make(file, {"x": x, "Jet": jets})
    return {"kind": "root"}


def root(path):
    """A TTree."""
    settings = _root(
        path,
        lambda file, content: file.mktree(
            "Events", {"x": np.dtype("f8"), "Jet": content["Jet"].type}
        ).extend(content),
    )
    particles = {"pt": "Jet_pt", "eta": "Jet_eta"}
    return settings | {"detector": {"event": ["x"], "particles": particles}}


def rntuple(path):
    """An RNTuple."""
    settings = _root(path, lambda file, content: file.mkrntuple("Events", content))
    particles = {"pt": "Jet.pt", "eta": "Jet.eta"}
    return settings | {"detector": {"event": ["x"], "particles": particles}}


SOURCES = {
    "hdf5": (hdf5, ".h5"),
    "h1": (h1, ".h5"),
    "pandas": (pandas, ".h5"),
    "npz": (npz, ".npz"),
    "npz-plain": (npz_plain, ".npz"),
    "parquet": (parquet, ".parquet"),
    "parquet-plain": (parquet_plain, ".parquet"),
    "root": (root, ".root"),
    "rntuple": (rntuple, ".root"),
}


def event_store(path):
    """An event store with both levels."""
    events = _events(EVENTS, 3)
    store.write(events, path, {"source": "test", "warnings": []}, seed=1, units={"pt": "GeV"})


def _events(events, seed):
    x, n, pt, eta = columns(events, seed)
    particles = ak.unflatten(ak.zip({"pt": pt, "eta": eta}), n)
    level = {"event": {"x": x}, "particles": {"pt": particles.pt, "eta": particles.eta}}
    return omniflow.Events.from_arrays(level, level)


CONFIGURATION = """\
study: {name: fuzzed, output: results/fuzzed, passes: 2}
samples:
  data: &sample
    source: npz
    files: [data.npz]
    detector: &level
      event: {x: x, y: 'log(y)'}
      particles: {pt: pt, eta: eta}
      selection: x > 0
  simulation:
    <<: *sample
    files: [a.npz, b.npz]
    particle: *level
training: {epochs: 3, batch_size: 1e3, learning_rate: 1e-4}
methods: {none: {}, parallel: {lanes: 3}}
combine: [median]
observables:
  define:
    x: {expression: x, edges: [-1, 0, 1.5]}
    jets: {jets: pt, radius: 0.4, pt_min: 2, bins: {count: 5, range: [0, 9]}}
"""

# Files of a finished study by what reads them: pattern, and the part of `reading.of_study`.
STUDY = {
    "config": ("config.yaml", "tables"),
    "study.json": ("study.json", "tables"),
    "metrics.csv": ("metrics.csv", "tables"),
    "timing.csv": ("timing.csv", "tables"),
    "axes.json": ("axes.json", "caches"),
    "observables": ("observables/data/detector.h5", "caches"),
    "observables-both": ("observables/simulation/particle.h5", "caches"),
    "features": ("features/data-detector.h5", "caches"),
    "scaling": ("features/scaling.json", "networks"),
    "sample": ("samples/simulation.h5", "weights"),
    "final weights": ("unfolded/parallel/**/*.h5", "weights"),
    "histograms": ("histograms/none.h5", "weights"),
    "weights": ("training/**/step-2/**/weights.h5", "lanes"),
    "histories": ("training/**/history.json", "histories"),
    "network": ("training/**/*.weights.h5", "networks"),
    "scores": ("training/**/scores.h5", "scores"),
}


def study(folder):
    """A finished study of a few events."""
    omniflow.unfold(
        _events(60, 4),
        _events(80, 5),
        methods={"none": {}, "parallel": {"lanes": 2}},
        iterations=2,
        passes=1,
        classifier={"kind": "mlp", "width": 4, "blocks": 1, "features": {"event": ["x"]}},
        training={"epochs": 1, "min_updates": 1},
        diagnostics={"second_classifier": False, "oracle": False, "response": False},
        execution={"engine": "native"},
        combine=["mean"],
        observables={
            "define": {
                "x": {"expression": "x", "edges": [-2, -0.5, 0.5, 2]},
                "pt": {"expression": "pt", "bins": {"count": 3, "range": [0, 6]}},
            }
        },
        output=folder,
    )
