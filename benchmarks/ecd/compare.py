"""ECD against Adam on six observables with exactly known densities; see README.md beside this.

Run in the project's root: `python benchmarks/ecd/compare.py --seeds 10`. Trainings are added to
runs.csv one by one, those that are there already are not repeated; table.csv and quotients.csv sum
them up.
"""

from __future__ import annotations

import argparse
import itertools
import math
import time
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import tensorflow as tf

from omniflow.config.training import Training
from omniflow.files import write_csv
from omniflow.models.layout import Layout, Parameter
from omniflow.training import runtime
from omniflow.training.ecd import ECD, constants
from omniflow.training.losses import LOSSES
from omniflow.training.optimizers import Adam, Optimizer

TRAIN, HELD_OUT, TEST = 200_000, 40_000, 100_000
# Updates and the longest wait for a lower held-out loss.
UPDATES, PATIENCE = 800, 200
WIDTHS, DROPOUT = (64, 128, 64), 0.1
FOLDER = Path(__file__).parent

# Mixtures of two Gaussians in six dimensions: shares, means and correlations.
_SIX = np.arange(6)
_MC = (0.6, np.zeros(6), np.array([0.8, 0.9, -0.6, 0.5, 0.3, -0.4]), 0.5)
_DATA = (0.55, np.array([0.12, -0.1, 0.08, 0.1, -0.06, 0.05]), _MC[2] * 1.15, 0.55)


def _parts(model: tuple) -> list[tuple[float, np.ndarray, np.ndarray]]:
    share, centre, distance, correlation = model
    first = correlation ** np.abs(_SIX[:, None] - _SIX)
    second = 0.7 * (0.2 * np.ones((6, 6)) + 0.8 * np.eye(6))
    return [(share, centre, first), (1 - share, centre + distance, second)]


def draw(model: tuple, n: int, rng: np.random.Generator) -> np.ndarray:
    """Return n points (n, 6)."""
    (share, mean, first), (_, other, second) = _parts(model)
    points = rng.normal(size=(n, 6))
    in_first = rng.random(n) < share
    return np.where(
        in_first[:, None],
        mean + points @ np.linalg.cholesky(first).T,
        other + points @ np.linalg.cholesky(second).T,
    )


def log_density(model: tuple, y: np.ndarray) -> np.ndarray:
    """Return the logarithm of the density at y (n, 6)."""
    terms = []
    for share, mean, covariance in _parts(model):
        root = np.linalg.cholesky(covariance)
        distance = (np.linalg.solve(root, (y - mean).T) ** 2).sum(axis=0)
        terms.append(math.log(share) - np.log(np.diag(root)).sum() - 0.5 * distance)
    return np.logaddexp(*terms) - 3 * math.log(2 * math.pi)


def observables(y: np.ndarray) -> np.ndarray:
    """Return skewed observables (n, 6), by monotonous functions that leave the ratio as it is."""
    return np.stack(
        [
            np.exp(0.4 * y[:, 0]),
            np.logaddexp(0, y[:, 1]),
            np.exp(0.3 * y[:, 2]),
            np.sinh(0.7 * y[:, 3]),
            1 / (1 + np.exp(-y[:, 4])),
            np.exp(0.5 * y[:, 5]),
        ],
        axis=1,
    )


def sample(n: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return inputs (n, 6), labels (1: data) and exact log ratios (n,), half from each model."""
    rng = np.random.default_rng([2501, seed])
    y = np.concatenate([draw(_DATA, n // 2, rng), draw(_MC, n // 2, rng)])
    label = np.repeat([1.0, 0.0], n // 2)
    order = rng.permutation(n)
    exact = log_density(_DATA, y) - log_density(_MC, y)
    return observables(y)[order], label[order], exact[order]


class Data:
    """The three samples, inputs scaled by the first."""

    def __init__(self) -> None:
        """Draw them."""
        sizes = (TRAIN, HELD_OUT, TEST)
        drawn = [sample(n, seed) for seed, n in enumerate(sizes)]
        mean, spread = drawn[0][0].mean(axis=0), drawn[0][0].std(axis=0)
        self.train, self.held_out, self.test = (
            (((x - mean) / spread).astype(np.float32), label, exact) for x, label, exact in drawn
        )


class Dropout(keras.layers.Layer):
    """Dropout by 16 random bits per unit: half the time of an update went into Keras' own."""

    def __init__(self, rate: float) -> None:
        """Drop units with this probability, rounded to 1/65536."""
        super().__init__()
        self.seeds = keras.random.SeedGenerator()
        self.below, self.scale = round(rate * 2**16), 1 / (1 - rate)

    def call(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Return x (n, even), thinned in training."""
        if not training:
            return x
        pairs = (tf.shape(x)[0], x.shape[1] // 2)
        seed = tf.cast(self.seeds.next(), tf.int32)
        bits = tf.random.stateless_uniform(pairs, seed, None, None, tf.int32)
        bits = tf.reshape(tf.bitcast(bits, tf.uint16), tf.shape(x))
        return x * tf.cast(tf.cast(bits, tf.int32) >= self.below, x.dtype) * self.scale


def network(loss: str, seed: int) -> keras.Model:
    """Return the network, Glorot-uniform, with one output."""
    keras.utils.set_random_seed(seed)
    x = inputs = keras.Input((6,))
    for width in WIDTHS:
        x = Dropout(DROPOUT)(keras.layers.Dense(width, "relu")(x))
    head = keras.layers.Dense(1, bias_initializer=keras.initializers.Constant(LOSSES[loss].neutral))
    return keras.Model(inputs, head(x)[:, 0])


def optimiser(
    name: str, rate: float, loss: str, model: keras.Model, seed: int
) -> tuple[Optimizer, float]:
    """Return Adam and its learning rate, or ECD by dt_hat and defaults from the run, and dt."""
    size = model.count_params()
    if name == "adam":
        return Adam(size, "float32", 0.9, 0.999), rate
    settings = Training(optimizer="ecd", loss=loss, ecd={"dt_hat": rate})
    shapes = [v.shape for v in model.trainable_variables if len(v.shape) == 2]
    variance = sum(2 * math.prod(shape) / sum(shape) for shape in shapes)
    made = constants(settings, UPDATES, variance, seed)
    found = ECD(size)
    found.start(made)
    return found, made.dt


def train(data: Data, loss: str, name: str, rate: float, seed: int, batch: int) -> dict[str, float]:
    """Train one network; return errors of the epoch with the lowest held-out loss."""
    begin = time.perf_counter()
    model, kind = network(loss, seed), LOSSES[loss]
    optimizer, step = optimiser(name, rate, loss, model, seed)
    layout = Layout(tuple(Parameter(v.path, tuple(v.shape)) for v in model.weights))
    vector = np.concatenate([np.ravel(array) for array in model.get_weights()])

    @tf.function
    def gradient(x: tf.Tensor, label: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        with tf.GradientTape() as tape:
            z = model(x, training=True)
            value = LOSSES[loss].total(z, label / batch, (1 - label) / batch)
        found = tape.gradient(value, model.trainable_variables)
        return value, tf.concat([tf.reshape(each, (-1,)) for each in found], 0)

    def update(x: tf.Tensor, label: tf.Tensor) -> None:
        value, found = gradient(x, label)
        optimizer.update(vector, found.numpy().copy(), float(value), step)
        model.set_weights(layout.split(vector))

    def output(x: np.ndarray) -> np.ndarray:
        parts = [forward(x[first : first + 20_000]) for first in range(0, len(x), 20_000)]
        return np.concatenate([part.numpy() for part in parts]).astype(float)

    forward = tf.function(lambda x: model(x, training=False))
    rng = np.random.default_rng(seed)
    x, label, _ = data.train
    best = (math.inf, 0, model.get_weights())
    steps = TRAIN // batch
    for epoch in range(1, UPDATES // steps + 1):
        for index in rng.permutation(TRAIN).reshape(-1, batch):
            update(tf.constant(x[index]), tf.constant(label[index]))
        held, true = data.held_out[:2]
        cost_a, cost_b = kind.values(output(held))
        value = float(np.mean(true * cost_a + (1 - true) * cost_b))
        if value < best[0]:
            best = (value, epoch, model.get_weights())
        if (epoch - best[1]) * steps >= PATIENCE:
            break
    model.set_weights(best[2])
    found, exact = kind.log_ratio(output(data.test[0])), data.test[2]
    return {
        "mae": float(np.mean(np.abs(np.exp(found) - np.exp(exact)))),
        "mae_log": float(np.mean(np.abs(found - exact))),
        "held_out_loss": best[0],
        "best_epoch": best[1],
        "seconds": time.perf_counter() - begin,
    }


def table(runs: pd.DataFrame) -> pd.DataFrame:
    """Return mean and standard deviation over seeds, as E's table III."""
    groups = runs.groupby(["batch", "loss", "optimizer", "rate"], sort=False)
    found = groups.agg(
        seeds=("seed", "count"),
        mae=("mae", "mean"),
        mae_spread=("mae", "std"),
        mae_log=("mae_log", "mean"),
        mae_log_spread=("mae_log", "std"),
        held_out_loss=("held_out_loss", "mean"),
        best_epoch=("best_epoch", "mean"),
    )
    return found.reset_index()


def quotients(runs: pd.DataFrame) -> pd.DataFrame:
    """Return how errors of ECD (dt_hat 1) compare with those of Adam (1e-3) of the same seed."""
    keys = ["batch", "loss", "seed"]
    ecd, adam = (
        runs[(runs.optimizer == name) & (runs.rate == rate)].set_index(keys).mae
        for name, rate in (("ecd", 1.0), ("adam", 1e-3))
    )
    pairs = (ecd / adam).dropna().groupby(level=["batch", "loss"], sort=False)
    found = pairs.agg(["count", "mean", "std", "min", "max"])
    found["ecd_better"] = pairs.agg(lambda quotient: (quotient < 1).sum())
    return found.rename(columns={"count": "seeds"}).reset_index()


def main() -> None:
    """Train what is missing."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--losses", nargs="+", default=list(LOSSES), choices=list(LOSSES))
    parser.add_argument("--adam", nargs="*", type=float, default=[1e-3], help="learning rates")
    parser.add_argument("--ecd", nargs="*", type=float, default=[1.0], help="values of dt_hat")
    parser.add_argument("--batch", type=int, default=10_000, help="events, a divisor of 200,000")
    parser.add_argument("--minutes", type=float, default=math.inf, help="start no more after")
    given = parser.parse_args()
    runtime.configure(1)
    path, begin = FOLDER / "runs.csv", time.monotonic()
    data = Data()
    rates = [("ecd", rate) for rate in given.ecd] + [("adam", rate) for rate in given.adam]
    for seed, loss, (name, rate) in itertools.product(range(given.seeds), given.losses, rates):
        if (given.batch, loss, name, rate, seed) in _known(path):
            continue
        if time.monotonic() - begin > 60 * given.minutes:
            break
        row = {"batch": given.batch, "loss": loss, "optimizer": name, "rate": rate, "seed": seed}
        row |= train(data, loss, name, rate, seed, given.batch)
        # One line at a time, so that several processes may share the file.
        text = pd.DataFrame([row]).to_csv(index=False, header=not path.is_file())
        with path.open("a", encoding="utf-8") as file:
            file.write(text)
        print(text, end="", flush=True)
        runs = pd.read_csv(path)
        write_csv(table(runs), FOLDER / "table.csv")
        write_csv(quotients(runs), FOLDER / "quotients.csv")


def _known(path: Path) -> set[tuple]:
    if not path.is_file():
        return set()
    runs = pd.read_csv(path)
    return set(zip(runs.batch, runs.loss, runs.optimizer, runs.rate, runs.seed, strict=True))


if __name__ == "__main__":
    main()
