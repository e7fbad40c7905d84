import re
from dataclasses import replace

import pytest
from study_factory import Model, Strategy, made

from omniflow.report.methods import methods

SETTINGS = """
classifier: {kind: pet, width: 32, heads: 4, blocks: 2}
training: {loss: bce_logistic, optimizer: lion, learning_rate: 2.0e-05, batch_size: 256,
  epochs: 100, patience: 10, validation: 0.2}
unfolding: {misses: unity, restart: {network: cold, split: fixed, rate_factor: 0.5, shrink: true}}
uncertainties: {data_replicas: 25, simulation_replicas: 20,
  variations: {energy_up: {}, energy_down: {}}}
"""


@pytest.fixture(scope="module")
def tables():
    return made(Model({"best_one": Strategy(lanes=3)}, ("q2",), passes=2, iterations=2, epochs=4))


def changed(tables, **changes):
    study = tables.study.model_copy(update=changes)
    return replace(tables, study=study)


def test_every_citation_has_an_entry_and_every_entry_is_cited(tables):
    found = methods(changed(tables, config_yaml=SETTINGS))
    entries = re.findall(r"^@\w+\{(\w+),", found.bibtex, re.MULTILINE)
    cited = re.findall(r"\\cite\{(\w+)\}", found.latex)
    assert set(entries) == set(cited) == set(re.findall(r"\[(\w+)\]", found.text))
    assert set(entries) == {"omnifold", "omniflow", "omnilearn", "lion", "stabilizing", "ibu"}
    assert len(entries) == len(set(entries))
    for entry in found.bibtex.split("\n\n"):
        assert entry.count("{") == entry.count("}")
        assert entry.endswith("\n}")


def test_what_was_done_is_told(tables):
    text = methods(changed(tables, config_yaml=SETTINGS, uncertain=("best_one",))).text
    for words in (
        "with 2 iterations, as implemented in omniflow 0.1.0",
        "point-edge transformers [omnilearn] of width 32 with 2 blocks and 4 attention heads",
        "In total 24 networks are trained",  # 2 passes x 3 lanes x 2 iterations x 2 steps
        "by Lion [lion] at a learning rate of 2e-05 in batches of 256 events, for 4.0 epochs",
        "start anew in every iteration at 0.5 times the learning rate, and hold out the same",
        "the factor between 0 and 1 that held-out events confirm",
        "3 independent runs are combined by the mean of their weights",
        "Everything is repeated 2 times",
        "Poisson bootstrap replicas (25 of the data and 20 of the simulation)",
        "varied inputs (energy_up and energy_down)",
    ):
        assert words in text
    assert "no replicas" not in text


def test_what_is_not_known_is_not_told(tables):
    text = methods(changed(tables, config_yaml="study: {name: x}")).text
    assert "classifiers are" not in text
    assert "From the second iteration" not in text
    assert "no replicas were unfolded" in text
    assert methods(changed(tables, config_yaml="a: [")).text == text


def test_methods_are_listed_where_there_are_several(tables):
    methods_ = tables.study.methods
    other = methods_[0].model_copy(
        update={"name": "other", "members": 2, "lanes": 1, "start": "pretrained"}
    )
    both = changed(
        tables,
        methods=(*methods_, other),
        headline_combine=tables.study.headline_combine | {"other": "mean"},
    )
    text = methods(both).text
    assert "compares 2 strategies of ensembling [stabilizing]. best_one: 3 independent runs" in text
    assert "other: 2 networks are averaged in every step, from a start of pre-trained" in text


def test_latex_is_escaped(tables):
    several = changed(tables, config_yaml=SETTINGS, uncertain=("best_one",))
    latex = methods(several).latex
    assert r"energy\_up" in latex
    assert r"20\%" in latex
    assert not re.search(r"(?<!\\)[_%&#]", re.sub(r"\\cite\{.*?\}", "", latex))
