"""Weights beside the id columns of files, as `omniflow weights` writes them."""

import numpy as np
import pandas as pd
import pytest
import uproot
from click.testing import CliRunner

import omniflow
from omniflow.api import evaluate, run
from omniflow.cli import main
from omniflow.config import validate
from omniflow.errors import InputError
from omniflow.unfolding.plan import Plan

N = 400
DIAGNOSTICS = {"second_classifier": False, "oracle": False, "response": False}


def sample(path, rng, *, truth=True):
    """A file of events in no order, and its columns."""
    true = rng.normal(size=N)
    columns = {"run": np.arange(N) % 3 + 1, "event": rng.permutation(N) + 10**12}
    columns |= {"x": true + rng.normal(0, 0.3, N)} | ({"x_true": true} if truth else {})
    pd.DataFrame(columns).to_parquet(path)
    return columns


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A study of two passes of files with ids of two columns."""
    folder, rng = tmp_path_factory.mktemp("records"), np.random.default_rng(5)
    sample(folder / "data.parquet", rng, truth=False)
    sample(folder / "mc.parquet", rng)
    one = {"source": "parquet", "detector": {"event": ["x"]}, "id": ["run", "event"]}
    simulation = {"particle": {"event": {"x": "x_true"}, "selection": "x_true > -1"}}
    config = {
        "study": {"name": "records", "passes": 2},
        "samples": {
            "data": one | {"files": str(folder / "data.parquet")},
            "simulation": one | simulation | {"files": str(folder / "mc.parquet")},
        },
        "classifier": {"kind": "mlp", "width": 4, "blocks": 1},
        "training": {"epochs": 1, "min_updates": 1},
        "unfolding": {"iterations": 1, "particle_level": "pass_gen"},
        "methods": {"none": {}},
        "diagnostics": DIAGNOSTICS,
    }
    plan = Plan(validate(config), folder / "study")
    run(plan)
    evaluate(plan)
    return folder


def test_each_event_has_its_own_weight(folder):
    """By run and event, in the order of the file; found again by the values of the truth."""
    study = omniflow.read(folder / "study")
    table, file = study.records_of(), pd.read_parquet(folder / "mc.parquet")
    assert list(table.columns) == ["run", "event", "weight", "weight_pass_1", "weight_pass_2"]
    assert (table[["run", "event"]] == file[["run", "event"]]).all(axis=None)
    joined = file.merge(table, on=["run", "event"], validate="one_to_one")
    truth = np.asarray(study.simulation.particle.event)[:, 0]
    known = dict(zip(truth.tolist(), study.weights.tolist(), strict=True))
    ours = [known[value] for value in joined.x_true.astype("f4").tolist()]
    assert joined.weight.tolist() == ours
    assert ((joined.weight == 0) == (joined.x_true <= -1)).all()
    np.testing.assert_allclose(joined.filter(like="pass").mean(axis=1), joined.weight)


@pytest.mark.parametrize("kind", ["root", "parquet", "csv"])
def test_the_command_writes_files(folder, tmp_path, kind):
    path = tmp_path / f"weights.{kind}"
    result = CliRunner().invoke(main, ["weights", str(folder / "study"), "--to", str(path)])
    assert result.exit_code == 0, result.output
    assert "400 events with the columns run, event, weight" in result.output
    if kind == "root":
        with uproot.open(path) as file:
            found = file["weights"].arrays(library="pd")
    else:
        found = pd.read_csv(path) if kind == "csv" else pd.read_parquet(path)
    wanted = omniflow.read(folder / "study").records_of()
    assert found.event.tolist() == wanted.event.tolist()
    np.testing.assert_allclose(found.weight, wanted.weight, rtol=1e-12)


def test_names_that_say_no_format(folder, tmp_path):
    command = ["weights", str(folder / "study"), "--to", str(tmp_path / "weights.txt")]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 1
    assert "has to end with .root, .parquet, .csv" in result.output


def test_files_that_are_others_now(folder, tmp_path, monkeypatch):
    from omniflow.api import records

    study = omniflow.read(folder / "study")
    source = records.load_sample(study, "simulation")
    sample(tmp_path / "other.parquet", np.random.default_rng(6))
    other = source.model_copy(update={"files": (str(tmp_path / "other.parquet"),), "events": 10})
    monkeypatch.setattr(records, "load_sample", lambda *_: other)
    with pytest.raises(InputError, match="hold other events now than when it was run"):
        study.records_of()


def test_events_of_a_program_have_their_ids():
    rng = np.random.default_rng(1)
    events = omniflow.Events.from_arrays(rng.normal(size=N), rng.normal(size=N))
    study = omniflow.unfold(
        omniflow.Events.from_arrays(rng.normal(size=N)),
        events,
        iterations=1,
        passes=1,
        training={"epochs": 1, "min_updates": 1},
        diagnostics=DIAGNOSTICS,
    )
    table = study.records_of()
    assert list(table.columns) == ["event_id", "weight"]
    assert table.weight.tolist() == study.weights.tolist()
