"""The `omnifold` package from PyPI, its PET (padded) or its MLP, with its own training step."""

import sys

import numpy as np
from keras_2 import lion, serve_model


def main(folder: str, kind: str) -> None:
    """Serve `train` and `infer`: PET with the sizes of arXiv:2503.20753, MLP with its defaults."""
    from omnifold import net

    arrays = np.load(f"{folder}/padded.npz")
    if kind == "pet":
        inputs = arrays["particle"].astype(np.float32)
        sizes = {"num_heads": 4, "num_transformer": 4, "projection_dim": 64, "K": 5}
        model = net.PET(inputs.shape[2], num_part=inputs.shape[1], **sizes)
    else:
        inputs = arrays["event"].astype(np.float32)
        model = net.MLP(inputs.shape[1])
    model.compile(loss=net.weighted_binary_crossentropy, optimizer=lion())
    serve_model(model, model, inputs, len(inputs))


if __name__ == "__main__":
    main(*sys.argv[1:])
