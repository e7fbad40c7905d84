"""Files of networks in Keras' format for weights (`.weights.h5`), read and written without Keras.

Keras keeps the arrays of a layer as datasets `vars/0`, `vars/1` and so on below the layer's place
in the model, and reads nothing else.
"""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

from omniflow.errors import InputError
from omniflow.hdf5 import open_h5
from omniflow.models.layout import Layout


def write(layout: Layout, vector: np.ndarray, path: Path) -> None:
    """Write the parameters (d,) of a built-in classifier.

    Args:
        layout: of the classifier.
        vector: (d,).
        path: of the file, which is replaced.
    """
    with h5py.File(path, "w", locking=False) as file:
        for each, values in zip(layout.parameters, layout.split(vector), strict=True):
            file.create_dataset(each.place, data=values)


def read(layout: Layout, path: Path) -> np.ndarray:
    """Return the parameters (d,) in a file.

    Args:
        layout: of the classifier.
        path: of the file.

    Returns:
        (d,) of the layout's type.

    Raises:
        InputError: missing or damaged, or of another architecture.
    """
    vector = np.empty(layout.size, layout.dtype)
    try:
        with open_h5(path) as file:
            found: set[str] = set()
            file.visititems(lambda name, item: found.add(name) if _is_data(item) else None)
            if found != {each.place for each in layout.parameters}:
                raise ValueError("it has other layers")
            for each, values in zip(layout.parameters, layout.split(vector), strict=True):
                dataset = file[each.place]
                if dataset.shape != each.shape:
                    raise ValueError(f"{each.name} is {dataset.shape} there, not {each.shape}")
                values[...] = dataset[...]
    except (InputError, ValueError) as error:
        raise unfit(path, error) from error
    return vector


def unfit(path: Path, error: Exception) -> InputError:
    """Return what to say of a file that does not hold the network."""
    return InputError(
        f"{path}: does not hold a network of the configured architecture ({error}). "
        "Delete the file and rerun, or use the classifier it was trained with."
    )


def _is_data(item: h5py.Dataset | h5py.Group) -> bool:
    return isinstance(item, h5py.Dataset)
