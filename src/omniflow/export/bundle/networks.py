"""Networks: those of the last iteration as plain numbers, and what they give to other events.

`networks.json` says what the networks read and what their output means; `networks.npy` has their
parameters (pass, lane, member, fold, d). Neither holds code.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, cast

import numpy as np
from pydantic import Field, FiniteFloat, field_validator, model_validator

from omniflow import registry
from omniflow.config.execution import Execution
from omniflow.config.schema import Config
from omniflow.config.training import Classifier, Training
from omniflow.errors import InputError
from omniflow.events import folds
from omniflow.events.batches import Source
from omniflow.events.features import open_features
from omniflow.events.sample import Events
from omniflow.export.bundle import sidecar
from omniflow.export.bundle.more import Section
from omniflow.expressions import ExpressionError, parse
from omniflow.features import build
from omniflow.features.feature_set import FeatureSet
from omniflow.features.scaling import Scaling
from omniflow.models.architecture import Architecture
from omniflow.models.classifiers import architecture
from omniflow.training.losses import LOSSES
from omniflow.unfolding import combine, steps
from omniflow.unfolding.results import NO_COMBINATION
from omniflow.unfolding.weights import Check

DESCRIPTION, NUMBERS = "networks.json", "networks.npy"
# Larger networks were never trained; a text that claims one would take all memory.
WIDEST, DEEPEST = 65_536, 1_000

Texts = Annotated[dict[str, str], Field(max_length=10_000)]
Numbers = Annotated[tuple[FiniteFloat, ...], Field(max_length=10_000)]
Names = Annotated[tuple[str, ...], Field(max_length=10_000)]


class Seen(Section):
    """Features, as `FeatureSet`."""

    particles: Texts
    event: Texts
    neighbours: tuple[str, str] | None = None
    define: Texts

    @model_validator(mode="after")
    def _are_expressions(self) -> Seen:
        texts = [self.particles, self.event, self.define]
        for text in (*(t for each in texts for t in each.values()), *(self.neighbours or ())):
            try:
                parse(text)
            except ExpressionError as error:
                raise ValueError(str(error)) from None
        return self


class Scales(Section):
    """Means and standard deviations, as `Scaling`."""

    particle_mean: Numbers
    particle_std: Numbers
    event_mean: Numbers
    event_std: Numbers


class Lane(Section):
    """How members of a lane become its ratio.

    Attributes:
        lane: its number.
        yields: factor on the ratio of each member.
        factor: what restored the yield when they were combined.
        weights: of members that were stacked.
    """

    lane: int
    yields: FiniteFloat
    factor: FiniteFloat
    weights: Numbers | None = None

    @property
    def check(self) -> Check:
        """The same, as steps of the unfolding have it."""
        unknown = (float("nan"),) * 5
        return Check(*unknown, 0, 0, *unknown[:2], self.yields, self.factor)


class Pass(Section):
    """Lanes of one pass, and the factor that restored their yield."""

    number: int
    factor: FiniteFloat
    lanes: Annotated[tuple[Lane, ...], Field(min_length=1)]


class Described(Section):
    """All that is known of the networks but their numbers."""

    version: Literal[1] = 1
    level: Literal["particle"] = "particle"
    classifier: dict[str, Any]
    loss: str
    precision: Literal["float32", "mixed_bfloat16"]
    features: Seen
    scaling: Scales
    parameters: tuple[tuple[str, tuple[int, ...]], ...]
    event_columns: Names
    particle_columns: Names
    units: Texts
    unfolded: Literal["all", "pass_gen"]
    logit_clip: Annotated[FiniteFloat, Field(gt=0, le=700)]
    aggregate: str
    combine: str
    members: Annotated[int, Field(ge=1, le=1_000_000)]
    folds: Annotated[int, Field(ge=1, le=1_000)]
    passes: Annotated[tuple[Pass, ...], Field(min_length=1)]

    @field_validator("classifier")
    @classmethod
    def _is_built_in(cls, value: dict[str, Any]) -> dict[str, Any]:
        """Refuse what names a module: nothing that a bundle says is imported."""
        if value.get("kind") not in registry.BUILT_IN["classifier"]:
            raise ValueError(f"kind {str(value.get('kind'))[:50]!r} is no classifier of omniflow")
        found = Classifier.model_validate(value | {"features": "auto"})
        deep = max(found.blocks, found.class_blocks, len(found.layers or ()))
        if deep > DEEPEST or max(found.width, found.neighbours, *(found.layers or ())) > WIDEST:
            raise ValueError("is larger than any network that was trained")
        return value

    @model_validator(mode="after")
    def _fits(self) -> Described:
        counts = len(self.features.particles), len(self.features.event)
        for part, count in zip(("particle", "event"), counts, strict=True):
            for what in ("mean", "std"):
                if len(getattr(self.scaling, f"{part}_{what}")) != count:
                    raise ValueError(f"scaling: {part}_{what} must have {count} numbers")
        if self.loss not in LOSSES:
            raise ValueError(f"loss {self.loss!r} is not known")
        known = {*combine.FUNCTIONS, NO_COMBINATION, "stacking"}
        if not {self.aggregate, self.combine} <= known:
            raise ValueError(f"{self.aggregate!r} or {self.combine!r} is no combination")
        if len({len(each.lanes) for each in self.passes}) != 1:
            raise ValueError("passes must have as many lanes as each other")
        stacked = [lane.weights for each in self.passes for lane in each.lanes]
        if any(w is not None and len(w) != self.members for w in stacked):
            raise ValueError("stacked members must have a weight each")
        return self

    @property
    def settings(self) -> Classifier:
        """The architecture."""
        return Classifier.model_validate(self.classifier | {"features": "auto"})

    @property
    def seen(self) -> FeatureSet:
        """The features."""
        return FeatureSet(**self.features.model_dump())

    @property
    def scales(self) -> Scaling:
        """The scaling of the features."""
        found = {name: np.array(value, float) for name, value in self.scaling}
        return Scaling(**found)

    @property
    def architecture(self) -> Architecture:
        """The network that parameters (d,) are of."""
        sizes = len(self.features.particles), len(self.features.event)
        neutral = LOSSES[self.loss].neutral
        return architecture(self.settings, *sizes, self.precision, neutral)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the numbers."""
        lanes = len(self.passes[0].lanes)
        size = self.architecture.layout.size
        return len(self.passes), lanes, self.members, self.folds, size


@dataclass(frozen=True)
class _Settings:
    classifier: Classifier
    execution: Execution
    training: Training


@dataclass(frozen=True)
class Networks:
    """Networks of the last step 2.

    Attributes:
        told: what they are.
        parameters: (passes, lanes, members, folds, d) of each.
    """

    told: Described
    parameters: np.ndarray

    def ratios(self, events: Events) -> np.ndarray:
        """Return the ratios (n,) that they give to events; as of `Bundle.reweight`.

        Args:
            events: n events with a particle level.

        Returns:
            (n,) float64, 1 for events outside of the unfolded region.

        Raises:
            InputError: there is no particle level, or a column is missing.
        """
        from omniflow.stages.reweighting import aligned, truth

        told = self.told
        columns = told.event_columns, told.particle_columns
        level = aligned(truth(events), columns, told.seen, "particle")
        select = np.ones(len(events), bool)
        if told.unfolded == "pass_gen":
            select = np.array(events.pass_particle, bool)
        found = np.ones(len(events))
        with tempfile.TemporaryDirectory(prefix="omniflow-") as folder:
            path = Path(folder) / "features.h5"
            build.write(path, level, told.scales, told.seen, told.settings.neighbours)
            ids = np.asarray(events.event_id)
            source = Source(open_features(path), ids, select, (), ())
            every = list(self.parameters.reshape(-1, self.parameters.shape[-1]))
            for rows, logits in self._trainer(source).predict(every, source):
                chosen = np.flatnonzero(select[rows])
                found[rows.start + chosen] = self._combined(logits[:, chosen], ids[rows][chosen])
        return found

    def _trainer(self, source: Source) -> Any:
        from omniflow.training.engines import engine
        from omniflow.training.trainer import Trainer

        told = self.told
        execution = Execution(precision=told.precision)
        made, training = told.architecture, Training(loss=told.loss)
        # Engines ask for these parts alone; there are no samples that a whole one would need.
        config = cast(Config, _Settings(told.settings, execution, training))
        return Trainer(made.layout, training, engine(config, made, source.features))

    def _combined(self, logits: np.ndarray, event_id: np.ndarray) -> np.ndarray:
        """Return the mean over passes of the ratios (m,) of logits (networks, m)."""
        told, shape = self.told, self.parameters.shape[:-1]
        by_pass = logits.reshape(*shape, len(event_id))
        ratios = []
        for one, lanes in zip(told.passes, by_pass, strict=True):
            found = []
            for lane, members in zip(one.lanes, lanes, strict=True):
                merged = np.stack([folds.merge(each, event_id) for each in members])
                how = told.aggregate if lane.weights is None else np.array(lane.weights)
                nu = steps.applied(merged, how, told.logit_clip, lane.check)
                found.append(nu.astype(np.float32))
            stacked = np.stack(found).astype(float)
            none = told.combine == NO_COMBINATION
            ratios.append(stacked[0] if none else combine.apply(stacked, told.combine, one.factor))
        return ratios[0] if len(ratios) == 1 else np.mean(ratios, axis=0)


def read(folder: Path) -> Networks:
    """Return the networks of a bundle; their numbers stay in the file.

    Raises:
        InputError: missing, damaged, or of a classifier that is not of this package.
    """
    told = sidecar.describe(folder, DESCRIPTION, Described)
    layout = told.architecture.layout
    if told.parameters != tuple((each.name, each.shape) for each in layout.parameters):
        raise InputError(
            f"{folder / DESCRIPTION}: names other parameters than its classifier has; it was "
            "written by another version of omniflow"
        )
    return Networks(told, sidecar.read(folder, NUMBERS, told.shape, f"<{_kind(layout.dtype)}"))


def _kind(dtype: str) -> str:
    return np.dtype(dtype).str[1:]
