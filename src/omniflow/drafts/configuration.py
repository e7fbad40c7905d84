"""Configuration: a whole configuration of two samples, with settings that suit their size."""

from __future__ import annotations

import glob
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from omniflow.drafts import completion
from omniflow.drafts.content import Content, look
from omniflow.drafts.draft import TODO, Column, Level, Notes, Sample
from omniflow.drafts.names import beginning
from omniflow.drafts.roles import Roles
from omniflow.errors import InputError
from omniflow.expressions import parse

_OBSERVABLES = 30  # columns that are compared
_ALIKE = 3  # letters that the names of two single columns begin with, to be one quantity


@dataclass(frozen=True)
class Study:
    """A configuration and what is written beside it.

    Attributes:
        config: as of a YAML file.
        notes: sentences by the path of a key, behind it or above it.
        above: sentences above a key, by its path.
    """

    config: dict[str, Any]
    notes: Notes
    above: dict[tuple[str, ...], list[str]]


def draft(roles: Roles, name: str) -> Study:
    """Return the configuration of data and simulation.

    Raises:
        InputError: the data have none of the simulation's columns of detector level.
    """
    data, simulation = deepcopy(roles.data), deepcopy(roles.simulation)
    _fit(data, simulation, roles)
    observables = _observables(data, simulation)
    config: dict[str, Any] = {"study": {"name": name, "passes": 1}}
    config["samples"] = {"data": data.config(), "simulation": simulation.config()}
    config |= _settings(simulation)
    if steep := _steep(simulation, roles.data):
        config["classifier"]["features"] = {"event": _features(simulation, steep)}
    unfolding: dict[str, Any] = {"iterations": 4}
    if simulation.has_particles:  # not for few columns per event (docs/iterations.md)
        unfolding["restart"] = {"split": "fixed", "shrink": True, "rate_factor": 0.5}
    if completion.lacks_truth(simulation):
        unfolding["particle_level"] = "pass_gen"
    config |= {"unfolding": unfolding, "methods": {"none": {}, "parallel": {"lanes": 5}}}
    if observables:
        config["observables"] = {"define": observables}
    notes = data.comments("samples", "data") | simulation.comments("samples", "simulation")
    notes |= _notes(config, data, simulation)
    above: dict[tuple[str, ...], list[str]] = {
        ("samples", "data"): [roles.why[:1].upper() + roles.why[1:] + ".", *data.remarks],
        ("samples", "simulation"): list(simulation.remarks),
    }
    if data.remarks == simulation.remarks:
        del above["samples", "simulation"]
    return Study(config, notes, above)


def _fit(data: Sample, simulation: Sample, roles: Roles) -> None:
    """Make detector levels alike: what the data do not have is left out of both.

    Raises:
        InputError: nothing is left.
    """
    if not roles.pseudo:
        data.particle, data.truth = None, False
    if simulation.detector is None or data.detector is None:
        if data.source != simulation.source:
            raise InputError(
                f"{data.files[0]} and {simulation.files[0]}: are of different layouts "
                f"({data.source}, {simulation.source}) that have no column in common; give files "
                "of one layout"
            )
        return
    content = look(_first(roles.data))
    theirs, ours = data.detector, simulation.detector
    said = {key: text for key, text in ours.notes.items() if key != "table" or theirs.table}
    kept, lost = Level(notes=said, table=theirs.table), []
    numbered = _numbered(theirs, ours)
    for part, key, column in list(ours.columns()):
        mine = getattr(theirs, part).get(key)
        if _has(content, column.expression):
            getattr(kept, part)[key] = column if mine is None else _unit(column, mine)
        elif mine is not None:
            getattr(kept, part)[key] = mine
        elif (other := numbered.get((part, key))) is not None:
            getattr(kept, part)[key] = other
            kept.notes[part] = f"{TODO}other arrays than in the simulation: taken in their order"
        else:
            lost.append(key)
            del getattr(ours, part)[key]
    if not kept.event and not kept.particles:
        raise InputError(
            f"{data.files[0]}: has none of the columns of detector level of "
            f"{simulation.files[0]}, "
            f"which are {', '.join(lost[:15])}; it has "
            f"{', '.join(content.tables[0].names[:15])}. Give data and simulation of one layout, "
            "or the same names"
        )
    for key in ("keep", "selection"):
        text = getattr(ours, key)
        if text and _has(content, text):
            setattr(kept, key, text)
            continue
        setattr(kept, key, getattr(theirs, key))
        kept.notes.pop(key, None)
        if key in theirs.notes:
            kept.notes[key] = theirs.notes[key]
        if key == "selection" and text and not getattr(theirs, key):
            data.remarks.append(
                f"{TODO}the simulation has the selection {text}, which the data do not hold: if "
                "they have not passed it, say so here by the same cuts (detector: selection)."
            )
    if lost:
        simulation.remarks.append(
            f"Left out of detector level, because the data lack them: {', '.join(lost)}."
        )
    data.detector = kept
    data.missing = simulation.missing = sorted({*data.missing, *simulation.missing}, reverse=True)
    for sample in (data, simulation):
        if sample.missing:
            sample.notes["missing"] = "stands for an absent number: the event fails at that level"
    if data.weight and not roles.pseudo:
        data.notes["weight"] = f"{TODO}do data have a weight? A column is called like one"


def _numbered(theirs: Level, ours: Level) -> dict[tuple[str, str], Column]:
    """Return columns of arrays of other names that have as many, by part and the name of ours."""
    found: dict[tuple[str, str], Column] = {}
    for part in ("event", "particles"):
        one, other = getattr(ours, part), getattr(theirs, part)
        ends = [[key.rpartition("_")[2] for key in columns] for columns in (one, other)]
        alike = len(one) == len(other) == 1 and len(beginning([*one, *other])) >= _ALIKE
        if alike or (ends[0] == ends[1] and all(end.isdigit() for end in ends[0])):
            found |= {(part, key): each for key, each in zip(one, other.values(), strict=True)}
    return found


def _first(sample: Sample) -> str:
    """Return its first file, also of a pattern."""
    return min(glob.glob(sample.files[0]), default=sample.files[0])


def _unit(column: Any, mine: Any) -> Any:
    """Return the simulation's column, with the unit that the data have."""
    return column if column.unit == mine.unit or not mine.unit else mine


def _has(content: Content, text: str) -> bool:
    """Return whether a file has all columns of an expression, whatever their indices."""
    wanted = parse(text, indices=True).names
    for table in content.tables:
        known = {*table.names, *table.arrays, *(n.replace(".", "/") for n in table.names)}
        if all(name in known or name.partition("[")[0] in known for name in wanted):
            return True
    return False


def _observables(data: Sample, simulation: Sample) -> dict[str, Any]:
    """Return observables with bins of equal contents."""
    if simulation.own:
        return {name: {**how, "bins": {"quantiles": 20}} for name, how in simulation.own.items()}
    if simulation.detector is None or simulation.particle is None:
        return {}
    found: dict[str, Any] = {}
    both = [n for n in simulation.detector.event if n in simulation.particle.event]
    units = simulation.model().units()
    for name in both[:_OBSERVABLES]:
        found[name] = {"expression": name} | _unit_of(name, units)
        found[name]["bins"] = {"quantiles": 20}
    particles = [n for n in simulation.detector.particles if n in simulation.particle.particles]
    if particles:
        first = particles[0]
        made = {"multiplicity": {"expression": f"count(particles.{first})"}}
        if "pt" in particles:
            unit = _unit_of("pt", units)
            made |= {
                "sum_pt": {"expression": "sum(particles.pt)"} | unit,
                "lead_pt": {"expression": "first(sort(particles.pt))"} | unit,
            }
        for name, how in made.items():
            if name not in found:
                found[name] = how | {"bins": {"quantiles": 20}}
    return found


def _unit_of(name: str, units: dict[str, str]) -> dict[str, str]:
    unit = units.get(name, "")
    return {"unit": unit} if unit else {}


def _settings(simulation: Sample) -> dict[str, Any]:
    """Return classifier and training that suit the number of events."""
    events = (simulation.entries - simulation.skip) or 1
    small, large = events < 50_000, events >= 1_000_000
    if simulation.has_particles:
        # Of config/closure.yaml, which has been measured on 120,000 events.
        classifier: dict[str, Any] = {"kind": "pet", "width": 32, "blocks": 2, "class_blocks": 1}
        if large:
            classifier = {"kind": "pet"}
        classifier["layer_scale"] = 0.1
        training: dict[str, Any] = {"optimizer": "adamw", "learning_rate": 1e-3}
    else:
        classifier = {"kind": "mlp", "width": 64, "blocks": 3}
        training = {"optimizer": "adamw", "learning_rate": 1e-3}
    training |= {"beta_1": 0.9, "beta_2": 0.999, "warmup_epochs": 0.5}
    training |= {"epochs": 10 if small else 20 if not large else 30, "patience": 3 if small else 5}
    if not simulation.has_particles and not small:
        training["batch_size"] = 1024
    return {"classifier": classifier, "training": training, **simulation.settings}


def _steep(simulation: Sample, data: Sample) -> list[str]:
    """Return columns that networks should see as logarithms, where they see columns alone.

    They are positive in all samples and at both levels, as far as the first records tell.
    """
    one, other, measured = simulation.detector, simulation.particle, data.detector
    if simulation.has_particles or one is None or other is None or measured is None:
        return []
    if list(one.event) != list(other.event):
        return []
    everywhere = {*one.steep} & {*other.steep} & {*measured.steep}
    return [name for name in one.event if name in everywhere]


def _features(simulation: Sample, steep: list[str]) -> dict[str, str]:
    assert simulation.detector is not None
    return {
        f"log_{name}" if name in steep else name: f"log({name})" if name in steep else name
        for name in simulation.detector.event
    }


def _notes(config: dict[str, Any], data: Sample, simulation: Sample) -> Notes:
    """Return what is said of settings."""
    kind = config["classifier"]["kind"]
    network = "sees particles" if kind == "pet" else "sees columns of events alone"
    found: Notes = {
        ("study", "passes"): "repetitions of each method; their scatter is the spread of training",
        ("classifier", "kind"): network,
        ("training", "epochs"): "chosen for so many events; patience may end trainings earlier",
        ("unfolding", "iterations"): "the report says where to stop",
        ("unfolding", "restart"): "as measured on events with many particles (docs/iterations.md)",
        ("methods", "none"): "one network per step",
        ("methods", "parallel"): "five complete runs, whose mean is the result",
        ("observables",): "what is compared, in bins of equal contents; any expression will do",
    }
    if "features" in config["classifier"]:
        found["classifier", "features"] = (
            "logarithms of columns that span much: networks see little of a long tail"
        )
    if "particle_level" in config["unfolding"]:
        found["unfolding", "particle_level"] = (
            "events that fail at particle level have no truth, and are not unfolded"
        )
    else:
        found["unfolding", "iterations"] += (
            "; particle_level: pass_gen unfolds the fiducial region alone"
        )
    measured = simulation.detector
    if measured is not None and measured.selection:
        found["unfolding", "iterations"] += (
            "; misses: conditional_mean where many events are lost (docs/method/acceptance.md)"
        )
    if not data.truth:
        config["unfolding"]["scale"] = "detector"
        found["unfolding", "scale"] = (
            f"{TODO}detector scales the simulation to the data; a number is the ratio of "
            "luminosities"
        )
    return found
