"""Layouts as experiments have them, small: from `init` to event stores without an edit."""

import awkward as ak
import h5py
import numpy as np
import pandas as pd
import pytest
import uproot
from drafted import planned, through

from omniflow.drafts.init import init, write
from omniflow.errors import InputError

N = 300


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def rng():
    return np.random.default_rng(11)


def tree(path, **trees):
    """A ROOT file of trees; branches by name, flat or jagged."""
    with uproot.recreate(path) as file:
        for name, columns in trees.items():
            types = {k: v.type if isinstance(v, ak.Array) else v.dtype for k, v in columns.items()}
            file.mktree(name.replace("__", "/"), types)
            file[name.replace("__", "/")].extend(columns)


def jagged(rng, names, mean=3):
    """Columns of one collection, positive."""
    counts = rng.poisson(mean, N)
    return {n: ak.unflatten(rng.exponential(20, counts.sum()) + 1, counts) for n in names}


def ids(shift=0):
    return {"run": np.ones(N, "i4"), "event": np.arange(N) + shift}


def test_leptons_of_nanoaod(tmp_path, rng):
    for name, more in (("data", ()), ("mc", ("GenDressedLepton",))):
        columns = ids()
        for collection in ("Muon", *more):
            columns |= jagged(rng, [f"{collection}_{key}" for key in ("pt", "eta", "phi", "mass")])
        tree(f"{name}.root", Events=columns)
    text, _, simulation = through(tmp_path, "data.root", "mc.root")
    assert "keep: GenDressedLepton_pt > 20 and abs(GenDressedLepton_eta) < 2.5" in text
    assert simulation.particle.particle_columns == ("pt", "eta", "phi")


def test_nanoaod_as_an_rntuple(tmp_path, rng):
    columns = ids()
    for collection in ("Jet", "GenJet"):
        fields = jagged(rng, ("pt", "eta", "phi", "mass"))
        columns[collection] = ak.zip(fields)
    with uproot.recreate("a.root") as file:
        file.mkrntuple("Events", columns)
    text, _, simulation = through(tmp_path, "a.root")
    assert "layout: NanoAOD" in text
    assert "pt: { expression: GenJet.pt, unit: GeV }" in text
    assert simulation.particle.particle_columns == ("pt", "eta", "phi", "mass")


def test_podio(tmp_path, rng):
    columns = {}
    for collection in ("ReconstructedParticles", "MCParticles"):
        columns |= jagged(rng, [f"{collection}.momentum.{axis}" for axis in "xyz"])
    counts = ak.num(columns["MCParticles.momentum.x"])
    columns["MCParticles.generatorStatus"] = ak.unflatten(
        rng.integers(1, 3, int(ak.sum(counts))), counts
    )
    tree("a.root", events=columns)
    _, _, simulation = through(tmp_path, "a.root")
    kept = ak.sum(columns["MCParticles.generatorStatus"][N // 2 :] == 1)
    pt = np.hypot(*(ak.flatten(columns[f"MCParticles.momentum.{axis}"]) for axis in "xy"))
    assert simulation.particle.particle_columns == ("pt", "eta", "phi")
    assert len(simulation.particle.particles) == kept
    assert np.isin(simulation.particle.particles[:, 0], pt.to_numpy().astype("f4")).all()


def test_true_momenta_of_lhcb_in_mev(tmp_path, rng):
    for name in ("data", "mc"):
        columns = {"runNumber": np.ones(N, "i4"), "eventNumber": np.arange(N)}
        for key in ("PX", "PZ"):
            columns[f"B_plus_{key}"] = rng.normal(0, 1e3 if key == "PX" else 1e5, N)
        columns["B_plus_ID"] = rng.choice([521, -521], N)
        if name == "mc":
            columns |= {f"B_plus_TRUEP_{axis}": columns[f"B_plus_P{axis}"] for axis in "XZ"}
            columns["B_plus_TRUEID"] = columns["B_plus_ID"]
        tree(f"{name}.root", DecayTree=columns)
    text, data, simulation = through(tmp_path, "data.root", "mc.root")
    assert data.detector.event_columns == ("B_plus_PX", "B_plus_PZ")
    assert np.array_equal(simulation.detector.event, simulation.particle.event)
    assert text.count("unit: MeV") == 4  # also of the column whose numbers are small
    assert "B_plus_ID" in text.partition("Not used:")[2]


def test_candidates_are_told_apart_by_their_number(tmp_path, rng):
    columns = {"__experiment__": np.ones(N, "i4"), "__run__": np.ones(N, "i4")}
    columns |= {"__event__": np.arange(N) // 2, "__candidate__": np.arange(N) % 2}
    columns |= {"q2": rng.normal(size=N), "q2_mc": rng.normal(size=N)}
    pd.DataFrame(columns).to_parquet("a.parquet")
    text, plan = planned(tmp_path, "a.parquet")
    assert len(plan.samples["simulation"].id) == 4
    assert "repeats" not in text


def test_one_quantity_by_the_last_word(tmp_path, rng):
    for name in ("data", "mc"):
        columns = ids() | {f"selmu_{key}": rng.normal(size=N) for key in ("mom", "costheta")}
        if name == "mc":
            columns |= {f"truelepton_{key}": rng.normal(size=N) for key in ("mom", "costheta")}
            columns["reaction"] = rng.integers(0, 3, N)
        tree(f"{name}.root", default=columns)
    text, data, simulation = through(tmp_path, "data.root", "mc.root")
    assert data.detector.event_columns == simulation.particle.event_columns == ("mom", "costheta")
    assert "TODO: selmu_mom and truelepton_mom are taken for one quantity" in text
    assert "Not used: reaction" in text


def test_compound_tables(tmp_path, rng):
    """Of two reconstructions the one with most of the true numbers."""
    tables = {"SplineMPE": ("zenith", "energy", "x"), "MuEx": ("zenith", "energy")}
    for name, more in (("data", {}), ("mc", {"MCPrimary": ("zenith", "energy", "x")})):
        with h5py.File(f"{name}.h5", "w") as file:
            for table, keys in (tables | more).items():
                kinds = [("Run", "u4"), ("Event", "u4"), ("exists", "u1")]
                rows = np.ones(N, [*kinds, *((key, "f8") for key in keys)])
                rows["Event"] = np.arange(N)
                for key in keys:
                    rows[key] = rng.normal(size=N)
                file[table] = rows
    text, data, simulation = through(tmp_path, "data.h5", "mc.h5")
    assert "zenith: SplineMPE.zenith" in text
    assert data.detector.event_columns == ("zenith", "energy", "x")
    assert simulation.particle.event_columns == ("zenith", "energy", "x")


def test_nothing_says_what_is_measured(tmp_path, rng):
    columns = {"ELep": rng.normal(size=N), "Q2": rng.normal(size=N)}
    pd.DataFrame(columns | {"Enu_true": rng.normal(size=N)}).to_parquet("a.parquet")
    text, data, _ = through(tmp_path, "a.parquet")
    assert "TODO: no name says that it is measured: those that are not true are taken." in text
    assert data.detector.event_columns == ("ELep", "Q2")


def test_a_tree_called_as_the_other_one_and_gen(tmp_path, rng):
    def one():
        columns = jagged(rng, ("pt", "eta", "phi"))
        return {**ids(), "nParticle": ak.num(columns["pt"]).to_numpy(), **columns}

    tree("data.root", t=one())
    tree("mc.root", t=one(), tgen=one(), tgenBefore=one())
    text, data, simulation = through(tmp_path, "data.root", "mc.root")
    assert data.particle is None
    assert "table: tgen\n" in text
    assert len(simulation.particle.particles) > N


def test_tables_of_merged_files_are_read_as_one(tmp_path, rng):
    def one(*names):
        return {name: rng.normal(size=N) for name in names}

    tree("data.root", DF_1__O2jets=one("fPt"), DF_2__O2jets=one("fPt"))
    mc = {f"DF_{n}__O2jets": one("fPt", "fMcPt") for n in (1, 2)}
    tree("mc.root", **mc, parentFiles=one("x"))
    text, data, simulation = through(tmp_path, "data.root", "mc.root")
    assert "table: DF_*/O2jets" in text or 'table: "DF_*/O2jets"' in text
    assert len(data) == len(simulation) == 2 * N
    wanted = np.concatenate([mc[f"DF_{n}__O2jets"]["fMcPt"] for n in (1, 2)]).astype("f4")
    assert sorted(simulation.particle.event[:, 0]) == sorted(wanted)


def test_tables_that_point_to_others_are_named(rng):
    rows = {"fIndexJCollisions": np.arange(N), "fPt": rng.normal(size=N)}
    tree("a.root", O2jet=rows)
    with pytest.raises(InputError, match=r"rows point to rows of others \(AO2D: fIndexJColl"):
        init(["a.root"])


def test_one_number_by_letters_in_capitals(tmp_path, rng):
    np.savez("mc.npz", theta0_G=rng.normal(size=N), theta0_S=rng.normal(size=N))
    np.savez("data.npz", theta_unknown_S=rng.normal(size=N))
    text, data, _ = through(tmp_path, "data.npz", "mc.npz")
    assert "theta0: theta_unknown_S" in text
    assert len(data) == N


@pytest.mark.parametrize("names", ["reco truth", "mc_reco mc_truth"])
def test_levels_in_files_of_their_own(tmp_path, rng, names):
    """Joined by id, whatever the order; of a tree that says the level, or of a file that does."""
    reco, truth = (name if "_" not in name else "tree" for name in names.split())
    files = [f"{name}.root" for name in names.split()]
    order = rng.permutation(N)
    true = {"run": np.ones(N, "i4"), "event": order, "pt": 100.0 + order, "w": np.ones(N)}
    seen = np.arange(N - 50)
    tree(files[0], **{reco: {"run": np.ones(N - 50, "i4"), "event": seen, "pt": seen * 1.0}})
    tree(files[1], **{truth: true})
    tree("data.root", **{reco: ids(10**6) | {"pt": rng.normal(size=N)}})
    text, data, simulation = through(tmp_path, "data.root", *files)
    assert f"files: [{files[1]}] # joined to detector level by id" in text
    assert len(data) == len(simulation) == N
    assert simulation.pass_detector.sum() == N - 50
    seen = np.asarray(simulation.pass_detector)
    assert (simulation.particle.event[seen] == 100 + simulation.detector.event[seen]).all()


def test_levels_without_an_id_are_joined_record_by_record(tmp_path, rng):
    np.savez("my_truth.npz", x=np.arange(N) + 100.0)
    np.savez("my_reco.npz", x=np.arange(N) * 1.0)
    np.savez("data.npz", x=rng.normal(size=N))
    text, _, simulation = through(tmp_path, "data.npz", "my_reco.npz", "my_truth.npz")
    assert "record by record, as they have no id in common" in text
    assert (simulation.particle.event == simulation.detector.event + 100).all()


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (["a_truth.npz"], "holds particle level alone; give the files of detector level"),
        (["a_truth.npz", "data.npz"], "holds particle level alone; give the files of"),
        (["a_truth.npz", "short_reco.npz"], "100 and 300 records, and have no id in common"),
    ],
)
def test_levels_that_cannot_be_joined(files, message):
    for name in ("a_truth", "a_reco", "data"):
        np.savez(f"{name}.npz", x=np.arange(N) * 1.0)
    np.savez("short_reco.npz", x=np.arange(100) * 1.0)
    with pytest.raises(InputError, match=message):
        init(files)


def test_joined_levels_without_data_are_halved_by_the_id(tmp_path, rng):
    order = rng.permutation(N)
    tree("my_reco.root", tree=ids() | {"pt": rng.normal(size=N)})
    true = {"run": np.ones(N, "i4"), "event": order, "pt": rng.normal(size=N)}
    tree("my_truth.root", tree=true)
    files = ["my_reco.root", "my_truth.root"]
    text, data, simulation = through(tmp_path, *files)
    assert "TODO: there is no data" in text
    said = list(write(files, [], [], tmp_path / "written.yaml"))
    assert [line for line in said if "would be refused" in line] == []
    assert len(data) == len(simulation) == N // 2
    assert not np.isin(data.event_id, simulation.event_id).any()
    assert data.pass_detector.all()


def test_names_of_columns_that_pandas_pickled():
    frame = pd.DataFrame({"x": np.arange(3.0), "x_true": np.arange(3.0)})
    frame.to_hdf("a.h5", key="df", format="table")
    with pytest.raises(InputError, match=r"a\.h5: the names of columns in a table of pandas"):
        init(["a.h5"])


def test_the_index_of_pandas_is_no_column(tmp_path, rng):
    frame = pd.DataFrame({"x": rng.normal(size=N), "x_true": rng.normal(size=N)})
    frame[frame.x > 0].to_parquet("a.parquet")
    text, data, _ = through(tmp_path, "a.parquet")
    assert "__index" not in text
    assert data.detector.event_columns == ("x",)


@pytest.mark.parametrize("kind", ["root", "h5"])
def test_data_and_simulation_are_tables_of_one_file(tmp_path, rng, kind):
    data = {"x": rng.normal(size=N)}
    simulation = {"x": rng.normal(size=N), "x_true": rng.normal(size=N)}
    if kind == "root":
        tree("a.root", data=data, mc=simulation)
    else:
        pd.DataFrame(data).to_hdf("a.h5", key="data", format="fixed")
        pd.DataFrame(simulation).to_hdf("a.h5", key="mc", format="fixed")
    text, measured, simulated = through(tmp_path, f"a.{kind}")
    assert "# Tables are called so." in text
    np.testing.assert_array_equal(
        np.sort(measured.detector.event[:, 0]), np.sort(data["x"].astype("f4"))
    )
    assert measured.particle is None
    wanted = np.sort(simulation["x_true"].astype("f4"))
    np.testing.assert_array_equal(np.sort(simulated.particle.event[:, 0]), wanted)


def test_trees_without_an_id_and_of_one_length(tmp_path, rng):
    tree("data.root", reco={"x": rng.normal(size=N)})
    tree("mc.root", reco={"x": np.arange(N) * 1.0}, truth={"x": np.arange(N) + 100.0})
    text, _, simulation = through(tmp_path, "data.root", "mc.root")
    assert "TODO: joined to the table of particle level record by record" in text
    assert (simulation.particle.event == simulation.detector.event + 100).all()
