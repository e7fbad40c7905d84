"""How often chance passes `unfolding.restart.margin`: trainings on two classes that are the same.

    python benchmarks/iterations/margin.py [--trainings 200]

Each training starts at a ratio of 1 and has other events. Printed is the share whose best epoch
held-out events prefer to the ratio of 1 by more than so many standard errors.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "training"))

from small_networks import fit_one, initial_weights, layout, make_trainer
from training_inputs import two_classes

MARGINS = (0, 1, 2, 3)


def passed(events: int, epochs: int, trainings: int) -> dict[int, float]:
    """Return the share of trainings on so many events per class that pass each margin."""
    trainer = make_trainer(epochs=epochs, patience=epochs, learning_rate=0.003)
    found = dict.fromkeys(MARGINS, 0)
    for number in range(trainings):
        drawn = initial_weights(trainer, number)
        start = layout(trainer).neutral(drawn)
        sources = two_classes(events, shift=0.0, seed=1000 + 10 * number)
        history = fit_one(trainer, sources, start, split=number).history
        best = min(history, key=lambda epoch: epoch["val_loss"])
        fall = history[0]["val_loss"] - best["val_loss"]
        for margin in MARGINS:
            found[margin] += best["epoch"] > 0 and fall > margin * best["val_error"]
    return {margin: count / trainings for margin, count in found.items()}


def main() -> None:
    """Print the shares for two sizes and two lengths."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--trainings", type=int, default=200)
    trainings = parser.parse_args().trainings
    for events, epochs in ((600, 3), (600, 8), (3000, 8)):
        shares = passed(events, epochs, trainings)
        text = ", ".join(f"margin {margin}: {share:.1%}" for margin, share in shares.items())
        print(f"{events} events per class, {epochs} epochs: {text}", flush=True)


if __name__ == "__main__":
    main()
