import sys

import numpy as np
import pytest

from omniflow.errors import ConfigError
from omniflow.physics.dis.generator import generate
from omniflow.physics.dis.kinematics import electron_kinematics


@pytest.fixture(scope="module")
def levels(recipe):
    return {name: generate(recipe(name, 300)) for name in ("nature", "simulation")}


@pytest.mark.parametrize("name", ["nature", "simulation"])
def test_reproduces_independently_generated_records(levels, excerpt, name):
    level = levels[name]
    expected = excerpt(name, "gen")[0].take(np.arange(300))
    assert len(level) == 300
    assert level.event.dtype == level.particles.dtype == np.float32
    np.testing.assert_allclose(level.event, expected.event, rtol=1e-6, atol=1e-5)
    np.testing.assert_array_equal(level.offsets, expected.offsets)
    # The file's particles are rounded to 11 bits.
    np.testing.assert_allclose(level.particles, expected.particles, rtol=5e-4, atol=1e-4)


def test_records_fulfil_the_selection(levels):
    level = levels["nature"]
    q2, y = level.event[:, 0], level.event[:, 1]
    assert (q2 > 100).all()
    assert ((y > 0.07) & (y < 0.75)).all()
    assert (level.counts > 0).all()
    np.testing.assert_allclose(electron_kinematics(level.event[:, 2:]), [q2, y], rtol=1e-4)
    # Bjorken x = Q2 / (y s) is a fraction.
    x = q2 / y / (4 * 27.6 * 920)
    assert ((x > 0) & (x < 1)).all()


def test_particles_are_accepted_sorted_and_balanced(levels):
    level = levels["simulation"]
    pt, eta, phi, charge = level.particles.T
    assert (pt >= 0.1).all()
    assert ((eta > -1.5) & (eta < 2.75) & (np.abs(phi) < 3.1416)).all()
    assert set(np.unique(charge)) == {-1, 0, 1}
    assert (charge[np.abs(eta) > 2] == 0).all()
    event = np.repeat(np.arange(len(level)), level.counts)
    same = event[1:] == event[:-1]
    assert (np.diff(pt)[same] <= 0).all()
    # The hadrons recoil against the electron.
    recoil = np.bincount(event, pt * np.cos(phi)) + level.event[:, 2]
    assert np.median(np.abs(recoil)) < 0.2 * np.median(np.abs(level.event[:, 2]))


def test_number_of_records_does_not_change_them(levels, recipe):
    few = generate(recipe("simulation", 7))
    expected = levels["simulation"].take(np.arange(7))
    np.testing.assert_array_equal(few.event, expected.event)
    np.testing.assert_array_equal(few.particles, expected.particles)


def test_seed_lepton_and_settings_change_the_events(levels, recipe):
    base = levels["simulation"].event
    for changes in (
        {"seed": 203},
        # Electrons and positrons differ by the Z exchange alone, at high Q2.
        {"lepton": "electron"},
        {"settings": ("SigmaProcess:factorMultFac = 4.",)},
    ):
        assert not np.array_equal(generate(recipe("simulation", 300, **changes)).event, base)
    assert (
        generate(recipe("simulation", 20, settings=("PhaseSpace:Q2Min = 1000.",))).event[:, 0].min()
        > 900
    )


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("Foo:bar = 3", "'Foo:bar = 3'"),
        ("PartonLevel:all = perhaps", "'PartonLevel:all = perhaps'"),
        ("SpaceShower:pTmaxMatch = 7", "'SpaceShower:pTmaxMatch = 7'"),
        ("PhaseSpace:Q2Min = much", "'PhaseSpace:Q2Min = much'"),
        ("PDF:pSet = 99", "'PDF:pSet = 99'"),
        ("Beams:eA = 820.", "HERA"),
        ("Random:seed = 3", "seed"),
    ],
)
def test_wrong_setting_is_named(recipe, line, message):
    with pytest.raises(ConfigError, match=message):
        generate(recipe("simulation", 1, settings=(line,)))


def test_settings_without_any_record_are_refused(recipe, monkeypatch):
    monkeypatch.setattr("omniflow.physics.dis.generator._MAX_EMPTY_BATCHES", 1)
    monkeypatch.setattr("omniflow.physics.dis.generator._BATCH", 20)
    with pytest.raises(ConfigError, match="no record"):
        # y = Q2 / mHat^2 > 95 / 110 is above every record's.
        generate(recipe("simulation", 1, settings=("PhaseSpace:mHatMax = 10.5",)))


def test_missing_package_is_reported(recipe, monkeypatch):
    monkeypatch.setitem(sys.modules, "pythia8mc", None)
    with pytest.raises(ConfigError, match="omniflow\\[physics\\]"):
        generate(recipe("simulation", 1))
