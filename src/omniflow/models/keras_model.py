"""Keras models as architectures."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import keras
import numpy as np

from omniflow.models import weight_file
from omniflow.models.layout import Layout, Parameter


class KerasModel:
    """A Keras model that `registry.build` made; see `architecture.Architecture`."""

    def __init__(self, model: keras.Model) -> None:
        """Take the model, of which only the structure is used."""
        self._model = model

    @cached_property
    def layout(self) -> Layout:
        """Its parameters, in the order of `model.weights`."""
        model = self._model
        found: list[Parameter] = []
        for number, (variable, constant) in enumerate(
            zip(model.weights, model.constants, strict=True)
        ):
            # Paths of a user's own layers may be the same.
            taken = {each.name for each in found}
            name = variable.path if variable.path not in taken else f"{variable.path}:{number}"
            found.append(Parameter(name, tuple(variable.shape), constant))
        names = {id(v): each.name for v, each in zip(model.weights, found, strict=True)}
        dropped = tuple(names[id(kernel)] for kernel in getattr(model, "dropped", ()))
        return Layout(tuple(found), dropped, model.dtype_policy.variable_dtype)

    def save(self, parameters: np.ndarray, path: Path) -> None:
        """Write parameters (d,) in Keras' format."""
        self._model.set_weights(self.layout.split(parameters))
        self._model.save_weights(path)

    def load(self, path: Path) -> np.ndarray:
        """Return the parameters (d,) in a file.

        Raises:
            InputError: missing, or of another architecture.
        """
        try:
            self._model.load_weights(path)
        except (OSError, ValueError) as error:
            raise weight_file.unfit(path, error) from error
        return np.concatenate([np.ravel(array) for array in self._model.get_weights()])

    def keras(self) -> keras.Model:
        """Return the model."""
        return self._model
