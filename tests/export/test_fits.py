import dataclasses
import json

import export_toys as toys
import numpy as np
import pyhf
import pytest

from omniflow.errors import InputError, OutputError
from omniflow.evaluation import covariance
from omniflow.export import components, fits
from omniflow.export.binned import binned
from omniflow.export.fits import Fit, workspace
from omniflow.export.model import Model, Sample
from omniflow.export.references import Reference

BOUNDS = (-10.0, 10.0)


@pytest.fixture(autouse=True)
def _minuit():
    pyhf.set_backend("numpy", "minuit")
    yield
    pyhf.set_backend("numpy", "scipy")


def _templates(content):
    """Return a bump and a slope on top of a spectrum (B,)."""
    places = np.linspace(-1, 1, len(content))
    return 0.3 * content * np.exp(-0.5 * (places / 0.3) ** 2), 0.2 * content * places


def _model(content, names=("x",), slope=True):
    """Return a fixed spectrum with a bump times `mu`, and a slope that is free."""
    split = np.cumsum([len(each) for each in content])[:-1]
    whole = np.concatenate(content)
    bump, tilt = _templates(whole)

    def sample(name, values, **free):
        given = {n: tuple(v) for n, v in zip(names, np.split(values, split), strict=True)}
        return Sample(name=name, contents=given, **free)

    samples = [
        sample("smooth", whole),
        sample("bump", bump, parameter="mu", start=0.0, bounds=BOUNDS),
    ]
    if slope:
        samples.append(sample("tilt", tilt, parameter="slope", start=0.0, bounds=BOUNDS))
    return Model(interest="mu", samples=tuple(samples))


def _loaded(found):
    """Return the model and the data of a workspace, as pyhf reads it."""
    pyhf.schema.validate(found.spec, "workspace.json")
    space = pyhf.Workspace(found.spec)
    model = space.model()
    return model, space.data(model)


def _q(model, data, mu):
    told = (model.config.suggested_init(), model.config.suggested_bounds())
    return float(
        pyhf.infer.test_statistics.qmu(mu, data, model, *told, model.config.suggested_fixed())
    )


class Exact:
    """Least squares with a known covariance: what a Gaussian likelihood gives."""

    def __init__(self, difference, covariance, templates):
        axes = components.directions(covariance)
        self.along, self.templates = axes.T @ difference, axes.T @ np.transpose(templates)
        self.best, *_ = np.linalg.lstsq(self.templates, self.along, rcond=None)
        self.errors = np.sqrt(np.diag(np.linalg.inv(self.templates.T @ self.templates)))

    def chi2(self, mu):
        """Return the smallest chi-square at a value of the first parameter."""
        rest = self.along - mu * self.templates[:, 0]
        others = self.templates[:, 1:]
        if others.shape[1]:
            rest = rest - others @ np.linalg.lstsq(others, rest, rcond=None)[0]
        return rest @ rest

    def q(self, mu):
        """Return the difference of chi-squares that q_mu is asymptotically."""
        return self.chi2(mu) - self.chi2(self.best[0])


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("sigma", [1.0, 3.0])
def test_q_is_the_difference_of_chi2(seed, sigma):
    result, content = toys.measured(6, seed), toys.falling(6)
    exact = Exact(result.content - content, result.total, _templates(content))
    mu = exact.best[0] + sigma * exact.errors[0]
    assert exact.q(mu) == pytest.approx(sigma**2)
    model, data = _loaded(workspace(result, _model([content])))
    assert _q(model, data, mu) == pytest.approx(exact.q(mu), rel=0.05)


def test_errors_are_those_of_the_covariance():
    """Statistics are not counted twice: within a hundredth."""
    result, content = toys.measured(), toys.falling(6)
    exact = Exact(result.content - content, result.total, _templates(content))
    model, data = _loaded(workspace(result, _model([content])))
    fitted = pyhf.infer.mle.fit(data, model, return_uncertainties=True)
    for place, name in enumerate(("mu", "slope")):
        value, error = fitted[model.config.par_slice(name)][0]
        assert error == pytest.approx(exact.errors[place], rel=0.01)
        assert value == pytest.approx(exact.best[place], abs=0.02 * error)


@pytest.mark.parametrize("statistics", [True, False])
def test_poisson_terms_and_shifts_are_the_covariance(statistics):
    """Read from the workspace alone."""
    result = toys.measured()
    if not statistics:
        blocks = {"training": result.blocks["data"], "scale": result.blocks["scale"]}
        result = toys.result(result.content, blocks)
    found = workspace(result, _model([toys.falling(6)]))
    (channel,) = found.spec["channels"]
    (errors,) = (each for each in channel["samples"] if each["name"] == "errors")
    vectors = np.array([m["data"]["hi_data"] for m in errors["modifiers"]]) - errors["data"]
    lower = np.array([m["data"]["lo_data"] for m in errors["modifiers"]]) - errors["data"]
    np.testing.assert_allclose(vectors, -lower, atol=1e-9)
    observed = np.array(found.spec["observations"][0]["data"])
    whole = (vectors.T @ vectors + np.diag(observed)) / found.notes["scale"] ** 2
    axes = components.directions(result.total)
    added = np.linalg.eigvalsh(axes.T @ whole @ axes) - 1
    np.testing.assert_allclose(added, 0, atol=1e-6 if statistics else 0.0101)
    named = {m["name"].rpartition("_")[0] for m in errors["modifiers"]}
    assert named == ({"statistical"} if statistics else set()) | {"training", "scale"}


def test_the_result_stands_for_what_is_observed():
    result, content = toys.measured(), toys.falling(6)
    found = workspace(result, _model([content]))
    scale, offset = found.notes["scale"], np.array(found.notes["offset"]["x"])
    observed = np.array(found.spec["observations"][0]["data"])
    np.testing.assert_allclose(observed / scale - offset, result.content)
    model, _ = _loaded(found)
    start = model.expected_actualdata(model.config.suggested_init())
    np.testing.assert_allclose(start / scale - offset, content)
    assert model.config.poi_name == "mu"
    assert model.config.suggested_bounds()[model.config.poi_index] == list(BOUNDS)


def test_observables_are_fitted_together_with_their_correlations():
    content = toys.falling(5)
    result = dataclasses.replace(toys.measured(5), axes=(toys.axis("x", 3), toys.axis("y", 2)))
    parts = [content[:3], content[3:]]
    found = workspace(result, _model(parts, ("x", "y"), slope=False))
    model, data = _loaded(found)
    assert model.config.channels == ["x", "y"]
    shared = [
        {m["name"] for s in c["samples"] if s["name"] == "errors" for m in s["modifiers"]}
        for c in found.spec["channels"]
    ]
    assert shared[0] == shared[1]
    exact = Exact(result.content - content, result.total, _templates(content)[:1])
    mu = exact.best[0] + 2 * exact.errors[0]
    assert _q(model, data, mu) == pytest.approx(4, rel=0.05)


def test_unit_sums_are_fitted_with_a_free_normalisation():
    """As the chi-square of distributions of unit sum: in any five of six bins."""
    draw, content = toys.measured(), toys.falling(6)
    across = (np.eye(6) - np.outer(content / content.sum(), np.ones(6))) / content.sum()
    blocks = {name: across @ block @ across.T for name, block in draw.blocks.items()}
    unit = draw.content / draw.content.sum()
    result = toys.result(unit, blocks, normalization="shape")
    bump, _ = _templates(content)
    # A mixture, whose sum is the same for any mu.
    shape = bump / bump.sum() - content / content.sum()
    given = [Sample(name="smooth", contents={"x": tuple(content / content.sum())})]
    free = {"parameter": "mu", "start": 0.0, "bounds": BOUNDS}
    given.append(Sample(name="bump", contents={"x": tuple(shape)}, **free))
    model, data = _loaded(workspace(result, Model(interest="mu", samples=tuple(given))))
    difference = unit[:5] - content[:5] / content.sum()
    exact = Exact(difference, result.total[:5, :5], [shape[:5]])
    mu = exact.best[0] + 2 * exact.errors[0]
    assert _q(model, data, mu) == pytest.approx(4, rel=0.05)
    chi2 = Fit.of(result).chi2(7 * content)
    assert chi2 == pytest.approx(exact.chi2(0))


def test_statistics_of_predictions_count_once():
    """A template that is added and subtracted moves once."""
    result, content = toys.measured(), toys.falling(6)
    bump, _ = _templates(content)
    own = toys.correlated(0.05 * content, 0.5)
    references = {
        "old": Reference(content, own),
        "new": Reference(content + bump, np.zeros((6, 6))),
    }
    result = dataclasses.replace(result, references=references)
    samples = (
        Sample(name="old", prediction="old"),
        Sample(
            **{"name": "change", "prediction": "new", "minus": "old", "parameter": "mu"},
            **{"start": 0.0, "bounds": BOUNDS},
        ),
    )
    model, data = _loaded(workspace(result, Model(interest="mu", samples=samples)))
    # At mu = 1 the old prediction drops out, and its statistics with it.
    at_one = Exact(result.content - content - bump, result.total, [bump]).along
    at_zero = Exact(result.content - content, result.total + own, [bump]).along
    fits_of = [
        pyhf.infer.mle.fixed_poi_fit(mu, data, model, return_fitted_val=True)[1]
        for mu in (1.0, 0.0)
    ]
    difference = at_zero @ at_zero - at_one @ at_one
    assert float(fits_of[1] - fits_of[0]) == pytest.approx(difference, rel=0.05)


def test_bins_without_error_are_left_out_and_named():
    draw, content = toys.measured(), toys.falling(6)
    keep = np.array([1, 1, 0, 1, 1, 1])
    blocks = {name: block * np.outer(keep, keep) for name, block in draw.blocks.items()}
    found = workspace(toys.result(draw.content, blocks), _model([content]))
    assert found.notes["bins_without_error"] == ["x bin 2"]
    model, data = _loaded(found)
    assert model.config.channel_nbins == {"x": 5}
    five = np.flatnonzero(keep)
    square = np.ix_(five, five)
    exact = Exact(
        (draw.content - content)[five],
        draw.total[square],
        [each[five] for each in _templates(content)],
    )
    mu = exact.best[0] + 2 * exact.errors[0]
    assert _q(model, data, mu) == pytest.approx(4, rel=0.05)


def test_contents_of_0_and_below_can_be_fitted():
    content = np.array([1000.0, 300.0, 2.0, 0.0])
    errors = np.array([20.0, 10.0, 5.0, 4.0])
    draw = content + np.array([10.0, -12.0, -5.0, 2.0])
    result = toys.result(draw, {"data": toys.correlated(errors, 1)})
    bump = np.array([0.0, 5.0, 10.0, 5.0])
    samples = (
        Sample(name="smooth", contents={"x": tuple(content)}),
        Sample(
            **{"name": "bump", "contents": {"x": tuple(bump)}, "parameter": "mu"},
            **{"start": 0.0, "bounds": BOUNDS},
        ),
    )
    model, data = _loaded(workspace(result, Model(interest="mu", samples=samples)))
    exact = Exact(draw - content, result.total, [bump])
    mu = exact.best[0] + 2 * exact.errors[0]
    assert mu > exact.best[0]
    assert _q(model, data, mu) == pytest.approx(4, rel=0.05)


def test_components_with_eigenvalues_below_0_are_said():
    result = toys.measured()
    odd = np.zeros((6, 6))
    odd[:2, :2] = 100 * np.array([[1.0, 2.0], [2.0, 1.0]])  # eigenvalues 3 and -1
    result = dataclasses.replace(result, measured={**result.measured, "odd": odd})
    result = dataclasses.replace(result, blocks=result.measured)
    found = workspace(result, _model([toys.falling(6)]))
    assert found.notes["eigenvalues_removed"] == {"odd": pytest.approx(1 / 3)}
    assert found.notes["parameters"]["odd"] == 1


@pytest.mark.parametrize("name", ["study", "plain"])
def test_the_chi2_is_that_of_tests(request, name):
    """Of the same blocks; `chi2.csv` also knows that predictions are scaled to the data."""
    result = binned(request.getfixturevalue(name)).of(["y"])
    blocks = {each: covariance.Block(block) for each, block in result.measured.items()}
    for reference in result.references.values():
        shape = result.normalization == "shape"
        difference = result.content - reference.content
        expected = covariance.chi2_test(difference, blocks, normalised=shape)
        assert expected.chi2 > 0
        assert Fit.of(result).chi2(reference.content) == pytest.approx(expected.chi2)


def test_workspaces_of_a_study(study, tmp_path):
    folder = tmp_path / "fits"
    lines = fits.write(study, None, None, folder)
    assert {path.name for path in folder.iterdir()} == {
        *("x.json", "y.json", "joint.json", "notes.json")
    }
    assert lines == [f"{folder / name}.json" for name in ("x", "y", "joint")]
    notes = json.loads((folder / "notes.json").read_text())
    assert notes["not_written"] == {}
    assert notes["model"]["samples"][0]["prediction"] == "standard"
    content = binned(study).content
    for name in ("x", "y", "joint"):
        spec = json.loads((folder / f"{name}.json").read_text())
        model, data = _loaded(fits.Workspace(spec))
        told = notes["workspaces"][name]
        offset = np.concatenate(list(told["offset"].values()))
        rows = {"x": slice(0, 3), "y": slice(3, 5), "joint": slice(0, 5)}[name]
        observed = np.array(data[: len(offset)]) / told["scale"] - offset
        np.testing.assert_allclose(observed, content[rows], rtol=1e-9)
        best = pyhf.infer.mle.fit(data, model)[model.config.poi_index]
        assert 0.5 < best < 2
    assert fits.write(study, None, None, folder) == lines  # over what an earlier one wrote


def test_observables_that_the_model_names(study, tmp_path):
    samples = (Sample(name="s", prediction="standard", parameter="mu"),)
    for names, file in ((("y",), "y.json"), (("y", "x"), "joint.json")):
        wanted = Model(observables=names, interest="mu", samples=samples)
        folder = tmp_path / file
        assert fits.write(study, None, None, folder, wanted) == [f"{folder / file}"]
        spec = json.loads((folder / file).read_text())
        assert [channel["name"] for channel in spec["channels"]] == list(names)


def test_what_cannot_be_inverted_is_not_written_and_said(study, monkeypatch, tmp_path):
    result = binned(study)
    few = np.outer(result.content, result.content)
    few[:3, :3] += np.eye(3)
    single = dataclasses.replace(result, measured={"training": few})
    monkeypatch.setattr(fits, "binned", lambda *_: single)
    lines = fits.write(study, None, None, tmp_path / "fits")
    assert [line.partition(":")[0] for line in lines] == [
        *(f"{tmp_path / 'fits' / 'x'}.json", "not written", "not written")
    ]
    assert "y: the covariance of 2 bins has 1 directions" in lines[1]
    assert not (tmp_path / "fits" / "joint.json").exists()


def test_without_a_covariance_there_is_no_fit(plain, tmp_path):
    """Two passes measure one direction, which is enough for two bins of unit sum alone."""
    folder = tmp_path / "fits"
    lines = fits.write(plain, None, None, folder)
    assert lines[0] == f"{folder / 'y'}.json"
    assert "x: the covariance of 3 bins has 1 directions with an error, and 2 are" in lines[1]
    assert [line for line in lines if line.startswith("absent: systematic: set ")]
    samples = (Sample(name="s", prediction="simulation", parameter="mu"),)
    wanted = Model(observables=("x",), interest="mu", samples=samples)
    with pytest.raises(InputError, match="replicas than bins, take wider bins, or fit fewer"):
        fits.write(plain, None, None, tmp_path / "x", wanted)
    bare = dataclasses.replace(binned(plain), measured={}, blocks={}, total=None)
    with pytest.raises(InputError, match="no covariance to fit: data: set uncertainties"):
        Fit.of(bare)
    assert list(tmp_path.iterdir()) == [folder]


def test_folders_with_other_files_are_left_alone(study, tmp_path):
    (tmp_path / "mine.txt").write_text("kept")
    with pytest.raises(OutputError, match="holds other files"):
        fits.write(study, None, None, tmp_path)
    with pytest.raises(OutputError, match="is a file"):
        fits.write(study, None, None, tmp_path / "mine.txt")
    assert (tmp_path / "mine.txt").read_text() == "kept"
