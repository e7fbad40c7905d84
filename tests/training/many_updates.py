"""Print the anonymous memory (kB) of this process after some updates and after many more."""

from pathlib import Path

import numpy as np

from omniflow.config.training import Training
from omniflow.training.learner import Learner

FIRST, COUNTED = 1000, 8000


def anonymous_memory() -> int:
    """Return the anonymous resident memory of this process in kB."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon:"))


def update(learner: Learner, numbers: np.ndarray) -> None:
    """Make an update for every loss and rate in numbers (n, 2)."""
    gradient = np.ones(10, np.float32)
    for loss, rate in numbers:
        learner.update(gradient, loss, 1e-3 * rate, rate)


if __name__ == "__main__":
    learner, rng = Learner(Training(), 10), np.random.default_rng(1)
    learner.start(np.zeros(10))
    for n in (FIRST, COUNTED):
        update(learner, rng.uniform(0.1, 1, (n, 2)))
        print(anonymous_memory())
