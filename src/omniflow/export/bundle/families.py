"""Families: the rules by which columns of weights become blocks of a covariance."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from omniflow.evaluation import covariance
from omniflow.evaluation.covariance import Block
from omniflow.export.bundle.metadata import DEVIATION, DIFFERENCE, MEDIAN_ERROR, Family

# Returns the contents (K, B) of K columns.
Contents = Callable[[Sequence[str]], np.ndarray]


class Passes:
    """The nominal result and its single passes, of the same bins."""

    def __init__(self, nominal: np.ndarray, passes: np.ndarray | None) -> None:
        """Take contents.

        Args:
            nominal: (B,).
            passes: (N, B); None for one pass.
        """
        self.nominal = nominal
        self._passes = nominal[None] if passes is None else passes

    def shifts(self, found: np.ndarray, by_pass: bool) -> np.ndarray:
        """Return how far contents are from the nominal ones, of the same passes.

        Args:
            found: (P, B), of passes; or (1, B), a mean.
            by_pass: whether rows are single passes.

        Returns:
            (P, B).
        """
        base = self._passes[: len(found)] if by_pass else self.nominal
        return np.asarray(found - base)


def blocks(
    families: Mapping[str, Family],
    contents: Contents,
    passes: Passes,
    others: Mapping[str, Sequence[np.ndarray]],
) -> dict[str, Block]:
    """Return the blocks of the covariance, by family, or by block of others.

    Args:
        families: by name.
        contents: gives (K, B) of K columns.
        passes: the nominal result.
        others: shifts (P, B), one array for each side, of variations with other events, by block.

    Returns:
        (B, B) each.
    """
    found = {}
    sides = {name: list(shifts) for name, shifts in others.items()}
    for name, family in families.items():
        if family.combination == DIFFERENCE:
            shifts = _shifts(family, contents, passes)
            if len(family.columns) > 1:  # as many variations, none related to another
                found[name] = _sum([covariance.of_shifts([each]) for each in shifts])
            else:
                sides[name] = shifts + sides.get(name, [])
        elif family.combination == DEVIATION:
            found[name] = covariance.of_replicas(_replicas(family, contents))
        elif family.combination == MEDIAN_ERROR:
            values = contents(family.columns)
            found[name] = covariance.scatter(values) * (1 / len(values))
        else:
            found[name] = covariance.of_shifts([_paired(family, contents, passes.nominal)])
    return found | {name: covariance.of_shifts(each) for name, each in sides.items()}


def _shifts(family: Family, contents: Contents, passes: Passes) -> list[np.ndarray]:
    """Return the shifts (P, B) of each column, and of the opposite one."""
    if family.by_pass:
        return [passes.shifts(contents(columns), True) for columns in family.by_pass]
    sides = [*family.columns, *([family.opposite] if family.opposite is not None else [])]
    return [passes.shifts(row[None], False) for row in contents(sides)]


def _replicas(family: Family, contents: Contents) -> np.ndarray:
    """Return contents (R, P, B) of replicas."""
    if not family.by_pass:
        return contents(family.columns)[:, None]
    return np.stack([contents(columns) for columns in family.by_pass])


def _paired(family: Family, contents: Contents, nominal: np.ndarray) -> np.ndarray:
    """Return the shift (1, B) of a result of known truth, relative to that, times the nominal."""
    varied, reference = contents([family.columns[0], str(family.reference_column)])
    there = reference != 0
    relative = np.divide(varied - reference, reference, out=np.zeros_like(nominal), where=there)
    return (relative * nominal)[None]


def _sum(parts: Sequence[Block]) -> Block:
    return Block(np.sum([each.matrix for each in parts], axis=0))
