import json

import numpy as np
import pytest
from toy_level import LEVEL

from omniflow.errors import InputError
from omniflow.events.sample import Level
from omniflow.observables import JetDefinition, Quantiles, axes, cache, from_expression
from omniflow.observables.observable import from_jets

ANTIKT = JetDefinition("antikt", 0.4, 5.0)
MET = from_expression("met", "met", edges=(0, 15, 40), label="E", unit="GeV", log_y=True)
JET = from_jets("jet_pt", "pt", ANTIKT, edges=Quantiles(2))


def level(met):
    met = np.asarray(met, np.float32)
    empty = np.zeros((0, 0), np.float32), np.zeros(len(met) + 1, np.int64)
    return Level(met[:, None], *empty, ("met",), ())


def make(folder, observables, detector=LEVEL, particle=None, passes=None, weight=None):
    cache.write(folder / "detector.h5", detector, observables)
    cache.write(folder / "particle.h5", particle or detector, observables)
    n = len(detector)
    passes = np.ones(n, bool) if passes is None else np.asarray(passes, bool)
    weight = np.ones(n) if weight is None else np.asarray(weight, float)
    levels = {observable.name: ("detector", "particle") for observable in observables}
    counted = {"detector": passes, "particle": np.ones(n, bool)}
    return axes.make(observables, levels, folder, counted, weight)


def test_what_exists_at_one_level_has_its_quantiles_there(tmp_path):
    both = [from_expression("met", "met", edges=(0, 1))]
    alone = from_expression("true", "met", edges=Quantiles(2))
    cache.write(tmp_path / "detector.h5", level([0] * 5), both)
    cache.write(tmp_path / "particle.h5", level([1.5, 2.5, 3.5, 4.5, 9.5]), [*both, alone])
    counted = {"detector": np.zeros(5, bool), "particle": np.array([1, 1, 1, 1, 0], bool)}
    levels = {"met": ("detector", "particle"), "true": ("particle",)}
    found = axes.make([*both, alone], levels, tmp_path, counted, np.array([1.0, 1, 1, 1, 9]))
    assert [axis.levels for axis in found] == list(levels.values())
    # Of events that are unfolded; the one that is not would move both edges.
    assert found[1].edges == pytest.approx((1.5, 3.5, 4.5))
    axes.write(found, tmp_path / "axes.json")
    assert axes.read(tmp_path / "axes.json") == found


def test_axes_have_edges_and_kinds(tmp_path):
    met, jet, pt = make(tmp_path, [MET, JET, from_expression("pt", "pt", edges=(0, 1))])
    assert (met.name, met.label, met.unit, met.kind) == ("met", "E", "GeV", "event")
    assert (met.edges, met.log_x, met.log_y, met.jets) == ((0, 15, 40), False, True, None)
    assert (jet.kind, jet.jets) == ("jet", ANTIKT)
    assert pt.kind == "particle"
    assert [axis.hist.edges.tolist() for axis in (met, pt)] == [[0, 15, 40], [0, 1]]
    assert met.hist.label == r"$\text{E}$ [GeV]"
    assert len(met.hist) == met.hist.extent == 2  # no flow


def test_the_file_holds_all(tmp_path):
    made = make(tmp_path, [MET, JET])
    axes.write(made, tmp_path / "axes.json")
    assert axes.read(tmp_path / "axes.json") == made


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content | {"version": 99},
        lambda content: {"axes": []},
        lambda content: content | {"axes": [{"name": "met"}]},
        lambda content: content | {"axes": [content["axes"][0] | {"edges": [2, 1]}]},
    ],
)
def test_other_files_are_refused(tmp_path, change):
    path = tmp_path / "axes.json"
    axes.write(make(tmp_path, [MET]), path)
    path.write_text(json.dumps(change(json.loads(path.read_text()))))
    with pytest.raises(InputError, match="holds no axes of this version"):
        axes.read(path)
    path.write_text("{")
    with pytest.raises(InputError, match="holds no axes of this version"):
        axes.read(path)
    path.unlink()
    with pytest.raises(InputError, match=r"axes\.json: cannot be read"):
        axes.read(path)


def test_kinds_must_agree_between_the_levels(tmp_path):
    columns = {"event_columns": ("pt", "eta"), "particle_columns": ()}
    offsets = np.zeros(4, int)
    other = Level(np.ones((3, 2), np.float32), np.zeros((0, 0), np.float32), offsets, **columns)
    with pytest.raises(InputError, match="pt: is of the kind 'particle' at detector level"):
        make(tmp_path, [from_expression("pt", "pt")], particle=other)


def quantile_edges(folder, met, bins, **others):
    (axis,) = make(folder, [from_expression("met", "met", edges=Quantiles(bins))],
                   level(met), **others)  # fmt: skip
    return np.array(axis.edges)


def test_quantiles_hold_equal_parts(tmp_path):
    met = np.random.default_rng(1).exponential(3, 1000).astype(np.float32)
    edges = quantile_edges(tmp_path, met, 8)
    assert np.histogram(met, edges)[0].tolist() == [125] * 8
    assert edges[0] == met.min()
    assert met.max() < edges[-1] < met.max() * (1 + 1e-6)
    whole = np.searchsorted(edges, met, side="right") - 1
    assert (whole.min(), whole.max()) == (0, 7)  # nothing outside


def test_quantiles_are_of_weights_of_events_that_pass(tmp_path):
    rng = np.random.default_rng(2)
    met, weight, passes = (
        rng.normal(size=20_000),
        rng.uniform(size=20_000),
        rng.random(20_000) < 0.5,
    )
    met[~passes] += 50
    weight *= np.where(met < 0, 3, 1)  # the lower half counts threefold
    edges = quantile_edges(tmp_path, met, 4, passes=passes, weight=-weight)
    met, weight = met[passes].astype(np.float32), weight[passes]
    parts = np.histogram(met, edges, weights=weight)[0] / weight.sum()
    np.testing.assert_allclose(parts, 0.25, atol=1e-3)
    assert edges[3] == pytest.approx(0, abs=0.05)
    assert edges[-1] < 10


def test_quantiles_are_of_detector_level(tmp_path):
    low, high = np.arange(10), np.arange(10) + 100
    assert quantile_edges(tmp_path, low, 2, particle=level(high)).tolist() == [0, 5, 10]


@pytest.mark.parametrize(
    ("met", "bins", "expected"),
    [
        # whole numbers: the last bin is as wide as the others
        ([0, 0, 0, 1], 20, [0, 1, 2]),
        ([0, 0, 0, 0, 1, 2, 3, 4], 4, [0, 1, 3, 5]),
        ([1, 2], 1, [1, 3]),
        ([1, 2, 3, 4], 4, [1, 2, 3, 4, 5]),
        # one value alone: one bin about it
        ([0] * 5, 4, [-0.5, 0.5]),
        ([3] * 5, 4, [1.5, 4.5]),
        ([-0.25], 4, [-0.75, 0.25]),
    ],
)
def test_repeated_values_make_fewer_bins(tmp_path, met, bins, expected):
    assert quantile_edges(tmp_path, met, bins).tolist() == expected


def test_without_values_there_are_no_quantiles(tmp_path):
    with pytest.raises(InputError, match="met: has no value in the simulation at detector level"):
        quantile_edges(tmp_path, [3, 4], 4, passes=[0, 0])
    with pytest.raises(InputError, match="met: has no value"):
        quantile_edges(tmp_path, [np.nan, np.inf], 4)
    assert quantile_edges(tmp_path, [1, 2], 4, weight=[1, 0]).tolist() == [0.5, 1.5]
