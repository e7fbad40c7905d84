"""Configuration of what networks take over from pre-trained ones."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from omniflow.config.section import Positive, Rate, Section


class Transfer(Section):
    """Which pre-trained network a network starts from, and how it is trained further.

    The head is the last layer, the backbone all before it.
    """

    models: Positive = Field(
        1,
        description="Pre-trained networks, each with random numbers of its own, or files of "
        "`samples.pretraining.weights`: network k of a step starts from number k modulo `models`.",
    )
    per_pass: bool = Field(
        False,
        description="Whether passes take other models than the passes before, as far as `models` "
        "goes: with K networks per step, network k of pass p takes number k + (p - 1) K modulo "
        "`models`. Then the scatter of pre-training is in the spread between passes.",
    )
    freeze_epochs: Literal["all"] | Annotated[int, Field(ge=0)] = Field(
        0,
        description="Epochs at the start of a training in which only the head is trained, in those "
        "iterations that start from a pre-trained network; `all`: the backbone never changes, in "
        "any iteration.",
    )
    backbone_rate_factor: Rate = Field(
        1.0,
        description="Learning rate of the backbone relative to the head's, in all iterations.",
    )

    @model_validator(mode="after")
    def _passes_have_models_to_take(self) -> Transfer:
        if self.per_pass and self.models == 1:
            raise ValueError(
                "per_pass needs several models: set models to passes x networks per step, or leave "
                "per_pass out"
            )
        return self

    @property
    def slug(self) -> str:
        """Name in paths, such as `models-3-freeze-5-rate-0p2`; empty for the defaults."""
        parts = [f"models-{self.models}"] if self.models > 1 else []
        if self.per_pass:
            parts.append("per-pass")
        if self.freeze_epochs:
            parts.append(f"freeze-{self.freeze_epochs}")
        if self.backbone_rate_factor != 1 and self.freeze_epochs != "all":  # else without effect
            parts.append(f"rate-{self.backbone_rate_factor}".replace(".", "p"))
        return "-".join(parts)

    @property
    def acts(self) -> bool:
        """Whether backbone and head are trained differently."""
        return self.freeze_epochs != 0 or self.backbone_rate_factor != 1

    def continued(self) -> Transfer:
        """Return what holds in iterations that continue from the one before.

        Freezing for some epochs protects the backbone from a head that knows nothing, and such a
        head there is only where the training starts from the pre-trained network.
        """
        if self.freeze_epochs == "all":
            return self
        return self.model_copy(update={"freeze_epochs": 0})

    def backbone_factor(self, epoch: int) -> float:
        """Return the factor on the backbone's learning rate in an epoch, from 1; 0: frozen."""
        if self.freeze_epochs == "all" or epoch <= self.freeze_epochs:
            return 0.0
        return self.backbone_rate_factor


PLAIN = Transfer()
