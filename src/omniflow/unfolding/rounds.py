"""Rounds: how many lanes a method has whose lanes are added until a target is met.

A plan has the most lanes that there may be. The file of a round says how many follow; what comes
behind the last round is that of a plan with as many lanes as it had (`decided`). Which lanes there
are depends on settings and events alone, not on what was tried before.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from omniflow.config.unfolding import Until
from omniflow.errors import ConfigError
from omniflow.files import read_json, understood
from omniflow.unfolding.plan import Plan


@dataclass(frozen=True)
class Spread:
    """What a round has measured of an observable.

    Attributes:
        value: scatter of training of one pass, in units of the target's quantity.
        limit: its upper confidence limit, which has to meet the target.
    """

    value: float
    limit: float


@dataclass(frozen=True)
class Round:
    """A round of a method.

    Attributes:
        method: its name.
        number: from 1.
        lanes: that have been measured.
        wanted: lanes that the target takes by these; as many as there are where it is met.
        spreads: by observable.
        fingerprint: of the settings that it belongs to.
    """

    method: str
    number: int
    lanes: int
    wanted: int
    spreads: Mapping[str, Spread]
    fingerprint: str

    @property
    def worst(self) -> tuple[str, Spread]:
        """The observable that is farthest from the target."""
        return max(self.spreads.items(), key=lambda each: each[1].limit)

    @property
    def met(self) -> bool:
        """Whether all observables meet the target."""
        return self.wanted == self.lanes

    def following(self, most: int) -> int | None:
        """Return the lanes of the next round, of so many at most; None: this is the last one."""
        lanes = min(self.wanted, most)
        return lanes if lanes > self.lanes else None


def until(plan: Plan, method: str) -> Until:
    """Return the target of a method that has one."""
    found = plan.config.methods[method].until
    assert found is not None
    return found


def read(plan: Plan, method: str, number: int) -> Round:
    """Return a round that is over.

    Raises:
        InputError: its file is missing or damaged.
    """
    path = plan.round(method, number)
    found: dict[str, Any] = read_json(path)
    with understood(path):
        spreads = {name: Spread(**each) for name, each in found.pop("spreads").items()}
        return Round(**found, spreads=spreads)


def over(plan: Plan, method: str) -> Iterator[Round]:
    """Yield the rounds of a method that are over, as far as they belong to the plan's settings."""
    lanes: int | None = until(plan, method).start
    fingerprint, number = plan.fingerprints.rounds(method), 1
    while lanes is not None and plan.round(method, number).is_file():
        found = read(plan, method, number)
        if (found.fingerprint, found.lanes) != (fingerprint, lanes):
            return  # of other settings: it will be written anew
        yield found
        lanes, number = found.following(plan.config.methods[method].lanes), number + 1


def lanes_in(plan: Plan, method: str, number: int) -> int:
    """Return the lanes of a round, from 1, whose predecessor is over.

    Raises:
        InputError: that one's file is missing or damaged.
    """
    if number == 1:
        return until(plan, method).start
    before = read(plan, method, number - 1)
    return before.following(plan.config.methods[method].lanes) or before.lanes


def first(plan: Plan) -> Plan:
    """Return the plan with the lanes of first rounds, which there are whatever is decided."""
    starts = {method: until(plan, method).start for method in plan.adaptive}
    return plan.with_lanes(starts) if starts else plan


def decided(plan: Plan) -> Plan:
    """Return the plan with the lanes that methods have; the most where rounds are not over."""
    found = {}
    for method in plan.adaptive:
        most = plan.config.methods[method].lanes
        for each in over(plan, method):
            if each.following(most) is None:
                found[method] = each.lanes
    return plan.with_lanes(found) if found else plan


def observables(plan: Plan, method: str) -> tuple[str, ...]:
    """Return the observables that have to meet the target of a method.

    Raises:
        ConfigError: none has a statistical error, or one that is named.
    """
    wanted = until(plan, method)
    levels = {"particle"} | ({"detector"} if wanted.quantity == "statistical" else set())
    able = [name for name, there in plan.observed.items() if levels <= set(there)]
    unable = [name for name in wanted.observables if name not in able]
    if unable or not able:
        raise ConfigError(
            f"methods.{method}.until: {', '.join(unable) or 'no observable'}: has a target, and "
            f"does not exist at {' and '.join(sorted(levels))} level; name others by "
            "until.observables" + (", or give sigma_rel" if len(levels) > 1 else "")
        )
    return wanted.observables or tuple(able)


def aim(wanted: Until) -> str:
    """Return a target in words."""
    return f"{wanted.quantity} of at most {wanted.target:.3g}"


def words(plan: Plan, method: str) -> str:
    """Return what rounds of a method have decided so far, and why."""
    wanted, most = until(plan, method), plan.config.methods[method].lanes
    rounds = list(over(plan, method))
    if not rounds:
        return f"{method}: {wanted.start} to {most} lanes, until {aim(wanted)}."
    last = rounds[-1]
    name, spread = last.worst
    done = f"{method}: {last.lanes} lanes after {len(rounds)} round(s)"
    why = f"of {name}, the farthest, it is {spread.value:.3g}, with an upper limit of "
    why += f"{spread.limit:.3g}"
    if last.met:
        return f"{done} meet the target, {aim(wanted)}: {why}."
    if following := last.following(most):
        return f"{done} do not meet the target, {aim(wanted)}: {why}; {following} follow."
    return (
        f"{done} do NOT meet the target, {aim(wanted)}, and more may not be "
        f"(methods.{method}.lanes): {why}; it would take about {last.wanted}."
    )
