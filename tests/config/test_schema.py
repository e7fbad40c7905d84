import pytest

from omniflow.config import validate
from omniflow.config.training import Classifier, Training
from omniflow.config.unfolding import Method, Unfolding
from omniflow.errors import ConfigError

PYTHIA = {"source": "pythia", "events": 1000, "seed": 3}


def _raw(**changes):
    raw = {
        "study": {"name": "test"},
        "samples": {"data": PYTHIA, "simulation": PYTHIA | {"seed": 4}},
        "methods": {"none": {}},
    }
    return raw | changes


def _refused(pattern, **changes):
    with pytest.raises(ConfigError, match=pattern) as caught:
        validate(_raw(**changes))
    return str(caught.value)


def test_a_minimal_configuration_has_the_defaults_of_the_paper():
    config = validate(_raw())
    assert config.training == Training(
        optimizer="lion", learning_rate=2e-5, batch_size=256, epochs=100, patience=10
    )
    assert config.classifier == Classifier(kind="pet", width=64, heads=4, blocks=4, neighbours=5)
    assert config.unfolding == Unfolding(iterations=5, misses="unity", fakes="unity")
    assert config.methods == {"none": Method(lanes=1, members=1, start="scratch")}
    assert len(config.observables.names) == 9


@pytest.mark.parametrize(
    ("section", "content", "key"),
    [
        ("training", {"epoch": 3}, r"training\.epoch: unknown key; did you mean 'epochs'"),
        ("unfolding", {"restart": {"netwrk": "cold"}}, r"restart\.netwrk.*'network'"),
        ("methods", {"step": {"memebrs": 5}}, r"methods\.step\.memebrs.*'members'"),
        ("trainning", {}, r"trainning: unknown key; did you mean 'training'"),
        ("execution", {"xyz": 1}, r"execution\.xyz: unknown key; valid keys: .*networks_per_job"),
    ],
)
def test_unknown_keys_are_errors_that_suggest_the_nearest(section, content, key):
    _refused(key, **{section: content})


def test_unknown_keys_of_a_sample():
    samples = {"data": PYTHIA | {"showr": "simple"}, "simulation": PYTHIA}
    _refused(r"samples\.data\.showr: unknown key; did you mean 'shower'", samples=samples)


def test_unknown_keys_of_a_sample_of_another_source():
    h1 = {"source": "h1", "files": ["a.h5"], "file": ["b.h5"]}
    _refused(r"'files'", samples={"data": h1, "simulation": PYTHIA})


def test_all_problems_are_listed_at_once():
    message = _refused(
        "3 problem",
        training={"epochs": 0, "patience": "many"},
        study={"name": "Bad Name!"},
    )
    for key in ("training.epochs", "training.patience", "study.name"):
        assert key in message
    assert "'Bad Name!'" in message


def test_missing_sections_are_named():
    with pytest.raises(ConfigError, match="samples: is required but missing"):
        validate({"study": {"name": "x"}, "methods": {"none": {}}})


@pytest.mark.parametrize("raw", [None, [], "text", 3, {}])
def test_what_is_not_a_configuration_is_refused(raw):
    with pytest.raises(ConfigError, match="my file"):
        validate(raw, "my file")


@pytest.mark.parametrize(
    ("section", "content"),
    [
        ("training", {"learning_rate": float("nan")}),
        ("training", {"learning_rate": float("inf")}),
        ("training", {"learning_rate": 0}),
        ("training", {"validation": 1.0}),
        ("training", {"ema": 1.0}),
        ("training", {"clip_norm": 0}),
        ("training", {"optimizer": "rmsprop"}),
        ("training", {"loss": "mlc_logistic"}),
        ("training", {"ecd": {"dt_hat": 0}}),
        ("training", {"ecd": {"eta": "large"}}),
        ("training", {"batch_size": 2.5}),
        ("unfolding", {"iterations": 0}),
        ("unfolding", {"particle_level": "fiducial"}),
        ("unfolding", {"scale": -1}),
        ("unfolding", {"scale": "luminosity"}),
        ("study", {"name": "../outside"}),
        ("study", {"name": ""}),
        ("study", {"name": "x", "seed": -1}),
        ("methods", {}),
        ("methods", {"a b": {}}),
        ("methods", {"../x": {}}),
        ("methods", {"none": {"start": "cold"}}),
        ("combine", []),
        ("combine", ["mean", "mean"]),
        ("combine", ["mode"]),
        ("observables", {"names": []}),
        ("observables", {"names": ["q2", "q2"]}),
        ("observables", {"names": ["mass"]}),
        ("observables", {"binning": {"q2": [1, 1, 2]}}),
        ("observables", {"binning": {"q2": [1]}}),
        ("observables", {"binning": {"mass": [1, 2]}}),
        ("execution", {"networks_per_job": 0}),
    ],
)
def test_values_out_of_range_are_refused(section, content):
    _refused(section, **{section: content})


@pytest.mark.parametrize(
    "sample",
    [
        {"source": "djangoh"},
        {"events": 10},
        PYTHIA | {"events": 0},
        PYTHIA | {"seed": 0},
        PYTHIA | {"shower": "dire"},
        PYTHIA | {"settings": ["no assignment"]},
        {"source": "h1", "files": []},
        {"source": "h1"},
        {"source": "h1", "files": ["a.h5"], "skip": -1},
    ],
)
def test_samples_are_checked(sample):
    _refused(r"samples\.data", samples={"data": sample, "simulation": PYTHIA})


def test_heads_must_divide_the_width_of_a_pet_alone():
    _refused(r"heads \(4\) must divide width \(30\)", classifier={"width": 30})
    assert validate(_raw(classifier={"width": 30, "kind": "mlp"})).classifier.width == 30


def test_widths_of_layers_are_those_of_mlps_and_deep_sets():
    for kind in ("mlp", "deepsets"):
        assert validate(_raw(classifier={"kind": kind, "layers": [8, 16]})).classifier.widths == (
            8,
            16,
        )
    found = validate(_raw(classifier={"kind": "mlp", "width": 8, "blocks": 3})).classifier
    assert found.widths == (8, 8, 8)
    with pytest.raises(ConfigError, match="layers are for mlp and deepsets; pet has width"):
        validate(_raw(classifier={"kind": "pet", "layers": [8]}))
    with pytest.raises(ConfigError, match=r"classifier\.layers"):
        validate(_raw(classifier={"kind": "mlp", "layers": []}))


def test_several_ranks_have_a_gpu_each_or_none():
    for ranks, gpus in ((1, 2), (2, 0), (2, 2)):
        assert validate(_raw(execution={"ranks": ranks, "gpus": gpus})).execution.ranks == ranks
    _refused(r"gpus \(1\) must be 0 or as many as ranks \(2\)", execution={"ranks": 2, "gpus": 1})


@pytest.mark.parametrize(
    ("key", "value", "acts", "does_not"),
    [
        ("weight_decay", 0.1, ["lion", "adamw"], ["adam", "sgd", "ecd"]),
        ("beta_1", 0.8, ["lion", "adamw", "adam"], ["sgd", "ecd"]),
        ("beta_2", 0.9, ["lion", "adamw", "adam"], ["sgd", "ecd"]),
        ("ecd", {"dt_hat": 1.0}, ["ecd"], ["lion", "adamw", "adam", "sgd"]),
        ("learning_rate", 1e-3, ["lion", "adamw", "adam", "sgd"], ["ecd"]),
        ("schedule", "constant", ["lion", "adamw", "adam", "sgd"], ["ecd"]),
        ("warmup_epochs", 1.0, ["lion", "adamw", "adam", "sgd"], ["ecd"]),
        ("clip_norm", None, ["lion", "adamw", "adam", "sgd"], ["ecd"]),
    ],
)
def test_settings_that_do_not_act_on_the_optimiser_are_refused(key, value, acts, does_not):
    for optimizer in acts:
        found = validate(_raw(training={"optimizer": optimizer, key: value}))
        assert validate(found.model_dump(mode="json")) == found
    for optimizer in does_not:
        training = {"optimizer": optimizer, key: value}
        _refused(rf"training\.{key} does not act on .*: {optimizer}", training=training)
        # All defaults, written down, are what they are.
        plain = validate(_raw(training={"optimizer": optimizer}))
        assert validate(plain.model_dump(mode="json")) == plain


@pytest.mark.parametrize("aggregate", ["median", "log_mean"])
def test_an_aggregate_takes_members(aggregate):
    method = {"aggregate": aggregate}
    _refused(r"methods\.one\.aggregate combines members", methods={"one": method | {"lanes": 3}})
    validate(_raw(methods={"two": method | {"members": 2}}))
    validate(_raw(methods={"one": {"aggregate": "mean"}}))


def test_a_rate_factor_does_not_act_on_ecd():
    restart = {"restart": {"rate_factor": 0.5}}
    assert validate(_raw(unfolding=restart)).unfolding.restart.rate_factor == 0.5
    _refused("rate_factor does not act", training={"optimizer": "ecd"}, unfolding=restart)


def test_a_truncated_mean_needs_three_members():
    _refused("at least 3", methods={"step": {"members": 2, "aggregate": "truncated_mean"}})
    validate(_raw(methods={"step": {"members": 3, "aggregate": "truncated_mean"}}))


@pytest.mark.parametrize("start", ["pretrained", "backbone"])
def test_pretrained_methods_need_a_pretraining_sample(start):
    methods = {"pre": {"start": start}}
    _refused(r"methods\.pre\.start.*samples\.pretraining", methods=methods)
    pair = {"numerator": PYTHIA | {"seed": 8}, "denominator": PYTHIA | {"seed": 9}}
    samples = _raw()["samples"] | {"pretraining": pair}
    config = validate(_raw(methods=methods, samples=samples))
    assert config.methods["pre"].start == start


def _pretrained(method, **pretraining):
    samples = _raw()["samples"] | {"pretraining": pretraining}
    return {"samples": samples, "methods": {"pre": {"start": "backbone"} | method}}


TWO = {"numerator": PYTHIA | {"seed": 8}, "denominator": PYTHIA | {"seed": 9}}


@pytest.mark.parametrize(
    ("pretraining", "message"),
    [
        ({}, "give one of: numerator and denominator"),
        ({"numerator": PYTHIA | {"seed": 8}}, "denominator is missing"),
        (TWO | {"simulation": PYTHIA | {"seed": 7}}, "give one of"),
        (TWO | {"weights": ["a.weights.h5"]}, "give one of"),
        ({"weights": ["network.h5"]}, "pattern"),
        (TWO | {"other_events": True}, "other_events is for weights"),
        (
            {"weights": ["a.weights.h5"], "other_events": True, "allow_overlap": True},
            "contradict each other",
        ),
        ({"simulation": PYTHIA | {"seed": 4}}, "simulation hold the same events"),
        ({"simulation": PYTHIA | {"showr": "simple"}}, r"simulation\.showr.*did you mean 'shower'"),
    ],
)
def test_pretraining_is_of_one_kind(pretraining, message):
    _refused(message, **_pretrained({}, **pretraining))


@pytest.mark.parametrize(
    "pretraining",
    [
        TWO,
        {"simulation": PYTHIA | {"seed": 8}},
        {"simulation": PYTHIA | {"seed": 4}, "allow_overlap": True},
        {"weights": ["a.weights.h5", "b.weights.h5"]},
        {"weights": ["a.weights.h5"], "other_events": True},
    ],
)
def test_kinds_of_pretraining(pretraining):
    config = validate(_raw(**_pretrained({}, **pretraining)))
    assert validate(config.model_dump(mode="json")) == config


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ({"start": "scratch", "transfer": {"freeze_epochs": 2}}, "acts on pre-trained networks"),
        ({"transfer": {"models": 0}}, r"transfer\.models"),
        ({"transfer": {"per_pass": True}}, "needs several models"),
        ({"transfer": {"freeze_epochs": -1}}, "freeze_epochs"),
        ({"transfer": {"freeze_epochs": "never"}}, "freeze_epochs"),
        ({"transfer": {"backbone_rate_factor": 0}}, "backbone_rate_factor"),
    ],
)
def test_transfer_policies_are_checked(method, message):
    _refused(message, **_pretrained(method, **TWO))


def test_there_are_as_many_files_as_models():
    files = {"weights": ["a.weights.h5", "b.weights.h5"]}
    validate(_raw(**_pretrained({"transfer": {"models": 2}}, **files)))
    _refused(r"models is 3 but .* 2 file", **_pretrained({"transfer": {"models": 3}}, **files))


def test_ecd_has_no_transfer_policies():
    for transfer in ({"freeze_epochs": "all"}, {"backbone_rate_factor": 0.5}):
        changes = _pretrained({"transfer": transfer}, **TWO)
        validate(_raw(**changes))
        _refused("does not go with", training={"optimizer": "ecd"}, **changes)


def test_a_configuration_cannot_be_changed():
    config = validate(_raw())
    with pytest.raises(ValueError, match="frozen"):
        config.training.epochs = 3


def test_shrinking_needs_events_that_no_iteration_has_trained_on():
    good = {"restart": {"shrink": True, "split": "fixed"}}
    assert validate(_raw(unfolding=good)).unfolding.restart.shrink
    _refused("shrink needs split: fixed", unfolding={"restart": {"shrink": True}})
