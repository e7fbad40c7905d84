"""Configuration of what is histogrammed and compared."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    Field,
    PlainSerializer,
    ValidationInfo,
    field_validator,
    model_validator,
)

from omniflow import outside
from omniflow.config.expressions import Expression
from omniflow.config.kinds import must_exist, recorded, reference
from omniflow.config.paths import escaped, expanded
from omniflow.config.section import LEVELS, Positive, Section
from omniflow.errors import ConfigError

ObservableName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$", max_length=60)]
Edges = tuple[float, ...]
_WAYS = ("expression", "object", "jets")
_CLUSTERING = ("algorithm", "radius", "pt_min")
_GROOMING = ("z_cut", "beta")
PER_LEVEL = (*LEVELS, "level")


def _check_edges(edges: Edges | None) -> Edges | None:
    if edges is not None and (len(edges) < 2 or any(b <= a for a, b in pairwise(edges))):
        raise ValueError("at least two bin edges, strictly increasing")
    return edges


def _located(name: str, info: ValidationInfo) -> str:
    """Return `module:object` with the file of the module, where that lies beside the file."""
    found = reference(expanded(name), info.context)
    if must_exist(info.context):
        try:
            outside.digest(found)  # it is there; nothing is loaded
        except ConfigError as error:
            raise ValueError(str(error)) from error
    return found


# As of other paths: jobs on other machines must not read them differently.
Reference = Annotated[str, AfterValidator(_located), PlainSerializer(escaped, when_used="json")]


class Bins(Section):
    """Bins that are computed: `quantiles`, or `count` of equal size in a `range`."""

    quantiles: int | None = Field(
        None,
        ge=1,
        le=1000,
        description="So many bins with equal parts of the simulation at detector level (of events "
        "that pass); fewer where values repeat.",
    )
    count: Positive | None = Field(None, description="So many bins of equal size.")
    range: tuple[float, float] | None = Field(
        None, description="First and last edge, with `count`."
    )
    log: bool = Field(False, description="Equal size in the logarithm, with `count`.")

    @model_validator(mode="after")
    def _is_of_one_kind(self) -> Bins:
        if self.quantiles is not None:
            if self.count is not None or self.range is not None or self.log:
                raise ValueError("quantiles stand alone; leave out count, range and log")
        elif self.count is None or self.range is None:
            raise ValueError("give quantiles, or count and range")
        elif self.range[1] <= self.range[0]:
            raise ValueError("range: the last edge must be above the first")
        elif self.log and self.range[0] <= 0:
            raise ValueError("log: the range must be above 0")
        return self


class ObservableDefinition(Section):
    """How an observable is computed, called and binned (docs/observables.md).

    Exactly one of `expression`, `object` and `jets` says how it is computed, or `detector` and
    `particle` do, each at its level.
    """

    expression: Expression | None = Field(
        None,
        description="Formula over the columns of a sample (docs/expressions.md), with one value "
        "per event or per particle. With `radius` there are columns of jets, `jets.pt` and so on.",
    )
    object: Reference | None = Field(
        None,
        description="`module:object` in Python, found beside this file or installed: an "
        "`Observable`, or a function of a `Level` that returns values.",
    )
    jets: str | None = Field(
        None,
        description="Property of clustered jets: pt, eta, phi, mass, multiplicity, width, tau1, "
        "tau2, tau3, tau21, tau32, groomed_mass or zg.",
    )
    detector: Expression | None = Field(
        None,
        description="Formula at detector level, as `expression`, where it is another one than at "
        "particle level. Without `particle` the observable exists at this level alone.",
    )
    particle: Expression | None = Field(
        None, description="Formula at particle level; without `detector` it exists there alone."
    )
    level: Literal["detector", "particle"] | None = Field(
        None,
        description="The only level at which it exists; default: those that have the columns of "
        "its `expression`, or particles for `jets`.",
    )
    algorithm: Literal["kt", "antikt", "cambridge"] | None = Field(
        None, description="Of the jets; default: antikt."
    )
    radius: float | None = Field(None, gt=0, le=10, description="R of the jets.")
    pt_min: float | None = Field(None, ge=0, description="Least pT of a jet, in the sample's unit.")
    leading: bool = Field(
        False, description="With `jets`: of the jet of highest pT only, one value per event."
    )
    z_cut: float | None = Field(
        None, ge=0, lt=0.5, description="Of soft drop, for groomed_mass and zg; default: 0.1."
    )
    beta: float | None = Field(None, description="Of soft drop; default: 0.")
    kind: Literal["event", "particle", "jet", "entry"] | None = Field(
        None, description="What has a value; found by itself where it is not given."
    )
    label: str | None = Field(
        None, min_length=1, description="Plain text for HTML and tables; default: the name."
    )
    latex: str | None = Field(
        None, min_length=1, description="Label for figures; default: the label."
    )
    unit: str | None = Field(None, description="Of the values; default: none.")
    edges: Edges | None = Field(
        None, description="Bin edges, strictly increasing; bins hold their lower edge."
    )
    bins: Bins | None = Field(
        None, description="In place of `edges`; default: 20 quantiles, or those of the `object`."
    )
    log_x: bool | None = Field(None, description="Whether the axis is logarithmic in figures.")
    log_y: bool | None = Field(None, description="Whether contents are, in figures.")

    check_edges = field_validator("edges")(_check_edges)

    @property
    def computation(self) -> dict[str, Any]:
        """What determines the values, and nothing else."""
        keys = (*_WAYS, *_CLUSTERING, "leading", *_GROOMING, "kind")
        found = {key: getattr(self, key) for key in keys}
        # Observables of one formula for both levels are older than these keys.
        return found | {key: v for key in PER_LEVEL if (v := getattr(self, key)) is not None}

    @property
    def apart(self) -> bool:
        """Whether levels have formulas of their own."""
        return any(getattr(self, level) is not None for level in LEVELS)

    def formula(self, level: str) -> str | None:
        """Return the expression at a level; None if there is none, or it is another kind."""
        return getattr(self, level) if self.apart else self.expression

    @field_validator("jets")
    @classmethod
    def _jets_have_it(cls, value: str | None) -> str | None:
        from omniflow.observables import jets

        try:
            if value is not None:
                jets.find(value)
        except ConfigError as error:
            raise ValueError(str(error)) from None
        return value

    @model_validator(mode="after")
    def _is_whole(self) -> ObservableDefinition:
        given = [key for key in _WAYS if getattr(self, key) is not None]
        given += ["detector or particle"] if self.apart else []
        if len(given) != 1:
            raise ValueError(
                "give exactly one of expression, object, jets, and detector or particle, not "
                f"{' and '.join(given) or 0}"
            )
        if self.apart and self.level is not None:
            raise ValueError("level goes with one formula; leave it out, or one of the two")
        if self.edges is not None and self.bins is not None:
            raise ValueError("give edges or bins, not both")
        clusters = [key for key in _CLUSTERING if getattr(self, key) is not None]
        if (self.jets or clusters) and not self.object:
            missing = [key for key in ("radius", "pt_min") if getattr(self, key) is None]
            if missing:
                raise ValueError(f"jets need {' and '.join(missing)}")
        if self.object and clusters:
            raise ValueError(f"{clusters[0]} does not act on object, which has its own jets")
        if self.leading and not self.jets:
            raise ValueError("leading goes with jets; in an expression write first(jets.pt)")
        formula = self.expression or self.apart
        grooms = self.jets in ("groomed_mass", "zg") or (formula and clusters)
        for key in _GROOMING:
            if getattr(self, key) is not None and not grooms:
                raise ValueError(f"{key} acts on groomed_mass and zg of jets only; leave it out")
        if self.kind is not None and self.jets:
            raise ValueError("jets have their kind already; leave kind out")
        if self.kind == "jet" and not (clusters or self.object):
            raise ValueError("kind: jet needs radius and pt_min, the definition of the jets")
        return self


class Observables(Section):
    """What is histogrammed and compared."""

    define: dict[ObservableName, ObservableDefinition] = Field(
        {}, description="Observables of your own; they go before built-in ones of the same name."
    )
    names: tuple[str, ...] = Field(
        (),
        description="Observables, in the order of the report: of `define`, built-in ones, or sets "
        "of those, of which `dis` is one. Default: all of `define`; where it is empty, what suits "
        "the source: the set `dis` for DIS events, else every column, at the levels at which all "
        "samples have it.",
    )
    binning: dict[str, Edges] = Field(
        {}, description="Bin edges that replace those of an observable, by name."
    )
    region: Literal["fiducial", "all"] = Field(
        "fiducial", description="Events at particle level that metrics are evaluated on."
    )

    @model_validator(mode="before")
    @classmethod
    def _names_are_those_defined(cls, data: Any) -> Any:
        if isinstance(data, dict) and "names" not in data and data.get("define"):
            return data | {"names": list(data["define"])}
        return data

    @field_validator("names")
    @classmethod
    def _names_are_known(cls, value: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        from omniflow.observables import find

        if not value:
            raise ValueError("name at least one observable, or leave names out")
        names = value
        # Without `define` that is wrong, and says so; recorded names are whole already.
        if "define" in info.data and not recorded(info.context):
            names = find.expanded(value, info.data["define"])
        if len(set(names)) != len(names):
            raise ValueError("observables must be named once each")
        return names

    @field_validator("binning")
    @classmethod
    def _binnings_fit(cls, value: dict[str, Edges], info: ValidationInfo) -> dict[str, Edges]:
        from omniflow.observables import find

        for name, edges in value.items():
            whole = "define" in info.data and info.data.get("names")
            if whole and not recorded(info.context):
                find.known(name, info.data["define"])
            try:
                _check_edges(edges)
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from None
        return value
