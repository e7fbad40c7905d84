"""Varied results: one observable of one method in every variant, and what follows from all of them.

Contents are event yields or of unit sum; bins of several observables may stand after one another.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from omniflow.evaluation import covariance
from omniflow.evaluation.covariance import Block
from omniflow.unfolding.variants import ROLES, TOY

# Kinds of pulls: of passes by the total error; of toys by the blocks that they vary.
PASS_TOTAL, TOY_SAMPLES = "pass_total", "toy_samples"


@dataclass(frozen=True)
class Scheme:
    """What a study varies.

    Attributes:
        kinds: names of variants by kind: data, simulation, variation, toy.
        sides: variations of each systematic block, one or the two sides of a pair.
        origins: what made the samples that each systematic block brings in.
        passes: that variants run.
        drawn: kinds of samples that toys draw.
    """

    kinds: Mapping[str, tuple[str, ...]]
    sides: Mapping[str, tuple[str, ...]]
    origins: Mapping[str, frozenset[str]]
    passes: int
    drawn: tuple[str, ...]


@dataclass(frozen=True)
class Prediction:
    """What an unfolded observable is compared with.

    Attributes:
        content: (B,).
        variants: content (B,) in each replica and variation. A prediction that shares events with
            the result, or is scaled to the data, moves with them.
        blocks: its own statistical covariance, where it shares no events with the result.
        origins: what its sample was made by.
    """

    content: np.ndarray
    variants: dict[str, np.ndarray]
    blocks: dict[str, Block]
    origins: frozenset[str]


@dataclass(frozen=True)
class Varied:
    """One observable of one method, in every variant.

    Attributes:
        scheme: what is varied.
        passes: (N, B) nominal content of each pass.
        variants: content (P, B) by variant, of each pass that variants run.
    """

    scheme: Scheme
    passes: np.ndarray
    variants: Mapping[str, np.ndarray]

    @classmethod
    def joined(cls, results: Iterable[Varied]) -> Varied:
        """Return all observables as one, their bins after one another."""
        results = list(results)
        variants = {
            name: np.concatenate([result.variants[name] for result in results], axis=1)
            for name in results[0].variants
        }
        passes = np.concatenate([result.passes for result in results], axis=1)
        return cls(results[0].scheme, passes, variants)

    def shift(self, variation: str, prediction: Prediction | None = None) -> np.ndarray:
        """Return the shifts (P, B) of a variation from the nominal result of the same pass.

        Or those of the difference to a prediction, which moves if it is scaled to the data.

        Args:
            variation: its name.
            prediction: of which the difference is taken.

        Returns:
            (P, B).
        """
        found = self.variants[variation]
        return found - self.passes[: len(found)] - self._moved(variation, prediction)

    def shifts(self, prediction: Prediction) -> dict[str, list[np.ndarray]]:
        """Return the shifts (B,) of each systematic block, one side or both, from a prediction.

        Args:
            prediction: of which the difference is taken.

        Returns:
            (B,) for each side, by block.
        """
        return {
            name: [self.shift(side, prediction).mean(axis=0) for side in sides]
            for name, sides in self.scheme.sides.items()
        }

    def replicas(self, kind: str) -> np.ndarray:
        """Return the contents (R, P, B) of the variants of a kind.

        Args:
            kind: data, simulation, or toy.

        Returns:
            (R, P, B).
        """
        found = [self.variants[name] for name in self.scheme.kinds[kind]]
        return np.array(found).reshape(len(found), self.scheme.passes, self.passes.shape[1])

    def blocks(self, passes: int, prediction: Prediction | None = None) -> dict[str, Block]:
        """Return the covariance of the mean of so many passes, or of its difference to something.

        Replicas and variations have the random numbers of the nominal result. What they still
        scatter by training is measured by several passes.
        """
        blocks = {}
        for kind in ROLES:
            found = self.replicas(kind)
            if len(found):
                moved = [self._moved(name, prediction) for name in self.scheme.kinds[kind]]
                blocks[kind] = covariance.of_replicas(found - np.array(moved)[:, None])
        if len(self.passes) > 1:
            blocks[covariance.TRAINING] = covariance.scatter(self.passes) * (1 / passes)
        for name, sides in self.scheme.sides.items():
            shifts = [self.shift(side, prediction) for side in sides]
            blocks[name] = covariance.of_shifts(shifts, self.scheme.origins[name])
        return blocks | (prediction.blocks if prediction is not None else {})

    def matrices(self, passes: int | None = None) -> dict[str, np.ndarray]:
        """Return the blocks (B, B) of the mean of so many passes and, if there are any, their sum.

        Args:
            passes: of which the mean is; None: all of them.

        Returns:
            (B, B) by block, and `total` if there is any.
        """
        blocks = self.blocks(passes or len(self.passes))
        found = {name: block.matrix for name, block in blocks.items()}
        return found | ({"total": covariance.total(blocks.values())} if blocks else {})

    def pulls(self, truth: Prediction, toys: np.ndarray) -> dict[str, np.ndarray]:
        """Return pulls by kind: of each toy against its own truth, of each pass against truth.

        Toys differ by their samples and by their training, so that these blocks are their error;
        it takes replicas. Passes are divided by the error of all blocks.

        Args:
            truth: of the study.
            toys: (T, B) truth of each toy.

        Returns:
            (k, B) by kind; only those that errors are known for.
        """
        pulls, drawn = {}, self.scheme.drawn
        blocks = covariance.independent(self.blocks(1, truth), truth.origins)
        if blocks:
            error = covariance.total(blocks.values())
            pulls[PASS_TOTAL] = covariance.pulls(self.passes - truth.content, error)
        if len(toys) and all(len(self.replicas(kind)) for kind in drawn):
            blocks = self.blocks(self.scheme.passes, truth)
            error = covariance.total(blocks[k] for k in (*drawn, "training") if k in blocks)
            kind = TOY_SAMPLES if len(drawn) > 1 else TOY
            pulls[kind] = covariance.pulls(self.replicas(TOY).mean(axis=1) - toys, error)
        return pulls

    def _moved(self, variant: str, prediction: Prediction | None) -> np.ndarray:
        """Return how far (B,) a prediction moves in a variant."""
        if prediction is None:
            return np.zeros(self.passes.shape[1])
        return prediction.variants[variant] - prediction.content
