"""What networks see where levels have columns of their own."""

import pytest

from omniflow.config import validate
from omniflow.errors import ConfigError
from omniflow.unfolding.estimate import parameters
from omniflow.unfolding.plan import Plan

TRACKS = ["pt", "eta", "phi", "d0"]
LEVELS = {
    "detector": {"event": ["met", "noise"], "particles": TRACKS},
    "particle": {"event": ["met"], "particles": ["pt", "eta", "phi", "pdg"]},
}


def plan(features="auto", kind="deepsets", levels=LEVELS, **sections):
    sample = {"source": "npz", **levels}
    samples = {"data": sample | {"files": "a.npz"}, "simulation": sample | {"files": "b.npz"}}
    samples |= sections.pop("samples", {})
    raw = {"study": {"name": "s", "output": "out"}, "methods": {"none": {}}, "samples": samples}
    return Plan(validate(raw | {"classifier": {"kind": kind, "features": features}} | sections))


def test_auto_picks_by_level():
    found = plan()
    seen = found.features_seen
    assert "d0" in seen["detector"].particles
    assert "pdg" in seen["particle"].particles
    assert "pdg" not in seen["detector"].particles
    assert list(seen["detector"].event)[-2:] == ["met", "noise"]
    assert list(seen["particle"].event)[-1] == "met"
    # A preset for particles where there are some, columns at the other level.
    events = {"event": ["met"]}
    seen = plan(levels=LEVELS | {"particle": events}).features_seen
    assert "log pt" in seen["detector"].particles
    assert (seen["particle"].particles, list(seen["particle"].event)) == ({}, ["met"])


def test_scaling_is_common_where_inputs_are_the_same_by_name():
    apart = plan()
    assert apart.scaling("detector").name == "scaling.json"
    assert apart.scaling("particle").name == "scaling-particle.json"
    assert set(apart.scalings.values()) == {"detector", "particle"}
    # Of other columns, by the same names.
    named = {"detector": {"event": {"x": "noise"}}, "particle": {"event": {"x": "met"}}}
    alike = plan(named)
    assert alike.scaling("detector") == alike.scaling("particle") == apart.scaling("detector")
    assert list(alike.scalings.values()) == ["detector"]
    swapped = {"detector": {"event": ["met", "noise"]}, "particle": {"event": ["met"]}}
    assert len(plan(swapped).scalings) == 2


def test_one_set_must_suit_both_levels():
    assert plan({"event": ["met"], "particles": ["pt"]}).features_seen["particle"].event
    with pytest.raises(ConfigError, match=r"'noise'.* at particle level.*features\.particle"):
        _ = plan({"event": ["noise"]}).features_seen
    with pytest.raises(ConfigError, match=r"needs 'particles\.pdg'.* at detector level"):
        _ = plan({"detector": {"particles": ['column("particles.pdg")']}}).features_seen


def test_fingerprints_tell_levels_apart():
    one, other = {"event": ["met"]}, {"event": ["sqrt(met)"]}
    found = {
        plan(features).fingerprints.features
        for features in (
            one,
            {"detector": one, "particle": one},
            {"detector": one, "particle": other},
            {"detector": other, "particle": one},
        )
    }
    assert len(found) == 3  # one set for both is the same as the same set twice


def test_levels_without_particles_have_mlps():
    apart = LEVELS | {"particle": {"event": ["met"]}}
    for kind in ("pet", "deepsets"):
        found = plan(kind=kind, levels=apart)
        assert [found.classifiers[level].kind for level in LEVELS] == [kind, "mlp"]
        assert parameters(found, "particle")[0] == 0 < parameters(found, "detector")[0]
    assert {each.kind for each in plan(kind="pet").classifiers.values()} == {"pet"}
    # Features of events alone, of events with particles: those see the multiplicity.
    assert plan({"event": ["met"]}, "pet").classifiers["particle"].kind == "pet"


def test_an_mlp_needs_features_of_events_at_both_levels():
    levels = LEVELS | {"particle": {"particles": TRACKS}}
    message = "features of events alone, of which there are none at particle level"
    with pytest.raises(ConfigError, match=message):
        _ = plan({"detector": "columns", "particle": "columns"}, "mlp", levels).features_seen


def test_pretrained_networks_need_the_same_inputs():
    pretrained = {"methods": {"p": {"start": "pretrained"}}}
    pair = {"numerator": {"source": "npz", "files": "c.npz", **LEVELS}}
    pair["denominator"] = pair["numerator"] | {"files": "d.npz"}
    pretrained["samples"] = {"pretraining": pair}
    message = r"methods\.p\.start: .* differ in event feature 'noise', particle feature 'd0'"
    with pytest.raises(ConfigError, match=message):
        _ = plan("columns", **pretrained).features_seen
    pretrained["samples"] = {"pretraining": pair}
    assert plan({"event": ["met"]}, **pretrained).features_seen


def test_samples_agree_where_networks_see_them():
    data = {"source": "npz", "files": "a.npz", "detector": LEVELS["detector"]}
    assert plan(samples={"data": data}).features_seen
    truth = data | {"particle": {"event": ["other"]}}
    assert plan(samples={"data": truth}).features_seen
    other = data | {"detector": {"event": ["met"], "particles": TRACKS}}
    with pytest.raises(ConfigError, match="event columns met at detector level and sam"):
        plan(samples={"data": other})
    varied = {"source": "npz", "files": "v.npz", **LEVELS, "particle": {"event": ["met"]}}
    with pytest.raises(ConfigError, match=r"variations\.v\.simulation .* at particle level"):
        plan(uncertainties={"variations": {"v": {"simulation": varied}}})
