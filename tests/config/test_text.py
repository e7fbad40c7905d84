"""YAML as physicists write it, files on top of each other, and settings on top of them."""

import math
from pathlib import Path

import pytest
import yaml

from omniflow.config import read
from omniflow.config.text import _Fast, _Loader, combined, on_top
from omniflow.errors import ConfigError

ROOT = Path(__file__).parents[2]


def _read(tmp_path, text, name="study.yaml"):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return read(path)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e1", 10.0),
        ("-1E+4", -10_000.0),
        ("2e-5", 2e-5),
        (".5e1", 5.0),
        ("1.e3", 1000.0),
        ("1_0e3", 10_000.0),
        ("1_000", 1000),
        ("0o17", "0o17"),
        ("on", True),
        ("no", False),
        ("~", None),
        ("", None),
        ("2026-01-31", "2026-01-31"),
        ("2026-13-45", "2026-13-45"),
        ("'1e5'", "1e5"),
        ("1e", "1e"),
        ("e5", "e5"),
        (".inf", math.inf),
    ],
)
def test_values_mean_the_same_in_files_and_settings(tmp_path, text, value):
    for found in (_read(tmp_path, f"key: {text}"), combined([], [f"key={text}"])):
        assert found == {"key": value}
        assert type(found["key"]) is type(value)


def test_merge_keys(tmp_path):
    found = _read(
        tmp_path,
        """
        base: &base {x: 1, y: 1}
        other: &other {<<: *base, x: 2, z: 2}
        one: {<<: *base, y: 3}
        before: {y: 3, <<: *base}
        several: {<<: [*other, *base], w: 4}
        reversed: {<<: [*base, *other]}
        again: &again {<<: *other}
        nested: {<<: *again, inner: {<<: *one, y: 5}}
        """.replace("one: {", "one: &one {"),
    )
    assert found["other"] == {"x": 2, "y": 1, "z": 2}
    assert found["one"] == found["before"] == {"x": 1, "y": 3}
    assert found["several"] == {"x": 2, "y": 1, "z": 2, "w": 4}  # earlier ones win
    assert found["reversed"] == {"x": 1, "y": 1, "z": 2}
    assert found["nested"] == found["other"] | {"inner": {"x": 1, "y": 5}}


@pytest.mark.parametrize(
    ("text", "key", "first", "second"),
    [
        ("a: 1\nb: 2\na: 3", "a", 1, 3),
        ('a: 1\n"a": 2', "a", 1, 2),
        ("c:\n  a: 1\n  b: {a: 1}\n  a: 2", "a", 2, 4),
        ("b: &b {a: 1}\nc:\n  <<: *b\n  d: 1\n  d: 2", "d", 4, 5),
        ("b: &b {a: 1}\nc:\n  <<: *b\n  <<: *b", "<<", 3, 4),
        ("? &a x\n: 1\n*a : 2", "x", 1, 1),
        ("b: [{a: 1,\n a: 2}]", "a", 1, 2),
    ],
)
def test_a_key_given_twice_is_named_with_both_lines(tmp_path, text, key, first, second):
    with pytest.raises(ConfigError) as error:
        _read(tmp_path, text)
    message = str(error.value)
    assert f"key {key!r} is given twice" in message
    assert f"first in line {first}\n" in message
    assert f"line {second}, column" in message
    assert "study.yaml" in message


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("!!int ''", "int"),
        ("!!int x", "int"),
        ("0x_", "int"),
        ("!!float ''", "float"),
        ("!!bool x", "bool"),
        ("!!timestamp x", "timestamp"),
    ],
)
def test_values_that_are_not_what_they_say_are_named_with_their_line(tmp_path, value, kind):
    with pytest.raises(
        ConfigError, match=rf"study\.yaml: is not valid YAML: .* of type {kind}"
    ) as e:
        _read(tmp_path, f"a: 1\nb: [{value}]\n")
    assert "line 2, column 5" in str(e.value)


@pytest.mark.parametrize("text", ["b: {<<: 1}", "b: {<<: [1]}", "b: {<<: *a}", "a: 1\n---\nb: 2"])
def test_what_cannot_be_merged(tmp_path, text):
    with pytest.raises(ConfigError, match=r"study\.yaml: is not valid YAML"):
        _read(tmp_path, text)


TRICKY = (
    *(
        "a: 1e-3\nb: 1.e5\nc: .5e+3\nd: 2026-01-31\ne: 0o17\nf: 017\ng: 1_000\nh: 1:30",
        "a: [x=1, 'y']",
    ),
    *("b: &b {x: 1}\nc: {<<: *b, y: 2}\nd: [*b, *b]", "a: |\n  two\n  lines\nb: >-\n  one\n  line"),
    *(
        "a: 'µ ≥ 1'\nb: \"\\u00b5 \\n\"",
        "a: ~\nb: null\nc: yes\nd: 'yes'\ne: .inf\nf: -.INF",
        "? x\n: 1",
    ),
    *(
        "# nothing",
        "",
        "a: !!str 1\nb: !!int '2'",
        "'a b': {c d: e}\n",
        "a: {b: [1, {c: [2]}]}",
        "- 1",
    ),
)


@pytest.mark.parametrize("text", TRICKY)
def test_both_loaders_read_alike(text):
    assert repr(yaml.load(text, Loader=_Fast)) == repr(yaml.load(text, Loader=_Loader))


def test_both_loaders_read_all_configurations_alike():
    texts = [
        path.read_text("utf-8")
        for path in [*ROOT.glob("config/**/*.yaml"), *ROOT.glob("examples/**/*.yaml")]
    ]
    assert len(texts) > 10
    assert issubclass(_Fast, yaml.CSafeLoader)  # else there is nothing to compare
    for text in texts:
        found = [list(yaml.load_all(text, Loader=loader)) for loader in (_Fast, _Loader)]
        assert repr(found[0]) == repr(found[1])


@pytest.mark.parametrize("text", ["a:\t1", "a: 5\t# c", "fe \ttures: 1", "a: !", "\ufeffa: !"])
def test_what_the_loader_in_c_reads_otherwise_is_left_to_the_other(tmp_path, text):
    found = []
    for load in (lambda: yaml.load(text, Loader=_Loader), lambda: _read(tmp_path, text)):
        try:
            found.append(load())
        except (yaml.YAMLError, ConfigError):
            found.append("refused")
    assert found[0] == found[1]
    assert "refused" in found or found[0] == {"a": None}


def test_bytes_that_are_no_text_are_refused():
    with pytest.raises(ConfigError, match=r"--config study\.name: is not valid YAML: unacceptable"):
        combined([], ["study.name=\udcff"])


def test_names_of_files_that_are_no_text_are_kept(tmp_path):
    """As a configuration is written: Python holds their bytes as surrogates."""
    name = b"data-\xff.h5".decode("utf-8", "surrogateescape")
    assert _read(tmp_path, yaml.safe_dump({"a": name})) == {"a": name}


@pytest.mark.parametrize("depth", [10, 40, 60, 100_000])
def test_deep_nesting_does_not_end_the_process(tmp_path, depth):
    text = f"a: {'[' * depth}{']' * depth}"
    if depth < 100:
        assert len(str(_read(tmp_path, text)["a"])) == 2 * depth
    else:
        with pytest.raises(ConfigError, match="is not valid YAML: maximum recursion depth"):
            _read(tmp_path, text)


def test_aliases_that_go_round_in_circles_are_no_crash(tmp_path):
    for text in ("a: &a {<<: *a, x: 1}", "b: &b {c: *b}", "c: &c [[*c]]"):
        with pytest.raises(ConfigError, match="one that holds itself"):
            _read(tmp_path, text)


def test_later_files_and_settings_are_put_on_top_key_by_key(tmp_path):
    paths = [tmp_path / name for name in ("one.yaml", "two.yaml")]
    paths[0].write_text("a: {b: {c: 1, d: 2}, e: [1, 2], f: 3}\ng: 1\nh: ~\n")
    paths[1].write_text("a: {b: {c: 1e1}, e: [3]}\nh: {i: 1}\n")
    assert combined(paths) == {
        "a": {"b": {"c": 10, "d": 2}, "e": [3], "f": 3},
        "g": 1,
        "h": {"i": 1},
    }
    settings = ["a={b: {d: 2e1}, f: {x: =}}".replace("=}", "'='}"), "g=", "new=[x=1, 1e-3]"]
    assert combined(paths, settings) == {
        "a": {"b": {"c": 10, "d": 20}, "e": [3], "f": {"x": "="}},
        "g": None,
        "h": {"i": 1},
        "new": ["x=1", 1e-3],
    }


def test_a_sample_of_another_source_replaces_the_one_before():
    base = {"samples": {"data": {"source": "pythia", "seed": 1}, "pretraining": {"weights": []}}}
    same = on_top(base, {"samples": {"data": {"seed": 2}}})
    assert same["samples"]["data"] == {"source": "pythia", "seed": 2}
    other = on_top(base, {"samples": {"data": {"source": "npz", "files": "a.npz"}}})
    assert other["samples"]["data"] == {"source": "npz", "files": "a.npz"}
    assert other["samples"]["pretraining"] == {"weights": []}
    # What else is called so is merged as everything is: columns, observables.
    event = {"source": "a_x", "pt": "a_pt"}
    assert on_top({"event": event}, {"event": {"source": "b_x"}})["event"] == event | {
        "source": "b_x"
    }


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("training", "--config training: give KEY=VALUE"),
        ("training={epochs: 1, epochs: 2}", "--config training: .*key 'epochs' is given twice"),
        ("training={epochs: [}", "--config training: is not valid YAML"),
    ],
)
def test_settings_that_are_wrong(setting, message):
    with pytest.raises(ConfigError, match=message.replace("'", "'").replace(".*", r"[\s\S]*")):
        combined([], [setting])


def test_every_file_must_be_a_mapping(tmp_path):
    (tmp_path / "one.yaml").write_text("a: 1")
    (tmp_path / "two.yaml").write_text("- a")
    with pytest.raises(ConfigError, match=r"two\.yaml: must be a mapping"):
        combined([tmp_path / "one.yaml", tmp_path / "two.yaml"])
