"""The code behind arXiv:2503.20753 (branch step_ensemble) as it is, padded to 132 particles."""

import sys

from keras_2 import lion, load, serve_model


def main(folder: str, code: str) -> None:
    """Serve its Classifier with its sizes, batch size and optimiser."""
    sys.path.insert(0, f"{code}/scripts")
    from architecture import Classifier

    # The code has a model per step with the same layers; one stands for both here.
    steps = [
        ({f"inputs_{name}_1": arrays[name] for name in ("particle", "event", "mask")}, label)
        for arrays in load(folder, "padded")
        for label in [arrays["label"]]
    ]
    inputs, _ = steps[0]
    model = Classifier(
        inputs["inputs_particle_1"].shape[2],
        inputs["inputs_event_1"].shape[1],
        num_part=inputs["inputs_particle_1"].shape[1],
        num_heads=4,
        num_transformer=4,
        projection_dim=64,
    )
    model.compile(lion(), lion())
    serve_model(model, model.model_ema, steps)


if __name__ == "__main__":
    main(*sys.argv[1:])
