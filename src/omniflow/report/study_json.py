"""study.json: what the report shows beside numbers per bin."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from omniflow.errors import InputError
from omniflow.tables.table import When

REFERENCE = "none"  # the method that others are compared with, where a study has it


class _Record(BaseModel):
    """Base of study.json's sections: unknown keys are left to later versions."""

    model_config = ConfigDict(extra="ignore", frozen=True, coerce_numbers_to_str=True)


class SampleRecord(_Record):
    """An input sample: role, origin and numbers of events."""

    role: str
    source: str
    events: int | None
    pass_detector: int | None
    pass_particle: int | None
    checksum: str


class ObservableRecord(_Record):
    """How an observable is called and drawn."""

    name: str
    label: str
    latex: str
    unit: str
    kind: str
    log_x: bool
    log_y: bool
    levels: tuple[str, ...] = ("detector", "particle")  # at which it exists
    edges: tuple[float, ...] = Field(min_length=2)


class MethodRecord(_Record):
    """A strategy: lanes x members, where networks start, its chain and its combinations.

    Attributes:
        models: pre-trained models that its networks start from, of all passes.
        per_pass: whether passes take other models than the passes before.
        until: the target that lanes were added for; empty: their number was given.
    """

    name: str
    lanes: int = Field(ge=1)
    until: str = ""
    members: int = Field(ge=1)
    networks: int | None = None  # trained per lane and step; None: one per member
    aggregate: str | None
    start: str
    models: int = 0
    per_pass: bool = False
    freeze_epochs: str = "0"
    backbone_rate_factor: float = 1.0
    chain: str
    networks_per_pass: int = Field(ge=1)
    combine: tuple[str, ...] = Field(min_length=1)


class StackRecord(_Record):
    """Stacked members of one chain, iteration and step: means over passes and lanes.

    Losses on the events that decided the weights, and `crossed`: on events that decided nothing.
    """

    chain: str
    iteration: int
    step: str
    effective: float
    largest: float
    loss_best: float
    loss_mean: float
    loss_stacked: float
    crossed_best: float | None = None
    crossed_mean: float | None = None
    crossed_stacked: float | None = None
    events: float


class JudgedRecord(_Record):
    """What networks are judged on.

    Attributes:
        events: what held-out events are: `reserved`, those of the `fold` or of the `split` of a
            network, or `fresh`: of its split, which trained it in earlier iterations.
        fraction: of all events.
        split: whether networks hold the same events out in every iteration (`kept`), or others and
            go on from the iteration before (`warm`) or start again (`cold`).
        unscored: networks of steps 1 and 2 without scores.
        pretraining: what pre-trained networks have seen: `others`, also by what the configuration
            has `declared`; `overlap`, possibly the same events; or `unknown`.
    """

    events: str = "fresh"
    fraction: float = 0.2
    split: str = "warm"
    unscored: int = 0
    pretraining: str = "others"


class Study(_Record):
    """Content of study.json: everything in the report that is not a number per bin."""

    name: str
    created: str
    versions: dict[str, str]
    config_yaml: str
    machinery_only: bool
    region: str
    particle_level: str
    normalization: str
    iterations: int = Field(ge=1)
    steps: tuple[str, ...] = ("1", "2")
    passes: int = Field(ge=1)
    folds: int = Field(1, ge=1)
    has_truth: bool
    uninformed_loss: float
    pretrainings: int = Field(1, description="Pre-trained models of the study itself.")
    samples: tuple[SampleRecord, ...]
    observables: tuple[ObservableRecord, ...] = Field(min_length=1)
    methods: tuple[MethodRecord, ...] = Field(min_length=1)
    uncertain: tuple[str, ...] = ()
    uncertainty_notes: tuple[str, ...] = ()
    stacking: tuple[StackRecord, ...] = ()
    judged: JudgedRecord = JudgedRecord()
    headline_combine: dict[str, str]
    warnings: tuple[str, ...] = Field((), description="What a reader must know before the result.")
    notes: tuple[str, ...]

    def has(self, when: When) -> bool:
        """Return whether the study has the files that are there at such times."""
        if when is When.UNCERTAINTIES:
            return bool(self.uncertain)
        if when is When.ADAPTIVE:
            return any(method.until for method in self.methods)
        stacked = any(method.aggregate == "stacking" for method in self.methods)
        return stacked if when is When.STACKING else True

    @property
    def unfolded(self) -> tuple[ObservableRecord, ...]:
        """Observables of the result: those that exist at particle level."""
        return tuple(o for o in self.observables if "particle" in o.levels)

    @property
    def matched(self) -> tuple[ObservableRecord, ...]:
        """Observables that exist at both levels."""
        return tuple(o for o in self.unfolded if "detector" in o.levels)

    def alone(self, level: str) -> tuple[ObservableRecord, ...]:
        """Return the observables that exist at one level and not at the other."""
        return tuple(o for o in self.observables if o.levels == (level,))

    @property
    def reference(self) -> MethodRecord:
        """Method that the others are compared with: `none`, else one network, else the first."""
        by_name = {m.name: m for m in self.methods}
        single = [m for m in self.methods if m.lanes * m.members == 1]
        return by_name.get(REFERENCE) or (single or list(self.methods))[0]


def read_study(path: Path) -> Study:
    """Read study.json.

    Raises:
        InputError: it is missing, or a value is missing or wrong.
    """
    try:
        study = Study.model_validate_json(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); run the evaluation") from None
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(map(str, e['loc'])) or 'file'}: {e['msg']}" for e in error.errors()
        )
        raise InputError(f"{path}: {faults}") from None
    for method in study.methods:
        headline = study.headline_combine.get(method.name)
        if headline not in method.combine:
            raise InputError(
                f"{path}: headline_combine.{method.name} is {headline!r}, "
                f"not one of its combinations {', '.join(method.combine)}"
            )
    return study
