"""The study of cheap members: its networks learn by the gradients of their losses, and it runs."""

import importlib
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

FRONTIER = Path(__file__).parents[2] / "benchmarks" / "frontier"
NAMES = ("packed", "study", "table")


@pytest.fixture(scope="module")
def scripts():
    """The scripts by name; the C++ is compiled once."""
    before, sys.path[:] = list(sys.path), [str(FRONTIER), *sys.path]
    yield {name: importlib.import_module(name) for name in NAMES}
    sys.path[:] = before
    for name in NAMES:
        del sys.modules[name]


@pytest.mark.parametrize("dropout", [0.0, 0.3])
@pytest.mark.parametrize(
    "kinds", [("own", "own"), ("shared", "shared"), ("shared", "own"), ("scaled", "scaled")]
)
def test_members_follow_the_gradient_of_the_sum_of_their_losses(
    scripts, monkeypatch, kinds, dropout
):
    packed, rate, n = scripts["packed"], 1e-3, 300
    monkeypatch.setattr(packed, "_ADAM", packed.Settings(0, 0.0, 0.0, 0.0, 0.0))  # plain descent
    rng = np.random.default_rng(1)
    events = rng.normal(size=(n, 6)).astype(np.float32)
    classes = packed.Classes(events, rng.random(n), rng.random(n))
    shape = packed.Shape(6, 3, (8, 16), kinds, "all")
    fit = packed.Fit(epochs=1, batch=n, rate=rate, cycles=0, dropout=dropout)
    (after,) = packed.train(shape, fit, classes, np.random.default_rng(5))
    again = np.random.default_rng(5)
    before = shape.initial(again)
    again.permutation(n)
    mask = packed._masks(dropout, again, 1, shape.units)[0] if dropout else None

    def loss(parameters):
        outputs = packed._outputs(shape, parameters.astype(np.float32), events, mask).astype(float)
        a, b = classes.balanced()
        return float((a * np.logaddexp(0, -outputs) + b * np.logaddexp(0, outputs)).sum() / n)

    for place in rng.choice(len(before), 20, replace=False):
        step = np.zeros(len(before))
        step[place] = 3e-3
        slope = (loss(before + step) - loss(before - step)) / 6e-3
        assert slope == pytest.approx((before[place] - after[place]) / rate, abs=3e-4)


def test_states_at_the_ends_of_cycles_are_kept(scripts):
    packed = scripts["packed"]
    rng = np.random.default_rng(1)
    events = rng.normal(size=(64, 2)).astype(np.float32)
    classes = packed.Classes(events, rng.random(64), rng.random(64))
    shape = packed.Shape(2)

    def states(**fit):
        return packed.train(shape, packed.Fit(batch=16, **fit), classes, np.random.default_rng(3))

    every = states(epochs=4, cycles=2, kept=2)
    assert len(every) == 2
    assert not np.array_equal(*every)
    # The rate of a cycle is that of a whole training of its length.
    assert np.array_equal(every[0], states(epochs=2)[0])
    assert np.array_equal(every[1], states(epochs=4, cycles=2)[0])
    by_epoch = states(epochs=4, cycles=0, kept=3)
    assert np.allclose(states(epochs=4, cycles=0, swa=3), np.mean(by_epoch, axis=0), atol=1e-6)


def test_a_small_study_gives_a_table(scripts, monkeypatch, tmp_path):
    study, table = scripts["study"], scripts["table"]
    short = {
        name: replace(variant, fit=replace(variant.fit, epochs=variant.fit.cycles or 1))
        for name, variant in study.VARIANTS.items()
        if name in (*table.FRONTIER, "TabM 4", "snapshots 4", "dropout, copies 8")
    }
    monkeypatch.setattr(study, "VARIANTS", short)
    command = ["study.py", str(tmp_path), "--sample", "gauss", "--passes", "3", "--events", "200"]
    monkeypatch.setattr(sys, "argv", [*command, "--seeds", "1"])
    study.main()
    passes = (tmp_path / "passes.csv").read_text(encoding="utf-8")
    study.main()  # everything is there
    assert (tmp_path / "passes.csv").read_text(encoding="utf-8") == passes
    output = tmp_path / "table.csv"
    monkeypatch.setattr(sys, "argv", ["table.py", str(tmp_path), "--output", str(output)])
    table.main()
    found = pd.read_csv(output).set_index("variant")
    assert set(found.index) == set(short)
    assert (found["passes"] == 3).all()
    assert np.isnan(found["rho_last"]["independent 1"])
    assert (found.loc[found.index != "independent 1", "rho_last"] <= 1).all()


def test_rho_is_that_of_members_of_known_covariance(scripts):
    """Members of variance 1 with a common part of 0.3, in 4,000 passes of 4 members."""
    rng, rho = np.random.default_rng(1), 0.3
    own = rng.normal(size=(4000, 4, 1)) * np.sqrt(1 - rho)
    members = 1 + rng.normal(size=(4000, 1, 1)) * np.sqrt(rho) + own
    passes = pd.DataFrame(
        {
            name: [*members.mean(axis=1)] if name in ("first", "last") else value
            for name, value in {
                **dict.fromkeys(("first", "last"), None),
                **dict.fromkeys(("members_first", "members_last"), 4),
                **dict.fromkeys(
                    ("within_first", "within_last"), members.var(axis=1, ddof=1).mean()
                ),
            }.items()
        }
    )
    found = scripts["table"].numbers([passes])
    assert found["rho_last"] == pytest.approx(rho, abs=0.03)
    assert found["variance"] == pytest.approx(rho + (1 - rho) / 4, rel=0.1)
