import pytest
from plans import make_plan

HT = {"expression": "sum(pt)", "edges": [0, 10, 20]}


def fingerprints(tmp_path, text="x = 1\n", **ht):
    (tmp_path / "shapes.py").write_text(text)
    define = {"ht": HT | ht, "mine": {"object": f"{tmp_path}/shapes.py:x", "edges": [0, 1]}}
    section = {"names": ["ht", "mine", "q2"], "define": define}
    plan = make_plan(observables=section)
    found = plan.fingerprints
    return found.observables, found.axes, found.histograms("none"), found.training()


def test_what_is_computed_decides_all_but_trainings(tmp_path):
    first = fingerprints(tmp_path)
    assert fingerprints(tmp_path) == first
    for change in ({"expression": "mean(pt)"}, {"kind": "event"}, {"text": "x = 2\n"}):
        other = fingerprints(tmp_path, **change)
        assert all(a != b for a, b in zip(other[:3], first[:3], strict=True))
        assert other[3] == first[3]


def test_edges_and_labels_compute_nothing(tmp_path):
    first = fingerprints(tmp_path)
    for change in ({"edges": [0, 5]}, {"label": "H"}, {"log_y": True}, {"unit": "GeV"}):
        other = fingerprints(tmp_path, **change)
        assert other[0] == first[0]
        assert other[1] != first[1]
        assert other[2] != first[2]
        assert other[3] == first[3]


def test_the_region_and_the_binning_fill_histograms_anew():
    def histograms(**section):
        found = make_plan(observables=section).fingerprints
        return found.observables, found.histograms("none")

    first = histograms(names=["q2"])
    for change in ({"region": "all"}, {"binning": {"q2": [150, 500]}}):
        other = histograms(names=["q2"], **change)
        assert other[0] == first[0]
        assert other[1] != first[1]
    # a definition that is not used changes nothing
    assert histograms(names=["q2"], define={"ht": HT}) == first


def test_a_study_may_move(tmp_path):
    found = []
    for folder in ("here", "there"):
        (tmp_path / folder).mkdir()
        found.append(fingerprints(tmp_path / folder))
    assert found[0][0] == found[1][0]


@pytest.mark.parametrize("what", ["histograms", "tables", "uncertainties"])
def test_what_has_bins_waits_for_the_axes(what):
    plan = make_plan(uncertainties={"data_replicas": 2})
    inputs = getattr(plan.inputs, what)
    assert plan.axes in (inputs("none") if what == "histograms" else inputs())
    assert plan.inputs.axes == [plan.store("simulation"), plan.observables("simulation")]


def test_another_lane_of_the_same_group_is_combined_anew():
    """Inputs of the job are the same files, of all lanes that any method asks for."""

    def plan(lanes):
        few = {"few": {"lanes": lanes}, "all": {"lanes": 4}}
        return make_plan(few, per_job=4)

    one, other = plan(3), plan(4)
    assert one.inputs.combine("few") == other.inputs.combine("few")
    assert one.fingerprints.combine("few") != other.fingerprints.combine("few")
    assert one.fingerprints.combine("all") == other.fingerprints.combine("all")
