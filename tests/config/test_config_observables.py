import re
from typing import get_args

import pytest
import yaml

from omniflow.config import dump, load, validate
from omniflow.config.observables import ObservableDefinition, ObservableName
from omniflow.errors import ConfigError
from omniflow.observables.jets import PROPERTIES
from omniflow.observables.observable import NAME
from omniflow.physics.jets import Algorithm

PYTHIA = {"source": "pythia", "events": 1000, "seed": 3}
HT = {"expression": "sum(pt)"}
JETS = {"radius": 0.4, "pt_min": 20}


def observables(**section):
    raw = {
        "study": {"name": "s"},
        "samples": {"data": PYTHIA, "simulation": PYTHIA | {"seed": 4}},
        "methods": {"none": {}},
        "observables": section,
    }
    return validate(raw).observables


def test_names_are_of_sets_built_in_or_defined():
    nine = observables().names
    assert len(nine) == 9
    assert observables(names=["dis"]).names == nine
    assert observables(names=["y", "ht"], define={"ht": HT}).names == ("y", "ht")
    assert observables(names=["ht", "dis"], define={"ht": HT}).names == ("ht", *nine)
    # without names: what is defined, in this order
    assert observables(define={"ht": HT, "a": HT}).names == ("ht", "a")


def test_the_same_name_stands_once():
    with pytest.raises(ConfigError, match="named once each"):
        observables(names=["dis", "q2"])


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"names": ["jet_tau12"]}, "unknown observable 'jet_tau12': did you mean 'jet_tau21'"),
        ({"names": ["hT"], "define": {"ht": HT}}, "did you mean 'ht'"),
        ({"names": ["diss"]}, "did you mean 'dis'"),
        ({"names": ["thrust"]}, r"known are .*multiplicity, dis\. Those .* in observables\.define"),
        ({"names": []}, "at least one"),
        ({"binning": {"q22": [1, 2]}}, "binning: unknown observable 'q22': did you mean 'q2'"),
        ({"binning": {"q2": [2, 1]}}, "q2: at least two bin edges, strictly increasing"),
        ({"define": {"a b": HT}}, r"define\.a b"),
        ({"define": {"a": HT | {"edges": [1]}}}, r"define\.a\.edges: at least two bin edges"),
        ({"define": {"a": HT | {"edges": [1, 1]}}}, "strictly increasing"),
        ({"define": {"a": {}}}, "exactly one of expression, object, jets, and detector or .*not 0"),
        ({"define": {"a": HT | {"jets": "pt"} | JETS}}, "not expression and jets"),
        ({"define": {"a": {"expression": "sum(pt"}}}, r"define\.a\.expression: "),
        ({"define": {"a": {"expression": "import os"}}}, r"define\.a\.expression: "),
        ({"define": {"a": {"jets": "tau12"} | JETS}}, "did you mean 'tau"),
        ({"define": {"a": {"jets": "pt", "radius": 0.4}}}, "jets need pt_min"),
        ({"define": {"a": HT | {"radius": 0.4}}}, "jets need pt_min"),
        ({"define": {"a": {"jets": "pt", "algorithm": "anti_kt"} | JETS}}, "'antikt'"),
        ({"define": {"a": {"object": "no object"}}}, "is not of the form `module:object`"),
        ({"define": {"a": {"object": "json:dumps"} | JETS}}, "radius does not act on object"),
        ({"define": {"a": HT | {"leading": True}}}, r"write first\(jets\.pt\)"),
        ({"define": {"a": {"jets": "pt", "z_cut": 0.1} | JETS}}, "z_cut acts on groomed_mass"),
        ({"define": {"a": HT | {"beta": 1}}}, "beta acts on groomed_mass and zg"),
        ({"define": {"a": HT | {"kind": "jet"}}}, "kind: jet needs radius and pt_min"),
        ({"define": {"a": {"jets": "pt", "kind": "event"} | JETS}}, "leave kind out"),
        ({"define": {"a": HT | {"edges": [1, 2], "bins": {"quantiles": 3}}}}, "not both"),
        ({"define": {"a": HT | {"bins": {}}}}, "give quantiles, or count and range"),
        ({"define": {"a": HT | {"bins": {"count": 3}}}}, "give quantiles, or count and range"),
        ({"define": {"a": HT | {"bins": {"quantiles": 3, "log": True}}}}, "quantiles stand alone"),
        ({"define": {"a": HT | {"bins": {"quantiles": 0}}}}, "greater than or equal to 1"),
        ({"define": {"a": HT | {"bins": {"count": 3, "range": [1, 1]}}}}, "must be above"),
        (
            {"define": {"a": HT | {"bins": {"count": 3, "range": [0, 1], "log": True}}}},
            "must be above 0",
        ),
        ({"define": {"a": HT | {"lable": "x"}}}, "lable: unknown key; did you mean 'label'"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(section, message):
    with pytest.raises(ConfigError, match=message):
        observables(**section)


def test_a_wrong_definition_hides_no_other_problem():
    with pytest.raises(ConfigError, match="1 problem") as raised:
        observables(names=["a", "q2"], define={"a": {"expression": "1 +"}})
    assert "define.a.expression" in str(raised.value)


def test_modules_beside_the_file_have_their_path_in_the_dump(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "shapes.py").write_text("x = 1\n")
    raw = {
        "study": {"name": "s"},
        "samples": {"data": PYTHIA, "simulation": PYTHIA | {"seed": 4}},
        "methods": {"none": {}},
        "observables": {"define": {"a": {"object": "shapes:x"}, "b": {"object": "json:dumps"}}},
    }
    (tmp_path / "mine" / "study.yaml").write_text(yaml.safe_dump(raw))
    (tmp_path / "other.yaml").write_text("study: {seed: 3}\n")
    config = load(tmp_path / "mine" / "study.yaml", tmp_path / "other.yaml")
    assert config.observables.define["a"].object == f"{tmp_path}/mine/shapes.py:x"
    assert config.observables.define["b"].object == "json:dumps"
    # where jobs read it is another folder
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "config.yaml").write_text(dump(config))
    assert load(tmp_path / "results" / "config.yaml") == config


def test_paths_of_modules_are_expanded(tmp_path, monkeypatch):
    monkeypatch.setenv("SHAPES", str(tmp_path / "$"))
    (tmp_path / "$").mkdir()
    (tmp_path / "$" / "shapes.py").write_text("x = 1\n")
    section = observables(define={"a": {"object": "$SHAPES/shapes.py:x"}})
    assert section.define["a"].object == f"{tmp_path}/$/shapes.py:x"
    again = observables(**section.model_dump(mode="json"))
    assert again == section


def test_the_page_names_what_there_is():
    fields = ObservableDefinition.model_fields
    described = re.findall(r"\w+", fields["jets"].description.partition(":")[2])
    assert [name for name in described if name != "or"] == list(PROPERTIES)
    assert get_args(Algorithm) == get_args(get_args(fields["algorithm"].annotation)[0])
    (pattern,) = (
        m.pattern for m in ObservableName.__metadata__[0].metadata if hasattr(m, "pattern")
    )
    assert pattern == NAME
