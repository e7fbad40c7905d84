import numpy as np
import pandas as pd

from omniflow.evaluation import signs
from omniflow.evaluation.histograms import Histogram


def histogram(content, variance):
    content, variance = np.array(content, float), np.array(variance, float)
    return Histogram(content, variance, variance)


def metrics(**columns):
    rows = {"method": "step", "combine": "mean", "iteration": 2, "observable": "q2"}
    rows |= {"bin": [0, 1, 4], "truth": 1.0, "prior": 1.0, "mean": 1.0} | columns
    return pd.DataFrame(rows)


def bayes(content):
    return pd.DataFrame({"observable": "q2", "iteration": 2, "bin": [3], "content": content})


def notes(table, content=1.0, first="mean"):
    return signs.notes(table, bayes([content]), 2, {"step": first})


def test_bins_below_0_are_named():
    assert notes(metrics()) == []
    meaning, note = notes(metrics(mean=[-1.0, 0.0, -2.0]))
    assert meaning.startswith("Negative weights outweigh the others in some bins")
    assert note == "Contents of the result of step are below 0 in q2 (bins 0, 4)."
    assert notes(metrics(mean=-1.0), first="median") == []  # not what is reported
    assert notes(metrics(mean=-1.0, iteration=1)) == []


def test_each_histogram_has_its_note():
    found = notes(metrics(truth=[1, -1, 1], prior=[1, 1, -1]), -3.0)
    assert found[1:] == [
        "Contents of truth are below 0 in q2 (bin 1).",
        "Contents of the simulation before unfolding are below 0 in q2 (bin 4).",
        "Contents of the binned reference are below 0 in q2 (bin 3).",
    ]


def test_bins_that_one_of_both_has_are_named():
    truth = histogram([6, 2, 2, 0], [6, 2, 2, 0])
    prior = histogram([4, 0, 0, 3], [4, 2, 0, 3])  # entries of bin 1 cancel
    lost, more = signs.unmatched({"q2": truth}, {"q2": prior})
    assert "20.00% of its content in 1 bins without simulated events (bin 2)" in lost
    assert "1 bins have simulated events and no truth (bin 3)" in more
    assert signs.unmatched(None, {"q2": prior}) == []
    assert signs.unmatched({"q2": truth}, {"q2": truth}) == []


def test_bins_without_a_ratio_are_named_with_the_data_in_them():
    data, simulation = histogram([5, 3, 2], [5, 3, 2]), histogram([4, -1, 0], [4, 3, 0])
    (note,) = signs.without_ratio({"q2": data}, {"q2": simulation}, {"q2": None})
    assert "1 bins at detector level" in note
    assert "leaves out 30.00% of the data" in note
    assert signs.without_ratio({"q2": data}, {"q2": simulation}, {}) == []
