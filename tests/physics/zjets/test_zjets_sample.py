import subprocess
import sys

import numpy as np
import pytest

from omniflow.errors import ConfigError
from omniflow.physics.zjets.generator import generate
from omniflow.physics.zjets.sample import make_sample

FAST = ("PartonLevel:MPI = off",)
KEYS = ("jets", "particles", "mults", "lhas", "widths", "ang2s", "tau2s", "sdms", "zgs")


@pytest.fixture(scope="module")
def sample():
    return make_sample(400, 1, 14, FAST)


def test_it_has_the_keys_and_shapes_of_the_public_set(sample):
    assert set(sample) == {f"{level}_{key}" for level in ("gen", "sim") for key in KEYS}
    n = len(sample["gen_jets"])
    assert 398 <= n <= 400
    for key, array in sample.items():
        assert array.dtype == np.float32
        assert len(array) == n
        assert np.isfinite(array).all()
        assert array.shape[1:] == {"jets": (4,)}.get(key[4:], array.shape[1:])


@pytest.mark.parametrize("level", ["gen", "sim"])
def test_jets_are_those_of_their_particles(sample, level):
    particles, jets = sample[f"{level}_particles"].astype(float), sample[f"{level}_jets"]
    pt = particles[:, :, 0] * 100
    assert ((pt > 0).sum(axis=1) == sample[f"{level}_mults"]).all()
    # The jet is their vector sum.
    x, y = ((pt * turn(particles[:, :, 2] + jets[:, 2:3])).sum(axis=1) for turn in (np.cos, np.sin))
    np.testing.assert_allclose(np.hypot(x, y), jets[:, 0], rtol=1e-4)
    share = pt / pt.sum(axis=1, keepdims=True)
    distance = np.hypot(particles[:, :, 1], particles[:, :, 2])
    width = (share * distance / 0.4).sum(axis=1)
    np.testing.assert_allclose(width, sample[f"{level}_widths"], rtol=1e-3, atol=1e-5)
    # tau_1 with the axis of the jet is the width; two axes are rarely worse than one.
    assert (sample[f"{level}_tau2s"] < 1.05 * width + 1e-5).mean() > 0.95
    assert (sample[f"{level}_sdms"] <= jets[:, 3] * 1.001 + 1e-3).all()
    zg = sample[f"{level}_zgs"]
    assert ((zg == 0) | ((zg >= 0.1) & (zg <= 0.5))).all()


def test_jets_recoil_against_the_boson_and_survive_the_detector(sample):
    gen, sim = sample["gen_jets"][:, 0], sample["sim_jets"][:, 0]
    assert 200 < np.median(gen) < 260
    response = np.median(sim / gen)
    assert 0.95 < response < 1.1
    assert (sample["sim_mults"].mean() / sample["gen_mults"].mean()) < 0.95
    assert np.corrcoef(sample["gen_widths"], sample["sim_widths"])[0, 1] > 0.8


def test_tunes_differ_and_seeds_repeat(sample):
    again = make_sample(400, 1, 14, FAST)
    for key, array in again.items():
        np.testing.assert_array_equal(array, sample[key])
    # Less radiation of the final state: fewer particles.
    other = make_sample(400, 2, 26, FAST)
    counts = [each["gen_mults"] for each in (sample, other)]
    error = np.sqrt(sum(each.var() / len(each) for each in counts))
    assert counts[0].mean() - counts[1].mean() > 3 * error


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (("Foo:bar = 1",), "refuses the setting 'Foo:bar = 1'"),
        (("PhaseSpace:pTHatMax = 155.", "PartonLevel:all = off"), "no Z boson above 200 GeV"),
    ],
)
def test_what_gives_no_event_is_told(settings, message, monkeypatch):
    monkeypatch.setattr("omniflow.physics.zjets.generator._BATCH", 20)
    monkeypatch.setattr("omniflow.physics.zjets.generator._MAX_EMPTY_BATCHES", 1)
    with pytest.raises(ConfigError, match=message):
        list(generate(1, 1, 14, settings))


def test_missing_package_is_reported(monkeypatch):
    monkeypatch.setitem(sys.modules, "pythia8mc", None)
    with pytest.raises(ConfigError, match="omniflow\\[physics\\]"):
        list(generate(1, 1, 14))


def test_the_command_writes_a_file(tmp_path):
    command = [sys.executable, "-m", "omniflow.physics.zjets", str(tmp_path / "a.npz")]
    options = ["--events", "5", "--tune", "26", "--setting", FAST[0]]
    subprocess.run([*command, *options], check=True, capture_output=True)
    with np.load(tmp_path / "a.npz", allow_pickle=False) as file:
        expected = make_sample(5, 1, 26, FAST)
        assert set(file) == set(expected)
        for key in file:
            np.testing.assert_array_equal(file[key], expected[key])
    wrong = subprocess.run([*command, "--setting", "no"], capture_output=True, text=True)
    assert wrong.returncode == 1
    assert wrong.stderr.startswith("ConfigError: Pythia refuses the setting 'no'")
