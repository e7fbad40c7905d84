from study_factory import assigned, changed
from test_page import Reader

from omniflow.report import acceptance_panel, page


def test_section_is_there_with_a_folded_figure(rendered):
    reader = Reader(rendered[1])
    assert [label for label in reader.figures if label.startswith("Acceptance of")]
    text = " ".join(reader.text.split())
    assert "Extrapolated." in text
    assert "Some bins are extrapolated from the simulation: see Acceptance." in text


def test_bins_of_low_efficiency_are_named(known):
    # 5%, 10% and so on: the first bin of each observable is below 10%
    low = acceptance_panel._low(known)
    assert [label for label, _ in low] == ["jet τ₂₁", "Q²"]
    sentence = low[0][1].replace("\xa0", " ")
    assert sentence == "1 of 20 bins, lowest (5.00 ± 0.20) % (0 to 0.0500)"
    assert low[1][1].startswith("1 of 15 bins")
    assert low[1][1].endswith("(150 to 190 GeV^2)")


def test_bins_that_are_not_evaluated_are_not_named(known):
    rows = known["metrics"]
    assert acceptance_panel._low(changed(known, metrics=rows[rows["bin"] > 0])) == []


def test_high_efficiencies_are_not_named(known):
    assert acceptance_panel._low(assigned(known, "acceptance", efficiency=0.1)) == []


def test_bins_without_particle_level_are_not_named(known):
    assert acceptance_panel._low(assigned(known, "acceptance", efficiency=float("nan"))) == []


def test_fractions_that_are_no_probabilities_are_named(tables, unmade):
    rows = tables["acceptance"]
    rows.loc[0, "efficiency"], rows.loc[1, "fake_fraction"] = -0.12, 1.3
    rows.loc[2, ["efficiency", "efficiency_error"]] = float("nan"), float("inf")
    ((label, sentence),) = acceptance_panel._outside(tables)
    assert label == "jet τ₂₁"
    assert sentence.replace("\xa0", " ") == (
        "3 of 20 bins (−12.0 % and 10.0 % in 0 to 0.0500; 10.0 % and 130 % in 0.0500 to 0.100; "
        "– and 10.0 % in 0.100 to 0.150)"
    )
    # Negative efficiencies are no low ones.
    assert [name for name, _ in acceptance_panel._low(tables)] == ["Q²"]
    text = " ".join(Reader(page.render(tables)).text.split())
    assert "Not probabilities. Negative weights outweigh the others in some bins" in text


def test_probabilities_are_not_named(known):
    assert acceptance_panel._outside(known) == []
