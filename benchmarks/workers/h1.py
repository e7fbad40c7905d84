"""The code behind arXiv:2503.20753 (branch step_ensemble) as it is, padded to 132 particles."""

import sys

import numpy as np
from keras_2 import lion, serve_model


def main(folder: str, code: str) -> None:
    """Serve `train` and `infer` of its Classifier with its sizes, batch size and optimiser."""
    sys.path.insert(0, f"{code}/scripts")
    from architecture import Classifier

    arrays = np.load(f"{folder}/padded.npz")
    inputs = {
        f"inputs_{name}_1": arrays[name].astype(np.float32)
        for name in ("particle", "event", "mask")
    }
    n = len(arrays["event"])
    model = Classifier(
        inputs["inputs_particle_1"].shape[2],
        inputs["inputs_event_1"].shape[1],
        num_part=inputs["inputs_particle_1"].shape[1],
        num_heads=4,
        num_transformer=4,
        projection_dim=64,
    )
    model.compile(lion(), lion())
    serve_model(model, model.model_ema, inputs, n)


if __name__ == "__main__":
    main(*sys.argv[1:])
