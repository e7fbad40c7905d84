"""Data beside simulation at detector level: what looks wrong is said, and nothing else."""

import re

import numpy as np
import pytest
import yaml
from click.testing import CliRunner

from omniflow.cli import main
from omniflow.config.section import LEVELS
from omniflow.events.sample import Events
from omniflow.sources.agreement import compare
from omniflow.sources.description import Summary
from omniflow.sources.judgement import DOUBTFUL, GOOD, GRADES, NOTE

N = 2000


def described(seed, *, weight=1.0, passing=None, **columns):
    """The description of events; columns are functions of standard normal numbers."""
    rng = np.random.default_rng(seed)
    numbers = {name: how(rng.normal(size=N)) for name, how in columns.items()}
    events = Events.from_arrays(numbers, weight=np.full(N, weight))
    summary = Summary({})
    if passing is not None:
        events = Events.from_arrays(numbers, pass_detector=np.arange(N) < passing)
    summary.add(events)
    return summary.described("x", "events")


def remarks(data, simulation, *scale):
    return [(r.grade, r.text) for r in compare(data, simulation, *scale).remarks]


def pt(x):
    return 50 + 10 * np.abs(x)


def test_alike_samples_have_nothing_wrong():
    found = compare(described(1, pt=pt), described(2, pt=pt))
    assert {remark.grade for remark in found.remarks} == {GOOD}
    (row,) = found.rows
    np.testing.assert_allclose(row.data, row.simulation, rtol=0.02)
    # Quantiles of 50 + 10 |x|: those of |x| at 50% and 95% are 0.674 and 1.96.
    np.testing.assert_allclose(row.data[1:], (56.74, 69.6), rtol=0.02)


@pytest.mark.parametrize(
    ("data", "simulation", "grade", "text"),
    [
        ({"pt": lambda x: 1000 * pt(x)}, {"pt": pt}, DOUBTFUL, "1,0.. times larger in the data"),
        ({"phi": lambda x: x}, {"phi": np.degrees}, DOUBTFUL, "radians and degrees"),
        ({"m": lambda x: x + 4}, {"m": lambda x: x}, DOUBTFUL, "of the data lie outside"),
        ({"m": lambda x: x * 0.1 + 2}, {"m": lambda x: x}, NOTE, "m: the median is"),
        ({"a": pt, "m": pt}, {"a": pt}, DOUBTFUL, "^m is in the data alone"),
        ({"a": pt}, {"a": pt, "m": pt}, DOUBTFUL, "^m is in the simulation alone"),
    ],
)
def test_what_looks_wrong(data, simulation, grade, text):
    found = remarks(described(1, **data), described(2, **simulation))
    assert [g for g, said in found if re.search(text, said)] == [grade]
    order = [GRADES.index(g) for g, _ in found]
    assert order == sorted(order)


def test_yields_are_compared_with_the_scale():
    data, simulation = described(1, pt=pt), described(2, weight=0.1, pt=pt)
    (grade, text), *_ = remarks(data, simulation)
    assert (grade, "ratio 10" in text, "scale is 1" in text) == (DOUBTFUL, True, True)
    for scale in (10.0, "detector"):
        assert {grade for grade, _ in remarks(data, simulation, scale)} == {GOOD}


def test_shares_that_pass():
    found = remarks(described(1, passing=900, pt=pt), described(2, passing=1900, pt=pt), "detector")
    assert (NOTE, "45.0% of the data pass at detector level, 95.0% of the simulation: is the "
            "selection of both the same?") in found  # fmt: skip


def test_weights_of_the_simulation_count():
    """Half of the events are far away, and weigh nothing."""
    x = np.concatenate([np.linspace(0, 1, N), np.linspace(100, 101, N)])
    summary = Summary({})
    summary.add(Events.from_arrays({"x": x}, weight=np.where(x < 50, 1.0, 1e-9)))
    simulation = summary.described("s", "events")
    found = compare(described(1, x=lambda v: v % 1), simulation)
    np.testing.assert_allclose(found.rows[0].simulation, (0.05, 0.5, 0.95), atol=0.01)


def test_inspect_shows_it_behind_the_samples(tmp_path):
    rng, samples = np.random.default_rng(1), {}
    for role, factor in (("data", 1.0), ("simulation", 1000.0)):
        path = str(tmp_path / f"{role}.npz")
        np.savez(path, pt=factor * rng.exponential(20, N))
        levels = LEVELS if role == "simulation" else LEVELS[:1]
        event = {level: {"event": ["pt"]} for level in levels}
        samples[role] = {"source": "npz", "files": path} | event
    config = {"study": {"name": "a"}, "samples": samples, "methods": {"none": {}}}
    (tmp_path / "a.yaml").write_text(yaml.safe_dump(config))
    result = CliRunner().invoke(main, ["inspect", str(tmp_path / "a.yaml")])
    assert result.exit_code == 0, result.output
    behind = result.output.partition("data and simulation at detector level\n")[2]
    assert behind.startswith("doubtful: pt is ")
    assert "times larger in the simulation" in behind
