"""Stage 4: histograms of smaller ensembles, for the spread against the number of networks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import h5py
import numpy as np

from omniflow.evaluation.histograms import CountMatrix
from omniflow.evaluation.networks import Ensembles
from omniflow.files import memory_map, open_h5, read_dataset
from omniflow.unfolding.combine import combine
from omniflow.unfolding.plan import Plan
from omniflow.unfolding.results import NO_COMBINATION
from omniflow.unfolding.steps import Setup

# What ensembles differ by, and the group of their histograms.
GROUPS = {"lanes": "networks", "members": "members"}

# The ratios (n,) of the unfolded events for some lanes, or some members of every lane.
Ratios = Callable[[Sequence[int]], np.ndarray]


def write_ensembles(
    plan: Plan, method: str, common: Setup, counts: Mapping[str, CountMatrix], file: h5py.File
) -> None:
    """Write `networks/<observable>` and `members/<observable>` (subset, pass, bin).

    Contents after the last iteration: of fewer lanes, and of all lanes with fewer members in the
    last step 2. Weights are read and combined one ensemble at a time. The mean is linear: its
    histograms are means of those of single lanes or members.

    Args:
        plan: its `subsets` and `member_subsets` of the method are combined.
        method: name of the method.
        common: selections and sums.
        counts: entries at particle level of each observable.
        file: the method's histograms.
    """
    base, chosen = common.scale * common.weight, common.particle

    def histograms(ratio: np.ndarray) -> list[np.ndarray]:
        """Return the contents (B,) of each observable."""
        weight = base.copy()
        weight[chosen] *= ratio
        return [matrix.counts.T @ weight for matrix in counts.values()]

    for varied, group in GROUPS.items():
        subsets = _subsets(plan, method, varied)
        if not subsets or (varied == "members" and not _kept(plan, method)):
            continue
        linear = _linear(plan, method, varied)
        passes = []
        for pass_ in plan.passes:
            ratios = {"lanes": _lanes, "members": _members}[varied](plan, method, pass_, common)
            if linear:
                single = [histograms(ratios([i])) for i in subsets[-1]]
                found = [
                    [np.mean([single[i][o] for i in subset], axis=0) for o in range(len(counts))]
                    for subset in subsets
                ]
            else:
                found = [histograms(ratios(subset)) for subset in subsets]
            passes.append(found)
        for place, name in enumerate(counts):
            contents = [[found[place] for found in subset] for subset in zip(*passes, strict=True)]
            file.create_dataset(f"{group}/{name}", data=np.array(contents, np.float64))


def _subsets(plan: Plan, method: str, varied: str) -> list[tuple[int, ...]]:
    return plan.subsets(method) if varied == "lanes" else plan.member_subsets(method)


def _linear(plan: Plan, method: str, varied: str) -> bool:
    """Return whether the histograms of an ensemble are the mean of those of its parts."""
    how = plan.combinations(method)[0]
    if varied == "lanes":
        return how == "mean"
    chain = plan.chains[plan.chain_slug(plan.config.methods[method])]
    return chain.aggregate == "mean" and how in ("mean", NO_COMBINATION)


def _kept(plan: Plan, method: str) -> bool:
    """Return whether the ratios of members are there, which earlier versions did not keep.

    Nor are they where fewer iterations are asked for than before: the step was not the last one.
    """
    for path in plan.inputs.members(method):
        with open_h5(path) as file:
            if "members" not in file:
                return False
    return True


def _lanes(plan: Plan, method: str, pass_: int, common: Setup) -> Ratios:
    chosen, how = common.particle, plan.combinations(method)[0]
    base = common.scale * common.weight[chosen]
    lanes = [
        row
        for path in plan.inputs.subsets(method, pass_)
        for row in memory_map(path, "ratio", (None, None), "f")
    ]
    return lambda subset: combine(np.stack([lanes[i][chosen] for i in subset]), how, base)


def _members(plan: Plan, method: str, pass_: int, common: Setup) -> Ratios:
    settings = plan.config.methods[method]
    chosen, how = common.particle, plan.combinations(method)[0]
    base = common.scale * common.weight[chosen]
    lanes = [
        row
        for path in plan.inputs.members(method, pass_)
        for row in memory_map(path, "members", (None, settings.members, None), "f")
    ][: settings.lanes]

    def ratios(subset: Sequence[int]) -> np.ndarray:
        nu = [
            combine(np.stack([lane[i][chosen] for i in subset]), settings.aggregate, base)
            for lane in lanes
        ]
        return combine(np.stack(nu), how, base)

    return ratios


def read_ensembles(plan: Plan, names: Sequence[str]) -> Iterator[Ensembles]:
    """Yield the ensembles of every method that has several lanes or members, and passes.

    Args:
        plan: of the study.
        names: of the observables at particle level.
    """
    for method, settings in plan.config.methods.items():
        trained = settings.lanes * plan.chains[plan.chain_slug(settings)].networks
        for varied, group in GROUPS.items():
            subsets = _subsets(plan, method, varied)
            if not subsets:
                continue
            shape = (len(subsets), len(plan.passes), None)
            with open_h5(plan.histograms(method)) as file:
                if varied == "members" and group not in file:
                    continue
                contents = {
                    name: read_dataset(file, f"{group}/{name}", shape, "f") for name in names
                }
            yield Ensembles(
                *(method, plan.combinations(method)[0], varied),
                *(settings.lanes, settings.members, trained, subsets, contents),
            )
