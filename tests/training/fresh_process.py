"""Train a small PET twice and print hashes of its weights; run as a process of its own."""

import hashlib

import numpy as np
from training_inputs import classifier, settings, two_classes

from omniflow.models import registry
from omniflow.models.keras_model import KerasModel
from omniflow.training import runtime


def main() -> None:
    runtime.configure(1)
    from omniflow.training.graph import Graph
    from omniflow.training.native import Native
    from omniflow.training.progress import Seeds, Task
    from omniflow.training.trainer import Trainer

    sources = two_classes(200)
    model = registry.build(classifier("pet"), 3, 2)
    layout = KerasModel(model).layout
    initial = layout.initial(np.random.SeedSequence(4))
    features = sources[0].features
    for engine in (Graph(model, features, 2), Native(layout, classifier("pet"), features, 1)):
        trainer = Trainer(layout, settings(epochs=2), engine)
        for _ in range(2):
            seeds = Seeds(6, np.random.SeedSequence(5))
            (fit,) = trainer.fit([Task("network", sources, initial, seeds)])
            data = fit.parameters.tobytes()
            print(hashlib.sha256(data).hexdigest(), fit.history[2]["val_loss"], fit.best_epoch)


if __name__ == "__main__":
    main()
