import pytest

from omniflow.drafts import names

PAIRS = [
    ("pt_reco", "pt_truth", "pt"),
    ("reco_pt", "gen_pt", "pt"),
    ("pt_det", "pt_part", "pt"),
    ("Jet_pt", "GenJet_pt", "Jet_pt"),
    ("recojet_pt", "truthjet_pt", "jet_pt"),
    ("recoPt", "truthPt", "Pt"),
    ("jet mass (reco)", "jet mass (truth)", "jet mass"),
    ("MCreco", "MCgen", "MC"),
    ("reco.pt", "gen.pt", "pt"),
    ("measured", "truth", ""),
    ("x", "x_true", "x"),
    ("x_r", "x_t", "x"),
    ("sim_jets_0", "gen_jets_0", "jets_0"),
    ("reco_pt", "sim_pt", "pt"),
]


@pytest.mark.parametrize(("measured", "true", "base"), PAIRS)
def test_levels_are_told_by_words_in_names(measured, true, base):
    found = {each.name: each for each in names.levels([measured, true])}
    assert (found[measured].base, found[measured].level) == (base, "detector")
    assert (found[true].base, found[true].level) == (base, "particle")


def test_words_inside_of_words_say_nothing():
    for name in ("generic", "detail", "recovery", "gender", "mass", "department"):
        assert names.marked(name).level == ""


def test_weights_ids_and_flags():
    given = ["weight_pileup_up", "genWeight", "pt", "LHEWeight_up", "weighted_pt"]
    assert names.weights(given)[0] == "genWeight"
    assert set(names.weights(given)) == set(given) - {"pt", "weighted_pt"}
    assert names.weights(["weight_mc", "w_up", "w"])[0] == "w"
    assert names.ids(["event", "pt", "run", "luminosityBlock"]) == [
        *("run", "luminosityBlock", "event")
    ]
    assert names.ids(["run", "pt"]) == []
    levels = [names.flag_level(names.marked(n)) for n in ("pass_reco", "passTruth", "isFiducial")]
    assert levels == ["detector", "particle", "particle"]
    assert names.flag_level(names.marked("charge")) == ""


def test_names_of_columns_are_valid_and_free():
    assert names.column("τ21 (x)", ["x_21_x"]) == "x_21_x_2"
    assert names.column("in") == "x_in"
