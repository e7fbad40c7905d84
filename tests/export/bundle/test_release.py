"""Files of the ATLAS release as bundles: pandas' HDF5, written by pandas."""

import pickle
import shutil
import warnings
from contextlib import suppress

import h5py
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from test_bundle_fuzz import damage, fuzzed

import omniflow
from omniflow.errors import InputError, OmniflowError
from omniflow.export.bundle import release
from omniflow.export.bundle.pandas_file import PandasFile

EVENTS = 50


def _frame(seed=1, n=EVENTS):
    rng = np.random.default_rng(seed)
    found = pd.DataFrame(
        {
            "pT_ll": rng.exponential(100, n) + 200,
            "pT_trackj1": rng.exponential(10, n),
            "Ntracks_trackj1": rng.integers(1, 20, n),
            "phi_l1": rng.uniform(-3, 3, n).astype(np.float32),
            "weight_mc": rng.uniform(0.5, 1.5, n),
        }
    )
    found["weights_nominal"] = found["weight_mc"] * rng.uniform(0.9, 1.1, n)
    names = [f"weights_ensemble_{i}" for i in range(4)]
    names += [f"weights_bootstrap_{which}_{i}" for which in ("mc", "data") for i in range(3)]
    names += ["weights_theoryPDF", "weights_theoryQCD", "weights_muEffIso", "weights_muonEffReco"]
    names += ["weights_trackEff", "weights_lumi", "weights_topBackground", "weights_muCalID"]
    names += ["weights_pileup", "weights_dd", "target_dd", "weights_new"]
    return found.join(
        pd.DataFrame({c: found["weights_nominal"] * rng.uniform(0.9, 1.1, n) for c in names})
    )


@pytest.fixture(scope="module", params=["fixed", "table"])
def file(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("release") / f"{request.param}.h5"
    _frame().to_hdf(path, key="df", format=request.param)
    return path


def test_columns_become_families(file, tmp_path):
    notes = release.write(file, tmp_path / "b").notes
    assert notes == ("no licence: give it by --about", "no citation: give it by --about")
    bundle = omniflow.read_bundle(tmp_path / "b")
    kinds = {n: (f.means, f.combination, len(f.columns)) for n, f in bundle.families.items()}
    shift = "quadrature_difference_from_nominal"
    assert kinds == {
        "ensemble": ("training", "median_standard_error", 4),
        "bootstrap_mc": ("statistical", "standard_deviation", 3),
        "bootstrap_data": ("statistical", "standard_deviation", 3),
        "syst_event": ("systematic", shift, 3),
        "syst_muon": ("systematic", shift, 1),
        "syst_theory": ("systematic", shift, 2),
        "syst_track": ("systematic", shift, 1),
        "syst_lumi": ("systematic", shift, 1),
        "syst_background": ("systematic", shift, 1),
        "syst_other": ("systematic", shift, 1),
        "dd_unfolding": ("systematic", "paired_relative_difference", 1),
    }
    frame = _frame()
    for name in ("weights_nominal", "Ntracks_trackj1", "phi_l1", "weights_theoryQCD", "target_dd"):
        np.testing.assert_array_equal(bundle.events.numbers(name), frame[name])


def test_histograms_of_the_release(file, tmp_path):
    release.write(file, tmp_path / "b")
    found = omniflow.read_bundle(tmp_path / "b").histogram("pT_trackj1", [0, 8, 20])
    frame = _frame()
    frame = frame[frame["pT_trackj1"] > 5]  # where track jets exist

    def content(column):
        return np.histogram(frame["pT_trackj1"], [0, 8, 20], weights=frame[column])[0]

    np.testing.assert_allclose(found.content, content("weights_nominal"))
    shift = content("weights_lumi") - content("weights_nominal")
    np.testing.assert_allclose(found.blocks["syst_lumi"], np.outer(shift, shift))
    replicas = [content(f"weights_bootstrap_mc_{i}") for i in range(3)]
    np.testing.assert_allclose(found.blocks["bootstrap_mc"], np.cov(replicas, rowvar=False))
    assert np.diag(found.blocks["sample"]).min() > 0


def test_other_samples_are_variations(file, tmp_path):
    other = _frame(seed=2, n=30)[["pT_ll", "pT_trackj1", "weight_mc", "weights_nominal"]]
    full = _frame(seed=2, n=30)
    full.to_hdf(tmp_path / "sherpa.h5", key="df")
    release.write(file, tmp_path / "b", others={"sherpa": tmp_path / "sherpa.h5"})
    bundle = omniflow.read_bundle(tmp_path / "b")
    found = bundle.histogram("pT_ll", [200, 300, 1000])
    contents = [
        np.histogram(f["pT_ll"], [200, 300, 1000], weights=f["weights_nominal"])[0]
        for f in (_frame(), full)
    ]
    shift = contents[1] - contents[0]
    np.testing.assert_allclose(found.blocks["two_point_sherpa"], np.outer(shift, shift))
    assert len(bundle.samples["sherpa"]) == 30
    other.to_hdf(tmp_path / "few.h5", key="df")
    release.write(file, tmp_path / "c", others={"few": tmp_path / "few.h5"})
    with pytest.raises(InputError, match="lacks the observable Ntracks_trackj1"):
        omniflow.read_bundle(tmp_path / "c")
    with pytest.raises(InputError, match=r"--other \.\./x: is no plain name"):
        release.write(file, tmp_path / "d", others={"../x": file})
    assert not (tmp_path / "d").exists()


class _Harm:
    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return (open, (self.path, "w"))


def test_pickled_objects_are_refused_and_not_run(tmp_path):
    target = tmp_path / "was-run"
    frame = _frame()
    frame["objects"] = pd.Series([_Harm(target)] * EVENTS, dtype=object)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that objects are pickled
        frame.to_hdf(tmp_path / "harm.h5", key="df")
    target.unlink(missing_ok=True)
    with pytest.raises(InputError, match="objects: holds Python objects as pickles, which can run"):
        release.write(tmp_path / "harm.h5", tmp_path / "b")
    assert not target.exists()
    assert not (tmp_path / "b").exists()


def test_pickled_names_of_columns_are_not_run(tmp_path):
    target = tmp_path / "was-run"
    _frame().to_hdf(tmp_path / "harm.h5", key="df", format="table")
    for payload in (pickle.dumps(_Harm(target), 0), b"cos\nsystem\n(S'true'\ntR.", b"junk", b""):
        with h5py.File(tmp_path / "harm.h5", "r+") as file:
            file["df/table"].attrs["values_block_0_kind"] = np.bytes_(payload)
        with pytest.raises(InputError, match=r"names of columns are no list of texts|two columns"):
            PandasFile(tmp_path / "harm.h5", "df")
    assert not target.exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.drop(columns="weight_mc"), "has no column weight_mc; it is no file of the"),
        (lambda f: f.assign(weights_lumi=np.nan), "weights_lumi: row 0 has no finite weight"),
        (lambda f: f.assign(text="x"), "text: holds Python objects as pickles"),
        (lambda f: f.iloc[:0], r"has shape \(1, 1\) where"),
    ],
)
def test_files_that_do_not_fit(tmp_path, change, message):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        change(_frame()).to_hdf(tmp_path / "f.h5", key="df")
    with pytest.raises(InputError, match=message):
        release.write(tmp_path / "f.h5", tmp_path / "b")
    assert [path.name for path in tmp_path.iterdir()] == ["f.h5"]


def test_files_that_are_none(file, tmp_path):
    with pytest.raises(InputError, match="no such file"):
        release.write(tmp_path / "nowhere.h5", tmp_path / "b")
    with pytest.raises(InputError, match="has no table 'events'; it has df"):
        release.write(file, tmp_path / "b", key="events")
    pd.Series([1.0, 2.0]).to_hdf(tmp_path / "series.h5", key="df")
    with pytest.raises(InputError, match=r"df is no table of pandas \(series\)"):
        release.write(tmp_path / "series.h5", tmp_path / "b")


def test_one_replica_measures_nothing(tmp_path):
    frame = _frame().drop(
        columns=["weights_ensemble_1", "weights_ensemble_2", "weights_ensemble_3"]
    )
    frame.to_hdf(tmp_path / "f.h5", key="df")
    notes = release.write(tmp_path / "f.h5", tmp_path / "b").notes
    assert any("ensemble: has one column, which is no measure of scatter" in n for n in notes)
    assert "ensemble" not in omniflow.read_bundle(tmp_path / "b").families


@fuzzed(60)
@given(change=damage())
def test_damaged_files(file, tmp_path, change):
    (tmp_path / "f.h5").write_bytes(change(file.read_bytes()))
    with suppress(OmniflowError):
        release.write(tmp_path / "f.h5", tmp_path / "b")
        shutil.rmtree(tmp_path / "b")
    assert [path.name for path in tmp_path.iterdir()] == ["f.h5"]
