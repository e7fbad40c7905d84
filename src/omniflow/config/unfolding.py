"""Configuration of OmniFold and of the strategies to compare."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from omniflow.config.section import Aggregation, Positive, Rate, Section
from omniflow.config.transfer import PLAIN, Transfer


class Restart(Section):
    """How iteration n + 1 starts from iteration n."""

    network: Literal["warm", "cold"] = Field(
        "warm",
        description="`warm`: from the same network of the previous iteration, in steps 1 and 1b "
        "with a last layer that begins at a ratio of 1, because what they have learned before is "
        "in the weights; `cold`: from the start policy again.",
    )
    rate_factor: Rate = Field(
        1.0, description="Learning rate from the second iteration on, relative to the first."
    )
    split: Literal["fixed", "fresh"] = Field(
        "fresh",
        description="Training and validation events from iteration to iteration. With `fixed` the "
        "same held-out events stop every iteration and pull the result to their own fluctuations; "
        "with `fresh` and `warm` most of them have trained an earlier iteration.",
    )
    shrink: bool = Field(
        False,
        description="Multiply the logarithm of the ratio of networks of steps 1 and 1b, from the "
        "second iteration on, by the factor between 0 and 1 that held-out events confirm: what was "
        "learned by heart goes. It needs `split: fixed`, whose held-out events have trained no "
        "iteration.",
    )

    @model_validator(mode="after")
    def _shrunk_by_honest_events(self) -> Restart:
        if self.shrink and self.split != "fixed":
            raise ValueError(
                "shrink needs split: fixed: with fresh splits held-out events have trained "
                "earlier iterations, and do not tell what a network has learned by heart"
            )
        return self


class Unfolding(Section):
    """OmniFold's iterations and its treatment of acceptance and normalisation."""

    iterations: Positive = Field(5, description="OmniFold iterations.")
    particle_level: Literal["all", "pass_gen"] = Field(
        "all",
        description="Unfold all generated records, or only those in the fiducial region "
        "(the others are fakes where they pass at detector level).",
    )
    normalization: Literal["absolute", "shape"] = Field(
        "absolute", description="Whether the result carries a yield or only a shape."
    )
    scale: Literal["detector"] | Annotated[float, Field(gt=0)] = Field(
        "detector",
        description="Factor s on the simulation: `detector` makes both detector-level sums "
        "agree; a number is used as it is (the luminosity ratio). With `normalization: shape` a "
        "number multiplies the stored weights and nothing else.",
    )
    misses: Literal["unity", "conditional_mean"] = Field(
        "unity",
        description="Step-1 ratio of misses: 1, or the mean ratio of matched events with the same "
        "particle level, learned by one more training per network and iteration.",
    )
    fakes: Literal["unity", "conditional_mean"] = Field(
        "unity",
        description="Push weight of fakes: 1, or the mean weight of matched events with the same "
        "detector level, learned by one more training per network and iteration.",
    )
    restart: Restart = Field(Restart(), description="From iteration to iteration.")


class Method(Section):
    """An unfolding strategy: lanes x members and a start policy."""

    lanes: Positive = Field(1, description="Complete OmniFold runs, combined at the end.")
    members: Positive = Field(1, description="Networks per step, aggregated before the next step.")
    aggregate: Aggregation = Field(
        "mean",
        description="Aggregation of the members of a step; it takes at least 2. `stacking`: the "
        "weighted mean with the lowest loss on held-out events, which the members of a lane then "
        "share.",
    )
    start: Literal["scratch", "pretrained", "backbone"] = Field(
        "scratch",
        description="`pretrained` loads backbone and head, `backbone` the backbone alone.",
    )
    transfer: Transfer = Field(PLAIN, description="What networks take over from pre-trained ones.")
    diversity: Literal["seeds", "bootstrap", "dropout", "identical_starts"] = Field(
        "seeds",
        description="What networks differ by. `seeds`: initial weights, held-out events and order; "
        "`bootstrap`: also the training events, each drawn a Poisson(1) number of times; "
        "`dropout`: members are one trained network with other units dropped, at the rate "
        "`classifier.dropout`; `identical_starts`: as `seeds`, but all members of a lane begin "
        "with the same weights, as in public codes: not for a measurement "
        "(docs/method/diversity.md).",
    )

    @model_validator(mode="after")
    def _dropout_makes_members(self) -> Method:
        if self.diversity in ("dropout", "identical_starts") and self.members < 2:
            raise ValueError(f"diversity: {self.diversity} needs at least 2 members")
        if self.diversity == "dropout" and self.aggregate == "stacking":
            raise ValueError(
                "aggregate: stacking needs members that are trained one by one, which those of "
                "diversity: dropout are not"
            )
        return self

    @model_validator(mode="after")
    def _identical_starts_are_new_weights(self) -> Method:
        if self.diversity == "identical_starts" and self.start != "scratch":
            raise ValueError(
                "diversity: identical_starts is about new weights (start: scratch); networks that "
                "start from one pre-trained model are start: pretrained with transfer.models: 1"
            )
        return self

    @model_validator(mode="after")
    def _aggregation_needs_members(self) -> Method:
        if self.aggregate == "truncated_mean" and self.members < 3:
            raise ValueError("aggregate: truncated_mean needs at least 3 members")
        if self.aggregate == "stacking" and self.members < 2:
            raise ValueError("aggregate: stacking needs at least 2 members")
        return self

    @model_validator(mode="after")
    def _transfer_needs_a_pretrained_network(self) -> Method:
        if self.start == "scratch" and self.transfer != PLAIN:
            raise ValueError(
                "transfer acts on pre-trained networks; set start to pretrained or backbone, or "
                "leave transfer out"
            )
        return self
