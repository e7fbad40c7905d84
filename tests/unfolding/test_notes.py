"""What a configuration of uncertainties says about itself."""

import pytest
from plans import PYTHIA, make_plan

WEIGHTS = {"simulation_weights": {"files": ["weights.h5"], "dataset": "factor"}}


def notes(passes=2, **uncertainties):
    return " ".join(make_plan(passes=passes, uncertainties=uncertainties).notes)


def test_without_variants_there_is_nothing_to_note():
    assert make_plan(passes=1).notes == make_plan(passes=2).notes
    assert "training" not in notes(passes=1)


def test_the_treatment_of_training_is_named():
    variations = {"variations": {"model": WEIGHTS}}
    left = notes(data_replicas=2, **variations)
    assert "left in the blocks data, model" in left
    assert "subtracted from" not in left
    taken = notes(data_replicas=2, simulation_replicas=2, passes=3, **variations)
    assert "left in the blocks" in taken  # uncertainties.passes counts, not study.passes
    plan = make_plan(passes=3, uncertainties={"simulation_replicas": 2, "passes": 2} | variations)
    taken = " ".join(plan.notes)
    assert "over 2 passes of each replica" in taken
    assert "subtracted from the blocks simulation, model" in taken
    assert "left in the blocks" not in taken


@pytest.mark.parametrize(("passes", "said"), [(1, True), (2, False)])
def test_a_missing_block_of_training_is_named(passes, said):
    assert ("no block training" in notes(passes, data_replicas=2)) == said


def test_toys_without_replicas_have_no_pulls():
    assert "Toys have no pulls" in notes(toys=2)
    assert "Toys have no pulls" not in notes(toys=2, data_replicas=2)


def test_toys_with_simulations_take_replicas_of_them():
    wanted = {"toys": 2, "toy_simulations": True, "data_replicas": 2}
    assert "their error takes uncertainties.simulation_replicas." in notes(**wanted)
    assert "Toys have no pulls" not in notes(**wanted, simulation_replicas=2)


def test_blocks_with_statistics_of_their_samples_are_named():
    model = {"simulation": PYTHIA | {"seed": 77, "shower": "vincia"}}
    found = notes(variations={"model": model, "jes": WEIGHTS})
    assert "From samples of their own: model." in found
    assert "of their own" not in notes(variations={"jes": WEIGHTS})


@pytest.mark.parametrize("scale", ["detector", 1.25])
@pytest.mark.parametrize("normalization", ["absolute", "shape"])
def test_a_scale_without_effect_is_named(scale, normalization):
    text = " ".join(make_plan(acceptance={"scale": scale, "normalization": normalization}).notes)
    without = (scale, normalization) == (1.25, "shape")
    assert ("unfolding.scale: 1.25 multiplies" in text) == without


def test_a_side_without_its_other_side_is_named():
    both = {"jes_up": WEIGHTS, "jes_down": WEIGHTS}
    assert "by one side" not in notes(variations=both | {"model": WEIGHTS})
    one = notes(variations={"pdf_up": WEIGHTS, "jes_down": WEIGHTS})
    assert "pdf_up is a block of its own, by one side: there is no variation pdf_down" in one
    assert "jes_down is a block of its own, by one side: there is no variation jes_up" in one
    three = notes(variations=both | {"jes": WEIGHTS})
    assert "jes_up is a block of its own, by one side: jes is a variation, too" in three
    assert "jes_down is a block of its own, by one side: jes is a variation, too" in three
