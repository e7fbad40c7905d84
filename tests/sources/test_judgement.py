import dataclasses

import numpy as np

from omniflow.config.diagnostics import WeightLimits
from omniflow.events.sample import Events, Level
from omniflow.sources import judgement
from omniflow.sources.description import Multiplicity

N = 2000


def sample(weight=None, detector=None, particle=None, event_id=None):
    """Events without columns."""
    none = Level(
        np.zeros((N, 0), np.float32), np.zeros((0, 0), np.float32), np.zeros(N + 1, int), (), ()
    )
    ids = np.arange(N, dtype=np.uint64) if event_id is None else event_id
    every = np.ones(N, bool)
    return Events(
        ids,
        np.ones(N) if weight is None else weight,
        every if detector is None else detector,
        particle,
        none,
        None if particle is None else none,
    )


def said(events):
    return {r.text: r.grade for r in judgement.of_events(events, WeightLimits())}


def test_acceptance_in_words():
    first = np.arange(N) < N / 2
    found = said(sample(detector=first, particle=np.arange(N) % 2 == 0))
    assert found["50.0% of the events of particle level are measured; the others are misses."] == (
        "good"
    )
    assert found["50.0% of the measured events are fakes: they fail at particle level."] == "good"
    few = np.arange(N) < 10
    assert said(sample(detector=few))["Only 0.50% of the records pass at detector level."] == (
        "doubtful"
    )
    nothing = said(sample(detector=~few & few, particle=first))
    assert nothing["No event passes at detector level: check its selection."] == "refused"
    every = said(sample(particle=np.ones(N, bool)))
    assert next(g for text, g in every.items() if "neither misses nor fakes" in text) == "note"


def test_weights_and_ids():
    assert said(sample())["All weights are 1."] == "good"
    weight = np.ones(N)
    weight[3] = 1e6
    (text,) = (t for t, grade in said(sample(weight)).items() if grade == "doubtful")
    assert "the event with id 3 carries 99.8" in text
    weight = np.where(np.arange(N) < 100, -1.0, 1.0)
    (text,) = (t for t, grade in said(sample(weight)).items() if grade == "note")
    assert text.endswith("5.00% are negative.")
    assert "The sum of weights is -2000, and must be above 0." in said(sample(-np.ones(N)))
    ids = np.arange(N, dtype=np.uint64) // 2
    assert any(
        g == "refused" and "1,000 events" in t for t, g in said(sample(event_id=ids)).items()
    )


def test_the_worst_comes_first():
    remarks = [judgement.Remark(grade, grade) for grade in reversed(judgement.GRADES)]
    assert [each.grade for each in judgement.ordered(remarks)] == list(judgement.GRADES)


def test_particles_and_absent_numbers():
    row = Multiplicity("detector", 17.25, 40.0, 76)
    (remark,) = judgement.of_particles([row])
    assert remark.text.startswith("17.2 particles per event at detector level (99% have at most 40")
    (remark,) = judgement.of_particles([dataclasses.replace(row, maximum=0)])
    assert remark.grade == "doubtful"
    shares = {("detector", "x"): 0.25, ("detector", "y"): 0.0, ("particle", "x"): 0.75}
    found = [(each.grade, each.text) for each in judgement.of_absent(shares)]
    assert found == [
        ("note", "x at detector level is absent in 25.0% of the records."),
        ("doubtful", "x at particle level is absent in 75.0% of the records."),
    ]
