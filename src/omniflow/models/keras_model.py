"""Keras models as architectures."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np

from omniflow.errors import InputError
from omniflow.models import registry
from omniflow.models.architecture import Units


class KerasModel:
    """A Keras model that `registry.build` made; see `architecture.Architecture`."""

    def __init__(self, model: keras.Model) -> None:
        """Take the model, of which only the structure is used."""
        self.model = model

    @property
    def size(self) -> int:
        """Number of parameters d."""
        return self.model.count_params()

    @property
    def dtype(self) -> str:
        """Type of the parameters."""
        return self.model.dtype_policy.variable_dtype

    @property
    def backbone(self) -> int:
        """How many parameters come before those of the layer `head`."""
        return registry.backbone_size(self.model)

    @property
    def variance(self) -> float:
        """Sum of the variances of newly drawn parameters."""
        return registry.initial_variance(self.model)

    def initial(self, seed: np.random.SeedSequence) -> np.ndarray:
        """Return newly drawn parameters (d,)."""
        return registry.flatten(registry.initial_weights(self.model, seed))

    def neutral(self, parameters: np.ndarray) -> np.ndarray:
        """Return parameters (d,) with a layer `head` that gives every event the ratio 1."""
        weights = registry.unflatten(self.model, parameters)
        return registry.flatten(registry.with_neutral_head(self.model, weights))

    def units(self) -> Units:
        """Return the hidden units that dropout acts on."""
        return registry.units(self.model)

    def save(self, parameters: np.ndarray, path: Path) -> None:
        """Write parameters (d,) in Keras' format."""
        self.model.set_weights(registry.unflatten(self.model, parameters))
        self.model.save_weights(path)

    def load(self, path: Path) -> np.ndarray:
        """Return the parameters (d,) in a file.

        Raises:
            InputError: missing, or of another architecture.
        """
        try:
            self.model.load_weights(path)
        except (OSError, ValueError) as error:
            raise InputError(
                f"{path}: does not hold a network of the configured architecture ({error}). "
                "Delete the file and rerun, or use the classifier it was trained with."
            ) from error
        return registry.flatten(self.model.get_weights())
