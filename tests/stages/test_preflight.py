"""What `omniflow check` and Snakemake tell before any job starts."""

import re
import shutil

import h5py
import numpy as np
import pytest
import yaml
from click.testing import CliRunner

from omniflow import config
from omniflow.cli import main
from omniflow.errors import ConfigError
from omniflow.sources.readers import npz
from omniflow.stages import preflight
from omniflow.unfolding.plan import Plan

RNG = np.random.default_rng(1)
PYTHIA = {"source": "pythia", "events": 100, "seed": 3}
LEVEL = {"event": ["met"], "particles": {"pt": "jets_0", "eta": "jets_1", "phi": "jets_2"}}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("data", "simulation", "other"):
        np.savez(f"{name}.npz", met=RNG.random(9), jets=RNG.random((9, 3, 3)), w=np.ones((9, 2)))
    return tmp_path


def sample(name, **more):
    truth = {} if name == "data" else {"particle": LEVEL}
    return {"source": "npz", "files": f"{name}.npz", "detector": LEVEL, **truth, **more}


def section(data=None, simulation=None, **more):
    data, simulation = data or sample("data"), simulation or sample("simulation")
    return {
        "study": {"name": "s"},
        "samples": {"data": data, "simulation": simulation},
        "methods": {"none": {}},
        **more,
    }


def problems(raw):
    return preflight.problems(Plan(config.validate(raw)))


def observable(**definition):
    return {"observables": {"define": {"mine": definition}}}


def test_studies_that_fit(folder):
    jets = {"radius": 0.4, "pt_min": 1}
    define = {
        "a": {"expression": "met + sum(particles.pt) + first(jets.zg)", **jets},
        "b": {"jets": "tau21", **jets},
        "c": {"expression": "event.met / column('met')"},
    }
    assert problems(section(observables={"define": define})) == []
    assert problems(section()) == []
    assert problems(section(PYTHIA, PYTHIA | {"seed": 4})) == []
    assert problems(section(PYTHIA, PYTHIA | {"seed": 4}, classifier={"features": "dis"})) == []


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (observable(expression="mett"),
         r"observables\.define\.mine: unknown column 'mett': did you mean met\? There are pt, "
         r"particles\.pt, .*met, event\.met\n.*\n.*\^\^\^\^$"),
        (observable(expression="jets.pt"), r"observables\.define\.mine: unknown column 'jets\.pt'"),
        (observable(expression="sum(met)"), r"observables\.define\.mine: sum runs over the part"),
        ({"observables": {"names": ["q2"]}}, r"observables\.names: q2: unknown column 'e_px'"),
        ({"classifier": {"features": {"particles": ["log(ptt)"]}}},
         r"feature 'log\(ptt\)' \(classifier\.features\): unknown column 'ptt': did you mean pt\?"),
        ({"classifier": {"features": {"event": ["pt"]}}},
         r"feature 'pt' \(classifier\.features\): 'pt' has one value per particle"),
        ({"classifier": {"features": {"event": ["x"], "define": {"x": "2 * y"}}}},
         r"feature 'x' \(classifier\.features\): unknown column 'y'"),
        ({"classifier": {"features": "dis"}}, r"feature .* unknown column 'q2'"),
    ],
)  # fmt: skip
def test_names_of_columns(folder, more, message):
    (first, *_) = problems(section(**more))
    assert re.match(rf"samples\.simulation at detector level: {message}", first), first


def test_all_problems_are_told_once(folder):
    features = {"particles": ["a", "pt", "b"], "event": ["met", "c"]}
    found = problems(section(classifier={"features": features}, **observable(expression="d")))
    assert [line.partition("unknown column ")[2][:3] for line in found] == [
        f"'{name}'" for name in "abcd"
    ]


def test_levels_have_names_of_their_own(folder):
    """Features and observables are tried where they exist, and on what samples are needed for."""
    simulation = sample("simulation", particle={"event": {"true": "met"}})
    define = {
        "both": {"detector": "met", "particle": "true"},
        "seen": {"expression": "sum(pt)"},
        "true": {"expression": "true"},
    }
    features = {"detector": {"particles": ["pt"]}, "particle": {"event": ["true"]}}
    more = {"classifier": {"features": features}, "observables": {"define": define}}
    assert problems(section(simulation=simulation, **more)) == []
    truth = sample("data", particle={"event": ["met"]})
    found = problems(section(truth, simulation, **more))
    assert [line.partition(": unknown")[0] for line in found] == [
        f"samples.data at particle level: observables.define.{name}" for name in ("both", "true")
    ]
    features["particle"] = {"event": ["met"]}
    define["both"]["detector"] = "true"
    found = problems(section(simulation=simulation, **more))
    assert [line.partition(": unknown")[0] for line in found] == [
        "samples.simulation at detector level: observables.define.both",
        "samples.simulation at particle level: feature 'met' (classifier.features)",
    ]


def test_what_does_not_fit_together(folder):
    """Levels have all columns, but a study needs more."""
    level = {"event": {"true": "met"}}
    simulation = sample("simulation", particle=level)
    (line,) = problems(section(simulation=simulation, **observable(expression="met")))
    assert line.startswith("observables: none of them exists at particle level")
    simulation = sample("simulation", particle={"particles": LEVEL["particles"]})
    (line,) = problems(
        section(simulation=simulation, classifier={"kind": "mlp", "features": "columns"})
    )
    assert line.startswith("classifier.kind: mlp reads features of events alone, of which there")


def test_jets_need_particles(folder):
    level = {"event": ["met"]}
    data = sample("data", detector=level)
    simulation = sample("simulation", detector=level, particle=level)
    more = observable(jets="pt", radius=0.4, pt_min=1)
    (line,) = problems(section(data, simulation, classifier={"kind": "mlp"}, **more))
    assert line.startswith(
        "samples.simulation at detector level: observables.define.mine: jets need the particle "
        "columns pt, eta, phi"
    )


def test_other_samples(folder):
    """Predictions have observables and no features; pre-training has features alone."""
    lone = {"source": "npz", "files": "other.npz", "detector": {"event": {"other": "met"}}}
    prediction = lone | {"particle": lone["detector"]}
    classifier = {"kind": "mlp", "features": {"event": ["met"]}}
    raw = section(classifier=classifier, **observable(expression="met"))
    found = problems(raw | {"uncertainties": {"predictions": {"new": prediction}}})
    (line,) = found
    assert line.startswith(
        "uncertainties.predictions.new at particle level: observables.define.mine: unknown "
        "column 'met'"
    )
    pretraining = {"simulation": prediction}
    raw["samples"] = raw["samples"] | {"pretraining": pretraining}
    assert problems(raw) == []  # no method starts from it
    raw["methods"] = {"none": {"start": "pretrained"}}
    (line,) = problems(raw)
    assert line.startswith(
        "samples.pretraining.simulation at detector level: feature 'met' (classifier.features): "
        "unknown column 'met'"
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weight": "ww[0]"}, r"simulation\.npz: has no column 'ww'; did you mean w"),
        ({"weight": "w[2]"}, r"simulation\.npz: w\[2\]: holds 2 numbers per event"),
        ({"weights": {"up": "wup"}}, r"simulation\.npz: has no column 'wup'"),
        ({"replicas": ["w[0]", "w[3]"]}, r"simulation\.npz: w\[3\]: holds 2 numbers per event"),
        ({"id": ["run", "met"]}, r"simulation\.npz: has no column 'run'"),
        ({"preselection": "mett > 1"}, r"simulation\.npz: has no column 'mett'; did you mean met"),
        ({"preselection": "jets_0 > 1"}, r"simulation\.npz: preselection: 'jets_0 > 1' has one "),
        ({"detector": LEVEL | {"selection": "nmet > 1"}}, r"has no column 'nmet'; did you mean"),
        (
            {"detector": LEVEL | {"keep": "met > 1"}},
            r"detector\.keep: 'met > 1' is no condition on",
        ),
        (
            {"particle": LEVEL | {"event": {"met": "jets_0"}}},
            r"particle\.event\.met: 'jets_0' has ",
        ),
        ({"table": "events"}, r"simulation\.npz: npz files hold arrays and no tables"),
    ],
)
def test_columns_of_files(folder, change, message):
    (line,) = problems(section(simulation=sample("simulation", **change)))
    assert line.startswith("samples.simulation: simulation.npz"), line
    assert re.search(message, line), line


def test_friends_and_levels_apart(folder):
    np.savez("friend.npz", id=np.arange(9), score=np.ones(9))
    np.savez("simulation.npz", id=np.arange(9), met=np.ones(9))
    level = {"event": {"met": "met", "score": "score"}}
    friends = {"id": "id", "friends": [{"files": "friend.npz"}]}
    detector = {"event": {"met": "met", "score": "met"}}
    data = {"source": "npz", "files": "data.npz", "detector": detector}
    simulation = {
        "source": "npz",
        "files": "simulation.npz",
        "detector": level,
        "particle": level,
        **friends,
    }
    assert problems(section(data, simulation, classifier={"kind": "mlp"})) == []
    lost = simulation | {"weight": "scor"}
    (line,) = problems(section(data, lost, classifier={"kind": "mlp"}))
    assert line.startswith("samples.simulation: simulation.npz: has no column 'scor'")
    np.savez("friend.npz", event=np.arange(9), score=np.ones(9))
    (line,) = problems(section(data, simulation, classifier={"kind": "mlp"}))
    assert line.startswith("samples.simulation: friend.npz: has no column 'id'")
    np.savez("friend.npz", id=np.arange(9), score=np.ones(9))
    apart = {
        "source": "npz",
        "files": "simulation.npz",
        "detector": {"event": ["met"]},
        "particle": {"event": {"met": "Score"}, "files": "friend.npz"},
        "id": "id",
    }
    data = {"source": "npz", "files": "data.npz", "detector": {"event": ["met"]}}
    (line,) = problems(section(data, apart, classifier={"kind": "mlp"}))
    assert line.startswith("samples.simulation: friend.npz: has no column 'Score'; did you mean ")


def test_h1_files(folder):
    with h5py.File("data.h5", "w") as file:
        file["reco_event_features"] = np.zeros((3, 2))
    h1 = {"source": "h1", "files": ["data.h5", "absent.h5"]}
    (line,) = problems(section(h1, PYTHIA))
    assert line.startswith("samples.data: data.h5: ")


def test_no_event_is_read(folder, monkeypatch):
    """Values do not matter: what is wrong with them the job says."""
    np.savez("simulation.npz", met=np.full(9, np.nan), jets=np.full((9, 3, 3), np.inf))
    found = []

    rows = npz.NpzReader.rows
    monkeypatch.setattr(
        npz.NpzReader,
        "rows",
        lambda self, name, start, stop: (
            found.append((start, stop)) or rows(self, name, start, stop)
        ),
    )
    assert problems(section()) == []
    assert set(found) == {(0, 1)}


def test_sources_without_columns_are_left_alone(folder):
    (folder / "mine.py").write_text(
        "from omniflow.sources.source import Source\n"
        "class Mine(Source):\n"
        "    def extent(self): return 'all'\n"
        "    def next(self, number): return self\n"
        "    def columns(self, level): return (), ()\n"
        "    def read(self): raise RuntimeError\n"
    )
    mine = {"source": "mine:Mine", "events": 5}
    classifier = {"features": {"event": ["what"]}, "kind": "deepsets"}
    raw = section(mine, mine | {"events": 6}, classifier=classifier, **observable(expression="it"))
    plan = Plan(config.validate(raw, root=folder))
    assert preflight.problems(plan) == []
    assert {settings.kind for settings in plan.classifiers.values()} == {"deepsets"}
    assert plan.observed == {"mine": ("detector", "particle")}


def test_the_command_tells(folder):
    (folder / "a.yaml").write_text(yaml.safe_dump(section(**observable(expression="mett"))))
    result = CliRunner().invoke(main, ["check", "a.yaml"])
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith(
        "ConfigError: a.yaml: 1 problem(s)\n  samples.simulation at detector level: "
        "observables.define.mine: unknown column 'mett'"
    )
    (folder / "a.yaml").write_text(yaml.safe_dump(section()))
    shutil.move("data.npz", "elsewhere.npz")
    result = CliRunner().invoke(main, ["check", "a.yaml"])
    assert result.exit_code == 0
    assert yaml.safe_load(result.stdout)["study"]["name"] == "s"
    assert result.stderr == "Note: samples.data.files: data.npz: no such file; check the path\n"


def test_missing_files_have_keys(folder):
    weights = {"files": ["f.h5"], "dataset": "w"}
    uncertainties = {
        "variations": {
            "a": {"simulation": sample("absent")},
            "b": {"simulation_weights": weights},
        },
        "predictions": {"c": sample("gone", files="gone/*.npz")},
    }
    raw = section(uncertainties=uncertainties, methods={"none": {"start": "pretrained"}})
    raw["samples"] |= {
        "backgrounds": {"d": {"sample": sample("data", files=["d.npz"])}},
        "pretraining": {"weights": ["old.weights.h5"]},
    }
    found = preflight.missing(Plan(config.validate(raw)))
    assert [line.removesuffix(": no such file; check the path") for line in found] == [
        "samples.backgrounds.d.sample.files: d.npz",
        "uncertainties.variations.a.simulation.files: absent.npz",
        "uncertainties.predictions.c.files: gone/*.npz",
        "samples.pretraining.weights: old.weights.h5",
        "uncertainties.variations.b.simulation_weights.files: f.h5",
    ]
    (folder / "data.npz").write_bytes(b"PK")
    with pytest.raises(ConfigError, match=r"^x: 1 problem\(s\)\n  samples\.data: data\.npz: "):
        preflight.refuse(Plan(config.validate(section())), "x")
