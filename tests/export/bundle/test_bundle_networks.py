"""Networks of a bundle give what the study's networks give."""

import json

import export_samples
import numpy as np
import pytest

import omniflow
from omniflow.errors import InputError
from omniflow.export.bundle import trained, write
from omniflow.export.bundle.networks import DESCRIPTION, NUMBERS, read


@pytest.fixture(scope="module")
def thinned(tmp_path_factory):
    return export_samples.thinned(tmp_path_factory.mktemp("thinned") / "thinned")


def test_the_events_of_the_study_get_their_weights(study, bundle):
    nu = bundle.reweight(study.simulation)
    np.testing.assert_allclose(nu, study.ratios_of("hybrid"), rtol=1e-6)
    assert (nu[~study.simulation.pass_particle] == 1).all()
    ids = bundle.events.numbers("event_id")
    at = dict(zip(study.simulation.event_id.tolist(), nu, strict=True))
    ours = bundle.weights("base") * [at[i] for i in ids.tolist()]
    np.testing.assert_allclose(ours, bundle.weights(), rtol=1e-6)


def test_other_events_get_what_the_study_gives_them(study, bundle):
    others = export_samples.events(40, 0.2, 9)
    np.testing.assert_allclose(bundle.reweight(others), study.reweight(others), rtol=1e-6)
    columns = omniflow.Events.from_arrays(
        {"y": [1.0], "x": [0.0]}, {"y": [1.0], "z": [3.0], "x": [0.0]}
    )
    swapped = omniflow.Events.from_arrays({"x": [0.0]}, {"x": [0.0], "y": [1.0]})
    np.testing.assert_array_equal(bundle.reweight(columns), bundle.reweight(swapped))


def test_particles_and_folds(tmp_path):
    study = export_samples.jagged(tmp_path / "study")
    write(study, output=tmp_path / "b")
    bundle = omniflow.read_bundle(tmp_path / "b")
    nu = bundle.reweight(study.simulation)
    np.testing.assert_allclose(nu, study.ratios_of(), rtol=1e-6)
    others = export_samples.with_particles(30, 0.1, 5)
    np.testing.assert_allclose(bundle.reweight(others), study.reweight(others), rtol=1e-6)


@pytest.mark.parametrize("method", ["copies", "stacked"])
def test_members_of_every_kind(thinned, tmp_path, method):
    write(thinned, method, output=tmp_path / "b")
    nu = omniflow.read_bundle(tmp_path / "b").reweight(thinned.simulation)
    np.testing.assert_allclose(nu, thinned.ratios_of(method), rtol=1e-6)


def test_events_that_do_not_fit_are_refused(bundle):
    data = omniflow.Events.from_arrays({"x": [0.0], "y": [1.0]})
    with pytest.raises(InputError, match="have no particle level"):
        bundle.reweight(data)
    lacking = omniflow.Events.from_arrays({"x": [0.0]}, {"x": [0.0]})
    with pytest.raises(InputError, match=r"have no event\.y at particle level"):
        bundle.reweight(lacking)
    with pytest.raises(InputError, match="make events of arrays"):
        bundle.reweight(np.zeros(3))


def test_networks_that_are_not_there(study, bundle, tmp_path, monkeypatch):
    with pytest.raises(InputError, match="has no networks; ask its authors"):
        bundle.samples["model"].reweight(study.simulation)
    monkeypatch.setattr(trained, "is_built_in", lambda settings: False)
    notes = write(study, "none", output=tmp_path / "b").notes
    assert any("mlp is a classifier of your own, which a bundle does not run" in n for n in notes)
    assert not (tmp_path / "b" / NUMBERS).exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"classifier": {"kind": "harm.py:run"}}, "'harm.py:run' is no classifier of omniflow"),
        ({"classifier": {"kind": "mlp", "blocks": 10**9}}, "larger than any network"),
        ({"classifier": {"kind": "mlp", "width": 10**9}}, "larger than any network"),
        ({"classifier": {"kind": "pet", "width": 8, "heads": 4}}, "names other parameters"),
        ({"features": {"particles": {}, "event": {"x": "__import__('os')"}, "define": {}}}, "imp"),
        ({"features": {"particles": {}, "event": {}, "define": {}}}, "must have 0 numbers"),
        ({"loss": "os.system"}, "loss 'os.system' is not known"),
        ({"combine": "eval"}, "is no combination"),
        ({"folds": 2}, r"has shape \(2, 2, 2, 1, \d+\) of <f4 where \(2, 2, 2, 2"),
        ({"module": "harm"}, "module: Extra inputs are not permitted"),
        ({"logit_clip": 1e9}, "logit_clip"),
    ],
)
def test_what_a_description_must_not_say(copied, tmp_path, monkeypatch, change, message):
    (tmp_path / "harm.py").write_text("raise SystemExit('was run')")
    monkeypatch.chdir(tmp_path)
    told = json.loads((copied / DESCRIPTION).read_text("utf-8"))
    (copied / DESCRIPTION).write_text(json.dumps(told | change))
    with pytest.raises(InputError, match=message):
        read(copied)


def test_pickles_are_not_read(copied, tmp_path):
    class Harm:
        def __reduce__(self):
            return (open, (str(tmp_path / "was-run"), "w"))

    np.save(copied / NUMBERS, np.array([Harm()], dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match="cannot be read as npy"):
        read(copied)
    assert not (tmp_path / "was-run").exists()
