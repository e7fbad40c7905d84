"""Training and evaluation of networks of one architecture, alone or several together."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from omniflow.config.training import Training
from omniflow.errors import TrainingError
from omniflow.events.batches import Source
from omniflow.models.layout import Layout
from omniflow.training.distributed import RankError, Ranks
from omniflow.training.engines import Engine
from omniflow.training.interrupt import Interrupt, Interrupted
from omniflow.training.learner import Learner
from omniflow.training.losses import LOSSES
from omniflow.training.prefetch import prefetch
from omniflow.training.progress import Fit, Progress, Task
from omniflow.training.shrinkage import Shrinkage, best_factor

# Events that logits are asked for at a time.
_CHUNK = 4096

_KEPT = (
    "the job was told to end (time limit, preempted or cancelled). What is trained is "
    "kept; a rerun goes on from there."
)


class Trainer:
    """Trains networks, as many at a time as the engine takes.

    Networks trained together move on update by update, each with its own batches, parameters and
    early stopping; one that has stopped costs nothing further.
    """

    def __init__(
        self,
        layout: Layout,
        settings: Training,
        engine: Engine,
        ranks: Ranks | None = None,
        interrupt: Interrupt | None = None,
        checkpoint_seconds: float = 600.0,
    ) -> None:
        """Prepare to train networks of an architecture, which `engine` evaluates.

        Args:
            layout: number, type and spread of the parameters.
            settings: how networks are trained.
            engine: outputs and gradients.
            ranks: the processes that share the work; by default this one alone.
            interrupt: noted between two updates; the training then saves its state and ends.
            checkpoint_seconds: time between two checkpoints.
        """
        self.settings, self.engine, self.ranks = settings, engine, ranks or Ranks()
        self._interrupt, self._checkpoint_seconds = interrupt or Interrupt(), checkpoint_seconds
        self._loss = LOSSES[settings.loss]
        self._layout = layout
        self._learners: dict[tuple[int, bool], Learner] = {}

    def learner(self, index: int = 0, apart: bool = False) -> Learner:
        """Return the learner of the network `index` of those trained together.

        `apart`: its backbone and head have rates of their own.
        """
        if (index, apart) not in self._learners:
            layout = self._layout
            backbone = layout.backbone if apart else 0
            learner = Learner(self.settings, layout.size, layout.dtype, backbone)
            self._learners[index, apart] = learner
        return self._learners[index, apart]

    # -- training --------------------------------------------------------------------------

    def fit(self, tasks: Sequence[Task]) -> list[Fit | TrainingError]:
        """Train a network per task; each gives its best state, or the error that ended it.

        Held-out events decide which epoch is kept; the loss is that of the averaged parameters,
        which are the ones returned. Errors are a loss that is not finite and divergence; their
        messages start with the task's name.

        Raises:
            TrainingError: no events or weights to train on or to hold out.
            Interrupted: the interrupt was requested; states are saved.
            RankError: another rank is gone.
        """
        size = self.engine.stack
        groups = (tasks[first : first + size] for first in range(0, len(tasks), size))
        return list(itertools.chain.from_iterable(map(self._fit_together, groups)))

    def _fit_together(self, tasks: Sequence[Task]) -> list[Fit | TrainingError]:
        networks = []
        for index, task in enumerate(tasks):
            task = replace(task, initial=self.ranks.first(task.initial))
            learner = self.learner(index, task.transfer.acts)
            one = Progress(task, self.settings, learner, self.ranks.size, self._layout.variance)
            networks.append(one)
            self.ranks.agree(
                f"{task.name}: where the training goes on",
                f"epoch {one.numbers.epoch}, update {one.numbers.update}",
                "They have read different checkpoints. Start again when the file system shows all "
                "nodes the same; deleting the study's folder `checkpoints` begins anew.",
            )
        self._saved = time.monotonic()
        try:
            while active := [one for one in networks if not one.ended]:
                self._round(active)
                self._save([one for one in active if one.ended])
        except (Interrupted, RankError):
            self._save([one for one in networks if not one.ended])
            raise
        return [self._shrunk(one) if one.task.shrink else one.outcome for one in networks]

    def _shrunk(self, one: Progress) -> Fit | TrainingError:
        """Return the outcome with as much of what was learned as held-out events confirm."""
        fit = one.outcome
        if isinstance(fit, TrainingError) or not fit.best_epoch:
            return fit
        shrinkage = Shrinkage(self._loss, one.held_sums)
        for part in one.held_out:
            bare = part.source.bare
            for chunk in part.ordered(_CHUNK, self.ranks.rank, self.ranks.size):
                for index, (outputs,) in self._outputs([fit.parameters], bare, chunk):
                    shrinkage.add(outputs, *part.source.weights(index))
        (losses,) = self.ranks.sum([shrinkage.losses])
        factor = best_factor(losses)
        shrunk = self._layout.shrunk(fit.parameters, factor)
        return replace(fit, parameters=shrunk, loss=float(losses.min()), factor=factor)

    def _round(self, active: list[Progress]) -> None:
        """Train what is left of the current epoch of each network."""
        for one in active:
            if not one.numbers.history:
                one.before(self._held_out_loss(one, one.learner.average))
        active = _going_on(active)
        mark = time.perf_counter()
        for rows, batches in self._ahead(active):
            waited = time.perf_counter() - mark
            running = [active[row] for row in rows]
            stop = self._update(running, batches)
            spent = time.perf_counter() - mark
            for one in running:  # networks trained together share the time
                one.numbers.waited += waited / len(running)
                one.numbers.seconds += spent / len(running)
            if stop:
                raise Interrupted(f"{active[0].task.name} and those with it: {_KEPT}")
            if time.monotonic() - self._saved > self._checkpoint_seconds:
                self._saved = time.monotonic()
                self._save(_going_on(active))
            if not _going_on(active):
                return
            mark = time.perf_counter()
        for one in _going_on(active):
            begin = time.perf_counter()
            loss = self._held_out_loss(one, one.learner.average)
            one.close_epoch(loss, time.perf_counter() - begin)

    def _update(self, running: list[Progress], prepared: Any) -> bool:
        """Do one update of each network, or several of one; return whether to stop behind it."""
        if self._by_engine(running):
            running[0].updates_by(self.engine, prepared)
            return self._interrupt.requested
        masks = [one.mask() for one in running]
        vectors = [one.learner.parameters for one in running]
        vectors = [_thinned(v, mask) for v, mask in zip(vectors, masks, strict=True)]
        losses, gradients = self.engine.gradient(vectors, prepared)
        *gradients, summed, stop = self.ranks.sum(
            [*gradients, np.array(losses), np.array([float(self._interrupt.requested)])]
        )
        gradients = [_thinned(g, mask) for g, mask in zip(gradients, masks, strict=True)]
        for one, loss, gradient in zip(running, summed, gradients, strict=True):
            # A failed network's share of the batches prepared ahead is ignored.
            if not one.ended:
                one.update(float(loss), gradient)
        return bool(stop[0])

    def _by_engine(self, running: list[Progress]) -> bool:
        """Return whether the engine does updates itself, as many as were read together."""
        alone = self.ranks.size == 1 and len(running) == 1
        return alone and self.engine.trains and running[0].plain

    def _ahead(self, active: list[Progress]) -> Iterator[tuple[list[int], Any]]:
        """Yield which networks are updated, and what the engine needs for it; read in a thread."""
        for rows, batches in prefetch(self._batches(active)):
            if self._by_engine([active[row] for row in rows]):
                yield rows, batches
            else:
                yield from ((rows, batches[i]) for i in range(len(batches)))

    def _batches(self, active: list[Progress]) -> Iterator[tuple[list[int], Sequence[Any]]]:
        """Yield groups of updates: which networks they are for, and the batches of each."""
        most = 1
        if len(active) == 1:  # of several, some may have more updates than others
            most = max(1, self.engine.ahead // sum(active[0].sizes))
        for found in itertools.zip_longest(*(one.batches(most) for one in active)):
            rows = [row for row, positions in enumerate(found) if positions is not None]
            networks = [(active[row].sources, list(map(self._share, found[row]))) for row in rows]
            yield rows, self.engine.prepare(networks)

    def _share(self, positions: np.ndarray) -> np.ndarray:
        """Return this rank's part of events (..., k): neighbours in the file, to read less."""
        if self.ranks.size == 1:
            return positions
        return np.array_split(np.sort(positions), self.ranks.size, axis=-1)[self.ranks.rank]

    def _save(self, networks: Sequence[Progress]) -> None:
        if self.ranks.rank == 0:
            for one in networks:
                one.save()

    # -- evaluation ------------------------------------------------------------------------

    def predict(
        self, parameters: Sequence[np.ndarray], source: Source
    ) -> Iterator[tuple[slice, np.ndarray]]:
        """Yield slices that cover all n events with the logits (networks, k) of each.

        A logit is the logarithm of the likelihood ratio, whatever the loss. Events that are not
        selected get NaN; all ranks get the same.

        Args:
            parameters: (d,) of each network.
            source: n events.

        Yields:
            Slices of the n events, and logits (networks, k) float32.

        Raises:
            Interrupted: the interrupt was requested.
        """
        size, bare = _CHUNK * self.ranks.size, source.bare
        for start in range(0, len(source.event_id), size):
            where = slice(start, min(start + size, len(source.event_id)))
            index = np.flatnonzero(source.select[where]) + start
            found = np.zeros((len(parameters), where.stop - start), np.float32)
            for events, outputs in self._outputs(parameters, bare, self._share(index)):
                found[:, events - start] = self._loss.log_ratio(outputs.astype(float))
            (found,) = self.ranks.sum([found])
            out = np.full_like(found, np.nan)
            out[:, index - start] = found[:, index - start]
            yield where, out

    def _held_out_loss(self, progress: Progress, parameters: np.ndarray) -> float:
        total, sums = np.zeros(1), progress.held_sums
        for part in progress.held_out:
            bare = part.source.bare
            for chunk in part.ordered(_CHUNK, self.ranks.rank, self.ranks.size):
                for index, (outputs,) in self._outputs([parameters], bare, chunk):
                    cost_a, cost_b = self._loss.values(outputs)
                    a, b = part.source.weights(index)
                    with np.errstate(invalid="ignore", over="ignore"):  # NaN is found by the caller
                        total += (a @ cost_a) / sums[0]
                        total += (b @ cost_b) / sums[1]
        (total,) = self.ranks.sum([total])
        return float(total[0]) / 2

    def _outputs(
        self, parameters: Sequence[np.ndarray], source: Source, index: np.ndarray
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        # Other ranks would wait for this one: they end together, at the next update.
        if self._interrupt.requested and self.ranks.size == 1:
            raise Interrupted(_KEPT)
        if len(index):
            yield from self.engine.outputs(parameters, source, index)


def _thinned(vector: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
    """Return parameters or gradient (d,) of a thinned network; both have the mask's factors."""
    return vector if mask is None else vector * mask


def _going_on(networks: list[Progress]) -> list[Progress]:
    return [one for one in networks if not one.ended]
