"""Histogram: contents of bins of a bundle, with the covariance of all of them together."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from omniflow.errors import InputError
from omniflow.files import to_json, write_csv, write_text

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Histograms:
    """Histograms of one or several observables, of the same events.

    Bins of all observables stand one after the other.

    Attributes:
        names: what was histogrammed.
        edges: (B_k + 1,) of each observable.
        content: (B,) sums of weights, or shares where `normalised`.
        blocks: covariance (B, B) by family.
        kinds: of each block: `statistical`, `training` or `systematic`.
        total: (B, B) covariance.
        effective: (B,) effective events.
        flow: (k, 2) weights below the first and above the last bin of each observable.
        normalised: whether each observable has unit sum.
        warnings: what the bins cannot be relied on for.
    """

    names: tuple[str, ...]
    edges: tuple[np.ndarray, ...]
    content: np.ndarray
    blocks: Mapping[str, np.ndarray]
    kinds: Mapping[str, str]
    total: np.ndarray
    effective: np.ndarray
    flow: np.ndarray
    normalised: bool = False
    warnings: tuple[str, ...] = field(default=())

    @property
    def error(self) -> np.ndarray:
        """Standard error (B,) of each bin."""
        return np.sqrt(np.maximum(np.diagonal(self.total), 0))

    @property
    def correlation(self) -> np.ndarray:
        """Correlation (B, B) of the bins; 0 with bins without error."""
        scale = np.outer(self.error, self.error)
        return np.divide(self.total, scale, out=np.zeros_like(scale), where=scale > 0)

    @cached_property
    def rows(self) -> dict[str, slice]:
        """Which bins each observable has."""
        ends = np.cumsum([len(edges) - 1 for edges in self.edges]).tolist()
        starts = [0, *ends[:-1]]
        return {n: slice(a, b) for n, a, b in zip(self.names, starts, ends, strict=True)}

    def of_kind(self, kind: str) -> np.ndarray:
        """Return the covariance (B, B) of one kind: the sum of its blocks.

        Args:
            kind: `statistical`, `training` or `systematic`.

        Returns:
            (B, B), 0 without such a block.
        """
        found = [block for name, block in self.blocks.items() if self.kinds[name] == kind]
        return np.sum([np.zeros_like(self.total), *found], axis=0)

    def table(self) -> pd.DataFrame:
        """Return a row per bin: edges, content, error, that of each block, effective events."""
        import pandas as pd

        parts = []
        for (name, where), edges in zip(self.rows.items(), self.edges, strict=True):
            columns = {
                "observable": name,
                "bin": np.arange(len(edges) - 1),
                "low": edges[:-1],
                "high": edges[1:],
                "content": self.content[where],
                "error": self.error[where],
            }
            for block, matrix in self.blocks.items():
                error = np.sqrt(np.maximum(np.diagonal(matrix)[where], 0))
                columns[f"error_{block}"] = error
            columns["effective"] = self.effective[where]
            parts.append(pd.DataFrame(columns))
        return pd.concat(parts, ignore_index=True)

    def to_dict(self) -> dict[str, Any]:
        """Return all of it, as JSON has it."""
        return {
            "observables": [
                {"name": name, "edges": edges, "flow": flow}
                for name, edges, flow in zip(self.names, self.edges, self.flow, strict=True)
            ],
            "normalised": self.normalised,
            "content": self.content,
            "error": self.error,
            "effective": self.effective,
            "covariance": {
                **{
                    name: {"kind": self.kinds[name], "matrix": matrix}
                    for name, matrix in self.blocks.items()
                },
                "total": {"kind": "total", "matrix": self.total},
            },
            "warnings": list(self.warnings),
        }

    def write(self, path: Path) -> list[Path]:
        """Write to a file: JSON with everything, or CSV with the covariance in a file beside it.

        Args:
            path: that ends with .json or .csv.

        Returns:
            The files.

        Raises:
            InputError: it ends otherwise.
        """
        if path.suffix == ".json":
            write_text(to_json(json.loads(to_json(self.to_dict()))) + "\n", path)
            return [path]
        if path.suffix != ".csv":
            raise InputError(f"{path}: give a file that ends with .csv or .json")
        beside = path.with_name(f"{path.stem}.covariance.csv")
        write_csv(self.table(), path)
        write_csv(self.covariance_table(), beside)
        return [path, beside]

    def covariance_table(self) -> pd.DataFrame:
        """Return a row for each block and pair of bins."""
        import pandas as pd

        labels = [(name, i) for name, r in self.rows.items() for i in range(r.stop - r.start)]
        names = np.array([name for name, _ in labels], object)
        bins = np.array([i for _, i in labels])
        size = len(labels)
        i, j = (each.ravel() for each in np.indices((size, size)))
        parts = [
            pd.DataFrame(
                {
                    "block": block,
                    "kind": kind,
                    "observable_i": names[i],
                    "bin_i": bins[i],
                    "observable_j": names[j],
                    "bin_j": bins[j],
                    "value": matrix.ravel(),
                }
            )
            for block, kind, matrix in (
                *((name, self.kinds[name], matrix) for name, matrix in self.blocks.items()),
                ("total", "total", self.total),
            )
        ]
        return pd.concat(parts, ignore_index=True)
