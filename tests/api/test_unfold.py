"""Unfolding from Python: what goes in, what is refused, what is left behind."""

import gc
import tempfile
from pathlib import Path

import keras
import numpy as np
import pytest
import yaml
from api_samples import QUICK, TRAINING, columns, flagged, with_particles

import omniflow
from omniflow import outside
from omniflow.config import validate
from omniflow.errors import ConfigError, InputError, LockError, OutputError, TrainingError
from omniflow.lock import Lock
from omniflow.sources.memory import Memory
from omniflow.training.trainer import Trainer

DATA, SIMULATION = columns(400, 0.3, 1, truth=False), columns(600, 0.0, 2)
ONCE = {"iterations": 1, "passes": 1, **QUICK}


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """Where temporary folders of studies are made."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def found():
        return [path for path in tmp_path.iterdir() if path.name.startswith("omniflow-")]

    found.path = tmp_path
    return found


def test_weights_move_the_simulation_to_the_data(capfd):
    result = omniflow.unfold(DATA, SIMULATION, iterations=2, passes=2, seed=3, **QUICK)
    assert result.weights.shape == (600,)
    assert result.weights.sum() == pytest.approx(400, rel=0.05)
    x = SIMULATION.particle.event[:, 0]
    assert np.average(x, weights=result.weights) > x.mean() + 0.05
    np.testing.assert_allclose(result.weights, result.ensemble.mean(axis=0))
    assert result.data is DATA
    assert result.simulation is SIMULATION
    assert "x" in set(result.summary["observable"])
    found = capfd.readouterr()
    assert (found.out, found.err) == ("", "")


def test_a_line_per_step_when_asked(capsys):
    omniflow.unfold(DATA, SIMULATION, verbose=True, **ONCE)
    lines = capsys.readouterr().out.splitlines()
    assert any(
        line.startswith("scratch-1 pass 1 lanes-0-0 iteration 1 step 2: 1 network(s) (")
        for line in lines
    )
    assert lines[-1].startswith("tables (")
    assert all(line.endswith(" s)") for line in lines)


def test_the_order_of_the_events_is_theirs():
    """Ids that do not rise: weights are those of the events as they were given."""
    data, simulation = flagged(300, 0.3, 3, truth=False), flagged(500, 0.0, 4)
    settings = {"unfolding": {"particle_level": "pass_gen"}, **ONCE}
    result = omniflow.unfold(data, simulation, **settings)
    weights = result.weights
    assert (weights[~simulation.pass_particle] == 0).all()
    assert (weights[simulation.pass_particle] > 0).all()
    base = result.scale * simulation.weight
    ratio = result.ratios_of()
    np.testing.assert_allclose(weights, np.where(simulation.pass_particle, base * ratio, 0), 1e-6)
    # A ratio is a function of the particle level alone.
    twin = np.argsort(simulation.particle.event[:, 0])
    permuted = omniflow.unfold(data, simulation.take(twin), **settings)
    assert np.corrcoef(permuted.weights, weights[twin])[0, 1] > 0.99


def test_temporary_folders_end_with_the_result(folders):
    result = omniflow.unfold(DATA, SIMULATION, **ONCE)
    (folder,) = folders()
    assert result.folder.parent == folder
    weights = result.weights
    del result
    gc.collect()
    assert folders() == []
    assert weights.sum() > 0


def test_temporary_folders_end_with_an_error(folders):
    training = TRAINING | {"restarts": 0, "learning_rate": 1.0, "divergence": 1.0001, "ema": 0}
    with pytest.raises(TrainingError):
        omniflow.unfold(
            DATA, SIMULATION, **(ONCE | {"training": training | {"loss": "mlc_square"}})
        )
    assert folders() == []


def test_a_folder_that_stays_is_a_study_and_keeps_its_trainings(tmp_path, monkeypatch):
    folder = tmp_path / "kept"
    first = omniflow.unfold(DATA, SIMULATION, output=folder, **ONCE)
    assert first.folder == folder
    again = omniflow.read(folder)
    np.testing.assert_array_equal(again.weights, first.weights)
    assert not list(folder.glob("lock/*"))
    monkeypatch.setattr(Trainer, "fit", None)  # nothing is trained again
    second = omniflow.unfold(DATA, SIMULATION, output=folder, **ONCE)
    np.testing.assert_array_equal(second.weights, first.weights)
    del first, second
    gc.collect()
    assert omniflow.read(folder).weights.shape == (600,)


def test_a_folder_that_others_work_on_is_left_alone(tmp_path):
    lock = Lock(tmp_path / "kept")
    lock.acquire(print)
    try:
        with pytest.raises(LockError):
            omniflow.unfold(DATA, SIMULATION, output=tmp_path / "kept", **ONCE)
    finally:
        lock.release()


def test_sections_of_a_file_stand_below_the_arguments(tmp_path):
    path = tmp_path / "more.yaml"
    sections = {
        "study": {"name": "mine", "passes": 7, "seed": 5},
        "samples": {"data": {"source": "h1", "files": ["nowhere"]}},
        "classifier": {"width": 8, "kind": "mlp"},
        "methods": {"parallel": {"lanes": 2}},
        "combine": ["median"],
    }
    path.write_text(yaml.safe_dump(sections))
    for config in (path, sections):
        result = omniflow.unfold(
            DATA, SIMULATION, config=config, **(ONCE | {"classifier": {"width": 4}})
        )
        config = result.config
        assert (config.study.name, config.study.seed, config.study.passes) == ("mine", 5, 1)
        assert (config.classifier.width, config.classifier.kind) == (4, "mlp")
        assert result.headline == ("parallel", "median")
        assert isinstance(config.samples.data, Memory)


def test_backgrounds_and_pretraining_are_events_too():
    other = columns(200, 1.0, 5, truth=False)
    pair = {"numerator": columns(300, 0.2, 6), "denominator": columns(300, 0.0, 7)}
    result = omniflow.unfold(
        DATA,
        SIMULATION,
        backgrounds={"tau": {"sample": other, "factor": 0.25}, "more": columns(30, 0, 8)},
        pretraining=pair,
        methods={"one": {"start": "pretrained"}},
        **ONCE,
    )
    assert result.events("background-tau") is other
    assert result.weights.sum() == pytest.approx(400 - 0.25 * 200 - 30, rel=0.1)
    assert result.networks()[0].record["start"]["policy"] == "pretrained"


def test_particles_and_presets_are_found_by_their_columns():
    data, simulation = with_particles(200, 0.3, 1), with_particles(300, 0.0, 2)
    result = omniflow.unfold(data, simulation, **(ONCE | {"classifier": {"width": 4, "heads": 1}}))
    assert result.config.classifier.kind == "pet"
    assert "log pt" in result.plan.features_seen["detector"].particles
    assert set(result.config.observables.names) == {"x", "pt", "eta", "phi"}
    mlp = omniflow.unfold(DATA, SIMULATION, **(ONCE | {"classifier": {"width": 4, "blocks": 1}}))
    assert mlp.config.classifier.kind == "mlp"


def test_a_constant_column_is_shown_in_one_bin(tmp_path):
    rng = np.random.default_rng(3)

    def level(n, mean):
        return {"x": rng.normal(mean, 1, n), "mass": np.full(n, 0.5)}

    simulation = omniflow.Events.from_arrays(level(500, 0), level(500, 0))
    data = omniflow.Events.from_arrays(level(400, 0.3), level(400, 0.2))
    for normalization in ("absolute", "shape"):
        settings = ONCE | {"unfolding": {"normalization": normalization}}
        with pytest.warns(UserWarning, match=r"mass at .* level is 0\.5 in all of") as found:
            result = omniflow.unfold(data, simulation, **settings)
        assert all("mass at " in str(each.message) for each in found)
        assert result.report(tmp_path / "report.html").is_file()
        assert result.config.observables.names == ("x", "mass")
        found = result.histogram("mass")
        assert found.axes[0].edges.tolist() == [0.0, 1.0]
        assert found.values()[0] == pytest.approx(result.weights.sum())


def test_padded_particles_alone():
    rng = np.random.default_rng(1)
    padded = rng.exponential(1, (300, 4, 2)) * (rng.uniform(size=(300, 4, 1)) < 0.7)
    simulation = omniflow.Events.from_arrays(padded * 1.1, padded)
    data = omniflow.Events.from_arrays(padded[:200] * 1.2 + (padded[:200] > 0) * 0.01)
    classifier = {"kind": "deepsets", "width": 4, "blocks": 1}
    result = omniflow.unfold(data, simulation, **(ONCE | {"classifier": classifier}))
    assert np.isfinite(result.weights).all()


# -- classifiers of one's own --------------------------------------------------------------------


def linear(settings, particle_features, event_features):
    """The smallest classifier that there is."""
    event = keras.Input((event_features,), name="event")
    return keras.Model({"event": event}, keras.layers.Dense(1, name="head")(event))


def test_an_edited_classifier_is_another_one(tmp_path):
    """It is trained as it is now, and networks of its former text are not applied by it."""
    text = Path(__file__).parents[2].joinpath("examples/outside/classifier.py").read_text()
    path = tmp_path / "own.py"
    path.write_text(text, encoding="utf-8")
    settings = ONCE | {"classifier": {"kind": f"{path}:small", "options": {"units": 3}}}
    first = omniflow.unfold(DATA, SIMULATION, output=tmp_path / "kept", **settings)
    np.testing.assert_array_equal(first.reweight(SIMULATION), first.ratios_of())
    assert text.count("gelu") > 1
    path.write_text(text.replace("gelu", "tanh"), encoding="utf-8")
    with pytest.raises(InputError, match=r"was trained with another text of .*own\.py:small"):
        omniflow.read(tmp_path / "kept").reweight(SIMULATION)
    second = omniflow.unfold(DATA, SIMULATION, **settings)
    assert np.abs(second.weights - first.weights).max() > 0


def test_what_is_doubtful_of_events_is_warned_of():
    phi = np.random.default_rng(1).uniform(-180, 180, 400)
    events = [omniflow.Events.from_arrays({"phi": phi + i}, {"phi": phi}) for i in (0, 1)]
    with pytest.warns(UserWarning, match="phi at .* level .* beyond 2 pi") as found:
        omniflow.unfold(*events, **ONCE)
    assert {str(each.message).split(":")[0] for each in found} == {"data", "simulation"}


def test_a_function_builds_the_classifier(tmp_path, monkeypatch):
    def local(settings, particle_features, event_features):
        built.append((settings.options, particle_features, event_features))
        return linear(settings, particle_features, event_features)

    built = []
    settings = ONCE | {"classifier": {"kind": local, "options": {"a": 1}}}
    result = omniflow.unfold(DATA, SIMULATION, output=tmp_path / "kept", **settings)
    assert built[0] == ({"a": 1}, 0, 2)
    assert result.networks()[0].record["parameters"] == 3
    expected = result.reweight(SIMULATION)
    # What only this program knows has to be given again; weights are there without it.
    monkeypatch.setattr(outside, "_held", {})
    study = omniflow.read(tmp_path / "kept")
    np.testing.assert_array_equal(study.weights, result.weights)
    with pytest.raises(ConfigError, match="no such module"):
        study.reweight(SIMULATION)
    again = omniflow.read(tmp_path / "kept", classifier=local)
    np.testing.assert_array_equal(again.reweight(SIMULATION), expected)


def test_a_function_of_a_module_is_named_by_it():
    result = omniflow.unfold(DATA, SIMULATION, **(ONCE | {"classifier": linear}))
    assert result.config.classifier.kind == f"{__name__}:linear"


def test_the_example_from_a_notebook():
    path = Path(__file__).parents[2] / "examples" / "outside" / "classifier.py"
    settings = ONCE | {"classifier": {"kind": f"{path}:small", "options": {"units": 4}}}
    data, simulation = with_particles(200, 0.3, 1), with_particles(300, 0.0, 2)
    assert np.isfinite(omniflow.unfold(data, simulation, **settings).weights).all()


# -- what is refused -----------------------------------------------------------------------------


def _refused(message, error=InputError, data=DATA, simulation=SIMULATION, **settings):
    with pytest.raises(error, match=message):
        omniflow.unfold(data, simulation, **(ONCE | settings))


def test_what_is_refused_says_what_to_do(folders):
    _refused("data is a ndarray; make events of arrays by omniflow.Events", data=np.zeros(3))
    _refused(
        r"^omniflow\.unfold: simulation has no particle level, .* Events\.from_arrays\(detector, p",
        simulation=columns(50, 0, 1, truth=False),
    )
    _refused(r"backgrounds\['b'\] is a ndarray; give events, or", backgrounds={"b": np.zeros(3)})
    _refused("backgrounds is a list; give events, or", backgrounds=[DATA])
    varied = {"variations": {"m": {"simulation": np.zeros(900)}}}
    _refused(r"\(got array\(.{190,200}\.\.\.\)$", ConfigError, uncertainties=varied)
    _refused("output: a study cannot be called 'A b'; give a folder", ConfigError, output="A b")
    (folders.path / "file").touch()
    for output in ("file", "file/below"):
        _refused(
            "output: .* cannot be made .*; give another", OutputError, output=folders.path / output
        )
    other = omniflow.Events.from_arrays({"x": [1, 2.0]}, {"x": [1, 2.0]})
    _refused(r"data, detector level: its event columns are \['x'\], those of", data=other)
    _refused("this is a model; give a function", ConfigError, classifier=linear(None, 0, 2))
    _refused(
        r"training.epoch: unknown key; did you mean 'epochs'", ConfigError, training={"epoch": 1}
    )
    _refused("hold the same events", ConfigError, data=SIMULATION)
    _refused("execution.ranks is 2, but this is one process", ConfigError, execution={"ranks": 2})
    _refused("events of a program have none after them", uncertainties={"toys": 1})
    assert folders() == []


def test_samples_of_a_configuration_are_under_the_events():
    """Its backgrounds are subtracted; its data and simulation are not read."""
    background = columns(100, 2.0, 7, truth=False)
    samples = {
        "data": {"source": "npz", "files": ["nowhere.npz"]},
        "backgrounds": {"other": {"sample": background, "factor": 0.5}},
    }
    result = omniflow.unfold(DATA, SIMULATION, config={"samples": samples}, **ONCE)
    expected = omniflow.unfold(
        DATA,
        SIMULATION,
        backgrounds={"other": {"sample": background, "factor": 0.5}},
        **ONCE,
    )
    assert list(result.plan.backgrounds) == ["background-other"]
    np.testing.assert_array_equal(result.weights, expected.weights)


def test_tables_that_fail_do_not_cost_the_weights():
    wrong = {"define": {"wrong": {"expression": "x & 2"}}}
    with pytest.warns(UserWarning, match="the weights are there, .* observable wrong: "):
        result = omniflow.unfold(DATA, SIMULATION, observables=wrong, **ONCE)
    assert result.weights.sum() > 0
    with pytest.raises(InputError, match="there is no table 'summary'; there are none"):
        result.report("report.html")


def test_memory_is_no_source_of_a_file():
    sample = {"source": "memory", "events": 3, "checksum": "0"}
    raw = {"study": {"name": "a"}, "samples": {"data": sample, "simulation": sample}, "methods": {}}
    with pytest.raises(ConfigError, match=r"samples\.data: source: memory stands for events of a"):
        validate(raw)


def test_named_weights_take_part_in_variations(tmp_path):
    n = len(SIMULATION)
    truth = {"x": SIMULATION.particle.event[:, 0], "y": SIMULATION.particle.event[:, 1]}
    seen = {"x": SIMULATION.detector.event[:, 0], "y": SIMULATION.detector.event[:, 1]}
    twice = np.where(truth["x"] > 0, 2.0, 1.0)
    weights = {"up": twice, "replica-1": np.ones(n), "replica-2": twice}
    simulation = omniflow.Events.from_arrays(seen, truth, weights=weights)
    variations = {"model": {"simulation_weights": "up"}}
    result = omniflow.unfold(
        DATA,
        simulation,
        uncertainties={"variations": variations, "simulation_replicas": 2},
        output=tmp_path / "kept",
        **ONCE,
    )
    read = omniflow.read(tmp_path / "kept")
    np.testing.assert_array_equal(read.weights_of("model.none"), result.weights_of("model.none"))
    for variant, expected in (("model", twice), ("simulation-1", 1), ("simulation-2", twice)):
        name = f"{variant}.{result.methods[0]}"
        base = result.weights_of(name) / result.ratios_of(name)
        np.testing.assert_allclose(base / base[0], (expected * np.ones(n)) / np.ravel(expected)[0])
    wrong = {"variations": {"model": {"simulation_weights": "down"}}}
    with pytest.raises(ConfigError, match="no weights 'down'; it has up, replica-1, replica-2"):
        omniflow.unfold(DATA, simulation, uncertainties=wrong, **ONCE)
