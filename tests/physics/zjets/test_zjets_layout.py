import numpy as np
import pytest

from omniflow.events.sample import Level
from omniflow.physics.zjets.generator import PARTICLE
from omniflow.physics.zjets.layout import leading_jets


def level_of(*events):
    counts = [len(event) for event in events]
    rows = [row for event in events for row in event]
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    rows = np.array(rows, np.float32).reshape(-1, len(PARTICLE))
    return Level(np.zeros((len(events), 0), np.float32), rows, offsets, (), PARTICLE)


# Two prongs of 60 and 40 GeV, 0.2 apart in rapidity (massless: pseudorapidity), at phi = pi.
PRONGS = [(40, 0.2, np.pi - 0.01, 0, 22), (60, 0.0, np.pi - 0.01, 0, 211)]
SOFT = [(15, -1.5, 0.0, 0, 130)]


def test_two_prongs():
    has_jet, found = leading_jets(level_of(SOFT + PRONGS, [], SOFT, [(5, 0, 0, 0, 22)]))
    assert has_jet.tolist() == [True, False, True, False]
    assert found["mults"].tolist() == [2, 1]
    pt, y, phi, mass = found["jets"][0]
    p = np.array([[pt * np.cosh(eta), pt, pt * np.sinh(eta)] for pt, eta, *_ in PRONGS]).sum(axis=0)
    axis = np.arctanh(p[2] / p[0])
    assert pt == pytest.approx(100, rel=1e-5)
    assert y == pytest.approx(axis, rel=1e-4)
    assert phi == pytest.approx(np.pi - 0.01, abs=1e-5)
    assert mass == pytest.approx(np.sqrt(p[0] ** 2 - p[1] ** 2 - p[2] ** 2), rel=1e-4)
    for name, beta in (("lhas", 0.5), ("widths", 1), ("ang2s", 2)):
        angularity = 0.6 * (axis / 0.4) ** beta + 0.4 * ((0.2 - axis) / 0.4) ** beta
        assert found[name][0] == pytest.approx(angularity, rel=1e-4)
    assert found["tau2s"][0] == pytest.approx(0, abs=1e-9)
    assert found["zgs"][0] == pytest.approx(0.4, rel=1e-5)
    assert found["sdms"][0] == pytest.approx(mass, rel=1e-4)
    # Hardest first, relative to the jet, with the set's codes.
    np.testing.assert_allclose(
        found["particles"][0], [[0.6, -axis, 0, 0.1], [0.4, 0.2 - axis, 0, 0.0]], atol=2e-5
    )
    assert found["zgs"][1] == 0
    assert found["widths"][1] == pytest.approx(0, abs=1e-9)
    np.testing.assert_allclose(found["particles"][1], [[0.15, 0, 0, 0.3], [0] * 4], atol=1e-6)


def test_soft_prong_is_groomed():
    prongs = [(95, 0.0, 0.0, 0, 211), (5, 0.2, 0.0, 0, 211)]
    _, found = leading_jets(level_of(prongs))
    assert found["mults"][0] == 2
    assert found["jets"][0, 3] > 3
    assert found["sdms"][0] == found["zgs"][0] == 0


def test_masses_count_in_the_jet():
    _, found = leading_jets(level_of([(20, 1.0, 0.5, 0.938272, 2112)]))
    pt, y, _, mass = found["jets"][0]
    assert (pt, mass) == (pytest.approx(20), pytest.approx(0.938272, rel=1e-3))
    assert y == pytest.approx(np.arcsinh(20 * np.sinh(1) / np.hypot(20, 0.938272)), rel=1e-5)
    np.testing.assert_allclose(found["particles"][0, 0, 1:], [0, 0, 1.2], atol=1e-5)


def test_no_jets():
    has_jet, found = leading_jets(level_of([], [(5, 0, 0, 0, 22)]))
    assert not has_jet.any()
    assert found["jets"].shape == (0, 4)
    assert found["particles"].shape == (0, 0, 4)
