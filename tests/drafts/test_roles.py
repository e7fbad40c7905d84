"""Roles of files, and what cannot be used."""

import numpy as np
import pandas as pd
import pytest
import uproot
from drafted import planned

from omniflow.drafts.init import init
from omniflow.errors import InputError

N = 50


@pytest.fixture(autouse=True)
def _files(tmp_path, monkeypatch):
    """Two simulations with the columns x and x_true, data, and files of nothing."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(2)
    for name in ("one", "other", "third"):
        columns = {"x": rng.normal(size=N), "x_true": rng.normal(size=N)}
        pd.DataFrame(columns).to_parquet(f"{name}.parquet")
    pd.DataFrame({"x": rng.normal(size=N)}).to_parquet("data.parquet")
    pd.DataFrame({"a": rng.normal(size=N), "b": np.ones(N)}).to_parquet("strange.parquet")
    np.savez("data.npz", x=rng.normal(size=N))
    (tmp_path / "table.csv").write_text("a,b\n1,2\n")
    with uproot.recreate("empty.root") as file:
        file.mktree("Events", {"x": "f4"})


def roles(plan):
    return {role: sample.files for role, sample in plan.samples.items()}


def test_roles_are_as_given(tmp_path):
    given = {"data": ["other.parquet"], "simulation": ["one.parquet"]}
    text, plan = planned(tmp_path, **given)
    assert roles(plan) == {"data": ("other.parquet",), "simulation": ("one.parquet",)}
    assert plan.samples["data"].has_truth()
    assert "As given." in text


def test_what_is_left_is_the_other_role(tmp_path):
    _, plan = planned(tmp_path, "one.parquet", data=["other.parquet"])
    assert roles(plan)["simulation"] == ("one.parquet",)
    _, plan = planned(tmp_path, "data.parquet", simulation=["other.parquet"])
    assert roles(plan)["data"] == ("data.parquet",)


def test_the_first_of_two_simulations_is_pseudo_data(tmp_path):
    text, plan = planned(tmp_path, "other.parquet", "one.parquet")
    assert roles(plan)["data"] == ("other.parquet",)
    assert "TODO: all files have a particle level, so the first is taken as pseudo-data" in text


def test_data_of_another_format(tmp_path):
    """Formats may differ where columns do not."""
    _, plan = planned(tmp_path, "data.npz", "one.parquet")
    assert [sample.source for sample in plan.samples.values()] == ["npz", "parquet"]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (["data.parquet"], r"data\.parquet: has no particle level that can be told.* It holds x\."),
        (["absent.root"], r"absent\.root: no such file"),
        (["table.csv"], r"table\.csv: is none of ROOT, Parquet, HDF5 and npz.*write it as Parquet"),
        (["empty.root"], r"empty\.root: there are no records \(Events is empty\)"),
        (["strange.parquet", "one.parquet"], r"strange\.parquet: has none of the columns .* x; it"),
        (["data.parquet", "data.npz", "one.parquet"], r"data: data\.parquet is parquet.*data\.npz"),
        (
            ["one.parquet", "other.parquet", "third.parquet"],
            r"files of 3 kinds with particle level",
        ),
    ],
)
def test_files_that_do_not_make_a_study(files, message):
    with pytest.raises(InputError, match=message):
        init(files)


def test_files_of_a_role_are_alike():
    with pytest.raises(
        InputError, match=r"--data: data\.parquet is parquet .* and data\.npz is npz"
    ):
        init(["one.parquet"], data=["data.parquet", "data.npz"])
    with pytest.raises(InputError, match="cannot be told beside the files that are given"):
        init(["third.parquet"], data=["one.parquet"], simulation=["other.parquet"])
