"""Seen: what the networks of a study see of events at either level."""

from __future__ import annotations

from omniflow.config.features import of_level
from omniflow.config.schema import Config
from omniflow.config.training import Classifier
from omniflow.errors import ConfigError
from omniflow.features.feature_set import FeatureSet, resolved
from omniflow.unfolding.coordinates import LEVELS

# Features by level.
Seen = dict[str, FeatureSet]


def features(config: Config) -> Seen:
    """Return what networks see at either level, `classifier.features`.

    Raises:
        ConfigError: a level lacks a column, networks of the kind would see nothing there, or
            networks of both levels start from one whose inputs only one of them has.
    """
    found = {level: _at(config, level) for level in LEVELS}
    if config.classifier.kind == "mlp":
        for level, seen in found.items():
            if not seen.event:
                raise ConfigError(
                    f"classifier.kind: mlp reads features of events alone, of which there are none "
                    f"at {level} level; take deepsets or pet, or declare some by "
                    "classifier.features (event)"
                )
    if not alike(found):
        _refuse_one_start(config, found)
    return found


def alike(seen: Seen) -> bool:
    """Return whether networks have the same inputs at both levels, by name and in order.

    These mean the same, whatever columns they are computed of, and have one scaling.
    """
    return seen["detector"].names == seen["particle"].names


def classifier(settings: Classifier, seen: FeatureSet) -> Classifier:
    """Return the settings of networks that see these features.

    A PET sees events through their particles: where it has none, there are MLPs.
    """
    if settings.kind == "pet" and not seen.particles:
        return settings.model_copy(update={"kind": "mlp"})
    return settings


def _at(config: Config, level: str) -> FeatureSet:
    spec, simulation = of_level(config.classifier.features, level), config.samples.simulation
    columns = simulation.columns(level)
    found = resolved(simulation.features(level) if spec == "auto" else spec, *columns)
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
        differ = sorted(detector ^ particle) or ["their order"]
        raise ConfigError(
            f"methods.{name}.start: {method.start} needs networks with the same inputs at both "
            f"levels, which differ in {', '.join(differ)}. Start from scratch, or give both levels "
            "the same features by name (classifier.features)"
        )
