"""Seen: what the networks of a study see of events at either level."""

from __future__ import annotations

from omniflow.config.features import of_level
from omniflow.config.schema import Config
from omniflow.config.training import Classifier
from omniflow.errors import ConfigError
from omniflow.features.feature_set import FeatureSet, resolved
from omniflow.unfolding.coordinates import LEVELS

# Kinds of classifiers that see particles, and what takes their place where there are none.
SETS, MLP = ("pet", "deepsets"), "mlp"
# Features by level.
Seen = dict[str, FeatureSet]


def features(config: Config) -> Seen:
    """Return what networks see at either level, `classifier.features`.

    Raises:
        ConfigError: a level lacks a column, networks of the kind would see nothing there, or
            networks of both levels start from one whose inputs only one of them has.
    """
    found = {level: _at(config, level) for level in LEVELS}
    kinds = {level: settings.kind for level, settings in classifiers(config).items()}
    for level, seen in found.items():
        if kinds[level] == MLP and not seen.event:
            raise ConfigError(
                "classifier.kind: mlp reads features of events alone, of which there are none at "
                f"{level} level; take deepsets or pet, or declare some by classifier.features "
                "(event)"
            )
    if not alike(found) or len(set(kinds.values())) > 1:
        _refuse_one_start(config, found)
    return found


def alike(seen: Seen) -> bool:
    """Return whether networks have the same inputs at both levels, by name and in order.

    These mean the same, whatever columns they are computed of, and have one scaling.
    """
    return seen["detector"].names == seen["particle"].names


def classifiers(config: Config) -> dict[str, Classifier]:
    """Return the settings of the networks of either level.

    Where a level has no particles there are MLPs in place of PETs and deep sets.
    """
    settings = config.classifier
    without = settings.model_copy(update={"kind": MLP}) if settings.kind in SETS else settings
    columns = {level: config.samples.simulation.declared(level) for level in LEVELS}
    bare = {level: found is not None and not found[1] for level, found in columns.items()}
    return {level: without if bare[level] else settings for level in LEVELS}


def declared(config: Config, level: str) -> FeatureSet:
    """Return what networks of a level are to see, whether or not it has the columns.

    Raises:
        ConfigError: there is no such preset, or it is none.
    """
    spec, simulation = of_level(config.classifier.features, level), config.samples.simulation
    preset = simulation.features(level) if spec == "auto" else spec
    return resolved(preset, *simulation.columns(level))


def _at(config: Config, level: str) -> FeatureSet:
    found, columns = declared(config, level), config.samples.simulation.declared(level)
    if columns is not None:
        found.require(level, *columns)
    return found


def _refuse_one_start(config: Config, seen: Seen) -> None:
    """Refuse pre-trained networks, which start those of both levels, where inputs differ."""
    for name, method in config.methods.items():
        if method.start == "scratch":
            continue
        detector, particle = (
            {
                f"{part} feature {name!r}"
                for part, names in zip(("particle", "event"), seen[level].names, strict=True)
                for name in names
            }
            for level in LEVELS
        )
        differ = sorted(detector ^ particle) or ["their order, or kind of classifier"]
        raise ConfigError(
            f"methods.{name}.start: {method.start} needs networks with the same inputs at both "
            f"levels, which differ in {', '.join(differ)}. Start from scratch, or give both levels "
            "the same features by name (classifier.features)"
        )
