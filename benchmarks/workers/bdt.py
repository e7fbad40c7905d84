"""Gradient-boosted trees of scikit-learn, as the `unbinned_unfolding` package trains them."""

import sys
import time

import numpy as np
from protocol import serve
from sklearn.ensemble import GradientBoostingClassifier

# Events of a fit in `train`: a fit is one call, and rounds take seconds.
SOME = 5_000


def main(folder: str) -> None:
    """Serve whole fits of 100 trees on the event features of step 2."""
    steps = []
    for step in (1, 2):
        with np.load(f"{folder}/all-{step}.npz") as arrays:
            steps.append((arrays["event"], arrays["label"]))
    rows, labels = steps[1]
    fitted = GradientBoostingClassifier().fit(rows[:SOME], labels[:SOME])

    def train() -> int:
        GradientBoostingClassifier().fit(rows[:SOME], labels[:SOME])
        return SOME

    def infer() -> int:
        fitted.predict_proba(rows[:SOME])
        return SOME

    def epoch(fraction: float) -> tuple[int, float]:
        """Both steps: a whole fit, since trees have no epochs, and the ratios that reweight."""
        done, begin = 0, time.perf_counter()
        for rows, labels in steps:
            n = round(fraction * len(rows))
            fit = GradientBoostingClassifier().fit(rows[:n], labels[:n])
            fit.predict_proba(rows[:n][labels[:n] == 0])
            done += n
        return done, time.perf_counter() - begin

    serve(epoch=epoch, train=train, infer=infer)


if __name__ == "__main__":
    main(*sys.argv[1:])
