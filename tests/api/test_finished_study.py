"""What a finished study gives: weights, histograms with covariances, networks for other events."""

import dataclasses
import itertools
import shutil

import awkward as ak
import hist
import numpy as np
import pandas as pd
import pytest
import yaml
from api_samples import QUICK, columns, flagged, with_particles

import omniflow
from omniflow import registry
from omniflow.errors import ConfigError, InputError
from omniflow.events import store
from omniflow.expressions import ExpressionError
from omniflow.hdf5 import open_h5
from omniflow.stages import training
from omniflow.stages.evaluation import LEVELS
from omniflow.training.engines import shared
from omniflow.unfolding.weights import ratio


def few_replicas(function, *arguments, **named):
    """What a function returns that warns of few replicas."""
    with pytest.warns(omniflow.CovarianceWarning, match="error bars are good to 71%"):
        return function(*arguments, **named)


DATA, SIMULATION = columns(300, 0.3, 1, weight=np.full(300, 1.5)), flagged(500, 0.0, 2)
EDGES = np.array([-1.5, -0.5, 0.0, 0.3, 1.5])
PASSES, ITERATIONS = 2, 2


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("studies") / "columns"


@pytest.fixture(scope="module")
def study(folder):
    """A study with lanes, members, replicas and a variation of other events."""
    return omniflow.unfold(
        DATA,
        SIMULATION,
        methods={"hybrid": {"lanes": 3, "members": 2, "aggregate": "median"}, "none": {}},
        iterations=ITERATIONS,
        passes=PASSES,
        unfolding={"particle_level": "pass_gen"},
        combine=["median", "mean"],
        observables={"define": {"x": {"expression": "x", "edges": EDGES.tolist()}}},
        uncertainties={
            "data_replicas": 2,
            "simulation_replicas": 2,
            "variations": {"model": {"simulation": flagged(450, 0.1, 3)}},
            "methods": ["none"],
        },
        output=folder,
        **QUICK,
    )


@pytest.fixture(scope="module")
def read(study, folder):
    return omniflow.read(folder)


@pytest.fixture(scope="module")
def particles():
    """A study of events with particles, and all of what is generated unfolded."""
    settings = QUICK | {"classifier": {"kind": "deepsets", "width": 4, "blocks": 1}}
    data, simulation = with_particles(200, 0.3, 1), with_particles(300, 0.0, 2)
    return omniflow.unfold(data, simulation, iterations=1, passes=1, **settings)


# -- weights -------------------------------------------------------------------------------------


def test_weights_are_those_of_the_files_by_event(study, read):
    for method, how in (("hybrid", "median"), ("hybrid", "mean"), ("none", "none")):
        for pass_ in range(1, PASSES + 1):
            with open_h5(study.plan.unfolded(method, how, pass_)) as file:
                ids, weight, nu = (file[name][:] for name in ("event_id", "weight", "ratio"))
            known = dict(zip(ids.tolist(), weight.tolist(), strict=True))
            ours = study.weights_of(method, how, pass_)
            expected = [known.get(i, 0.0) for i in SIMULATION.event_id.tolist()]
            np.testing.assert_array_equal(ours, expected)
            theirs = read.weights_of(method, how, pass_)
            np.testing.assert_array_equal(theirs, ours[np.argsort(SIMULATION.event_id)])
            known = dict(zip(ids.tolist(), nu[0].tolist(), strict=True))
            early = study.ratios_of(method, how, pass_, iteration=1)
            inside = SIMULATION.pass_particle
            expected = [known[i] for i in SIMULATION.event_id[inside].tolist()]
            np.testing.assert_array_equal(early[inside], expected)
            weights = study.weights_of(method, how, pass_, 1)
            expected = study.scale * SIMULATION.weight[inside] * early[inside]
            np.testing.assert_array_equal(weights[inside], expected)
    np.testing.assert_array_equal(read.events().event_id, np.sort(SIMULATION.event_id))


def test_ensembles_are_passes_and_lanes(study):
    assert study.headline == ("hybrid", "median")
    assert study.ensemble.shape == (PASSES, 500)
    np.testing.assert_array_equal(study.ensemble[1], study.weights_of(pass_=2))
    np.testing.assert_allclose(study.weights, study.ensemble.mean(axis=0), rtol=1e-15)
    lanes = study.lanes_of("hybrid", pass_=2)
    assert lanes.shape == (3, 500)
    # The mean of lanes keeps its yield, so that it is the mean of their weights.
    np.testing.assert_allclose(lanes.mean(axis=0), study.weights_of("hybrid", "mean", 2), 1e-6)
    np.testing.assert_allclose(study.lanes_of("none")[0], study.weights_of("none", pass_=1), 1e-6)
    assert study.weights_of("data-2.none").shape == (500,)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"method": "paralel"}, "there is no method 'paralel': hybrid, none, data-1.none"),
        ({"combine": "log_mean"}, "no combination of hybrid 'log_mean': median, mean"),
        ({"pass_": 3}, "no pass of hybrid 3: 1, 2"),
        ({"iteration": 0.5}, "no iteration 0.5: 1, 2"),
    ],
)
def test_what_is_not_there_is_named(study, arguments, message):
    with pytest.raises(InputError, match=message):
        study.weights_of(**arguments)
    with pytest.raises(InputError, match="there is no sample 'Data': data, simulation"):
        study.events("Data")


# -- histograms ----------------------------------------------------------------------------------


def _expected(values, weights, edges):
    """Content and sum of squares per bin, under- and overflow at the ends, event by event."""
    wide = np.concatenate([[-np.inf], edges, [np.inf]])
    content, variance = np.zeros(len(wide) - 1), np.zeros(len(wide) - 1)
    for entries, weight in zip(values, weights, strict=True):
        counts = np.histogram(np.atleast_1d(entries), wide)[0]
        content += weight * counts
        variance += (weight * counts) ** 2
    return content, variance


def _close(found: hist.Hist, content, variance):
    np.testing.assert_allclose(found.values(flow=True), content, rtol=1e-6)
    np.testing.assert_allclose(found.variances(flow=True), variance, rtol=1e-6)


def test_histograms_of_arrays_columns_and_expressions(study, read):
    x = SIMULATION.particle.event[:, 0].astype(float)
    found = study.histogram(x, EDGES)
    assert isinstance(found.storage_type(), hist.storage.Weight)
    np.testing.assert_array_equal(found.axes[0].edges, EDGES)
    _close(found, *_expected(x, study.weights, EDGES))
    ordered = x[np.argsort(SIMULATION.event_id)]
    for same in (
        study.histogram("x", EDGES),
        study.histogram("column('event.x')", EDGES),
        read.histogram("x", EDGES),
        read.histogram(ordered, EDGES),
    ):
        np.testing.assert_allclose(same.view(flow=True).value, found.view(flow=True).value)
    assert study.histogram("x", EDGES).axes[0].label == "x"
    doubled = study.histogram("2 * x + y", EDGES, method="none", pass_=2, iteration=1)
    y = SIMULATION.particle.event[:, 1].astype(float)
    _close(doubled, *_expected(2 * x + y, study.weights_of("none", None, 2, 1), EDGES))
    of_axis = study.histogram("x", hist.axis.Regular(4, -1, 1))
    np.testing.assert_array_equal(of_axis.axes[0].edges, np.linspace(-1, 1, 5))
    # NaN has no entry.
    gaps = np.where(x > 0, np.nan, x)
    values = [[] if np.isnan(gap) else [gap] for gap in gaps]
    _close(study.histogram(gaps, EDGES), *_expected(values, study.weights, EDGES))


def test_detector_level_and_regions(study, read):
    x = SIMULATION.detector.event[:, 0].astype(float)
    base = study.scale * SIMULATION.weight * study.ratios_of()
    passing = np.where(SIMULATION.pass_detector, base, 0)
    _close(study.histogram("x", EDGES, level="detector"), *_expected(x, passing, EDGES))
    z = SIMULATION.particle.event[:, 0].astype(float)
    mask = SIMULATION.particle.event[:, 1] > 0.5
    cut = study.histogram("x", EDGES, region=mask)
    _close(cut, *_expected(z, np.where(mask, study.weights, 0), EDGES))
    ordered = mask[np.argsort(SIMULATION.event_id)]
    np.testing.assert_allclose(
        read.histogram("x", EDGES, region=ordered).values(), cut.values(), rtol=1e-12
    )
    for region in ("all", "fiducial"):  # what is unfolded is the fiducial region
        _close(study.histogram("x", EDGES, region=region), *_expected(z, study.weights, EDGES))


def test_an_observable_of_the_study_is_what_its_histograms_hold(study, read):
    for each in (study, read):
        found = each.histogram("x", method="none", iteration=1)
        with open_h5(study.plan.histograms("none")) as file:
            content = file["particle/none/x/content"][0]
        np.testing.assert_array_equal(found.values(), content.mean(axis=0))
        np.testing.assert_array_equal(found.axes[0].edges, EDGES)


def test_the_covariance_is_that_of_the_study(study, read):
    with pytest.warns(omniflow.CovarianceWarning, match="data: 2 replicas are too few for 4 bins"):
        _, blocks = read.histogram("x", method="none", with_covariance=True)
    table, names = study.tables["covariance"], {"data", "simulation", "training", "model", "total"}
    assert set(table["block"]) == set(blocks) == names
    for block, matrix in blocks.items():
        rows = table[table["block"] == block]
        expected = rows.pivot(index="bin_i", columns="bin_j", values="value")
        np.testing.assert_allclose(matrix, expected, rtol=1e-9, atol=1e-12)
    assert matrix.shape == (len(EDGES) - 1,) * 2
    # Of anything else as well: the variation's events have values of their own.
    with pytest.warns(omniflow.CovarianceWarning):
        _, blocks = study.histogram("x > 0", [0, 0.5, 1.5], method="none", with_covariance=True)
    assert set(blocks) == names
    assert np.diag(blocks["model"]).min() > 0
    total = sum(blocks[name] for name in names - {"total"})
    np.testing.assert_allclose(blocks["total"], total, rtol=1e-9)
    with pytest.raises(InputError, match=r"other events .* \(model.simulation\); give an expr"):
        study.histogram(np.zeros(500), [0, 1], method="none", with_covariance=True)
    region = np.ones(500, bool)
    with pytest.raises(InputError, match="no flags"):
        study.histogram("x", [0, 1], method="none", with_covariance=True, region=region)
    with pytest.raises(InputError, match=r"uncertainties are those of none .*, and not of hybrid"):
        study.histogram("x", with_covariance=True)


def test_a_variation_is_of_its_own_simulation(study, read):
    """Its weights are aligned with its events, and fill those."""
    own = flagged(450, 0.1, 3)
    np.testing.assert_array_equal(study.events("model.simulation").event_id, own.event_id)
    for found in (study, read):
        weights = found.weights_of("model.none")
        assert weights.shape == found.ensemble_of("model.none").shape[1:] == (450,)
        events = found.events("model.simulation")
        inside = np.asarray(events.pass_particle)
        assert not weights[~inside].any()
        x = events.particle.event[:, 0].astype(float)
        expected = np.histogram(x[inside], EDGES, weights=weights[inside])[0]
        histogram = found.histogram("x", EDGES, method="model.none")
        np.testing.assert_allclose(histogram.values(), expected, rtol=1e-6)
        of_array = found.histogram(x, EDGES, method="model.none")
        np.testing.assert_allclose(of_array.values(), expected, rtol=1e-6)


def test_there_is_no_iteration_0(study):
    with pytest.raises(InputError, match="iteration"):
        study.weights_of(iteration=0)


def test_entries_of_particles(particles):
    pt = particles.simulation.particle.particles[:, 0].astype(float)
    offsets = particles.simulation.particle.offsets
    values = [pt[a:b] for a, b in itertools.pairwise(offsets)]
    edges = [0, 0.5, 1, 3]
    expected = _expected(values, particles.weights, edges)
    _close(particles.histogram("pt", edges), *expected)
    _close(particles.histogram(ak.unflatten(pt, np.diff(offsets)), edges), *expected)
    ht = [each.sum() for each in values]
    _close(particles.histogram("sum(pt)", edges), *_expected(ht, particles.weights, edges))


def test_one_pass_without_variants_has_no_covariance(particles):
    with pytest.raises(InputError, match="has no covariance of none: one pass, and neither repl"):
        particles.histogram("pt", [0, 1, 3], with_covariance=True)


def test_the_covariance_is_that_of_the_passes_of_the_histogram(study):
    """One pass scatters as much as several did; other blocks do not depend on their number."""
    mean, one = (
        few_replicas(study.histogram, "x", method="none", pass_=pass_, with_covariance=True)[1]
        for pass_ in (None, 2)
    )
    np.testing.assert_allclose(one["training"], PASSES * mean["training"], rtol=1e-12)
    np.testing.assert_array_equal(one["data"], mean["data"])
    assert np.diag(one["training"]).min() > 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("y", None), "give the edges of the bins; only observables of the study have some"),
        (("x", [1, 0]), r"edges are \[1, 0\]; give two increasing numbers or more"),
        (("x", 10), r"edges are 10; give two increasing numbers .* such as np\.linspace"),
        (("x", ["a", "b"]), r"edges are \['a', 'b'\]; give two"),
        (
            (["x", "y"], [[0, 1], [0, 1]]),
            "of one expression, .* fill a hist.Hist of your",
        ),
        ((np.zeros(7), [0, 1]), "the array has 7 events and the simulation has 500; give a value"),
        ((np.zeros((500, 2)), [0, 1]), r"has shape \(500, 2\) and type float64; give one number"),
    ],
)
def test_histograms_that_cannot_be(study, arguments, message):
    with pytest.raises(InputError, match=message):
        study.histogram(*arguments)


def test_further_arguments_of_histograms(study):
    with pytest.raises(ExpressionError, match="unknown column 'z'"):
        study.histogram("z", [0, 1])
    with pytest.raises(InputError, match="there is no level 'gen': particle, detector"):
        study.histogram("x", level="gen")
    with pytest.raises(InputError, match="there is no region 'every': all, fiducial"):
        study.histogram("x", region="every")
    with pytest.raises(
        InputError, match=r"region has shape \(3,\) and type bool; give flags \(500"
    ):
        study.histogram("x", region=np.ones(3, bool))


# -- networks ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "place", [(), ("hybrid", "mean", 2, 1), ("none", None, 1), ("data-1.none",)]
)
def test_its_networks_give_its_own_events_what_the_study_gave_them(study, read, place):
    inside = SIMULATION.pass_particle
    found = study.reweight(SIMULATION, *place)
    stored = study.ratios_of(*place)
    rows = len(place) < 3 and place != ("data-1.none",)  # a mean over passes rounds once more
    np.testing.assert_allclose(found[inside], stored[inside], rtol=1e-6 if rows else 1e-7)
    if not rows:
        np.testing.assert_array_equal(found[inside].astype(np.float32), stored[inside])
    assert (found[~inside] == 1).all()
    again = read.reweight(read.simulation, *place)
    np.testing.assert_array_equal(again, found[np.argsort(SIMULATION.event_id)])


def test_weights_of_one_pass_are_reproduced_to_the_bit(study):
    for method in study.methods:
        nu = study.reweight(SIMULATION, method, pass_=1)
        inside = SIMULATION.pass_particle
        expected = study.weights_of(method, pass_=1)[inside]
        np.testing.assert_array_equal((study.scale * SIMULATION.weight * nu)[inside], expected)


def test_other_events_get_what_networks_have_learned(study):
    """A function of the particle level: any order, ids and detector level."""
    order = np.random.default_rng(1).permutation(500)[:200]
    part = SIMULATION.take(order)
    ids = np.arange(200, dtype=np.uint64) + 10**6
    blank = columns(200, 5.0, 8)
    other = dataclasses.replace(part, event_id=ids, detector=blank.detector)
    np.testing.assert_allclose(study.reweight(other), study.reweight(SIMULATION)[order], rtol=1e-6)


def test_logits_are_those_that_the_jobs_stored(study, tmp_path):
    """They are gone when they are aggregated: a job predicts once more, and trains nothing."""
    plan = study.plan
    for step in ("1", "2"):
        networks = study.networks("hybrid", pass_=1, iteration=2, step=step)
        assert [n.coordinates.lane for n in networks] == [0, 0, 1, 1, 2, 2]
        for block in {network.block for network in networks}:
            with shared():
                training.train_block(plan, block)
            with open_h5(plan.logits(block)) as file:
                stored = file["logits"][:]
            plan.logits(block).unlink()
            own = [network for network in networks if network.block == block]
            ids = np.asarray(store.open_store(plan.store("simulation")).event_id)
            back = np.argsort(ids)[np.argsort(np.argsort(SIMULATION.event_id))]
            for network, row in zip(own, stored, strict=True):
                expected, found = row[back], network.logits(SIMULATION)
                wanted = ~np.isnan(expected)
                assert wanted.sum() > 300
                np.testing.assert_array_equal(found[wanted], expected[wanted])


def test_a_weight_is_made_of_logits(study):
    """The method `none`: its ratio is the exponential of a logit, times the yield of the step."""
    (network,) = study.networks("none", pass_=2)
    assert network.record["network"]["iteration"] == ITERATIONS
    assert network.path.is_file()
    assert repr(network) == "TrainedNetwork(scratch-1 pass 2 lane 0 member 0 iteration 2 step 2)"
    inside = SIMULATION.pass_particle
    nu, _ = ratio(network.logits(SIMULATION)[inside], 15.0)
    yields = study.ratios_of("none", pass_=2)[inside] / nu
    np.testing.assert_allclose(yields, yields[0], rtol=1e-6)


def _level(level, event=None, particles=None, more=False):
    """The level with its columns in this order, and others beside."""
    event = list(event or level.event_columns)
    particles = list(particles or level.particle_columns)
    table = level.event[:, [level.event_columns.index(name) for name in event]]
    of_particles = level.particles[:, [level.particle_columns.index(name) for name in particles]]
    if more:
        event, table = ["more", *event], np.concatenate([table[:, :1] * 0 + 7, table], axis=1)
        if particles:
            particles = [*particles, "x"]  # a name that the event's column has too
            of_particles = np.concatenate([of_particles, of_particles[:, :1] + 9], axis=1)
    return dataclasses.replace(
        level,
        event=table,
        particles=of_particles,
        event_columns=tuple(event),
        particle_columns=tuple(particles),
    )


def test_columns_are_found_by_their_names(study, particles):
    """In any order, and whatever others there are."""
    ours = {"event": ["y", "x"]}, {"event": ["x"], "particles": ["phi", "pt", "eta"]}
    for found, order in zip((study, particles), ours, strict=True):
        known = found.simulation
        levels = {at: _level(getattr(known, at), **order, more=True) for at in LEVELS}
        other = dataclasses.replace(known, **levels)
        np.testing.assert_array_equal(found.reweight(other), found.reweight(known))
        for step in (1, 2):
            network = found.networks(step=step)[-1]
            np.testing.assert_array_equal(network.logits(other), network.logits(known))
            assert np.nanstd(network.logits(known)) > 0


def test_events_of_another_kind_are_refused(study, particles):
    with pytest.raises(InputError, match="the events have no particle level, which is what"):
        study.reweight(columns(20, 0, 1, truth=False))
    with pytest.raises(InputError, match=r"no event\.y at particle level, .* are event\.x, p"):
        study.reweight(with_particles(20, 0, 1))
    few = dataclasses.replace(DATA, detector=_level(DATA.detector, ["y"]))
    with pytest.raises(InputError, match=r"no event\.x at detector level"):
        study.networks(step=1)[0].logits(few)
    with pytest.raises(InputError, match="the events are a ndarray; make events of arrays by"):
        study.reweight(np.zeros((3, 2)))
    with pytest.raises(InputError, match="the events are a list; make events"):
        study.networks()[0].logits([1, 2])
    with pytest.raises(InputError, match="no lane of hybrid 3: 0, 1, 2"):
        study.networks(lane=3)
    with pytest.raises(InputError, match="no member of hybrid 2: 0, 1"):
        study.networks(member=2)
    with pytest.raises(InputError, match="no step '1b': 1, 2"):
        study.networks(step="1b")


# -- tables and folders --------------------------------------------------------------------------


def test_tables_and_report(study, read, tmp_path, undrawn):
    assert {"metrics", "summary", "steps", "covariance", "chi2"} <= set(read.tables)
    every = study.tables["summary"]
    assert set(every["combine"]) == {"median", "mean", "none"}
    # Averages over rows of one method must not mix its combinations.
    first = every[every["combine"].isin(["median", "none"])].drop(columns="combine")
    pd.testing.assert_frame_equal(read.summary, first.reset_index(drop=True))
    with pytest.raises(InputError, match="there is no table 'metric'; there are metrics, summary"):
        read.tables["metric"]
    path = read.report(tmp_path / "report.html")
    assert path.read_text(encoding="utf-8").lstrip().lower().startswith("<!doctype html>")


def test_a_folder_that_has_moved_is_read(study, folder, tmp_path):
    moved = tmp_path / "elsewhere"
    shutil.copytree(folder, moved)
    found = omniflow.read(moved)
    assert found.folder == moved
    order = np.argsort(SIMULATION.event_id)
    np.testing.assert_array_equal(found.weights, study.weights[order])
    np.testing.assert_array_equal(found.reweight(SIMULATION), study.reweight(SIMULATION))


def test_reading_loads_nothing_that_the_configuration_names(study, folder, tmp_path):
    moved = tmp_path / "foreign"
    shutil.copytree(folder, moved)
    raw = yaml.safe_load((moved / "config.yaml").read_text())
    raw["samples"]["data"] = {"source": "nowhere.mine:Source", "any": {"key": 1}}
    raw["observables"]["define"]["x"] = {"object": "nowhere.shapes:thrust"}
    raw["classifier"] |= {"kind": "nowhere.models:small", "features": "nowhere.mine:set"}
    (moved / "config.yaml").write_text(yaml.safe_dump(raw))
    found = omniflow.read(moved)
    assert found.weights.sum() == pytest.approx(study.weights.sum())
    assert found.histogram("x").sum().value == pytest.approx(study.histogram("x").sum().value)
    with pytest.raises(ConfigError, match=r"nowhere\.models: no such module"):
        found.reweight(SIMULATION)


@pytest.mark.parametrize("installed", [False, True])
def test_reading_needs_no_package_whose_names_it_holds(
    study, folder, tmp_path, monkeypatch, undrawn, installed
):
    """Names of entry points: the package is gone, or is there and cannot be imported."""
    if installed:
        (tmp_path / "foreign_lab.py").write_text("raise RuntimeError('imported')")
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.setattr(registry, "_entries", lambda room: {"lab": "foreign_lab:thing"})
    moved = tmp_path / "foreign"
    shutil.copytree(folder, moved)
    raw = yaml.safe_load((moved / "config.yaml").read_text())
    raw["samples"]["simulation"] = {"source": "lab"}
    raw["uncertainties"]["variations"]["model"] = {"simulation": {"source": "lab", "key": 1}}
    raw["observables"]["names"] = ["x", "thrust"]
    raw["observables"]["binning"] = {"thrust": [0, 1]}
    raw["classifier"] |= {"kind": "lab", "features": "lab"}
    (moved / "config.yaml").write_text(yaml.safe_dump(raw))
    found = omniflow.read(moved)
    order = np.argsort(SIMULATION.event_id)
    np.testing.assert_array_equal(found.weights, study.weights[order])
    np.testing.assert_array_equal(found.histogram("x").view(), study.histogram("x").view())
    np.testing.assert_array_equal(found.events("model.simulation").event_id.size, 450)
    pd.testing.assert_frame_equal(found.summary, study.summary)
    assert found.report(tmp_path / "report.html").is_file()
    with pytest.raises(ConfigError, match=r"foreign_lab|there is no classifier 'lab'"):
        found.reweight(SIMULATION)


def test_what_is_no_finished_study_is_refused(tmp_path, folder, study):
    with pytest.raises(InputError, match=r"has no config\.yaml; give the folder of a study"):
        omniflow.read(tmp_path)
    shutil.copy(folder / "config.yaml", tmp_path)
    with pytest.raises(InputError, match=r"has no final weights of hybrid .median. yet; run the"):
        omniflow.read(tmp_path)
