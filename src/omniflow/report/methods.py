"""Methods: what a study did, as a paragraph for a paper, with its references.

Of settings only those are told that the study has recorded; numbers of networks and epochs are
those that were trained.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from omniflow.report.content import ReportTables
from omniflow.report.formats import count, listing, number
from omniflow.report.references import bibtex
from omniflow.report.study_json import MethodRecord
from omniflow.report.tradeoff import policy

_CITE = re.compile(r" ?\{@([\w,]+)\}")
_OPTIMIZERS = {
    "lion": "Lion {@lion}",
    "adam": "Adam {@adam}",
    "adamw": "AdamW {@adamw}",
    "sgd": "stochastic gradient descent",
    "ecd": "energy-conserving descent {@ecd}",
}
_KINDS = {
    "pet": "point-edge transformers {@omnilearn}",
    "deepsets": "deep sets {@deepsets}",
    "mlp": "multilayer perceptrons",
}
_COMBINE = {
    "mean": "the mean of their weights",
    "median": "the median of their weights",
    "truncated_mean": "the truncated mean of their weights",
    "log_mean": "the geometric mean of their weights",
}
# What LaTeX reads in another way, or what its default fonts lack.
_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "_": r"\_", "#": r"\#", "$": r"\$",
    "{": r"\{", "}": r"\}", "^": r"\^{}", "~": r"\~{}", "×": r"$\times$", "\u202f": r"\,",
    "\u00a0": "~", "−": "$-$", "–": "--",
}  # fmt: skip


@dataclass(frozen=True)
class Methods:
    """The paragraph as plain text and as LaTeX, and the references that both cite."""

    text: str
    latex: str
    bibtex: str


def methods(tables: ReportTables) -> Methods:
    """Return what the study did."""
    sentences = " ".join(_sentences(tables, _settings(tables.study.config_yaml)))
    keys = dict.fromkeys(key for found in _CITE.findall(sentences) for key in found.split(","))
    version = tables.study.versions.get("omniflow", "")
    text = _CITE.sub(lambda found: f" [{found[1].replace(',', ', ')}]", sentences)
    parts = _CITE.split(sentences)  # text and keys by turns
    latex = "".join(
        rf"~\cite{{{part}}}" if i % 2 else "".join(_LATEX.get(c, c) for c in part)
        for i, part in enumerate(parts)
    )
    return Methods(text, latex, bibtex(list(keys), version))


def _settings(text: str) -> dict[str, Any]:
    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError:
        return {}
    return found if isinstance(found, dict) else {}


def _section(settings: dict[str, Any], name: str) -> dict[str, Any]:
    found = settings.get(name)
    return found if isinstance(found, dict) else {}


def _sentences(tables: ReportTables, settings: dict[str, Any]) -> Iterator[str]:
    yield from _samples(tables)
    yield from _unfolding(tables, _section(settings, "unfolding"))
    yield from _network(_section(settings, "classifier"))
    yield from _training(tables, _section(settings, "training"))
    yield from _restart(tables, _section(_section(settings, "unfolding"), "restart"))
    yield from _strategies(tables)
    yield from _uncertainties(tables, _section(settings, "uncertainties"))


def _samples(tables: ReportTables) -> Iterator[str]:
    study = tables.study
    events = {sample.role: sample for sample in study.samples}
    data, simulation = events.get("data"), events.get("simulation")
    if data and simulation:
        kind = "Pseudo-data" if study.has_truth else "Data"
        words = f"{kind} of {count(data.events)} events ({count(data.pass_detector)} of them"
        words += f" pass at detector level) are unfolded with {count(simulation.events)} simulated"
        words += f" events ({count(simulation.pass_detector)} pass at detector level,"
        yield f"{words} {count(simulation.pass_particle)} at particle level)."
    backgrounds = [role for role in events if role.startswith("background-")]
    if backgrounds:
        names = listing([role.removeprefix("background-") for role in backgrounds])
        yield f"Backgrounds are subtracted with simulated events of negative weight ({names})."


def _unfolding(tables: ReportTables, settings: dict[str, Any]) -> Iterator[str]:
    study, version = tables.study, tables.study.versions.get("omniflow", "")
    yield (
        f"The unfolding is OmniFold {{@omnifold}} with {_times(study.iterations, 'iteration')}, "
        f"as implemented in omniflow {version} {{@omniflow}}: in each, classifiers learn weights "
        "that carry the simulation to the data at detector level, and then weights that carry the "
        "original to the weighted simulation at particle level."
    )
    if "1b" in study.steps:
        yield (
            "Events that are not reconstructed get the mean weight of those that are, as a "
            "function of the particle level {@multifold}."
        )
    elif settings.get("misses") == "unity":
        yield "Events that are not reconstructed keep a ratio of 1 in the first step."
    if "2b" in study.steps:
        yield (
            "Reconstructed events outside of the particle level's selection get the mean weight "
            "of the others, as a function of the detector level."
        )
    result = "a shape" if study.normalization == "shape" else "a yield"
    region = "fiducial region" if study.region == "fiducial" else f"region {study.region}"
    yield f"The result is {result}, evaluated in the {region}."


def _network(settings: dict[str, Any]) -> Iterator[str]:
    kind = settings.get("kind")
    if not kind:
        return
    words = f"The classifiers are {_KINDS.get(kind, f'networks of the kind {kind}')}"
    if settings.get("layers"):
        words += f" with layers {settings['layers']}"
    elif kind in _KINDS and settings.get("width"):
        words += f" of width {settings['width']}"
    if kind == "pet" and settings.get("blocks") and settings.get("heads"):
        words += f" with {_times(settings['blocks'], 'block')} and "
        words += f"{_times(settings['heads'], 'attention head')}"
    yield f"{words}."


def _training(tables: ReportTables, settings: dict[str, Any]) -> Iterator[str]:
    trained = tables["timing"][tables["timing"]["purpose"] == "unfolding"]
    words = f"In total {count(len(trained))} networks are trained"
    if loss := settings.get("loss"):
        kind = "binary cross-entropy" if str(loss).startswith("bce") else "a loss"
        words += f" with {kind} ({loss})"
    optimizer = settings.get("optimizer")
    if optimizer in _OPTIMIZERS:
        words += f" by {_OPTIMIZERS[optimizer]}"
        if optimizer != "ecd" and "learning_rate" in settings:
            words += f" at a learning rate of {settings['learning_rate']:g}"
    if "batch_size" in settings:
        words += f" in batches of {settings['batch_size']} events"
    yield f"{words}, for {number(float(trained['epochs'].mean()), 2)} epochs on average."
    if "patience" in settings and "epochs" in settings and "validation" in settings:
        yield (
            f"A training ends after {settings['patience']} epochs without a lower loss on the "
            f"{settings['validation']:.0%} of the events that it holds out, or after "
            f"{settings['epochs']}; the parameters with the lowest loss are used."
        )
    if tables.study.folds > 1:
        yield (
            f"Predictions are cross-fitted with {tables.study.folds} folds: no event gets its "
            "weight from a network that was trained on it."
        )


def _restart(tables: ReportTables, settings: dict[str, Any]) -> Iterator[str]:
    if tables.study.iterations < 2 or "network" not in settings:
        return
    words = "From the second iteration on, networks "
    if settings["network"] == "warm":
        words += "go on from those of the iteration before"
    else:
        words += "start anew in every iteration"
    if settings.get("rate_factor", 1) != 1:
        words += f" at {settings['rate_factor']:g} times the learning rate"
    if settings.get("split") in ("fixed", "fresh"):
        held = "the same" if settings["split"] == "fixed" else "other"
        words += f", and hold out {held} events"
    if settings.get("shrink"):
        words += "; the logarithm of the ratio of step 1 is multiplied by the factor between 0 "
        words += "and 1 that held-out events confirm"
    yield f"{words}."


def _strategies(tables: ReportTables) -> Iterator[str]:
    study = tables.study
    several = len(study.methods) > 1 or study.methods[0].lanes * study.methods[0].members > 1
    cited = " {@stabilizing}" if several else ""
    if len(study.methods) > 1:
        yield f"The study compares {len(study.methods)} strategies of ensembling{cited}."
        for method in study.methods:
            yield f"{method.name}: {_strategy(method, study.headline_combine[method.name])}."
        return
    (method,) = study.methods
    yield f"In every pass {_strategy(method, study.headline_combine[method.name])}{cited}."


def _strategy(method: MethodRecord, combine: str) -> str:
    """Networks of a step, runs of a pass, and where they start."""
    if method.members > 1:
        step = f"{method.members} networks are averaged in every step"
        step += f" ({method.aggregate})" if method.aggregate not in (None, "mean") else ""
    else:
        step = "one network is trained in every step"
    if method.lanes > 1:
        how = _COMBINE.get(combine, combine)
        runs = f"{method.lanes} independent runs"
        runs += f", added until there was a {method.until}," if method.until else ""
        step = f"{runs} are combined by {how}; in each, {step}"
    if method.start != "scratch":
        step += f", from a start of {policy(method)}"
    return step


def _uncertainties(tables: ReportTables, settings: dict[str, Any]) -> Iterator[str]:
    study = tables.study
    if study.passes > 1:
        yield (
            f"Everything is repeated {study.passes} times with other random numbers (passes). The "
            "result is the mean over passes, and their standard deviation the scatter of training."
        )
    replicas = [
        f"{settings[key]} of {name}"
        for key, name in (("data_replicas", "the data"), ("simulation_replicas", "the simulation"))
        if settings.get(key)
    ]
    if study.uncertain and replicas:
        yield (
            "Statistical uncertainties are the scatter of Poisson bootstrap replicas "
            f"({listing(replicas)}), each unfolded anew."
        )
    else:
        yield (
            "Statistical errors are those of weighted sums of events in each bin; no replicas "
            "were unfolded."
        )
    variations = list(_section(settings, "variations"))
    if study.uncertain and variations:
        yield (
            "Systematic uncertainties are shifts of the result with varied inputs "
            f"({listing(variations)}), unfolded with the random numbers of the nominal result."
        )
    if settings.get("toys"):
        yield f"Coverage is measured on {settings['toys']} sets of pseudo-data."
    if tables.binned:
        yield (
            "For comparison, observables of events and jets are unfolded in bins by iterative "
            "Bayesian unfolding {@ibu} of the same events."
        )


def _times(n: int, noun: str) -> str:
    return f"{n} {noun}{'' if n == 1 else 's'}"
