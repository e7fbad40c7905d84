"""Proof (b): a classifier learns a known likelihood ratio."""

from dataclasses import replace

import numpy as np
import pytest
from proof_chain import column

from omniflow.config.training import Classifier, Training
from omniflow.events.batches import Source
from omniflow.events.features import build, fit_scaling

pytestmark = pytest.mark.usefixtures("tensorflow_runtime")

EVENTS = 100_000  # per class
SHIFT = 0.3
TRAINING = Training(
    optimizer="adam",
    learning_rate=3e-3,
    beta_1=0.9,
    beta_2=0.999,
    warmup_epochs=0.2,
    batch_size=1000,
    micro_batches=2,
    epochs=3,
)


def log_ratio(x):
    """Return log N(x; SHIFT, 1) - log N(x; 0, 1)."""
    return SHIFT * x - SHIFT**2 / 2


def learned(seed, precision=None):
    """Return x (200,000) of both classes and the logits of one network trained on them."""
    from omniflow.models import registry
    from omniflow.training.graph import Graph
    from omniflow.training.progress import Seeds, Task
    from omniflow.training.trainer import Trainer

    rng = np.random.default_rng(seed)
    x = np.concatenate([rng.normal(SHIFT, 1, EVENTS), rng.normal(0, 1, EVENTS)])
    level = column(x)
    scaling = fit_scaling(level, np.arange(len(x)) >= EVENTS, "plain")
    features = build(level, scaling, "plain", 1)
    in_numerator = np.arange(len(x)) < EVENTS
    ids = np.arange(len(x), dtype=np.uint64)
    # Classes of very different sums of weights: the ratio of the densities must not see them.
    weight = np.where(in_numerator, 0.01, 7.0)
    sources = (
        Source(features, ids, in_numerator, (weight,), ()),
        Source(features, ids, ~in_numerator, (), (weight,)),
    )
    classifier = Classifier(kind="mlp", width=32, blocks=2, features="plain")
    model = registry.build(classifier, 0, 1, precision)
    trainer = Trainer(model, TRAINING, Graph(model, features, 2))
    initial = registry.initial_weights(model, np.random.SeedSequence(seed))
    seeds = Seeds(seed, np.random.SeedSequence(seed + 1))
    (fit,) = trainer.fit([Task("ratio", sources, registry.flatten(initial), seeds)])
    everything = replace(sources[0], select=np.ones(len(x), bool))
    logits = [found[0] for _, found in trainer.predict([fit.parameters], everything)]
    return x, np.concatenate(logits).astype(float)


@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
def test_mean_absolute_error_of_the_log_ratio(precision):
    """The mean is over events of both classes together, half of them from each (the mixture)."""
    x, logits = learned(seed=1, precision=precision)
    # A ratio of 1 everywhere: E|0.3 x - 0.045| over the mixture is 0.242 by integration.
    grid = np.linspace(-9, 9, 20_001)
    mixture = (np.exp(-(grid**2) / 2) + np.exp(-((grid - SHIFT) ** 2) / 2)) / np.sqrt(8 * np.pi)
    trivial = np.sum(mixture * np.abs(log_ratio(grid))) * (grid[1] - grid[0])
    assert trivial == pytest.approx(0.24, abs=0.005)
    assert np.mean(np.abs(log_ratio(x))) == pytest.approx(trivial, abs=0.002)
    assert np.mean(np.abs(logits - log_ratio(x))) < 0.02
    # Also where few events are, the outermost percent.
    tails = np.abs(x - SHIFT / 2) > 2.6
    assert np.mean(np.abs((logits - log_ratio(x))[tails])) < 0.1
