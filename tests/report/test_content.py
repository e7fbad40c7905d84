import json

import pandas as pd
import pytest

from omniflow.errors import InputError
from omniflow.report import formats, trust
from omniflow.report.content import ReportTables
from omniflow.report.verdict import judge
from omniflow.tables.catalogue import TABLES


def edit(path, change):
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    change(table).to_csv(path, index=False)


def test_tables_of_other_tests_are_those_that_are_read(written, known):
    tables = ReportTables.read(written)
    assert tables.study == known.study
    assert tables.frames.keys() == known.frames.keys()
    for name, frame in tables.frames.items():
        pd.testing.assert_frame_equal(frame, known[name])


def test_complete_study_has_no_problems(written):
    tables = ReportTables.read(written)
    assert tables.problems == ()
    assert tables.passes() == {"none": 10, "parallel": 10, "pretrained": 10}
    assert set(tables.headline("metrics", 2)["combine"]) == {"none", "mean"}
    assert len(tables.headline("metrics", 2)) == 3 * (15 + 20)  # methods x bins of q2 and tau21


@pytest.mark.parametrize("name", ["metrics", "timing", "stopping"])
def test_missing_column_is_named(study, name):
    column = TABLES[name].names[-1]
    edit(study / f"{name}.csv", lambda table: table.drop(columns=column))
    with pytest.raises(InputError, match=rf"{name}\.csv: column {column} is missing"):
        ReportTables.read(study)


@pytest.mark.parametrize("name", ["study.json", "metrics.csv", "cost.csv"])
def test_missing_file_is_named(study, name):
    (study / name).unlink()
    with pytest.raises(InputError, match=rf"{name}: cannot be read"):
        ReportTables.read(study)


def test_text_in_a_number_is_named_with_its_line(study):
    def change(table):
        table.loc[3, "sigma_rel"] = "many"
        return table

    edit(study / "metrics.csv", change)
    with pytest.raises(InputError, match=r"metrics\.csv: column sigma_rel, line 5: 'many'"):
        ReportTables.read(study)


def test_empty_iteration_is_refused(study):
    def change(table):
        table.loc[0, "iteration"] = ""
        return table

    edit(study / "summary.csv", change)
    with pytest.raises(InputError, match=r"summary\.csv: column iteration, line 2"):
        ReportTables.read(study)


@pytest.mark.parametrize(
    ("name", "keep", "words"),
    [
        ("metrics", lambda t: t["method"] != "parallel", "method parallel, combine mean"),
        ("summary", lambda t: t["combine"] != "median", "method parallel, combine median"),
        ("summary", lambda t: t["iteration"] != "1", "iteration 1"),
        ("detector", lambda t: t["iteration"] != "0", "method none, combine none, iteration 0"),
        ("weights", lambda t: t["method"] != "none", "method none"),
        ("bayes_summary", lambda t: t["iteration"] != "2", "observable q2, iteration 2"),
        ("cost", lambda t: t["method"] != "none", "method none"),
        ("steps", lambda t: t["chain"] != "scratch-1", "chain scratch-1"),
    ],
)
def test_missing_results_are_named(study, name, keep, words):
    edit(study / f"{name}.csv", lambda table: table[keep(table)])
    with pytest.raises(InputError, match=rf"{name}\.csv: no rows for .*{words}"):
        ReportTables.read(study)


def _emptied(study, names):
    """Tables as they are for observables without entries."""
    lost = ["bias_rel", "sigma_rel", "rel_mse", "td", "td_prior", "td_floor"]

    def averages(table):
        table.loc[table["observable"].isin(names), [*lost, "bins"]] = ["", "", "", "", "", "", "0"]
        return table

    edit(study / "summary.csv", averages)
    for name in ("metrics", "detector", "networks", "effective_sizes", "acceptance", "bayes"):
        edit(study / f"{name}.csv", lambda table: table[~table["observable"].isin(names)])


def test_observables_without_entries_are_left_out_and_named(study):
    _emptied(study, ["q2"])
    tables = ReportTables.read(study)
    assert [o.name for o in tables.study.observables] == ["jet_tau21"]
    assert tables.problems == ("No entries, and therefore left out: q2.",)
    assert tables.binned == ()
    for frame in (tables["summary"], tables["detector_summary"], tables["convergence"]):
        assert set(frame["observable"]) == {"jet_tau21"}
    assert judge(tables).sentences
    looks = formats.looks([m.name for m in tables.study.methods])
    assert len(trust._sizes(tables, looks)) == 1


def test_a_study_without_any_entries_is_refused(study):
    _emptied(study, ["q2", "jet_tau21"])
    with pytest.raises(InputError, match="no observable has entries in its bins"):
        ReportTables.read(study)


def test_repeated_rows_are_refused(study):
    edit(study / "summary.csv", lambda table: pd.concat([table, table.iloc[:1]]))
    with pytest.raises(InputError, match="more than one row for method none"):
        ReportTables.read(study)


@pytest.mark.parametrize("name", ["detector", "bayes", "bayes_summary"])
def test_unknown_observables_are_refused(study, name):
    edit(study / f"{name}.csv", lambda table: table.replace("q2", "q3"))
    with pytest.raises(InputError, match=rf"{name}\.csv: column observable: q3 not in study.json"):
        ReportTables.read(study)


def test_missing_truth_is_refused_when_announced(study):
    edit(study / "metrics.csv", lambda table: table.assign(truth=""))
    with pytest.raises(InputError, match="column truth has empty cells"):
        ReportTables.read(study)


def test_missing_networks_are_problems(study):
    lost = "pass 4, lane 2, member 0, fold 0, iteration 2, step 1"

    def change(table):
        at = (table["pass"] == "4") & (table["lane"] == "2") & (table["iteration"] == "2")
        return table[~(at & (table["step"] == "1"))]

    edit(study / "timing.csv", change)
    edit(study / "histories.csv", lambda table: table[table["purpose"] != "pretraining"])
    problems = ReportTables.read(study).problems
    # 10 passes x 2 iterations x 2 steps x (3 lanes + 2 members) = 200 networks
    assert problems[0] == f"timing.csv lacks 1 of 200 networks: chain scratch-1, {lost}."
    assert problems[1].startswith("histories.csv has no pre-training network, but pretrained")
    assert len(problems) == 2


def test_networks_of_conditional_means_are_missed_too(study):
    record = json.loads((study / "study.json").read_text())
    record["steps"] = ["1", "1b", "2"]
    (study / "study.json").write_text(json.dumps(record))
    problems = ReportTables.read(study).problems
    assert problems[0].startswith("timing.csv lacks 100 of 300 networks: ")
    assert "step 1b" in problems[0]


def test_faulty_study_json_names_the_key(study):
    record = json.loads((study / "study.json").read_text())
    record["methods"][1]["lanes"] = 0
    del record["passes"]
    (study / "study.json").write_text(json.dumps(record))
    with pytest.raises(InputError, match=r"study\.json: passes: .*; methods\.1\.lanes: "):
        ReportTables.read(study)


def test_headline_must_be_a_combination(study):
    record = json.loads((study / "study.json").read_text())
    record["headline_combine"]["parallel"] = "mode"
    (study / "study.json").write_text(json.dumps(record))
    with pytest.raises(InputError, match=r"headline_combine\.parallel is 'mode'"):
        ReportTables.read(study)
