"""Training of one network after the other with one traced graph."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

import keras
import numpy as np
import tensorflow as tf

from omniflow.config.schema import Training
from omniflow.errors import TrainingError
from omniflow.events.batches import Part, Source
from omniflow.training.engines import Engine
from omniflow.training.graph import concrete
from omniflow.training.prefetch import prefetch
from omniflow.training.schedule import learning_rate

# Events that logits are asked for at a time.
_CHUNK = 4096


@dataclass(frozen=True)
class Seeds:
    """Random numbers of one network.

    Attributes:
        split: integer that decides which events are held out.
        order: sequence of the batch order.
    """

    split: int
    order: np.random.SeedSequence


@dataclass(frozen=True)
class Fit:
    """Outcome of one training.

    Attributes:
        weights: network weights with the lowest held-out loss, in Keras order.
        history: one dict per epoch; epoch 0 is the network before training.
        best_epoch: the epoch that `weights` are from.
        summary: events in each part, sums of weights, seconds.
    """

    weights: list[np.ndarray]
    history: list[dict[str, float]]
    best_epoch: int
    summary: dict[str, float]


@dataclass(frozen=True)
class _Epochs:
    """What all epochs of one training share.

    Attributes:
        parts: training events per source, with weights as they enter a batch's loss.
        size: events per source and update.
        updates: updates per epoch.
        order: random numbers of the batch order.
        rate_factor: on the learning rate.
    """

    parts: list[Part]
    size: int
    updates: int
    order: np.random.SeedSequence
    rate_factor: float


class Trainer:
    """Trains and evaluates networks of one architecture."""

    def __init__(self, model: keras.Model, settings: Training, engine: Engine) -> None:
        """Prepare optimiser and averaged weights of `model`; `engine` evaluates it."""
        self.model, self.settings, self.engine = model, settings, engine
        # All parameters as one vector: optimiser, averaging and clipping are then a few operations
        # instead of as many per layer, quicker to trace and to run.
        self._parameters = keras.Variable(_vector(model.get_weights()), name="parameters")
        self._average = tf.Variable(self._parameters.value)
        self._optimizer = _optimizer(settings)
        self._optimizer.build([self._parameters])
        self._apply = concrete(
            self._apply,
            [
                tf.TensorSpec(self._average.shape, self._average.dtype),
                *[tf.TensorSpec((), tf.float32)] * 2,
            ],
        )

    def _apply(self, gradient: tf.Tensor, rate: tf.Tensor, momentum: tf.Tensor) -> tf.Tensor:
        norm = tf.norm(gradient)
        scale = tf.constant(1.0)
        if self.settings.clip_norm is not None:
            scale = tf.minimum(1.0, self.settings.clip_norm / (norm + 1e-12))
        self._optimizer.learning_rate.assign(rate)
        self._optimizer.apply([gradient * scale], [self._parameters])
        parameters = self._parameters.value.read_value()
        self._average.assign_add((1 - momentum) * (parameters - self._average))
        return norm

    def update(self, gradient: tf.Tensor, rate: float, momentum: float) -> float:
        """Change the parameters and return the gradient's norm before clipping."""
        norm = self._apply(
            tf.convert_to_tensor(gradient),
            tf.constant(rate, tf.float32),
            tf.constant(momentum, tf.float32),
        )
        self.engine.load(self._parameters.value.read_value())
        return float(norm)

    # -- training --------------------------------------------------------------------------

    def fit(
        self,
        sources: tuple[Source, ...],
        initial: list[np.ndarray],
        seeds: Seeds,
        rate_factor: float = 1.0,
        name: str = "network",
    ) -> Fit:
        """Train one network from the weights `initial` and return its best state.

        Each source is one stratum of the batches: (data, simulation) in step 1, so that half of
        every batch comes from either class, and the simulation alone in step 2, where its events
        stand in both classes. Held-out events decide which epoch is kept; the loss is that of the
        averaged weights, which are the ones returned.

        Raises:
            TrainingError: no events or weights to train on or to hold out, or a loss that is
                not finite; the message starts with `name`.
        """
        settings = self.settings
        started = time.perf_counter()
        training, held_out = (
            [Part(s, seeds.split, settings.validation, validation) for s in sources]
            for validation in (False, True)
        )
        counts, sums = _totals(training, f"{name}: nothing to train on")
        held_counts, held_sums = _totals(held_out, f"{name}: nothing to hold out")
        size = max(1, min(settings.batch_size, sum(counts)) // len(sources))
        epoch_plan = _Epochs(
            [
                replace(part, source=_normalised(part.source, count / size, sums))
                for part, count in zip(training, counts, strict=True)
            ],
            size,
            max(1, sum(counts) // (size * len(sources))),
            seeds.order,
            rate_factor,
        )
        self.start(initial)
        value = _finite(
            self._held_out_loss(held_out, held_sums), f"{name}: held-out loss before training"
        )
        history = [{"epoch": 0, "val_loss": value}]
        lowest, best, best_epoch = value, initial, 0
        for epoch in range(1, settings.epochs + 1):
            begin = time.perf_counter()
            record = self._train_epoch(epoch, epoch_plan)
            _finite(record["loss"], f"{name}: training loss of epoch {epoch}")
            self.engine.load(self._average.read_value())
            value = _finite(
                self._held_out_loss(held_out, held_sums), f"{name}: held-out loss of epoch {epoch}"
            )
            if value < lowest:
                lowest, best, best_epoch = value, self._split(self._average.numpy()), epoch
            self.engine.load(self._parameters.value.read_value())
            seconds = time.perf_counter() - begin
            history.append({"epoch": epoch, "val_loss": value, "seconds": seconds, **record})
            if epoch - best_epoch >= settings.patience:
                break
        summary = {
            "train_events": sum(counts),
            "held_out_events": sum(held_counts),
            "sum_numerator": sums[0],
            "sum_denominator": sums[1],
            "updates_per_epoch": epoch_plan.updates,
            "seconds": time.perf_counter() - started,
        }
        return Fit(best, history, best_epoch, summary)

    def predict(self, weights: list[np.ndarray], source: Source, out: np.ndarray) -> None:
        """Write the logits of the selected events of `source` into `out` (n,), others untouched."""
        self.engine.load(_vector(weights))
        index = (
            np.flatnonzero(np.asarray(source.select[where], bool)) + where.start
            for where in source.slices()
        )
        for chunk in _regroup(index, _CHUNK):
            for events, logits in self.engine.logits(source, chunk):
                out[events] = logits

    # -- helpers ---------------------------------------------------------------------------

    def start(self, weights: list[np.ndarray]) -> None:
        """Start a new network: nothing of an earlier one stays."""
        for variable in self._optimizer.variables:
            variable.assign(tf.zeros_like(variable))
        self._parameters.assign(_vector(weights))
        self._average.assign(self._parameters.value)
        self.engine.load(self._parameters.value.read_value())

    def _split(self, vector: np.ndarray) -> list[np.ndarray]:
        """Return a vector (d,) as weights in Keras order."""
        shapes = [variable.shape for variable in self.model.weights]
        pieces = np.split(vector, np.cumsum([math.prod(shape) for shape in shapes])[:-1])
        return [piece.reshape(shape).copy() for piece, shape in zip(pieces, shapes, strict=True)]

    def _train_epoch(self, epoch: int, plan: _Epochs) -> dict[str, float]:
        """Run the updates of one epoch and return its record."""
        settings = self.settings
        begin = mark = time.perf_counter()
        loss, waited, rate, norms = 0.0, 0.0, 0.0, []
        first = (epoch - 1) * plan.updates
        for step, batch in enumerate(prefetch(self._batches(epoch, plan)), start=first):
            waited += time.perf_counter() - mark
            value, gradient = self.engine.gradient(batch)
            rate = learning_rate(settings, step, plan.updates, plan.rate_factor)
            # The average starts short and lengthens, so that early states do not linger.
            momentum = min(settings.ema, (1 + step) / (10 + step)) if settings.ema else 0.0
            norms.append(self.update(gradient, rate, momentum))
            loss += value
            mark = time.perf_counter()
        seconds = time.perf_counter() - begin
        return {
            "loss": loss / plan.updates,
            "learning_rate": rate,
            "grad_norm": float(np.mean(norms)),
            "grad_norm_max": float(np.max(norms)),
            "events_per_second": plan.updates * plan.size * len(plan.parts) / seconds,
            "waiting": waited / seconds,
        }

    def _batches(self, epoch: int, plan: _Epochs) -> Iterator[object]:
        """Yield what the engine needs for each update."""
        # Own numbers per epoch, so that an epoch does not depend on how the last one ended.
        words = [int(word) for word in plan.order.generate_state(4)]
        streams = [
            part.shuffled(np.random.default_rng([epoch, i, *words]), plan.size)
            for i, part in enumerate(plan.parts)
        ]
        sources = [part.source for part in plan.parts]
        for _ in range(plan.updates):
            yield self.engine.prepare(sources, [next(stream) for stream in streams])

    def _held_out_loss(self, parts: list[Part], sums: tuple[float, float]) -> float:
        total = 0.0
        for part in parts:
            for chunk in part.ordered(_CHUNK):
                for index, logits in self.engine.logits(part.source, chunk):
                    z = logits.astype(float)
                    a, b = part.source.weights(index)
                    with np.errstate(invalid="ignore"):  # NaN is found by the caller
                        total += float(a @ np.logaddexp(0, -z)) / sums[0]
                        total += float(b @ np.logaddexp(0, z)) / sums[1]
        return total / 2


def _optimizer(settings: Training) -> keras.optimizers.Optimizer:
    # Rate and weight decay act as in the papers that define each optimiser: decoupled decay.
    if settings.optimizer == "adam":
        return keras.optimizers.Adam(1.0, beta_1=settings.beta_1, beta_2=settings.beta_2)
    kinds = {"lion": keras.optimizers.Lion, "adamw": keras.optimizers.AdamW}
    return kinds[settings.optimizer](
        1.0,
        beta_1=settings.beta_1,
        beta_2=settings.beta_2,
        weight_decay=settings.weight_decay,
    )


def _vector(weights: list[np.ndarray]) -> np.ndarray:
    return np.concatenate([np.ravel(w) for w in weights])


def _totals(parts: list[Part], what: str) -> tuple[list[int], tuple[float, float]]:
    """Return the events per source and the sums of weights in class A and class B."""
    totals = [part.totals() for part in parts]
    counts = [count for count, _, _ in totals]
    sums = (sum(t[1] for t in totals), sum(t[2] for t in totals))
    if min(counts) == 0 or not min(sums) > 0:
        raise TrainingError(
            f"{what}: {counts} events, sums of weights {sums} in the two classes. "
            "Give more events, or another training.validation."
        )
    return counts, sums


def _normalised(source: Source, rounds: float, sums: tuple[float, float]) -> Source:
    """Return the source with weights such that each class has 1/2 of a batch's expected loss.

    Args:
        source: events with their weights as they are.
        rounds: batches that it takes to see all training events of the source once.
        sums: sums of weights in class A and class B over all training events.
    """
    factors = (np.broadcast_to(0.5 * rounds / total, len(source.event_id)) for total in sums)
    return replace(
        source,
        **{
            name: (*weights, factor) if weights else ()
            for name, weights, factor in zip(
                ("numerator", "denominator"),
                (source.numerator, source.denominator),
                factors,
                strict=True,
            )
        },
    )


def _finite(value: float, what: str) -> float:
    if not math.isfinite(value):
        raise TrainingError(f"{what} is {value}. Lower training.learning_rate or clip_norm.")
    return value


def _regroup(arrays: Iterator[np.ndarray], size: int) -> Iterator[np.ndarray]:
    pending = np.empty(0, np.int64)
    for array in itertools.chain(arrays, [None]):
        if array is None:
            if len(pending):
                yield pending
            return
        pending = np.concatenate([pending, array])
        while len(pending) >= size:
            yield pending[:size]
            pending = pending[size:]
