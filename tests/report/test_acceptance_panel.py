import pandas as pd
from test_page import Reader

from omniflow.report import acceptance_panel, page
from omniflow.report.content import ReportTables


def _read(folder, **columns):
    path = folder / "acceptance.csv"
    pd.read_csv(path).assign(**columns).to_csv(path, index=False)
    return ReportTables.read(folder)


def test_section_is_there_with_a_folded_figure(rendered):
    reader = Reader(rendered[1])
    assert [label for label in reader.figures if label.startswith("Acceptance of")]
    text = " ".join(reader.text.split())
    assert "Extrapolated." in text
    assert "Some bins are extrapolated from the simulation: see Acceptance." in text


def test_bins_of_low_efficiency_are_named(written):
    # 5%, 10% and so on: the first bin of each observable is below 10%
    low = acceptance_panel._low(ReportTables.read(written))
    assert [label for label, _ in low] == ["jet τ₂₁", "Q²"]
    sentence = low[0][1].replace("\xa0", " ")
    assert sentence == "1 of 20 bins, lowest (5.00 ± 0.20) % (0 to 0.0500)"
    assert low[1][1].startswith("1 of 15 bins")
    assert low[1][1].endswith("(150 to 190 GeV^2)")


def test_bins_that_are_not_evaluated_are_not_named(study):
    path = study / "metrics.csv"
    rows = pd.read_csv(path)
    rows[rows["bin"] > 0].to_csv(path, index=False)
    assert acceptance_panel._low(ReportTables.read(study)) == []


def test_high_efficiencies_are_not_named(study):
    assert acceptance_panel._low(_read(study, efficiency=0.1)) == []


def test_bins_without_particle_level_are_not_named(study):
    assert acceptance_panel._low(_read(study, efficiency=float("nan"))) == []


def test_fractions_that_are_no_probabilities_are_named(study, undrawn):
    rows = pd.read_csv(study / "acceptance.csv")
    rows.loc[0, "efficiency"], rows.loc[1, "fake_fraction"] = -0.12, 1.3
    rows.loc[2, ["efficiency", "efficiency_error"]] = float("nan"), float("inf")
    rows.to_csv(study / "acceptance.csv", index=False)
    tables = ReportTables.read(study)
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


def test_probabilities_are_not_named(study):
    assert acceptance_panel._outside(ReportTables.read(study)) == []
