"""Joint covariance of the bins of all observables, as files of a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, FiniteFloat

from omniflow.export.bundle import sidecar
from omniflow.export.bundle.histogram import Histograms
from omniflow.export.bundle.more import Section
from omniflow.files import atomic_path, write_json

DESCRIPTION, NUMBERS = "covariance.json", "covariance.npy"


class _Axis(Section):
    name: str
    edges: Annotated[tuple[FiniteFloat, ...], Field(min_length=2)]
    flow: tuple[FiniteFloat, FiniteFloat]


class _Block(Section):
    name: str
    kind: Literal["statistical", "training", "systematic", "total"]


class _Description(Section):
    """What the numbers are: (block, bin, bin), the bins of all observables one after the other."""

    version: Literal[1] = 1
    observables: Annotated[tuple[_Axis, ...], Field(min_length=1)]
    normalised: bool
    content: tuple[FiniteFloat, ...]
    effective: tuple[FiniteFloat, ...]
    blocks: Annotated[tuple[_Block, ...], Field(min_length=1)]
    warnings: tuple[str, ...] = ()


def write(found: Histograms, folder: Path) -> None:
    """Write histograms and their covariance to two files of a folder."""
    blocks = [*((name, found.kinds[name]) for name in found.blocks), ("total", "total")]
    write_json(
        {
            "version": 1,
            "observables": [
                {"name": name, "edges": edges, "flow": flow}
                for name, edges, flow in zip(found.names, found.edges, found.flow, strict=True)
            ],
            "normalised": found.normalised,
            "content": found.content,
            "effective": found.effective,
            "blocks": [{"name": name, "kind": kind} for name, kind in blocks],
            "warnings": found.warnings,
        },
        folder / DESCRIPTION,
    )
    with atomic_path(folder / NUMBERS) as path:
        np.save(path, np.stack([*found.blocks.values(), found.total]).astype("<f8"))


def read(folder: Path) -> Histograms:
    """Return what `write` wrote.

    Raises:
        InputError: missing or damaged.
    """
    told = sidecar.describe(folder, DESCRIPTION, _Description)
    bins = sum(len(axis.edges) - 1 for axis in told.observables)
    if len(told.content) != bins or len(told.effective) != bins:
        raise sidecar.InputError(f"{folder / DESCRIPTION}: has not as many contents as bins")
    shape = (len(told.blocks), bins, bins)
    numbers = np.array(sidecar.read(folder, NUMBERS, shape, "<f8"))
    *names, _ = (block.name for block in told.blocks)
    return Histograms(
        tuple(axis.name for axis in told.observables),
        tuple(np.array(axis.edges) for axis in told.observables),
        np.array(told.content),
        dict(zip(names, numbers[:-1], strict=True)),
        {block.name: block.kind for block in told.blocks[:-1]},
        numbers[-1],
        np.array(told.effective),
        np.array([axis.flow for axis in told.observables]),
        told.normalised,
        told.warnings,
    )
