"""Coordinates of a study: chains, networks, groups of lanes and blocks of networks."""

from __future__ import annotations

from dataclasses import dataclass

from omniflow.config.section import LEVELS
from omniflow.config.transfer import Transfer

# Steps that learn the conditional means of misses and fakes. Numbers of steps enter seeds, names
# stand in paths, tables and messages; 0 is pre-training.
MISSES, FAKES = 3, 4
# Steps that learn what the weights of earlier iterations do not have yet: their ratio tends to 1.
# The others learn the weights as a whole.
RESIDUAL = (1, MISSES)
# Second classifiers, which belong to no step, by their level.
SECOND = dict(zip(LEVELS, (5, 6), strict=True))
# The oracle, and what tests the detector response: networks that tell samples by both levels and by
# particle level alone, and one that knows what particle level tells of the first.
ORACLE, JOINT, ALONE, EXPECTED = 7, 8, 9, 10
STEP_NAMES = {0: "0", 1: "1", MISSES: "1b", 2: "2", FAKES: "2b"} | {
    number: f"second-{level}" for level, number in SECOND.items()
}
STEP_NAMES |= {ORACLE: "oracle", JOINT: "joint", ALONE: "alone", EXPECTED: "expected"}


# The inputs as they are; other variants of them are replicas, variations and toys.
NOMINAL = "nominal"


def prefixed(variant: str, name: str) -> str:
    """Return a name in paths and tables that tells the variant, unless it is the nominal one."""
    return name if variant == NOMINAL else f"{variant}.{name}"


def parted(name: str) -> tuple[str, str]:
    """Return the variant and the rest of a name that `prefixed` made; names have no dots."""
    variant, _, rest = name.rpartition(".")
    return variant or NOMINAL, rest


def step_number(name: str) -> int:
    """Return the number of the step with this name."""
    return {known: number for number, known in STEP_NAMES.items()}[name]


def level(step: int) -> str:
    """Return the level of the inputs of a step."""
    return "particle" if step in (2, MISSES) else "detector"


@dataclass(frozen=True)
class Chain:
    """What determines the training of a lane; methods with the same chain share its networks.

    Attributes:
        slug: name in paths, such as `scratch-1` or `pretrained-5-mean`.
        start: start policy.
        members: ratios that are aggregated in a step.
        aggregate: how they are aggregated.
        lanes: lanes to run, the most that any method asks for.
        transfer: what networks take over from pre-trained ones.
        diversity: what its networks differ by.
    """

    slug: str
    start: str
    members: int
    aggregate: str
    lanes: int
    transfer: Transfer
    diversity: str = "seeds"

    @property
    def networks(self) -> int:
        """Networks that are trained per lane and step; one where its copies are the members."""
        return 1 if self.diversity == "dropout" else self.members

    def shares(self, purpose: str) -> bool:
        """Return whether the members of a lane have the same random numbers for a purpose."""
        if purpose == "split":
            return self.aggregate == "stacking"
        return purpose == "initial" and self.diversity == "identical_starts"

    @property
    def exchangeable(self) -> bool:
        """Whether there are several members, each a network of its own and weighted as the others.

        Then some of them are what a smaller ensemble would be. Stacked members have weights that
        were decided on all of them, and copies of one network are no further networks.
        """
        return self.networks > 1 and self.aggregate != "stacking"


@dataclass(frozen=True)
class Network:
    """Coordinates of one training.

    `pass_` and `iteration` count from 1, `lane` and `member` from 0; `step` is a key of
    `STEP_NAMES`. Pre-training networks have pass, iteration and step 0 and chain `pretraining`;
    their lane is the model's number. `variant` names the inputs. `fold`, from 1, is the part of the
    events that the network must not see and that it predicts; 0: no folds.
    """

    chain: str
    pass_: int
    lane: int
    member: int
    iteration: int
    step: int
    k: int
    variant: str = NOMINAL
    fold: int = 0

    @property
    def name(self) -> str:
        """Name in messages and file names."""
        if self.step == 0:
            return f"{self.chain} model {self.lane}"
        return (
            f"{prefixed(self.variant, self.chain)} pass {self.pass_} lane {self.lane} "
            f"member {self.member} iteration {self.iteration} step {STEP_NAMES[self.step]}"
            + (f" fold {self.fold}" if self.fold else "")
        )


@dataclass(frozen=True)
class Group:
    """Lanes of one chain, pass and variant whose weights move on together."""

    chain: str
    pass_: int
    lanes: tuple[int, ...]
    variant: str = NOMINAL

    @property
    def slug(self) -> str:
        """Name in paths."""
        return prefixed(self.variant, f"lanes-{self.lanes[0]}-{self.lanes[-1]}")


@dataclass(frozen=True)
class Block:
    """The networks that one job trains."""

    group: Group
    iteration: int
    step: int
    index: int
    networks: tuple[Network, ...]
