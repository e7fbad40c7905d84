"""Unfold events of a program, in this process."""

from __future__ import annotations

import re
import shutil
import tempfile
import warnings
import weakref
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from omniflow import outside
from omniflow.api.run import evaluate, run
from omniflow.api.study import Study
from omniflow.config import validate
from omniflow.config.paths import escaped
from omniflow.config.section import NAME
from omniflow.config.text import combined, on_top
from omniflow.errors import ConfigError, InputError, OutputError
from omniflow.events import store
from omniflow.events.sample import Events
from omniflow.lock import Lock
from omniflow.sources.memory import Memory
from omniflow.training.interrupt import Interrupted
from omniflow.unfolding import rounds
from omniflow.unfolding.plan import Plan


def unfold(
    data: Events,
    simulation: Events,
    *,
    methods: Mapping[str, Mapping[str, Any]] | None = None,
    iterations: int | None = None,
    passes: int | None = None,
    seed: int | None = None,
    classifier: str | Mapping[str, Any] | Callable[..., Any] | None = None,
    training: Mapping[str, Any] | None = None,
    unfolding: Mapping[str, Any] | None = None,
    combine: Sequence[str] | None = None,
    backgrounds: Mapping[str, Events | Mapping[str, Any]] | None = None,
    pretraining: Mapping[str, Any] | None = None,
    observables: Mapping[str, Any] | None = None,
    uncertainties: Mapping[str, Any] | None = None,
    diagnostics: Mapping[str, Any] | None = None,
    execution: Mapping[str, Any] | None = None,
    config: str | Path | Mapping[str, Any] | None = None,
    output: str | Path | None = None,
    verbose: bool = False,
) -> Study:
    """Unfold data with simulated events, in memory, and return what the study found.

    The steps are those that Snakemake runs from a YAML file, by the same functions: equal settings,
    seeds and events give equal weights, bit by bit on a CPU. Sections are written as in the YAML
    (docs/configuration.md), and have its defaults; `Events` may stand wherever it has a sample.

    Args:
        data: what is unfolded; the particle level of pseudo-data is used for the report alone.
        simulation: events with both levels.
        methods: strategies by name, such as `{"parallel": {"lanes": 5}}`; by default `none`, one
            network per step.
        iterations: `unfolding.iterations`.
        passes: `study.passes`.
        seed: `study.seed`.
        classifier: section, kind, or a function (settings, particle_features, event_features) of
            yours that builds a Keras model (docs/python.md). Without a kind it is `pet` for events
            with particles, and `mlp` for those without.
        training: section.
        unfolding: section.
        combine: section.
        backgrounds: what is subtracted, events or sections with a `sample`, by name.
        pretraining: section `samples.pretraining`.
        observables: section; what the report and the tables show.
        uncertainties: section.
        diagnostics: section.
        execution: section.
        config: YAML file, or mapping, with further sections; the arguments stand on top of it, data
            and simulation in place of its `samples.data` and `samples.simulation`.
        output: folder of the study, which stays; its name is that of the study. Trainings that it
            holds already are taken over. By default a temporary one, which is removed with the
            object that is returned.
        verbose: print a line per step.

    Returns:
        The study: `weights`, `ensemble`, `histogram`, `summary`, `report` and more.

    Raises:
        ConfigError: settings are not valid; the message lists all problems.
        InputError: the events cannot be unfolded.
        LockError, OutputError: another process works on `output`, or it cannot be written.
        TrainingError: a network failed.

    Examples:
        >>> import numpy as np
        >>> import omniflow
        >>> rng = np.random.default_rng(1)
        >>> truth = rng.normal(0, 1, 2000)
        >>> simulation = omniflow.Events.from_arrays(truth + rng.normal(0, 0.5, 2000), truth)
        >>> data = omniflow.Events.from_arrays(rng.normal(0.2, 1.1, 2000))
        >>> result = omniflow.unfold(
        ...     data,
        ...     simulation,
        ...     methods={"parallel": {"lanes": 2}},
        ...     iterations=1,
        ...     passes=1,
        ...     training={"epochs": 1, "min_updates": 1},
        ... )
        >>> result.weights.shape, result.ensemble.shape
        ((2000,), (1, 2000))
        >>> result.histogram("x0", edges=[-2, 0, 2]).axes[0].size
        2
    """
    given = {
        "methods": methods,
        "unfolding": _with(unfolding, iterations=iterations),
        "study": _with(None, passes=passes, seed=seed),
        "classifier": _classifier(classifier),
        "training": training,
        "combine": combine,
        "observables": observables,
        "uncertainties": uncertainties,
        "diagnostics": diagnostics,
        "execution": execution,
    }
    raw = _sections(config, {key: value for key, value in given.items() if value is not None})
    samples = {"backgrounds": _backgrounds(backgrounds), "pretraining": pretraining}
    samples = {key: value for key, value in samples.items() if value is not None}
    others = raw.get("samples")
    others = others if isinstance(others, Mapping) else {}
    raw["samples"] = {**others, "data": data, "simulation": simulation, **samples}
    _fill_in(raw, data, simulation)
    root = Path(config).parent if isinstance(config, str | Path) else None
    if output is not None:
        plan = _plan(raw, _named(Path(output).expanduser().absolute()), root)
        _make(plan.root)
        lock = Lock(plan.root)
        lock.acquire(print)
        try:
            return _run(plan, verbose)
        finally:
            lock.release()
    folder = Path(tempfile.mkdtemp(prefix="omniflow-"))
    try:
        study = _run(_plan(raw, folder / raw["study"].get("name", "unfolded"), root), verbose)
    except BaseException as error:
        shutil.rmtree(folder, ignore_errors=True)
        if isinstance(error, Interrupted):  # nothing is kept that a rerun could go on from
            raise KeyboardInterrupt from None
        raise
    weakref.finalize(study, shutil.rmtree, folder, ignore_errors=True)
    return study


def _plan(raw: dict[str, Any], folder: Path, root: Path | None) -> Plan:
    """Return the plan of sections, of which the study is in `folder`."""
    place = {"name": folder.name, "output": escaped(str(folder.parent))}
    raw = {**raw, "study": {**raw["study"], **place}}
    return Plan(validate(_as_sources(raw), "omniflow.unfold", root))


def _named(folder: Path) -> Path:
    """Return a folder whose name a study may have.

    Raises:
        ConfigError: it has another.
    """
    if not re.fullmatch(NAME, folder.name):
        raise ConfigError(
            f"omniflow.unfold: output: a study cannot be called {folder.name!r}; give a folder "
            "whose name is of small letters, digits, _ and -, such as results/mine"
        )
    return folder


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"omniflow.unfold: output: {folder} cannot be made ({error.strerror}); give another "
            "folder"
        ) from None


def _run(plan: Plan, verbose: bool) -> Study:
    """Run a plan, and return its study; tables that cannot be made are a warning."""
    run(plan, verbose=verbose)
    for role in plan.samples:
        for doubt in store.warnings(plan.store(role)):
            warnings.warn(f"{role}: {doubt}", stacklevel=3)
    try:
        evaluate(plan, verbose=verbose)
    except Exception as error:  # weights that took hours must not be lost with it
        warnings.warn(
            "the weights are there, but tables and report could not be made "
            f"({type(error).__name__}: {error})",
            stacklevel=3,
        )
    plan = rounds.decided(plan)
    return Study(plan, {r: s.held for r, s in plan.samples.items() if isinstance(s, Memory)})


# -- sections ------------------------------------------------------------------------------------


def _sections(
    config: str | Path | Mapping[str, Any] | None, given: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the sections of a configuration with those that are given on top, without samples."""
    raw = {} if config is None else config
    raw = on_top(dict(raw) if isinstance(raw, Mapping) else combined([raw]), given)
    return {**raw, "study": raw.get("study") or {}, "methods": raw.get("methods") or {"none": {}}}


def _fill_in(raw: dict[str, Any], data: Any, simulation: Any) -> None:
    """Fill in what follows from the events where nobody has said it.

    Raises:
        InputError: these are no events, there is no truth of the simulation, or their columns
            differ.
    """
    for name, events in (("data", data), ("simulation", simulation)):
        if not isinstance(events, Events):
            raise InputError(
                f"omniflow.unfold: {name} is a {type(events).__name__}; make events of arrays by "
                "omniflow.Events.from_arrays"
            )
    if simulation.particle is None:
        raise InputError(
            "omniflow.unfold: simulation has no particle level, which is what is unfolded; give "
            "the truth of its events: Events.from_arrays(detector, particle)"
        )
    classifier = dict(raw.get("classifier") or {})
    if "features" not in classifier:
        _require_same_columns(data, simulation)
    levels = (simulation.detector, simulation.particle)
    kind = "pet" if any(level.particle_columns for level in levels) else "mlp"
    raw["classifier"] = {"kind": kind, **classifier}


def _require_same_columns(data: Events, simulation: Events) -> None:
    """Refuse data with other columns than the simulation at detector level: networks see them."""
    for kind in ("event_columns", "particle_columns"):
        found, expected = (set(getattr(each.detector, kind)) for each in (data, simulation))
        if found != expected:
            raise InputError(
                f"omniflow.unfold: data, detector level: its {kind.replace('_', ' ')} are "
                f"{sorted(found)}, those of the simulation at detector level {sorted(expected)}. "
                "Give both the same columns, or say by classifier={'features': ...} what networks "
                "see (docs/features.md)"
            )


def _with(section: Mapping[str, Any] | None, **more: Any) -> dict[str, Any] | None:
    """Return a section with more keys, of which those that are None are left out."""
    more = {key: value for key, value in more.items() if value is not None}
    return None if section is None and not more else {**(section or {}), **more}


def _classifier(given: Any) -> dict[str, Any] | None:
    """Return the section of a classifier; functions become references to them."""
    if given is None:
        return None
    section = dict(given) if isinstance(given, Mapping) else {"kind": given}
    kind = section.get("kind")
    if hasattr(kind, "get_weights"):
        raise ConfigError(
            "classifier: this is a model; give a function (settings, particle_features, "
            "event_features) that builds one, because every network is a new one"
        )
    if callable(kind):
        section["kind"] = outside.hold(kind)
    return section


def _backgrounds(given: Any) -> dict[str, Any] | None:
    if given is None:
        return None
    entries = given if isinstance(given, Mapping) else {"": given}
    for name, entry in entries.items():
        if not isinstance(entry, Events | Mapping) or not name:
            raise InputError(
                f"omniflow.unfold: backgrounds{f'[{name!r}]' if name else ''} is a "
                f"{type(entry).__name__}; give events, or sections with a `sample`, by name"
            )
    return {k: {"sample": v} if isinstance(v, Events) else v for k, v in entries.items()}


def _as_sources(given: Any) -> Any:
    """Return sections with sources in place of events."""
    if isinstance(given, Events):
        return Memory.of(given)
    if isinstance(given, Mapping):
        return {key: _as_sources(value) for key, value in given.items()}
    return given
