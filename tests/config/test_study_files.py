"""The studies of docs/study: the same events and networks for all questions, others on top."""

from pathlib import Path

import pytest

from omniflow.config import load
from omniflow.config.text import read

CONFIG = Path(__file__).parents[2] / "config"
QUESTIONS = ("strategies", "combination", "pretraining", "optimizers", "diversity")
# What a question may change: the others are asked of the same events and networks.
OWN = {"study", "methods", "samples"}


def _file(question):
    return CONFIG / f"study-{question}.yaml"


def _over(name):
    return CONFIG / "study" / f"{name}.yaml"


@pytest.mark.parametrize("question", QUESTIONS[1:])
def test_all_questions_are_asked_of_the_same_events_and_networks(question):
    one, other = read(_file("strategies")), read(_file(question))
    assert one.keys() == other.keys()
    assert all(one[key] == other[key] for key in one.keys() - OWN)
    assert all(one["samples"][role] == other["samples"][role] for role in one["samples"])
    assert one["study"]["seed"] == other["study"]["seed"]


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize("over", [(), ("check",), ("zjets",), ("zjets", "zjets-check")])
def test_every_question_can_be_asked_of_other_events(question, over):
    more = ("zjets-pretraining",) if question == "pretraining" and "zjets" in over else ()
    config = load(_file(question), *map(_over, (*over, *more)))
    assert config.samples.data != config.samples.simulation
    assert (config.classifier.kind == "mlp") == ("zjets" in over)


def test_strategies_cost_the_same():
    methods = load(_file("strategies")).methods
    networks = {name: each.lanes * each.members for name, each in methods.items()}
    assert networks.pop("none") == 1
    assert set(networks.values()) == {6}


@pytest.mark.parametrize("events", [(), ("zjets",)])
@pytest.mark.parametrize("optimizer", ["lion", "ecd"])
def test_optimizers_differ_in_nothing_else(optimizer, events):
    files = [_file("optimizers"), *map(_over, events)]
    one = load(*files)
    other = load(*files, _over(optimizer))
    assert (one.training.optimizer, other.training.optimizer) == ("adamw", optimizer)
    fixed = ("epochs", "patience", "batch_size", "schedule", "validation", "ema", "loss")
    assert all(getattr(one.training, key) == getattr(other.training, key) for key in fixed)
    assert one.model_copy(update={"study": None, "training": None, "unfolding": None}) == (
        other.model_copy(update={"study": None, "training": None, "unfolding": None})
    )


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize("events", [(), ("check",), ("zjets",)])
def test_long_trainings_differ_in_nothing_else(question, events):
    more = ("zjets-pretraining",) if question == "pretraining" and "zjets" in events else ()
    files = [_file(question), *map(_over, (*events, *more))]
    one, other = load(*files), load(*files, _over("long"))
    assert (other.training.epochs, other.training.patience) == (60, 10)
    assert one.study.output != other.study.output
    same = ("epochs", "patience")
    back = other.training.model_copy(update={key: getattr(one.training, key) for key in same})
    assert one == other.model_copy(update={"study": one.study, "training": back})


def test_long_trainings_by_ecd_have_steps_of_their_own():
    files = map(_over, ("ecd", "long", "ecd-long"))
    ecd = load(_file("optimizers"), *files).training.ecd
    assert (ecd.dt_hat, ecd.eta) == (0.3, 445)


def test_dropout_adds_copies_of_one_network():
    config = load(_file("diversity"), _over("dropout"))
    assert config.classifier.dropout > 0
    assert config.methods["copies"].diversity == "dropout"
