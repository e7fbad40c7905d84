"""What shrinking leaves of noise: trainings on two classes that are the same.

    python benchmarks/iterations/null.py [--trainings 100]

Each training starts at a ratio of 1 and has other events. Printed are the mean square of the
logarithm of the ratio on unseen events, where 0 is true, without and with shrinking
(`unfolding.restart.shrink`), and the mean factor.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "training"))

from small_networks import fit_one, initial_weights, layout, make_trainer, predict
from training_inputs import two_classes


def main() -> None:
    """Print the table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--trainings", type=int, default=100)
    trainings = parser.parse_args().trainings
    unseen = two_classes(3000, shift=0.0, seed=5)[0]
    print("| events per class | epochs | mean square without | with | mean factor |")
    print("|---|---|---|---|---|")
    for events, epochs in ((600, 3), (600, 8), (3000, 8)):
        trainer = make_trainer(epochs=epochs, patience=epochs, learning_rate=0.003)
        squares, factors = [], []
        for number in range(trainings):
            start = layout(trainer).neutral(initial_weights(trainer, number))
            sources = two_classes(events, shift=0.0, seed=1000 + 10 * number)
            fits = [fit_one(trainer, sources, start, shrink=s, split=number) for s in (False, True)]
            squares.append([(predict(trainer, f.parameters, unseen) ** 2).mean() for f in fits])
            factors.append(fits[1].factor if fits[1].best_epoch else 0.0)
        before, after = np.mean(squares, axis=0)
        print(f"| {events} | {epochs} | {before:.1e} | {after:.1e} | {np.mean(factors):.2f} |")


if __name__ == "__main__":
    main()
