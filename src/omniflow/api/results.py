"""Results of a plan that has been run: weights and histograms, in the order of its event stores."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping

import numpy as np

from omniflow.errors import CovarianceWarning, InputError
from omniflow.evaluation.covariance import Block, error_of_errors, too_few
from omniflow.evaluation.histograms import CountMatrix
from omniflow.evaluation.varied import Varied
from omniflow.events.ids import places
from omniflow.hdf5 import memory_map, open_h5, read_dataset
from omniflow.stages import final, inputs, uncertainties
from omniflow.stages.weights import setup
from omniflow.unfolding.coordinates import NOMINAL, parted, prefixed
from omniflow.unfolding.plan import Plan


def ratio(plan: Plan, result: str, how: str, pass_: int, iteration: int) -> np.ndarray:
    """Return nu (n,) of the simulation, 1 for events without learned weights.

    Args:
        plan: of a finished study.
        result: method, or a method in a variant.
        how: combination.
        pass_: from 1.
        iteration: from 1.

    Returns:
        (n,) float64 in the order of the store.

    Raises:
        InputError: the weights are those of another sample.
    """
    return final.Ratios(plan, result).after(how, pass_, iteration).astype(float)


def weight(plan: Plan, result: str, how: str, pass_: int, iteration: int) -> np.ndarray:
    """Return final weights (n,) of the simulation, 0 for events that are not unfolded.

    Args:
        plan: of a finished study.
        result: method, or a method in a variant.
        how: combination.
        pass_: from 1.
        iteration: from 1; of the last one they are, to the bit, those of the file.

    Returns:
        (n,) float64 in the order of the store.

    Raises:
        InputError: the weights are those of another sample.
    """
    variant = parted(result)[0]
    event_id = np.asarray(inputs.events(plan, "simulation", variant).event_id)
    path = plan.unfolded(result, how, pass_)
    with open_h5(path) as file:
        ids = read_dataset(file, "event_id", (None,), "u")
        rows = places(event_id, ids)
        if rows is None:
            raise InputError(
                f"{path}: event_id: has events that the simulation does not have; it was made from "
                "another sample. Delete it and rerun."
            )
        found = np.zeros(len(event_id))
        if iteration == plan.iterations[-1]:  # to the bit what the file says
            found[rows] = read_dataset(file, "weight", (len(ids),), "f")
        else:
            common = setup(plan, variant)
            row = plan.iterations.index(iteration)
            values = read_dataset(file, "ratio", (len(plan.iterations), len(ids)), "f")[row]
            found[rows] = common.scale * common.weight[rows] * values.astype(float)
    return found


def lanes(plan: Plan, result: str, pass_: int, iteration: int) -> np.ndarray:
    """Return the weights (lanes, n) of every lane, 0 for events that are not unfolded.

    Args:
        plan: of a finished study.
        result: method, or a method in a variant.
        pass_: from 1.
        iteration: from 1.

    Returns:
        (lanes, n) float64 in the order of the store.
    """
    common = setup(plan, parted(result)[0])
    groups = plan.lane_groups(result, pass_)
    parts = [memory_map(plan.final_weights(group, iteration), "ratio") for group in groups]
    nu = np.concatenate(parts)[: plan.variants.method(result).lanes].astype(float)
    return np.where(common.particle, common.scale * common.weight * nu, 0.0)


def every_weight(
    plan: Plan, result: str, how: str, passes: Iterable[int], iteration: int
) -> np.ndarray:
    """Return the weights (n, passes) that histograms are filled with: also of fakes and misses.

    Args:
        plan: of a finished study.
        result: method, or a method in a variant.
        how: combination.
        passes: from 1.
        iteration: from 1.

    Returns:
        (n, passes) float64 in the order of the store.

    Raises:
        InputError: the weights are those of another sample.
    """
    common = setup(plan, parted(result)[0])
    nu = np.stack([ratio(plan, result, how, pass_, iteration) for pass_ in passes], axis=1)
    return (common.scale * common.weight)[:, None] * nu


def covariance(
    plan: Plan,
    method: str,
    how: str,
    iteration: int,
    passes: int,
    counted: Callable[[str], CountMatrix],
    bins: int,
) -> dict[str, np.ndarray]:
    """Return the covariance of the mean of some passes, by block and in `total`, (B, B) each.

    Args:
        plan: of the study.
        method: with uncertainties.
        how: combination.
        iteration: after which.
        passes: how many.
        counted: returns the entries of a sample by its role.
        bins: those of them that are not under- or overflow, for the warning that replicas are few.

    Returns:
        (B, B) by block, and their sum as `total`.

    Raises:
        InputError: the study has variants, but none of this method; or it has neither variants nor
            several passes.
    """
    variants = plan.variants
    if len(variants.names) > 1 and method not in variants.methods:
        raise InputError(
            f"uncertainties are those of {', '.join(variants.methods)} (uncertainties.methods), "
            f"and not of {method}"
        )
    found, matrices = {}, {}
    for name in variants.names:
        role = variants.role("simulation", name)
        if role not in matrices:
            matrices[role] = counted(role)
        result = prefixed(name, method)
        weights = every_weight(plan, result, how, plan.passes_of(result), iteration)
        found[name] = matrices[role].fill(weights).content
    contents = Varied(uncertainties.scheme(plan), found[NOMINAL], found)
    blocks = contents.matrices(passes)
    if not blocks:
        raise InputError(
            f"{plan.root}: has no covariance of {method}: one pass, and neither replicas nor "
            "variations. Run it with more passes (training alone), or with uncertainties "
            "(data_replicas, simulation_replicas, variations)"
        )
    _warn_of_few(contents.blocks(passes), bins)
    return blocks


def _warn_of_few(blocks: Mapping[str, Block], bins: int) -> None:
    if few := too_few(blocks, bins):
        warnings.warn(
            f"{'; '.join(few)}. The covariance has no inverse that could be used, so no chi-square "
            f"and no fit; error bars are good to {error_of_errors(blocks):.0%} of themselves",
            CovarianceWarning,
            stacklevel=4,
        )
