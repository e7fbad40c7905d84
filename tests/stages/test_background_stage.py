"""Data less backgrounds: training, sums, histograms and the binned reference, from event files."""

import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest

from omniflow.config import validate
from omniflow.errors import InputError
from omniflow.events import store
from omniflow.stages import binned, evaluation, samples, second, training
from omniflow.stages.weights import setup
from omniflow.unfolding.plan import Plan

DATA = Path(__file__).parents[1] / "data"
FACTOR, UNCERTAINTY = 0.25, 0.3
EDGES = [150.0, 200, 300, 500, 900]


def _plan(folder, data, background=None, signed=False):
    """The study of `data`, less a fourth of the other excerpt where there is a background."""
    for name, source in (("data.h5", data), ("simulation.h5", "h1_simulation.h5")):
        shutil.copy(DATA / source, folder / name)
    if signed:
        with h5py.File(folder / "simulation.h5", "r+") as file:
            file["reco_event_features"][::5, 5] *= -1
    made = {name: {"source": "h1", "files": [str(folder / f"{name}.h5")]}
            for name in ("data", "simulation")}  # fmt: skip
    if background:
        shutil.copy(DATA / background, folder / "background.h5")
        sample = {"source": "h1", "files": [str(folder / "background.h5")]}
        one = {"sample": sample, "factor": FACTOR, "uncertainty": UNCERTAINTY}
        made["backgrounds"] = {"other": one}
    plan = Plan(
        validate(
            {
                "study": {"name": "small", "output": str(folder / "results")},
                "samples": made,
                "classifier": {"kind": "mlp", "width": 4, "blocks": 1},
                "methods": {"none": {}},
                "unfolding": {"iterations": 3},
                "observables": {"names": ["q2", "log10_pt"], "binning": {"q2": EDGES}},
                "uncertainties": {
                    "variations": {"other_up": {"backgrounds": {"other": 1}}} if background else {}
                },
            }
        )
    )
    for role in plan.samples:
        samples.make_store(plan, role)
        samples.make_observables(plan, role)
    samples.make_axes(plan)
    return plan


@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    folder = tmp_path_factory.mktemp("background")
    return _plan(folder, "h1_nature.h5", "h1_simulation.h5")


def _reco(name):
    """Q2, weights and particles' log10 pT of the records that pass."""
    with h5py.File(DATA / name) as file:
        event, particles = file["reco_event_features"][:], file["reco_particle_features"][:]
    passes = event[:, 6] == 1
    return event[passes, 0], event[passes, 5].astype(float), particles[passes, :, 0]


def test_sums_are_those_of_data_less_backgrounds(plan):
    data, background = (_reco(f"h1_{name}.h5")[1].sum() for name in ("nature", "simulation"))
    common = setup(plan)
    assert common.sum_data == pytest.approx(data - FACTOR * background)
    assert common.scale == pytest.approx(common.sum_data / background)


def test_a_variation_moves_the_background_by_its_uncertainty(plan):
    data, background = (_reco(f"h1_{name}.h5")[1].sum() for name in ("nature", "simulation"))
    moved = FACTOR * (1 + UNCERTAINTY)
    assert setup(plan, "other_up").sum_data == pytest.approx(data - moved * background)
    samples.make_scaling(plan)
    for role, level in plan.classifier_inputs:
        samples.make_features(plan, role, level)
    sums = {}
    for group in (g for v in plan.variants.names for g in plan.groups("scratch-1", 1, v)):
        (block,) = plan.blocks(group, 1, 1)
        job = training.BlockJob(plan, block)
        sums[group.variant] = [
            source.weights(np.flatnonzero(source.select))[0].sum()
            for source in job.sources(block.networks[0])[:-1]
        ]
    assert sums["nominal"] == pytest.approx([data, -FACTOR * background])
    assert sums["other_up"] == pytest.approx([data, -moved * background])


def test_second_classifiers_subtract_the_background(plan):
    source = second._background(plan, "background-other")
    found = source.weights(np.flatnonzero(source.select))[0].sum()
    assert found == pytest.approx(-FACTOR * _reco("h1_simulation.h5")[1].sum())


def test_histograms_are_those_of_data_less_backgrounds(plan):
    found = evaluation.measured(plan)
    (q2, weight, _), (other, other_weight, _) = (
        _reco(f"h1_{name}.h5") for name in ("nature", "simulation")
    )
    content, square, lost, lost_square = (
        np.histogram(x, EDGES, weights=w)[0]
        for x, w in (
            (q2, weight), (q2, weight**2), (other, other_weight), (other, other_weight**2)
        )
    )  # fmt: skip
    np.testing.assert_allclose(found["q2"].content, content - FACTOR * lost)
    shift = UNCERTAINTY * FACTOR * lost
    np.testing.assert_allclose(found["q2"].variance, square + FACTOR**2 * lost_square + shift**2)
    # Several entries per event: the contents are those of all particles.
    edges = evaluation.edges(plan, "detector")["log10_pt"]
    content = np.zeros(len(edges) - 1)
    for name, factor in (("nature", 1), ("simulation", -FACTOR)):
        _, weight, pt = _reco(f"h1_{name}.h5")
        there = pt > 0
        each = np.repeat(factor * weight, there.sum(axis=1))
        content += np.histogram(np.log10(pt[there]), edges, weights=each)[0]
    np.testing.assert_allclose(found["log10_pt"].content, content, atol=1e-9)


def test_the_binned_reference_unfolds_data_less_backgrounds(tmp_path):
    """Data are the simulation itself; a fourth of them is subtracted: three fourths come back."""
    plan = _plan(tmp_path, "h1_simulation.h5", "h1_simulation.h5")
    found = _reference(plan)["q2"]
    events = store.open_store(plan.store("simulation"))
    produced = evaluation.fill(plan, "simulation", "particle", events.weight)["q2"]
    expected = (1 - FACTOR) * produced.content
    np.testing.assert_allclose(found.content, np.tile(expected, (3, 1)), rtol=1e-9)
    # The normalisation alone moves every bin by u f / (1 - f), on top of fluctuations.
    plain = _plan_without_uncertainty(plan)
    added = found.variance - _reference(plain)["q2"].variance
    relative = UNCERTAINTY * FACTOR / (1 - FACTOR)
    np.testing.assert_allclose(added, np.tile((relative * expected) ** 2, (3, 1)), rtol=1e-6)


def _reference(plan):
    return binned.reference(binned.Simulation(plan))


def _plan_without_uncertainty(plan):
    raw = plan.config.model_dump(mode="json")
    raw["samples"]["backgrounds"]["other"]["uncertainty"] = 0.0
    raw["uncertainties"]["variations"] = {}
    return Plan(validate(raw))


def test_backgrounds_stand_in_class_a_with_negative_weights(plan):
    samples.make_scaling(plan)
    for role in plan.samples:
        samples.make_features(plan, role, "detector")
    (block,) = plan.blocks(plan.group_of("scratch-1", 1, 0), 1, 1)
    data, background, simulation = training.BlockJob(plan, block).sources(block.networks[0])
    events = store.open_store(plan.store("background-other"))
    a, b = background.weights(slice(None))
    np.testing.assert_allclose(a, -FACTOR * np.asarray(events.weight))
    assert not b.any()
    np.testing.assert_array_equal(background.select, events.pass_detector)
    assert data.weights(slice(None))[0].min() > 0
    assert simulation.weights(slice(None))[1].min() > 0


def test_more_background_than_data_is_refused(plan):
    raw = plan.config.model_dump(mode="json")
    raw["samples"]["backgrounds"]["other"]["factor"] = 100.0
    with pytest.raises(InputError, match="data less backgrounds -"):
        setup(Plan(validate(raw)))


def test_negative_weights_are_noted(tmp_path, capsys):
    plan = _plan(tmp_path, "h1_nature.h5", signed=True)
    with h5py.File(tmp_path / "simulation.h5") as file:
        share = np.mean(file["reco_event_features"][:, 5] < 0)
    assert 0.1 < share <= 0.2
    (line,) = (x for x in capsys.readouterr().out.splitlines() if x.startswith("simulation:"))
    assert f"{share:.2%} are negative" in line
    assert setup(plan).scale > 0
