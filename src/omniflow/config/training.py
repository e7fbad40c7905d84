"""Configuration of the networks and their training."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    Field,
    JsonValue,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from omniflow import registry
from omniflow.config.choice import Choice
from omniflow.config.features import Features
from omniflow.config.kinds import ROOT, must_exist
from omniflow.config.section import Positive, Rate, Section
from omniflow.errors import ConfigError

_BUILT_IN = tuple(registry.BUILT_IN["classifier"])
_KINDS: dict[str, Any] = {"anyOf": [{"enum": list(_BUILT_IN)}, {"type": "string", "pattern": ":"}]}


class Classifier(Section):
    """Architecture of every network of the study."""

    kind: str = Field(
        "pet",
        description="Point-edge transformer, deep sets, or MLP on event features alone; or "
        "`module:object`, a function of your own that builds a Keras model (python.md).",
        json_schema_extra=_KINDS,
    )
    options: Annotated[dict[str, JsonValue], WithJsonSchema({"type": "object"})] = Field(
        {}, description="Settings of a classifier of your own, which reads them as it likes."
    )
    width: int = Field(64, ge=4, description="Width D of particle features and hidden layers.")
    heads: Positive = Field(4, description="Attention heads (pet); must divide the width.")
    blocks: Positive = Field(4, description="Transformer blocks (pet) or hidden layers.")
    layers: Annotated[tuple[Positive, ...], Field(min_length=1)] | None = Field(
        None,
        description="Widths of the hidden layers, in place of `width` and `blocks`: of an MLP, of "
        "either stack of deep sets.",
    )
    class_blocks: Positive = Field(2, description="Class-attention blocks (pet).")
    neighbours: Positive = Field(5, description="Neighbours K of the local embedding (pet).")
    layer_scale: float = Field(1e-3, gt=0, description="Initial LayerScale (pet).")
    dropout: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="Probability that a hidden unit is dropped in an update; 0: none is. With "
        "`diversity: dropout` also in the predictions that make the members.",
    )
    features: Features = Field(
        "auto",
        description="What networks see, standardised: a preset, `module:object`, or expressions "
        "(docs/features.md). `auto`: what suits the source. `columns`: all columns as they are. "
        "`particles`: momenta at a collider (pt, eta, phi and whatever else there is). `dis`, "
        "`dis_sums`: DIS events.",
    )

    @field_validator("kind")
    @classmethod
    def _kind_is_there(cls, value: str, info: ValidationInfo) -> str:
        root = (info.context or {}).get(ROOT)
        found = registry.located("classifier", value, None if root is None else Path(root))
        if must_exist(info.context):
            try:
                registry.require("classifier", found)
            except ConfigError as error:
                raise ValueError(str(error)) from error
        return found

    @model_validator(mode="after")
    def _options_are_of_own_kinds(self) -> Classifier:
        if self.options and self.kind in _BUILT_IN:
            raise ValueError(
                f"options are for classifiers of your own, and {self.kind} is none: its settings "
                "stand beside `kind`"
            )
        return self

    @property
    def widths(self) -> tuple[int, ...]:
        """Widths of the hidden layers of an MLP, or of either stack of deep sets."""
        return self.layers or (self.width,) * self.blocks

    @model_validator(mode="after")
    def _layers_of_sets(self) -> Classifier:
        if self.layers and self.kind not in ("mlp", "deepsets"):
            raise ValueError(f"layers are for mlp and deepsets; {self.kind} has width and blocks")
        return self

    @model_validator(mode="after")
    def _heads_divide_width(self) -> Classifier:
        if self.kind == "pet" and self.width % self.heads:
            raise ValueError(f"heads ({self.heads}) must divide width ({self.width})")
        return self


class ECD(Section):
    """The energy-conserving optimiser (arXiv:2501.18419)."""

    dt_hat: float = Field(
        0.1, gt=0, description="Step in units of the typical distance from the minimum; 0.1 to 1."
    )
    eta: Literal["auto"] | Annotated[float, Field(gt=0)] = Field(
        "auto",
        description="Concentration near the minimum. `auto`: (updates x dt_hat)^2 over the summed "
        "variance of newly drawn weights, with the updates of `epochs` epochs.",
    )
    f0: Literal["auto"] | float = Field(
        "auto",
        description="Offset of the loss, which no batch may reach. `auto`: one below the loss of "
        "an uninformed network (ln 2 - 1 for `bce`, -1 for `mlc`).",
    )
    nu_hat: float = Field(
        0.0, ge=0, description="Size of the random bounces of the direction; 0 to 1e-6."
    )


_MOMENTA, _RATES = ("lion", "adamw", "adam"), ("lion", "adamw", "adam", "sgd")
# Optimisers that keys of `training` act on, where not all.
ACTS_ON = {
    "ecd": ("ecd",),
    "learning_rate": _RATES,
    "schedule": _RATES,
    "warmup_epochs": _RATES,
    "clip_norm": _RATES,
    "weight_decay": ("lion", "adamw"),
    "beta_1": _MOMENTA,
    "beta_2": _MOMENTA,
}


class Training(Section):
    """Training of every network."""

    loss: Annotated[str, Choice("omniflow.training.losses:LOSSES")] = Field(
        "bce_logistic",
        description="Loss and output function (arXiv:2501.18419, table II): binary cross-entropy "
        "or maximum-likelihood classifier, and how the network's output becomes f.",
    )
    optimizer: Literal["lion", "adamw", "adam", "sgd", "ecd"] = Field(
        "lion",
        description="Optimiser. `ecd` has its own section, and none of learning rate, momenta, "
        "schedule, warm-up, weight decay and clipping acts on it. Settings that do not act on the "
        "optimiser are refused where they differ from their defaults.",
    )
    ecd: ECD = Field(ECD(), description="Settings of the optimiser `ecd`.")
    learning_rate: Rate = Field(2e-5, description="Peak learning rate.")
    weight_decay: float = Field(0.0, ge=0, description="Decoupled weight decay (lion, adamw).")
    beta_1: float = Field(0.95, ge=0, lt=1, description="First momentum (lion, adamw, adam).")
    beta_2: float = Field(0.99, ge=0, lt=1, description="Second momentum (lion, adamw, adam).")
    schedule: Literal["cosine", "constant"] = Field(
        "cosine", description="Learning rate after the warm-up; cosine falls to 1% of the peak."
    )
    warmup_epochs: float = Field(
        3.0, ge=0, description="Linear warm-up from 0 to the peak learning rate."
    )
    batch_size: Positive = Field(256, description="Events per update.")
    scale_with_ranks: Literal["none", "sqrt", "linear"] = Field(
        "none",
        description="`none`: batches and learning rate are what they are, and the result does not "
        "depend on `execution.ranks`. Otherwise `batch_size` is per rank, and the learning rate "
        "grows with the square root of the number of ranks, or linearly.",
    )
    micro_batches: Positive = Field(
        4,
        description="Each batch is sorted by multiplicity, cut into so many parts padded to their "
        "own maximum, and their gradients are summed; 1 pads the whole batch alike.",
    )
    epochs: Positive = Field(100, description="Maximum number of epochs.")
    min_updates: Positive = Field(
        100,
        description="Updates that an epoch has at least. An epoch is one round through the "
        "training events, of small samples as many rounds as it takes; epochs, patience and "
        "warm-up then mean the same for samples of any size.",
    )
    patience: Positive = Field(
        10, description="Stop after so many epochs without a lower validation loss."
    )
    tolerance: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="Patience starts anew only with an epoch that lowers the validation loss by "
        "more than this share of its whole fall so far. The lowest is kept whatever it is.",
    )
    validation: float = Field(0.2, gt=0, lt=1, description="Fraction of events held out.")
    folds: Positive = Field(
        1,
        description="Cross-fitted prediction with k folds: every network is trained k times, each "
        "time without one fold of the events, and an event gets its weight from the network that "
        "has not seen it. 1: one network for all events.",
    )
    reserved: float = Field(
        0.0,
        ge=0,
        le=0.5,
        description="Fraction of all events that no network of any step and iteration is trained "
        "on or stopped by, and on which the report judges the networks. They are unfolded like the "
        "others. 0: networks are judged on the events of `validation`, which earlier iterations "
        "may have been trained on.",
    )
    clip_norm: float | None = Field(1.0, gt=0, description="Bound of the gradient's global norm.")
    ema: float = Field(
        0.999, ge=0, lt=1, description="Momentum of the averaged weights that are used; 0: none."
    )
    divergence: float = Field(
        3.0,
        gt=1,
        description="A held-out loss above this factor times ln 2, or times the loss before "
        "training where that is larger, is divergence. (For `mlc` losses, whose uninformed value "
        "is 0 and not ln 2, the first bound is lower by ln 2.)",
    )
    restarts: int = Field(
        1,
        ge=0,
        description="A network that diverges, or whose loss is not finite, is trained anew with "
        "other random numbers, at most so often; the report tells.",
    )
    logit_clip: float = Field(
        15.0, gt=0, description="Logits are clipped at this magnitude before exp (counted)."
    )
