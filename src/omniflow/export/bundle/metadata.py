"""Metadata: `metadata.yaml` of a bundle, as format 0.2 of omnifold-publication has it.

Keys that the format does not name are left alone, but for those of `omniflow.export.bundle.more`.
Names of files are plain names, so that nothing outside of the folder is ever opened.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, model_validator

from omniflow.export.bundle.more import More

FORMAT, EVENTS, METADATA = "0.2", "events.parquet", "metadata.yaml"
EVENT_ID, BASE, NOMINAL, FACTOR = "event_id", "weight_mc", "weights_nominal", "factor_nominal"

# What the format knows.
DIFFERENCE, DEVIATION = "quadrature_difference_from_nominal", "standard_deviation"
MEDIAN_ERROR, PAIRED = "median_standard_error", "paired_relative_difference"
COMBINES = {
    "systematic": DIFFERENCE,
    "bootstrap": DEVIATION,
    "ensemble": MEDIAN_ERROR,
    "paired": PAIRED,
}
KINDS = {
    "systematic": "systematic",
    "paired": "systematic",
    "bootstrap": "statistical",
    "ensemble": "training",
}

Count = Annotated[int, Field(ge=0, strict=True)]
Edges = Annotated[tuple[FiniteFloat, ...], Field(min_length=2, max_length=100_000)]


class Part(BaseModel):
    """A mapping of the format; further keys are of others."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Family(Part):
    """Columns of weights that differ in one way, and the rule that makes an error of them.

    Attributes:
        type: as the format calls it.
        combination: the format's rule.
        columns: of events.parquet.
        reference_column: what a paired column is compared with.
        kind: of the error, which the format does not tell.
        varies: what differs from column to column, in words.
        alignment: row i of every column is event i.
        opposite: column of the other side of a variation; its matrix and the first one's are
            averaged.
        by_pass: of each column, then of the opposite one, the columns of single passes.
    """

    type: Literal["systematic", "bootstrap", "ensemble", "paired"]
    combination: Literal[
        "quadrature_difference_from_nominal",
        "standard_deviation",
        "median_standard_error",
        "paired_relative_difference",
    ]
    columns: Annotated[tuple[str, ...], Field(min_length=1)]
    reference_column: str | None = None
    kind: Literal["statistical", "training", "systematic"] | None = None
    varies: str = ""
    alignment: Literal["rows"] = "rows"
    opposite: str | None = None
    by_pass: tuple[Annotated[tuple[str, ...], Field(min_length=1)], ...] = ()

    @model_validator(mode="after")
    def _fits(self) -> Family:
        if self.combination == PAIRED and (len(self.columns) != 1 or self.reference_column is None):
            raise ValueError(f"{PAIRED} takes one column and a reference_column")
        if self.opposite is not None and len(self.columns) != 1:
            raise ValueError("opposite takes one column on the other side")
        sides = len(self.columns) + (self.opposite is not None)
        if self.by_pass and (
            len(self.by_pass) != sides or len({len(each) for each in self.by_pass}) != 1
        ):
            raise ValueError(f"by_pass must list as many columns for each of {sides}")
        return self

    @property
    def means(self) -> str:
        """The kind of its error."""
        return self.kind or KINDS[self.type]

    @property
    def every_column(self) -> tuple[str, ...]:
        """All columns that it names."""
        others = [each for each in (self.reference_column, self.opposite) if each is not None]
        passes = (column for columns in self.by_pass for column in columns)
        return tuple(dict.fromkeys((*self.columns, *others, *passes)))


class Binning(Part):
    """Edges that the authors have used."""

    official: Edges | None = None
    provenance: str | None = None

    @model_validator(mode="after")
    def _rises(self) -> Binning:
        found = self.official or ()
        if any(low >= high for low, high in pairwise(found)):
            raise ValueError("official: edges must rise")
        return self


class Observable(Part):
    """A column that is histogrammed."""

    name: str
    description: str
    units: str
    binning: Binning | None = None
    selection: str | None = None

    @property
    def edges(self) -> tuple[float, ...] | None:
        """Its edges, where the authors have given some."""
        return None if self.binning is None else self.binning.official


class Weights(Part):
    """Columns of weights."""

    nominal: str
    base_mc_weight: str
    nominal_convention: Literal["includes_mc_weight", "reweighting_factor"] = "includes_mc_weight"
    families: dict[str, Family] | None = None


class Normalization(Part):
    """What the sum of nominal weights is."""

    mode: Literal["absolute", "shape"] | None = None
    base_weight_column: str | None = None
    nominal_weight_column: str | None = None
    expected_nominal_sumw: FiniteFloat | None = None
    tolerance: FiniteFloat | None = None
    weight_units: str | None = None
    sum_weights_equals: str | None = None


class Alignment(Part):
    """How rows are told apart."""

    method: Literal["row_order", "column"] = "row_order"
    column: str | None = None

    @model_validator(mode="after")
    def _named(self) -> Alignment:
        if self.method == "column" and self.column is None:
            raise ValueError("event_alignment: method column needs the name of the column")
        return self


class Publication(Part):
    """The table of events."""

    format: Literal["parquet"]
    events_file: str
    event_count: Count
    columns: tuple[str, ...]
    event_alignment: Alignment = Alignment()
    checksum_sha256: str | None = None


class Dataset(Part):
    """Whose result it is."""

    name: str
    experiment: str | None = None
    description: str | None = None
    method: str | None = None
    assumptions: tuple[str, ...] | None = None


class Metadata(Part):
    """All of `metadata.yaml`."""

    format_version: Literal["0.1", "0.2"]
    dataset: Dataset | None = None
    observables: Annotated[tuple[Observable, ...], Field(max_length=10_000)]
    weights: Weights
    normalization: Normalization
    publication: Publication
    omniflow: More | None = None

    @property
    def families(self) -> dict[str, Family]:
        """Families that make the errors of a histogram, by name."""
        return dict(self.weights.families or {})
