import pytest

from omniflow.config import dump, load, validate
from omniflow.errors import ConfigError

TEXT = """
study: {name: my-study, seed: 7}
samples:
  data: {source: h1, files: [nature.h5, more.h5], skip: 10}
  simulation: {source: pythia, events: 2e5, seed: 5, settings: ['Beams:eA = 920']}
training: {learning_rate: 2e-5, weight_decay: 1E-4, epochs: 3}
unfolding: {scale: 1.5e+0}
methods:
  none: {}
  hybrid: {lanes: 2, members: 3, aggregate: median}
observables: {binning: {q2: [150, 1e3, 5000]}}
"""


def _load(tmp_path, text):
    path = tmp_path / "study.yaml"
    path.write_text(text, encoding="utf-8")
    return load(path)


def test_numbers_as_physicists_write_them(tmp_path):
    config = _load(tmp_path, TEXT)
    assert config.training.learning_rate == 2e-5
    assert config.training.weight_decay == 1e-4
    assert config.samples.simulation.events == 200_000
    assert config.unfolding.scale == 1.5
    assert config.observables.binning == {"q2": (150.0, 1000.0, 5000.0)}


def test_text_that_looks_like_a_number_stays_text_in_quotes(tmp_path):
    config = _load(tmp_path, TEXT.replace("nature.h5", "'1e5'"))
    assert config.samples.data.files == ("1e5", "more.h5")


def test_the_order_of_methods_is_kept(tmp_path):
    assert list(_load(tmp_path, TEXT).methods) == ["none", "hybrid"]


def test_a_dumped_configuration_is_the_same(tmp_path):
    config = _load(tmp_path, TEXT)
    text = dump(config)
    assert "patience: 10" in text  # defaults included
    again = _load(tmp_path, text)
    assert again == config
    assert dump(again) == text
    assert list(again.methods) == list(config.methods)


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("epochs: 3}", "epochs: 3, epochs: 4}", "epochs"),
        ("  none: {}", "  none: {}\n  none: {lanes: 2}", "none"),
        ("methods:", "study: {name: other}\nmethods:", "study"),
    ],
)
def test_a_key_given_twice_is_an_error(tmp_path, old, new, key):
    assert old in TEXT
    with pytest.raises(ConfigError, match=rf"key '{key}' is given twice"):
        _load(tmp_path, TEXT.replace(old, new))


@pytest.mark.parametrize("text", ["", "- a\n- b\n", "just text", "42"])
def test_a_file_that_is_not_a_mapping(tmp_path, text):
    with pytest.raises(ConfigError, match=r"study\.yaml: must be a mapping"):
        _load(tmp_path, text)


@pytest.mark.parametrize("text", ["a: [1, 2", "a: b: c", "\tx: 1", "? [a]\n: 1"])
def test_a_file_that_is_not_yaml(tmp_path, text):
    with pytest.raises(ConfigError, match=r"study\.yaml"):
        _load(tmp_path, text)


def test_objects_are_not_constructed(tmp_path):
    with pytest.raises(ConfigError, match="python/object"):
        _load(tmp_path, "study: !!python/object/apply:os.getcwd []\n")


def test_a_file_that_cannot_be_read(tmp_path):
    with pytest.raises(ConfigError, match=r"absent\.yaml.*cannot be read"):
        load(tmp_path / "absent.yaml")
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path)
    (tmp_path / "latin.yaml").write_bytes(b"study: {name: \xe9t\xe9}")
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path / "latin.yaml")


def test_messages_name_the_file(tmp_path):
    with pytest.raises(ConfigError, match=r"study\.yaml: 1 problem\(s\)\n  training\.epochs"):
        _load(tmp_path, TEXT.replace("epochs: 3", "epochs: -3"))


def _with_pretraining(simulation, numerator, denominator, **more):
    raw = {
        "study": {"name": "s"},
        "samples": {
            "data": {"source": "pythia", "events": 10, "seed": 1},
            "simulation": simulation,
            "pretraining": {"numerator": numerator, "denominator": denominator, **more},
        },
        "methods": {"none": {}},
    }
    return validate(raw)


def test_pretraining_events_must_be_new():
    pythia = {"source": "pythia", "events": 10}
    h1 = {"source": "h1", "files": ["a.h5"], "events": 10}
    _with_pretraining(h1, pythia | {"seed": 1, "pdf": 8}, h1 | {"skip": 10})
    _with_pretraining(h1, pythia | {"seed": 1}, h1 | {"skip": 9}, allow_overlap=True)
    for numerator, denominator in (
        (pythia | {"seed": 1, "events": 99}, h1 | {"skip": 10}),
        (pythia | {"seed": 2}, h1 | {"skip": 9}),
        (pythia | {"seed": 2}, {"source": "h1", "files": ["b.h5", "a.h5"]}),
    ):
        with pytest.raises(ConfigError, match="hold the same events"):
            _with_pretraining(h1, numerator, denominator)
