"""Fresh and fixed splits on a smeared Gaussian, with the default settings of a training.

    python benchmarks/iterations/columns.py

Printed are the distances of the unfolded mean from the mean of the truth: three samples, two
studies of each.
"""

from __future__ import annotations

import numpy as np

import omniflow

EVENTS = 10_000
RESTARTS = {
    "fresh": {"split": "fresh"},
    "fixed, shrunk": {"split": "fixed", "shrink": True},
    "fixed": {"split": "fixed"},
}


def off(restart: dict, seed: int, sample: int) -> float:
    """Return how far the unfolded mean is from that of the truth."""
    rng = np.random.default_rng(sample)
    truth, z = rng.normal(0.3, 1, EVENTS), rng.normal(0, 1, 2 * EVENTS)
    data = omniflow.Events.from_arrays(truth + rng.normal(0, 0.5, EVENTS))
    simulation = omniflow.Events.from_arrays(z + rng.normal(0, 0.5, 2 * EVENTS), z)
    result = omniflow.unfold(
        *(data, simulation),
        **{"iterations": 3, "seed": seed, "unfolding": {"restart": restart}},
        diagnostics={"second_classifier": False},
    )
    return float(np.average(z, weights=result.weights) - truth.mean())


def main() -> None:
    """Print the distances of each policy and their root mean square."""
    for name, restart in RESTARTS.items():
        found = [off(restart, seed, sample) for sample in (1, 2, 3) for seed in (1, 2)]
        text = ", ".join(f"{value:.3f}" for value in found)
        print(f"{name}: {text}; root mean square {np.sqrt(np.mean(np.square(found))):.4f}")


if __name__ == "__main__":
    main()
