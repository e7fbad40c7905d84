"""At which levels observables exist."""

import pytest

from omniflow.config import validate
from omniflow.errors import ConfigError
from omniflow.unfolding.plan import Plan

LEVELS = {
    "detector": {"event": ["met", "noise"], "particles": ["pt", "eta", "phi"]},
    "particle": {"event": ["met", "tag"]},
}
BOTH = ("detector", "particle")
JETS = {"radius": 0.4, "pt_min": 5}


def plan(define=None, levels=LEVELS, **sections):
    sample = {"source": "npz", **levels}
    samples = {"data": sample | {"files": "a.npz"}, "simulation": sample | {"files": "b.npz"}}
    samples |= sections.pop("samples", {})
    raw = {"study": {"name": "s"}, "methods": {"none": {}}, "samples": samples}
    raw["observables"] = {} if define is None else {"define": define}
    return Plan(validate(raw | sections))


def test_by_default_they_are_the_columns():
    assert plan().observed == {
        **{"met": BOTH, "noise": ("detector",), "tag": ("particle",)},
        **dict.fromkeys(("pt", "eta", "phi"), ("detector",)),
    }
    assert not [note for note in plan().notes if "Observable" in note]


def test_they_exist_where_their_columns_do():
    define = {
        "met": {"expression": "met"},
        "noise": {"expression": "noise + met"},
        "tag": {"expression": 'column("event.tag")'},
        "jet": {"jets": "pt", **JETS},
        "n": {"expression": "count(jets.pt) + met", **JETS},
        "one": {"expression": "met", "level": "detector"},
        "named": {"detector": "noise", "particle": "tag"},
        "true": {"particle": "2 * tag"},
    }
    found = plan(define)
    assert found.observed == {
        "met": BOTH,
        "noise": ("detector",),
        "tag": ("particle",),
        "jet": ("detector",),
        "n": ("detector",),
        "one": ("detector",),
        "named": BOTH,
        "true": ("particle",),
    }
    notes = [note for note in found.notes if note.startswith("Observable")]
    # What says itself where it exists needs no note.
    assert [note.split()[1] for note in notes] == ["noise", "tag", "jet", "n"]
    assert "exists at detector level alone: particle level has no column 'noise'" in notes[0]


@pytest.mark.parametrize(
    ("define", "message"),
    [
        (
            {"expression": "mett"},
            r"observable x: there is no column 'mett' at detector level \(did you mean 'met'\?\); "
            r"there is no column 'mett' at particle level \(did you mean 'met'",
        ),
        ({"expression": "tag", "level": "detector"}, "no column 'tag' at detector level"),
        ({"detector": "met", "particle": "noise"}, "no column 'noise' at particle level"),
        ({"jets": "pt", **JETS, "level": "particle"}, "no particle column 'eta' at particle"),
        ({"detector": "met"}, "none of them exists at particle level"),
        ({"expression": "met", "detector": "met"}, "exactly one of expression, object, jets"),
        ({"detector": "met", "level": "detector"}, "level goes with one formula"),
        ({"expression": "met", "level": "both"}, "level"),
    ],
)
def test_what_exists_nowhere_is_refused(define, message):
    with pytest.raises(ConfigError, match=message):
        _ = plan({"x": define}).observed


def test_other_samples_must_have_what_is_histogrammed():
    define = {"tag": {"expression": "tag"}, "noise": {"expression": "noise"}}
    own = {"source": "npz", "detector": LEVELS["detector"]}
    truth = {"particle": {"event": ["met"]}}
    assert plan(define, samples={"data": own | {"files": "a.npz"}}).observed
    lacking = own | {"files": "c.npz"} | truth
    with pytest.raises(ConfigError, match=r"tag: samples\.data has no column 'tag' at particle"):
        _ = plan(define, samples={"data": lacking}).observed
    # Of backgrounds detector level counts, of predictions particle level.
    background = {"backgrounds": {"b": {"sample": lacking}}}
    found = plan(define, samples=background)
    assert found.observed
    assert found.observed_at("background-b") == ("detector",)
    with pytest.raises(ConfigError, match=r"predictions\.p has no column 'tag' at particle level"):
        _ = plan(define, uncertainties={"predictions": {"p": lacking}}).observed


def test_fingerprints_know_the_levels():
    define = {"met": {"expression": "met"}}
    alike = dict.fromkeys(BOTH, LEVELS["particle"])
    prints = [plan(define, levels=levels).fingerprints.observables for levels in (LEVELS, alike)]
    assert prints[0] == prints[1]  # met is at both levels either way
    define["tag"] = {"expression": "tag"}
    prints = [plan(define, levels=levels).fingerprints.observables for levels in (LEVELS, alike)]
    assert prints[0] != prints[1]
