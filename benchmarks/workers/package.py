"""The `omnifold` package from PyPI, its PET (padded) or its MLP, with its own training step."""

import sys

from keras_2 import lion, load, serve_model


def main(folder: str, kind: str) -> None:
    """Serve the PET with the sizes of arXiv:2503.20753, or the MLP with its defaults."""
    from omnifold import net

    if kind == "pet":
        steps = [(arrays["particle"], arrays["label"]) for arrays in load(folder, "padded")]
        _, length, columns = steps[0][0].shape
        sizes = {"num_heads": 4, "num_transformer": 4, "projection_dim": 64, "K": 5}
        model = net.PET(columns, num_part=length, **sizes)
    else:
        steps = [(arrays["event"], arrays["label"]) for arrays in load(folder, "all")]
        model = net.MLP(steps[0][0].shape[1])
    model.compile(loss=net.weighted_binary_crossentropy, optimizer=lion())
    serve_model(model, model, steps)


if __name__ == "__main__":
    main(*sys.argv[1:])
