"""Classifiers: the architecture that a configuration names, with or without Keras."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from omniflow import registry
from omniflow.config.training import Classifier
from omniflow.models import weight_file
from omniflow.models.architecture import Architecture
from omniflow.models.layout import Layout
from omniflow.models.layouts import layout

if TYPE_CHECKING:
    import keras


def is_built_in(settings: Classifier) -> bool:
    """Return whether a classifier is one of this package, and not a Keras model of the user's."""
    return settings.kind in registry.BUILT_IN["classifier"]


def architecture(
    settings: Classifier,
    particle_features: int,
    event_features: int,
    precision: str = "float32",
    output: float = 0.0,
) -> Architecture:
    """Return the configured classifier; Keras is loaded for one of the user's own alone.

    Args:
        settings: kind and sizes.
        particle_features: F.
        event_features: E.
        precision: of the arithmetic in TensorFlow, `execution.precision`.
        output: what networks start around, the head's bias.

    Raises:
        ConfigError: a classifier of one's own is not of the form that is needed.
    """
    sizes = (settings, particle_features, event_features)
    if is_built_in(settings):
        return BuiltIn(layout(*sizes, output), (*sizes, precision, output))
    from omniflow.models.keras_model import KerasModel
    from omniflow.models.registry import build

    return KerasModel(build(*sizes, precision, output))


@dataclass(frozen=True)
class BuiltIn:
    """A classifier of this package; see `architecture.Architecture`.

    Attributes:
        layout: its parameters.
        built_from: arguments of `registry.build`, which makes the Keras model.
    """

    layout: Layout
    built_from: tuple

    def save(self, parameters: np.ndarray, path: Path) -> None:
        """Write parameters (d,) as Keras would."""
        weight_file.write(self.layout, parameters, path)

    def load(self, path: Path) -> np.ndarray:
        """Return the parameters (d,) in a file.

        Raises:
            InputError: missing, or of another architecture.
        """
        return weight_file.read(self.layout, path)

    def keras(self) -> keras.Model:
        """Return it as a Keras model."""
        from omniflow.models.registry import build

        return build(*self.built_from)
