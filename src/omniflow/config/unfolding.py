"""Configuration of OmniFold and of the strategies to compare."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from omniflow.config.section import Aggregation, Fraction, Name, Positive, Rate, Section
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


class Until(Section):
    """When a method has enough lanes: a target for the scatter of training of one pass."""

    sigma_rel: Fraction | None = Field(
        None,
        description="At most so large, relative to the content of a bin and averaged over bins: "
        "0.01, or `1%`.",
    )
    statistical: Fraction | None = Field(
        None,
        description="At most this fraction of the statistical error of data and simulation, "
        "averaged over bins: 0.3, or `30%`.",
    )
    start: int = Field(4, ge=3, description="Lanes of the first round.")
    step: Positive = Field(
        2, description="Later rounds add a multiple of it; a job trains so many of them at most."
    )
    observables: tuple[Name, ...] = Field(
        (), description="Observables that have to meet the target; all of them if none is named."
    )

    @property
    def quantity(self) -> Literal["sigma_rel", "statistical"]:
        """What has a target."""
        return "statistical" if self.sigma_rel is None else "sigma_rel"

    @property
    def target(self) -> float:
        """The largest value that is enough."""
        return self.sigma_rel or self.statistical or 0.0

    @model_validator(mode="after")
    def _one_target(self) -> Until:
        if (self.sigma_rel is None) == (self.statistical is None):
            raise ValueError("give one target: sigma_rel, such as 1%, or statistical, such as 30%")
        return self


class Method(Section):
    """An unfolding strategy: lanes x members and a start policy."""

    lanes: Positive = Field(
        1,
        description="Complete OmniFold runs, combined at the end; with `until` the most that there "
        "may be.",
    )
    until: Until | None = Field(
        None,
        description="Begin with few lanes and add more until a target is met, or `lanes` are "
        "there.",
    )
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
    def _lanes_can_be_added(self) -> Method:
        if self.until is None:
            return self
        start, step = self.until.start, self.until.step
        if self.lanes <= start or (self.lanes - start) % step:
            below = max(self.lanes - (self.lanes - start) % step, start + step)
            raise ValueError(
                f"lanes is {self.lanes}: with until it is the most that there may be, and rounds "
                f"begin with {start} and add multiples of {step} (until.start, until.step); give "
                f"{below} or {below + step}, for instance"
            )
        if self.transfer.per_pass:
            raise ValueError(
                "until does not go with transfer.per_pass: which pre-trained models the lanes of a "
                "pass take depends on the number of lanes, so that those of a round would be other "
                "ones in the next; leave one of the two out"
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
