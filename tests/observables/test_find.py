import json

import numpy as np
import pytest
from toy_level import LEVEL

from omniflow.config.observables import ObservableDefinition, Observables
from omniflow.errors import ConfigError
from omniflow.observables import JetDefinition, Quantiles, find
from omniflow.observables.compute import compute
from omniflow.observables.sets import ObservableSet

MODULE = """\
import numpy as np
from omniflow.observables import JetDefinition, Observable, from_expression

def scalar_sum(level):
    index = np.repeat(np.arange(len(level)), level.counts)
    return np.bincount(index, level.particles[:, 0], len(level))

entries = Observable("other", lambda chunk: ([0], [1.0]), edges=(0, 2), label="Others", unit="m")
met = from_expression("met", "met", edges=(0, 1))
number = 3
"""


@pytest.fixture
def section(tmp_path):
    (tmp_path / "shapes.py").write_text(MODULE)

    def make(**raw):
        return Observables.model_validate(raw, context={"root": tmp_path})

    return make


def values(section):
    found = find.resolve(section)
    entries = compute(LEVEL, found)
    return found, {o.name: entries[o.name].value.tolist() for o in found}


def test_declared_by_an_expression(section):
    (found,), computed = values(
        section(define={"ht": {"expression": "sum(pt)", "unit": "GeV", "edges": [0, 20, 50]}})
    )
    assert (found.name, found.label, found.unit, found.edges) == ("ht", "ht", "GeV", (0, 20, 50))
    assert computed == {"ht": [58, 0, 50]}


def test_declared_by_jets(section):
    jets = {"jets": "pt", "radius": 0.4, "pt_min": 10}
    define = {
        "all": jets,
        "lead": jets | {"leading": True, "algorithm": "kt"},
        "n": {"expression": "count(jets.pt)", "radius": 0.4, "pt_min": 5},
        "zg": jets | {"jets": "zg", "z_cut": 0.45},
    }
    found, computed = values(section(define=define))
    assert found[0].jets == JetDefinition("antikt", 0.4, 10)
    assert found[1].jets == JetDefinition("kt", 0.4, 10)
    assert [o.kind for o in found] == ["jet", "event", None, "jet"]
    assert computed == {"all": [50, 50], "lead": [50, 50], "n": [2, 0, 1], "zg": []}


def test_declared_in_python(section):
    define = {
        "ht": {"object": "shapes:scalar_sum", "edges": [0, 1]},
        "mine": {"object": "shapes:entries"},
        "told": {"object": "shapes:entries", "label": "Told", "bins": {"quantiles": 3}},
        "met": {"object": "shapes:met"},
    }
    (ht, mine, told, met), computed = values(section(define=define))
    assert computed == {"ht": [58, 0, 50], "mine": [1], "told": [1], "met": [10, 20, 30]}
    assert (mine.name, mine.label, mine.unit, mine.edges) == ("mine", "Others", "m", (0, 2))
    assert (told.label, told.latex, told.edges) == ("Told", r"$\text{Told}$", Quantiles(3))
    assert (ht.label, met.edges) == ("ht", (0, 1))


def test_objects_that_are_none_are_refused(section):
    with pytest.raises(ConfigError, match=r"x: .*shapes\.py:number is neither an Observable"):
        find.resolve(section(define={"x": {"object": "shapes:number"}}))
    with pytest.raises(ConfigError, match=r"shapes\.py has no 'thrust'; it has .*scalar_sum"):
        find.resolve(section(define={"x": {"object": "shapes:thrust"}}))


def test_edges_by_bins_quantiles_or_binning(section):
    expression = {"expression": "met"}
    define = {
        "a": expression | {"bins": {"count": 4, "range": [0, 2]}},
        "b": expression | {"bins": {"count": 2, "range": [1, 100], "log": True}},
        "c": expression | {"bins": {"quantiles": 7}},
        "d": expression,
        "e": expression,
    }
    found = find.resolve(section(define=define, binning={"e": [1, 2, 3], "q2": [1, 2]}))
    edges = {o.name: o.edges for o in found}
    assert edges["a"] == (0, 0.5, 1, 1.5, 2)
    assert edges["b"] == pytest.approx((1, 10, 100))
    assert (edges["c"], edges["d"], edges["e"]) == (Quantiles(7), Quantiles(20), (1, 2, 3))


def test_names_of_ones_own_go_first(section):
    found = find.resolve(section(names=["q2", "y"], define={"q2": {"expression": "met"}}))
    assert compute(LEVEL, found[:1])["q2"].value.tolist() == [10, 20, 30]
    assert section(names=["dis"], define={"dis": {"expression": "met"}}).names == ("dis",)


def test_what_determines_values_is_known_without_importing(section, tmp_path):
    (tmp_path / "shapes.py").write_text("raise RuntimeError\n")
    define = {
        "ht": {"object": "shapes:scalar_sum"},
        "pt": {"expression": "pt", "label": "a", "edges": [0, 1]},
    }
    first = find.computations(section(define=define))
    assert first["ht"]["object"] == "shapes.py:scalar_sum"
    assert str(tmp_path) not in json.dumps(first)
    define["pt"] |= {"label": "b", "edges": [0, 2]}
    assert find.computations(section(define=define)) == first
    (tmp_path / "shapes.py").write_text("raise ValueError\n")
    assert find.computations(section(define=define))["ht"] != first["ht"]
    define["pt"] |= {"expression": "2 * pt"}
    assert find.computations(section(define=define))["pt"] != first["pt"]


def test_sets_of_other_packages_come_by_entry_points(monkeypatch):
    """They are loaded when a name is not found among those before."""
    loaded = []
    sets = {
        "dis": find.set_of("dis"),
        "other": ObservableSet({"met": {"expression": "met"}, "q2": {"expression": "1"}}, ("met",)),
    }
    monkeypatch.setattr("omniflow.registry.names", lambda room: list(sets))

    def load(room, name):
        loaded.append(name)
        return sets[name]

    monkeypatch.setattr("omniflow.registry.find", load)
    for cached in (find.set_of, find._checked):
        cached.cache_clear()
    assert Observables(names=["q2"]).names == ("q2",)
    assert loaded == ["dis"]
    found = find.definitions(Observables(names=["other", "q2"]))
    assert found["met"].expression == "met"
    assert found["q2"] == find.built_in()["q2"] != ObservableDefinition(expression="1")
    assert loaded == ["dis", "other"]
    for cached in (find.set_of, find._checked):
        cached.cache_clear()


def test_built_in_observables_are_whole():
    assert set(find.set_of("dis").names) < set(find.built_in())
    for name, definition in find.built_in().items():
        observable = find.build(name, definition)
        assert isinstance(definition, ObservableDefinition)
        assert not isinstance(observable.edges, Quantiles)
        assert np.all(np.diff(observable.edges) > 0)
