"""What a bundle of omniflow says beyond format 0.2: the section `omniflow` of `metadata.yaml`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

# Names of files and folders: neither a path nor hidden.
PlainName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=100)]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


# What no bundle should lack.
WANTED = ("licence", "citation")


class Section(BaseModel):
    """A mapping of this project: unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class About(Section):
    """Licence, citation and the like."""

    title: str | None = None
    authors: tuple[str, ...] | None = None
    licence: str | None = None
    citation: str | None = None
    doi: str | None = None
    contact: str | None = None
    experiment: str | None = None
    description: str | None = None

    @property
    def missing(self) -> list[str]:
        """What should be there and is not."""
        return [key for key in WANTED if not getattr(self, key)]


class File(Section):
    """A file of the folder, by its bytes."""

    sha256: Digest
    bytes: Annotated[int, Field(ge=0)]
    holds: str


class Jagged(Section):
    """An observable with any number of entries per event, as a column of lists."""

    description: str
    units: str
    edges: tuple[FiniteFloat, ...] | None = None


class Sample(Section):
    """Weights of other events, in a folder of its own: nothing aligns its rows with these."""

    folder: PlainName
    block: str
    kind: Literal["systematic"] = "systematic"
    combination: Literal["difference_from_nominal"] = "difference_from_nominal"
    alignment: Literal["none"] = "none"
    sha256: Digest


class Spread(Section):
    """Columns that scatter by training and are part of the nominal weights.

    They are no further error: histograms do not add them.
    """

    columns: Annotated[tuple[str, ...], Field(min_length=1)]
    kind: Literal["training"] = "training"
    varies: str
    combination: Literal["standard_deviation"] = "standard_deviation"
    alignment: Literal["rows"] = "rows"


class Limits(Section):
    """When a bin can be relied on: those of the ATLAS Z + jets release by default."""

    effective: Annotated[FiniteFloat, Field(ge=0)] = 5_000.0
    data_error: Annotated[FiniteFloat, Field(gt=0)] = 0.15


class Bins(Section):
    """What the bins of one observable rest on.

    Attributes:
        edges: B + 1.
        effective: effective events in each of B bins.
        data_error: relative error of each bin by the statistics of the data; None without
            replicas of the data, or in a bin without content.
        outside: share of the weight outside of the bins.
    """

    edges: tuple[FiniteFloat, ...]
    effective: tuple[FiniteFloat, ...]
    data_error: tuple[FiniteFloat | None, ...] | None = None
    outside: FiniteFloat


class Validity(Section):
    """Within which limits the weights can be used."""

    limits: Limits
    observables: dict[str, Bins]
    support: dict[str, tuple[FiniteFloat, FiniteFloat]]
    warnings: tuple[str, ...]


class Origin(Section):
    """How the weights were made."""

    study: str
    method: str
    combine: str
    iteration: int
    passes: int
    normalization: Literal["absolute", "shape"]
    particle_level: str
    region: str
    scale: FiniteFloat
    seeds: dict[str, Any]
    versions: dict[str, str]


class More(Section):
    """The section `omniflow`.

    Attributes:
        version: of this section.
        about: licence, citation and the like.
        origin: of a study; None for weights that were imported.
        factor: column of nominal weight over base weight.
        jagged: observables with any number of entries per event, as columns of lists.
        event_columns: columns of the particle level, for expressions, by what they are called.
        spreads: columns that are part of the nominal weights.
        samples: weights of other events, by name.
        sample_statistics: whether the statistics of the events themselves are an error of their
            own, or part of the family that is named.
        files: all others of the folder, by name.
        validity: limits of use.
    """

    version: Literal[1] = 1
    about: About = About()
    origin: Origin | None = None
    factor: str | None = None
    jagged: dict[str, Jagged] = {}
    event_columns: dict[str, str] = {}
    spreads: dict[str, Spread] = {}
    samples: dict[str, Sample] = {}
    sample_statistics: str = "separate"
    files: dict[PlainName, File] = {}
    validity: Validity | None = None
