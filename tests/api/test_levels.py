"""Studies whose levels have columns of their own, against known truth."""

import awkward as ak
import numpy as np
import pandas as pd
import pytest

import omniflow
from omniflow.errors import ConfigError, InputError
from omniflow.report import page

pytestmark = pytest.mark.usefixtures("tensorflow_runtime")

TRUTH = (0.3, 0.9)  # mean and width; the simulation has 0 and 1
TRAINING = {
    **{"optimizer": "adam", "learning_rate": 5e-3, "warmup_epochs": 0.2, "batch_size": 250},
    **{"epochs": 2, "micro_batches": 1, "min_updates": 1},
}
SETTINGS = {
    **{"training": TRAINING, "iterations": 3, "passes": 1},
    "diagnostics": {"second_classifier": False, "oracle": False, "response": False},
}


# Where what networks learn does not matter.
TINY = {"kind": "mlp", "width": 4, "blocks": 1}


def sample(n, seed, mean=0.0, width=1.0, truth=True, hits=False):
    """Return events: x at particle level; x smeared and a column of noise, or hits with noise."""
    rng = np.random.default_rng(seed)
    x = rng.normal(mean, width, n)
    seen = {"measured": x + rng.normal(0, 0.5, n), "noise": rng.normal(0, 1, n)}
    if hits:
        counts = rng.poisson(3, n) + 1
        place = np.repeat(x, counts) + rng.normal(0, 1, counts.sum())
        quality = rng.uniform(size=len(place))
        seen = {"particles": ak.unflatten(ak.zip({"place": place, "quality": quality}), counts)}
    return omniflow.Events.from_arrays(seen, {"x": x} if truth else None)


def moments(study):
    """Return mean and width of x in the unfolded result."""
    x, weight = study.events("simulation").particle.event[:, 0], study.weights
    mean = np.average(x, weights=weight)
    return mean, np.sqrt(np.average((x - mean) ** 2, weights=weight))


@pytest.fixture(scope="module")
def gaussian(tmp_path_factory):
    define = {
        "x": {"detector": "measured", "particle": "x", "edges": np.linspace(-4, 4, 9).tolist()},
        "noise": {"expression": "noise"},
        "square": {"particle": "x * x"},
    }
    return omniflow.unfold(
        sample(15_000, 2, *TRUTH),
        sample(15_000, 1),
        classifier={"kind": "mlp", "width": 16, "blocks": 2},
        observables={"define": define},
        output=tmp_path_factory.mktemp("levels") / "gaussian",
        **SETTINGS,
    )


def test_a_smeared_gaussian_with_a_column_of_noise(gaussian):
    """Networks of steps 1 and 2 have two inputs and one; statistics of the mean are 0.01."""
    mean, width = moments(gaussian)
    assert mean == pytest.approx(TRUTH[0], abs=0.05)
    assert width == pytest.approx(TRUTH[1], abs=0.06)
    sizes = gaussian.tables["timing"].groupby("step")["parameters"].unique()
    assert [len(found) for found in sizes] == [1, 1]
    assert sizes.loc["1"][0] == sizes.loc["2"][0] + 16  # one input more, of 16 hidden units


def test_scaling_is_that_of_each_level(gaussian):
    files = [gaussian.plan.scaling(level) for level in ("detector", "particle")]
    found = [pd.read_json(file, typ="series") for file in files]
    np.testing.assert_allclose(found[0]["event_std"], [np.sqrt(1.25), 1], rtol=0.03)
    np.testing.assert_allclose(found[1]["event_std"], [1], rtol=0.03)


def test_observables_are_there_where_they_exist(gaussian):
    tables = gaussian.tables
    assert set(tables["summary"]["observable"]) == {"x", "square"}
    assert set(tables["detector_summary"]["observable"]) == {"x", "noise"}
    for name in ("bayes_summary", "acceptance"):
        assert set(tables[name]["observable"]) == {"x"}
    assert tables["metrics"]["truth"].notna().all()
    assert tables["detector"]["data"].notna().all()
    flows = tables["flows"].groupby("observable")["level"].unique()
    assert set(flows["x"]) == {"detector", "particle"}
    assert set(flows["noise"]) == {"detector"}
    assert set(flows["square"]) == {"particle"}
    # Formulas differ by level: x is the smeared one at detector level.
    wide = gaussian.histogram("x", level="detector").values()
    data = gaussian.events("data").detector.event[:, 0]
    np.testing.assert_allclose(
        wide, np.histogram(data, np.linspace(-4, 4, 9))[0], rtol=0.3, atol=99
    )
    with pytest.raises(InputError, match="noise exists at detector level alone; give level='det"):
        gaussian.histogram("noise")
    with pytest.raises(InputError, match="square exists at particle level alone"):
        gaussian.histogram("square", level="detector")


def test_the_report_shows_them_there(gaussian, tmp_path):
    page.write(gaussian.folder, tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "Detector-level distribution of noise" in text
    assert "Distribution of square" in text
    assert "Distribution of noise" not in text
    assert "Detector-level distribution of square" not in text
    assert "Exists at detector level alone." in text
    assert "Exists at particle level alone." in text
    assert ">nan<" not in text


def test_networks_are_read_again(gaussian):
    back = omniflow.read(gaussian.folder)
    simulation = gaussian.events("simulation")
    np.testing.assert_array_equal(back.reweight(simulation), back.ratios_of())
    assert len(back.plan.features_seen["detector"].event) == 2
    for step in (1, 2):
        assert np.isfinite(back.networks(step=step)[0].logits(simulation)).all()
    swapped = omniflow.Events.from_arrays({"measured": [1.0, 2.0]}, {"x": [1.0, 2.0]})
    with pytest.raises(InputError, match=r"have no event\.noise at detector level"):
        back.networks(step=1)[0].logits(swapped)


@pytest.mark.parametrize("kind", ["deepsets", "pet"])
def test_particles_at_detector_level_only(kind, tmp_path, undrawn):
    """Hits give x to 0.5 on average; the particle level, which has none, has MLPs."""
    small = {"heads": 2, "class_blocks": 1} if kind == "pet" else {}
    study = omniflow.unfold(
        sample(6000, 2, *TRUTH, truth=False, hits=True),
        sample(6000, 1, hits=True),
        classifier={"kind": kind, "width": 16, "blocks": 2, **small},
        output=tmp_path / "hits",
        **SETTINGS,
    )
    mean, width = moments(study)
    # PETs learn less in so few updates; without unfolding these are 0 and 1.
    assert mean == pytest.approx(TRUTH[0], abs=0.1)
    assert width == pytest.approx(TRUTH[1], abs=0.05 if kind == "deepsets" else 0.12)
    assert study.plan.observed["place"] == ("detector",)
    assert study.tables["acceptance"].empty
    back = omniflow.read(study.folder)
    np.testing.assert_array_equal(back.reweight(study.events("simulation")), back.ratios_of())
    page.write(study.folder, tmp_path / "report.html")


def test_columns_of_data_must_be_those_of_the_simulation_where_it_is_measured():
    data = omniflow.Events.from_arrays({"measured": [1.0, 2.0], "other": [0.0, 1.0]})
    with pytest.raises(InputError, match=r"data, detector level: its event columns are"):
        omniflow.unfold(data, sample(50, 1), **SETTINGS)


def test_what_does_not_fit_is_told_before_anything_is_trained(tmp_path):
    data, simulation = sample(50, 2, truth=False), sample(50, 1)
    cases = {
        "there is no column 'nois' at detector level": {
            "observables": {"define": {"n": {"detector": "nois"}, "x": {"particle": "x"}}}
        },
        "at particle level; there are x. Correct it": {
            "classifier": {"kind": "mlp", "features": {"event": ["measured"]}}
        },
    }
    for message, settings in cases.items():
        with pytest.raises(ConfigError, match=message):
            omniflow.unfold(data, simulation, output=tmp_path / "s", **SETTINGS | settings)
    assert not list(tmp_path.rglob("*.h5"))


def test_truth_without_what_networks_see_is_not_judged():
    x = np.linspace(-1, 1, 300)
    settings = SETTINGS | {"diagnostics": {}, "iterations": 1, "classifier": TINY}
    seen = {"measured": x}
    data = omniflow.Events.from_arrays(seen, {"x": x + 0.1})
    simulation = omniflow.Events.from_arrays({"measured": x + 0.2}, {"x": x, "tag": x**2})
    study = omniflow.unfold(data, simulation, **settings)
    assert set(study.tables["second_classifier"]["level"]) == {"detector"}
    assert list(study.plan.features_seen["particle"].event) == ["x", "tag"]
    assert study.plan.observed == {"measured": ("detector",), "x": ("particle",)}


def test_truth_without_observables_at_detector_level():
    study = omniflow.unfold(
        sample(300, 2, *TRUTH),
        sample(300, 1),
        observables={"define": {"x": {"particle": "x"}}},
        **SETTINGS | {"iterations": 2, "classifier": TINY},
    )
    assert set(study.tables["convergence"]["level"]) == {"particle"}
    assert study.tables["convergence"]["iteration"].dtype.kind == "i"


def test_uncertainties_are_those_of_what_is_unfolded():
    """With steps 1b and 2b, and samples that lack the columns which they are not asked for."""

    def flagged(n, seed, mean=0.0):
        rng, events = np.random.default_rng(seed), sample(n, seed, mean)
        flags = {name: rng.uniform(size=n) < 0.8 for name in ("pass_detector", "pass_particle")}
        seen = dict(zip(("measured", "noise"), events.detector.event.T, strict=True))
        return omniflow.Events.from_arrays(seen, {"x": events.particle.event[:, 0]}, **flags)

    photons = {"measured": [0.1, 0.2, 0.3], "noise": [0.0, 0.1, 0.2]}
    background = omniflow.Events.from_arrays(photons, {"photons": [1.0, 2.0, 3.0]})
    prediction = omniflow.Events.from_arrays(np.arange(50.0), {"x": np.linspace(-1, 1, 50)})
    means = {"misses": "conditional_mean", "fakes": "conditional_mean"}
    study = omniflow.unfold(
        flagged(300, 2, 0.3),
        flagged(400, 1),
        backgrounds={"photons": {"sample": background, "uncertainty": 0.2}},
        unfolding={"particle_level": "pass_gen", **means},
        uncertainties={
            **{"data_replicas": 2, "simulation_replicas": 2, "predictions": {"p": prediction}},
            "variations": {"v": {"simulation": flagged(300, 3)}},
        },
        **SETTINGS | {"iterations": 1, "classifier": TINY},
    )
    for name in ("covariance", "shifts", "chi2"):
        assert set(study.tables[name]["observable"]) == {"x"}
    assert set(study.tables["detector_summary"]["observable"]) == {"measured", "noise"}
    sizes = study.tables["timing"].groupby("step")["parameters"].first()
    assert sizes["1"] == sizes["2b"] > sizes["2"] == sizes["1b"]


def test_a_report_of_observables_at_particle_level_alone(tmp_path, undrawn):
    truth = {"define": {"x": {"expression": "x", "edges": [-3, -1, 0, 1, 3]}}}
    data, simulation = sample(400, 1, 0.3, truth=False), sample(600, 2)
    quick = SETTINGS | {"iterations": 1, "observables": truth, "classifier": TINY}
    result = omniflow.unfold(data, simulation, **quick)
    text = result.report(tmp_path / "report.html").read_text(encoding="utf-8")
    assert "No truth" in text
