"""Progress: where the training of one network stands, from its first epoch to its result."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from omniflow.config.training import Training
from omniflow.config.transfer import PLAIN, Transfer
from omniflow.errors import TrainingError
from omniflow.events.batches import Source
from omniflow.events.resample import resampled
from omniflow.events.split import Part, Shuffled
from omniflow.training.checkpoint import Checkpoint, State
from omniflow.training.dropout import Dropout
from omniflow.training.ecd import constants
from omniflow.training.learner import Learner
from omniflow.training.losses import LOSSES
from omniflow.training.schedule import learning_rates
from omniflow.training.strata import batch_sizes

if TYPE_CHECKING:
    from omniflow.training.engines import Engine

_ADVICE = "Lower training.learning_rate or training.clip_norm."
_ADVICE_ECD = "Lower training.ecd.dt_hat or training.ecd.eta."


@dataclass(frozen=True)
class Seeds:
    """Random numbers of one network.

    Attributes:
        split: integer that decides which events are held out.
        order: sequence of the batch order.
        resample: integer that decides how often events are drawn for training; None: all once.
    """

    split: int
    order: np.random.SeedSequence
    resample: int | None = None


@dataclass(frozen=True)
class Task:
    """A network to train.

    Attributes:
        name: what messages call it.
        sources: one stratum of the batches each: data, backgrounds and simulation in step 1, where
            half of every batch comes from either class, and the simulation alone in step 2, where
            its events stand in both classes.
        initial: parameters (d,) to start from.
        seeds: random numbers.
        rate_factor: on the learning rate.
        checkpoint: where its state is kept; None: nowhere.
        transfer: how backbone and head are trained.
        dropout: masks of its updates; None: no unit is dropped.
        shrink: whether its logarithm of a ratio is multiplied by the factor that held-out events
            confirm.
    """

    name: str
    sources: tuple[Source, ...]
    initial: np.ndarray
    seeds: Seeds
    rate_factor: float = 1.0
    checkpoint: Checkpoint | None = None
    transfer: Transfer = PLAIN
    dropout: Dropout | None = None
    shrink: bool = False


@dataclass(frozen=True)
class Fit:
    """Outcome of one training.

    Attributes:
        parameters: those with the lowest held-out loss (d,), shrunk by `factor`.
        history: one dict per epoch; epoch 0 is the network before training.
        best_epoch: the epoch that `parameters` are from.
        loss: held-out loss of `parameters`.
        summary: events in each part, sums of weights, seconds.
        factor: of the shrinkage, 1 without.
    """

    parameters: np.ndarray
    history: list[dict[str, float]]
    best_epoch: int
    loss: float
    summary: dict[str, float]
    factor: float = 1.0


@dataclass
class _Numbers:
    """All that changes while training, beside the learner and the best parameters.

    The epoch is the one being trained, from 1, and `update` counts what is done of it; sums are
    over its updates. `notable_epoch` is the one that patience counts from.
    """

    epoch: int = 0
    update: int = 0
    loss: float = 0.0
    norm: float = 0.0
    norm_max: float = 0.0
    rate: float = 0.0
    seconds: float = 0.0
    waited: float = 0.0
    total_seconds: float = 0.0
    resumed: int = 0
    best_epoch: int = 0
    notable_epoch: int = 0
    history: list[dict[str, float]] = field(default_factory=list)
    finished: bool = False
    failure: str | None = None


class Progress:
    """A network on its way."""

    def __init__(
        self, task: Task, settings: Training, learner: Learner, ranks: int, variance: float
    ) -> None:
        """Count events and weights, and continue from the task's checkpoint where there is one.

        Args:
            task: the network.
            settings: of its training.
            learner: its parameters; whatever it has learned before is forgotten.
            ranks: processes that train it together.
            variance: summed variance of newly drawn parameters.

        Raises:
            TrainingError: no events or weights to train on or to hold out.
        """
        self.task, self.settings, self.learner = task, settings, learner
        drawn, seed = task.sources, task.seeds.resample
        if seed is not None:
            drawn = resampled(drawn, seed)
        training, self.held_out = (
            [Part.of(s, task.seeds.split, settings.validation, held) for s in sources]
            for sources, held in ((drawn, False), (task.sources, True))
        )
        counts, sums = _totals(training, f"{task.name}: nothing to train on")
        held_counts, self.held_sums = _totals(self.held_out, f"{task.name}: nothing to hold out")
        # A background may be too small to have events in either part.
        training = [part for part, count in zip(training, counts, strict=True) if count]
        counts = [count for count in counts if count]
        scaled = ranks if settings.scale_with_ranks != "none" else 1
        # Events of each part per update, and updates per epoch.
        self.sizes = batch_sizes(training, min(settings.batch_size * scaled, sum(counts)))
        self.updates = max(settings.min_updates, sum(counts) // sum(self.sizes))
        self.rate_factor = task.rate_factor * rate_scale(settings, ranks)
        if max(self.sizes) < ranks:
            raise TrainingError(
                f"{task.name}: {max(self.sizes)} events per class and update are fewer than the "
                f"{ranks} ranks. Raise training.batch_size or lower execution.ranks."
            )
        self.parts = [
            replace(part, source=_normalised(part.source, count / size, sums))
            for part, count, size in zip(training, counts, self.sizes, strict=True)
        ]
        self.totals = {
            "train_events": sum(counts),
            "held_out_events": sum(held_counts),
            "sum_numerator": sums[0],
            "sum_denominator": sums[1],
            "updates_per_epoch": self.updates,
        }
        self.numbers = _Numbers()
        self.best = task.initial
        self.ecd = None
        if settings.optimizer == "ecd":
            seed = int(task.seeds.order.generate_state(1)[0])
            self.ecd = constants(settings, settings.epochs * self.updates, variance, seed)
        learner.start(task.initial, self.ecd)
        self._resume()

    # -- batches ---------------------------------------------------------------------------

    @property
    def sources(self) -> list[Source]:
        """Where batches are read from, with weights as they enter a batch's loss."""
        return [part.source for part in self.parts]

    def batches(self, most: int = 1) -> Iterator[list[np.ndarray]]:
        """Yield positions of what is left of the epoch's updates, at most `most` at a time.

        Args:
            most: updates at a time.

        Yields:
            Positions (U, k) per source, those of U updates.
        """
        # Own numbers per epoch, so that an epoch does not depend on how the last one ended.
        words = [int(word) for word in self.task.seeds.order.generate_state(4)]
        streams = [
            Shuffled(part, np.random.default_rng([self.numbers.epoch, i, *words]))
            for i, part in enumerate(self.parts)
        ]
        done = self.numbers.update
        for stream, size in zip(streams, self.sizes, strict=True):
            for _ in range(done):
                stream.take(size)
        for first in range(done, self.updates, most):
            shapes = [(min(most, self.updates - first), size) for size in self.sizes]
            yield [
                stream.take(math.prod(shape)).reshape(shape)
                for stream, shape in zip(streams, shapes, strict=True)
            ]

    def mask(self) -> np.ndarray | None:
        """Return the factors on the parameters (d,) in the next update; None: all are 1."""
        if self.task.dropout is None:
            return None
        return self.task.dropout.mask((self.numbers.epoch - 1) * self.updates + self.numbers.update)

    # -- events of a training ----------------------------------------------------------------

    def before(self, loss: float) -> None:
        """Note the held-out loss before training."""
        if self._finite(loss, "held-out loss before training"):
            self.numbers.history.append({"epoch": 0, "val_loss": loss})
            self.numbers.epoch = 1

    def update(self, loss: float, gradient: np.ndarray) -> None:
        """Learn from the gradient (d,) of one batch.

        Args:
            loss: of the batch.
            gradient: (d,) of the loss.
        """
        now = self.numbers
        if not self._finite(loss, f"training loss of epoch {now.epoch}"):
            return
        if self.ecd and loss <= self.ecd.f0:
            now.failure = (
                f"{self.task.name}: training loss of epoch {now.epoch} is {loss:.4g} and has "
                f"reached training.ecd.f0, {self.ecd.f0:.4g}. Set a lower one."
            )
            return
        (rate,), (momentum,) = self._rates(1)
        backbone = self.task.transfer.backbone_factor(now.epoch)
        norm = self.learner.update(gradient, loss, rate, momentum, backbone)
        self._note([loss], [norm], rate)

    @property
    def plain(self) -> bool:
        """Whether an engine that can may do the updates itself."""
        return self.task.dropout is None and self.learner.steps() is not None

    def updates_by(self, engine: Engine, batches: Any) -> None:
        """Let the engine do the updates of several batches."""
        rates, momenta = self._rates(len(batches))
        steps = self.learner.steps()
        assert steps is not None  # see `plain`
        found = engine.train(steps, batches, rates, momenta)
        losses, norms = (each.tolist() for each in found)
        self._note(losses, norms, rates[len(losses) - 1])

    def _rates(self, count: int) -> tuple[list[float], list[float]]:
        """Return learning rates and momenta of the average in the next updates."""
        now, ema = self.numbers, self.settings.ema
        first = (now.epoch - 1) * self.updates + now.update
        steps = range(first, first + count)
        if self.ecd:
            rates = [self.ecd.dt] * count
        else:
            rates = learning_rates(self.settings, steps, self.updates, self.rate_factor)
        # The average starts short and lengthens, so that early states do not linger.
        momenta = [min(ema, (1 + step) / (10 + step)) if ema else 0.0 for step in steps]
        return rates, momenta

    def _note(self, losses: list[float], norms: list[float], rate: float) -> None:
        """Count updates, but for a last one whose loss or gradient is not finite."""
        now = self.numbers
        now.rate = rate
        if not (
            self._finite(losses[-1], f"training loss of epoch {now.epoch}")
            and self._finite(norms[-1], f"gradient of epoch {now.epoch}")
        ):
            # Sums must stay finite too: checkpoints are JSON.
            losses, norms = losses[:-1], norms[:-1]
        for loss, norm in zip(losses, norms, strict=True):
            now.loss += loss
            now.norm += norm
        now.norm_max = max([now.norm_max, *norms])
        now.update += len(losses)

    def close_epoch(self, loss: float, seconds: float) -> None:
        """Note the held-out loss of the averaged parameters after the epoch's last update.

        Args:
            loss: mean over held-out events.
            seconds: that finding it took.
        """
        now, settings = self.numbers, self.settings
        if not self._finite(loss, f"held-out loss of epoch {now.epoch}"):
            return
        lowest = now.history[now.best_epoch]["val_loss"]
        if loss < lowest:
            now.best_epoch, self.best = now.epoch, np.array(self.learner.average)
        fall = now.history[0]["val_loss"] - loss
        if loss < now.history[now.notable_epoch]["val_loss"] - settings.tolerance * max(fall, 0.0):
            now.notable_epoch = now.epoch
        now.history.append(
            {
                "epoch": now.epoch,
                "val_loss": loss,
                "seconds": now.seconds + seconds,
                "loss": now.loss / self.updates,
                "learning_rate": now.rate,
                "grad_norm": now.norm / self.updates,
                "grad_norm_max": now.norm_max,
                "events_per_second": self.updates * sum(self.sizes) / now.seconds,
                "waiting": now.waited / now.seconds,
            }
        )
        transfer = self.task.transfer
        if transfer.acts:
            now.history[-1]["backbone_rate"] = now.rate * transfer.backbone_factor(now.epoch)
        now.total_seconds += now.seconds + seconds
        above, start = settings.divergence - 1, now.history[0]["val_loss"]
        bound = max(
            LOSSES[settings.loss].uninformed + above * math.log(2), start + above * abs(start)
        )
        if loss > bound:
            now.failure = (
                f"{self.task.name}: held-out loss of epoch {now.epoch} is {loss:.4g}, above "
                f"{bound:.4g}: the training diverges. {self._advice}"
            )
        # Epochs before the backbone is let go do not use up the patience.
        frozen = 0 if transfer.freeze_epochs == "all" else transfer.freeze_epochs
        waited = now.epoch - max(now.notable_epoch, frozen)
        now.finished = now.epoch >= settings.epochs or waited >= settings.patience
        now.epoch, now.update = now.epoch + 1, 0
        now.loss = now.norm = now.norm_max = now.seconds = now.waited = 0.0

    @property
    def ended(self) -> bool:
        """Whether nothing is left to do."""
        return self.numbers.finished or self.numbers.failure is not None

    @property
    def outcome(self) -> Fit | TrainingError:
        """What the training that has ended gives."""
        now = self.numbers
        if now.failure:
            return TrainingError(now.failure)
        summary = self.totals | {"seconds": now.total_seconds, "resumed": now.resumed}
        loss = now.history[now.best_epoch]["val_loss"]
        return Fit(self.best, now.history, now.best_epoch, loss, summary)

    # -- checkpoints -----------------------------------------------------------------------

    def save(self) -> None:
        """Write the checkpoint."""
        if self.task.checkpoint is not None:
            arrays = self.learner.arrays() | {"best": self.best}
            self.task.checkpoint.write(State(asdict(self.numbers), arrays))

    def _resume(self) -> None:
        state = self.task.checkpoint.read() if self.task.checkpoint else None
        if state is None:
            return
        self.numbers = _Numbers(**state.progress)
        self.best = state.arrays.pop("best")
        self.learner.restore(state.arrays)
        if not self.ended:
            self.numbers.resumed += 1

    def _finite(self, value: float, what: str) -> bool:
        """Return whether the value is finite; if not, the training has failed."""
        if not math.isfinite(value):
            self.numbers.failure = f"{self.task.name}: {what} is {value}. {self._advice}"
        return self.numbers.failure is None

    @property
    def _advice(self) -> str:
        return _ADVICE_ECD if self.ecd else _ADVICE


def rate_scale(settings: Training, ranks: int) -> float:
    """Return the factor on the learning rate for larger batches of several ranks."""
    return {"none": 1.0, "sqrt": math.sqrt(ranks), "linear": float(ranks)}[
        settings.scale_with_ranks
    ]


def _totals(parts: list[Part], what: str) -> tuple[list[int], tuple[float, float]]:
    """Return the events per source and the sums of weights in class A and class B."""
    totals = [part.totals() for part in parts]
    counts = [count for count, _, _ in totals]
    sums = (sum(t[1] for t in totals), sum(t[2] for t in totals))
    if not min(sums) > 0:
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
    above, below = (
        (*weights, factor) if weights else ()
        for weights, factor in zip((source.numerator, source.denominator), factors, strict=True)
    )
    return replace(source, numerator=above, denominator=below)
