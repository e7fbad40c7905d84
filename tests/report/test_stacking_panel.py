import dataclasses

import pytest
from study_factory import Model, Strategy, made

from omniflow.report import page, stacking_panel
from omniflow.report.study_json import JudgedRecord, StackRecord


@pytest.mark.usefixtures("unmade")
def test_stacked_members_are_shown():
    tables = made(Model({"step": Strategy(members=3)}, ("q2",), 2, 1, epochs=2))
    assert stacking_panel.rows(tables) == []
    assert "Stacked members" not in page.render(tables)
    record = StackRecord(
        chain="scratch-3-mean",
        iteration=1,
        step="2",
        effective=2.5,
        largest=0.5,
        loss_best=0.69,
        loss_mean=0.68,
        loss_stacked=0.6795,
        crossed_best=0.691,
        crossed_mean=0.681,
        crossed_stacked=0.68085,
        events=12345,
    )
    study = tables.study.model_copy(update={"stacking": (record,)})
    tables = dataclasses.replace(tables, study=study)
    expected = ["step", "1", "2", "2.50 of 3", "0.500", "12\u202f345"]
    losses = ["0.69100", "0.68100", "0.68085", "1.50"]
    assert stacking_panel.rows(tables) == [[*expected, *losses, "5.00"]]
    old = record.model_copy(
        update=dict.fromkeys(("crossed_best", "crossed_mean", "crossed_stacked"))
    )
    before = dataclasses.replace(tables, study=study.model_copy(update={"stacking": (old,)}))
    assert stacking_panel.rows(before) == [[*expected, *4 * ["–"], "5.00"]]
    text = " ".join(page.render(tables).split())
    assert "Stacked members" in text
    assert "on the events that its members hold out: means over passes and lanes. No member" in text


@pytest.mark.parametrize(
    ("split", "words"),
    [
        ("kept", "No member was trained on these events."),
        ("warm", "iteration 2 and later ones trained the same members in earlier iterations"),
        ("cold", "later ones trained members of earlier iterations, whose ratios are in"),
    ],
)
def test_who_was_trained_on_the_deciding_events_is_said(known, split, words):
    study = known.study.model_copy(update={"judged": JudgedRecord(split=split)})
    assert words in stacking_panel.held_out(dataclasses.replace(known, study=study))
