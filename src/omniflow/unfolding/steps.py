"""OmniFold's steps as functions of arrays (arXiv:1911.09107; arXiv:2503.20753, section 2).

Simulated events have a base weight w, detector-level ratios omega and particle-level ratios nu.
Matched events, misses and fakes are told apart by the two selection flags. The algorithm, but for
the networks whose logits it takes, is

    push = ones
    repeat: pull = push * omega (`pull`), [1b, `conditional_mean`], nu (`push`), [2b]; push = nu

with step 1 between data and s w push at detector level, and step 2 between s w pull and s w at
particle level. Nothing here reads a configuration or a file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from omniflow.errors import InputError
from omniflow.events.sample import Events
from omniflow.unfolding import combine as combination
from omniflow.unfolding import weights

# Logits (members, n), or for each member what gives those of events by their positions, as an array
# (n,) does: so they need not be in memory together.
Logits = np.ndarray | Sequence[np.ndarray]


@dataclass(frozen=True)
class Setup:
    """The selections and sums that stay the same through all iterations.

    Attributes:
        weight: (n,) base weights w of the simulation.
        detector: (n,) bool, simulated events that pass at detector level.
        particle: (n,) bool, simulated events that are unfolded.
        data: (m,) bool, data that pass at detector level.
        data_weight: (m,) weights of the data.
        scale: factor s on the simulation.
        sum_data, sum_simulation: detector-level sums, of data without backgrounds and of the
            simulation before scaling.
        absolute: whether ratios carry the yield.
    """

    weight: np.ndarray
    detector: np.ndarray
    particle: np.ndarray
    data: np.ndarray
    data_weight: np.ndarray
    scale: float
    sum_data: float
    sum_simulation: float
    absolute: bool

    @property
    def misses(self) -> np.ndarray:
        """(n,) bool, unfolded events that do not pass at detector level."""
        return self.particle & ~self.detector

    @property
    def fakes(self) -> np.ndarray:
        """(n,) bool, events that pass at detector level and are not unfolded."""
        return self.detector & ~self.particle


def setup(
    data: Events,
    simulation: Events,
    backgrounds: Sequence[tuple[Events, float]] = (),
    *,
    particle_level: Literal["all", "pass_gen"] = "all",
    normalization: Literal["absolute", "shape"] = "absolute",
    scale: Literal["detector"] | float = "detector",
) -> Setup:
    """Return the selections and sums of a study.

    Args:
        data: what is unfolded.
        simulation: what is reweighted.
        backgrounds: samples to subtract from the data, with factors on their weights.
        particle_level: `all` simulated events are unfolded, or those that `pass_gen`, the fiducial
            region.
        normalization: `absolute`, ratios carry yields; or `shape`.
        scale: factor s on the simulation; `detector` makes both detector-level sums agree.

    Raises:
        InputError: no simulated event is in both selections, no data passes, or a sum of weights
            that ratios rest on is not positive.
    """
    detector = np.asarray(simulation.pass_detector)
    particle = np.ones(len(simulation), bool)
    if particle_level == "pass_gen":
        particle = np.asarray(simulation.pass_particle)
    if simulation.particle is None:
        raise InputError("the simulation has no particle level; give a sample with truth.")
    if not np.any(detector & particle):
        raise InputError(
            "no simulated event passes at both levels: nothing connects them. Check the flags of "
            "the simulation and unfolding.particle_level."
        )
    chosen = np.asarray(data.pass_detector)
    sum_data = float(np.asarray(data.weight)[chosen].sum())
    for events, factor in backgrounds:
        passing = np.asarray(events.weight)[np.asarray(events.pass_detector)]
        sum_data -= factor * float(passing.sum())
    sum_simulation = float(np.asarray(simulation.weight)[detector].sum())
    if not (sum_data > 0 and sum_simulation > 0):
        less = " less backgrounds" if backgrounds else ""
        raise InputError(
            f"detector-level sums of weights must be positive: data{less} {sum_data}, "
            f"simulation {sum_simulation}."
        )
    sum_unfolded = float(np.asarray(simulation.weight)[particle].sum())
    if not sum_unfolded > 0:
        raise InputError(
            f"the weights of the unfolded simulation add up to {sum_unfolded}; their sum must be "
            "positive: check the negative weights, and unfolding.particle_level."
        )
    factor = sum_data / sum_simulation if scale == "detector" else float(scale)
    return Setup(
        np.asarray(simulation.weight),
        detector,
        particle,
        chosen,
        np.asarray(data.weight),
        factor,
        sum_data,
        sum_simulation,
        normalization == "absolute",
    )


def pull(
    setup: Setup,
    push: np.ndarray,
    logits: Logits,
    aggregate: str | np.ndarray,
    clip: float,
    where: str,
) -> tuple[np.ndarray, weights.Check]:
    """Return the pull weights nu * omega after step 1.

    Events that do not pass at detector level keep omega = 1; with `misses: conditional_mean`
    another step follows.

    Args:
        setup: selections and sums.
        push: (n,) ratios nu of the previous iteration.
        logits: (members, n) logits of data against simulation; read where events pass.
        aggregate: how members are combined; a name, or (members,) weights (`combine.combine`).
        clip: largest magnitude of a logit.
        where: names the step in messages.

    Returns:
        Pull weights (n,), and their summary.

    Raises:
        WeightError: a logit is NaN, or weights are not finite or of a sum that is not positive.
    """
    base = setup.scale * setup.weight * push
    chosen = setup.detector
    yields = setup.sum_data / float(base[chosen].sum()) if setup.absolute else 1.0
    omega, clipped, factor = _ratios(chosen, logits, yields, base, aggregate, clip)
    check = weights.check(base[chosen], (base * omega)[chosen], omega[chosen], clipped, where)
    return push * omega, replace(check, yields=yields, factor=factor)


def push(
    setup: Setup,
    pull: np.ndarray,
    logits: Logits,
    aggregate: str | np.ndarray,
    clip: float,
    where: str,
) -> tuple[np.ndarray, weights.Check]:
    """Return the push weights nu after step 2; 1 for events outside the unfolded phase space.

    Args:
        setup: selections and sums.
        pull: (n,) pull weights of step 1.
        logits: (members, n) logits of pulled against original simulation.
        aggregate: how members are combined; a name, or (members,) weights (`combine.combine`).
        clip: largest magnitude of a logit.
        where: names the step in messages.

    Returns:
        Push weights (n,), and their summary.

    Raises:
        WeightError: as `pull`.
    """
    base = setup.scale * setup.weight
    chosen = setup.particle
    yields = _mean(pull, base, chosen) if setup.absolute else 1.0
    nu, clipped, factor = _ratios(chosen, logits, yields, base, aggregate, clip)
    check = weights.check(base[chosen], (base * nu)[chosen], nu[chosen], clipped, where)
    return nu, replace(check, yields=yields, factor=factor)


def applied(
    logits: np.ndarray, how: str | np.ndarray, clip: float, check: weights.Check
) -> np.ndarray:
    """Return the ratios (n,) that networks of step 2 give to other events than the study's.

    Args:
        logits: (members, n) of networks that `push` has been called with.
        how: a name, or (members,) weights: as `aggregate` of `push`.
        clip: largest magnitude of a logit.
        check: what `push` returned.

    Returns:
        (n,) float64.

    Raises:
        WeightError: a logit is NaN.
    """
    ratios = np.stack([weights.ratio(row, clip, check.yields)[0] for row in logits])
    return combination.apply(ratios, how, check.factor)


def conditional_mean(
    setup: Setup,
    before: np.ndarray,
    learned: np.ndarray,
    chosen: np.ndarray,
    logits: Logits,
    aggregate: str | np.ndarray,
    clip: float,
    where: str,
) -> tuple[np.ndarray, weights.Check]:
    """Return weights, those of misses or fakes multiplied by the mean of a ratio at their inputs.

    The mean over matched events is E[r | inputs] = (W_A / W_B) p_A / p_B with weights w r in class
    A and w in class B. It carries its yield in either mode of normalisation.

    Args:
        setup: selections and sums.
        before: (n,) weights that the step starts from.
        learned: (n,) the ratio r, read where events are matched.
        chosen: (n,) bool, the events to multiply.
        logits: (members, n) logits of class A against class B; read where `chosen`.
        aggregate: how members are combined; a name, or (members,) weights (`combine.combine`).
        clip: largest magnitude of a logit.
        where: names the step in messages.

    Returns:
        Weights (n,) after the step, and their summary.

    Raises:
        InputError: no event is chosen.
        WeightError: as `pull`.
    """
    if not np.any(chosen):
        raise InputError(
            f"{where}: the simulation has no such events that a conditional mean could apply to. "
            "Set unfolding.misses (step 1b) or unfolding.fakes (step 2b) to unity."
        )
    base = setup.scale * setup.weight
    yields = _mean(learned, base, setup.detector & setup.particle)
    ratios, clipped, factor = _ratios(chosen, logits, yields, base * before, aggregate, clip)
    after = before * ratios
    check = weights.check(
        (base * before)[chosen], (base * after)[chosen], ratios[chosen], clipped, where
    )
    return after, replace(check, yields=yields, factor=factor)


def _mean(ratio: np.ndarray, base: np.ndarray, chosen: np.ndarray) -> float:
    """Return W_A / W_B of a step that learns `ratio` from chosen events of weights `base`."""
    return float((base * ratio)[chosen].sum()) / float(base[chosen].sum())


def _ratios(
    chosen: np.ndarray,
    logits: Logits,
    yields: float,
    base: np.ndarray,
    aggregate: str | np.ndarray,
    clip: float,
) -> tuple[np.ndarray, int, float]:
    """Return the combined ratio of chosen events, 1 for all others; clip count; factor."""
    index = np.flatnonzero(chosen)
    counts: list[int] = []

    def members(rows: slice) -> np.ndarray:
        """Return the ratios (members, m) of a slice of the chosen events."""
        at = index[rows]
        pairs = [weights.ratio(row[at], clip, yields, rows.start) for row in logits]
        counts.extend(clipped for _, clipped in pairs)
        return np.stack([ratio for ratio, _ in pairs])

    result = np.ones(len(chosen))
    result[index], factor = combination.with_factor(members, aggregate, base[index])
    return result, sum(counts), factor
