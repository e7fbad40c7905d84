"""Stage 4: histograms of smaller ensembles, for the spread against the number of networks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import h5py
import numpy as np

from omniflow.evaluation.histograms import CountMatrix
from omniflow.hdf5 import memory_map, open_h5, read_dataset
from omniflow.unfolding import combine as combination
from omniflow.unfolding.plan import Plan
from omniflow.unfolding.results import NO_COMBINATION
from omniflow.unfolding.steps import Setup

if TYPE_CHECKING:
    from omniflow.evaluation.ensembles import Ensembles

# What ensembles differ by, and the group of their histograms.
GROUPS = {"lanes": "networks", "members": "members"}

# The ratios (m,) of unfolded events, by their positions in the store.
Ratios = Callable[[np.ndarray], np.ndarray]


class Smaller:
    """Histograms of the smaller ensembles of a method, filled slice by slice of events.

    Contents after the last iteration: of fewer lanes, and of all lanes with fewer members in the
    last step 2. The mean is linear: its histograms are means of those of single lanes or members.
    """

    def __init__(self, plan: Plan, method: str, common: Setup) -> None:
        """Combine weights once for what restores their yields.

        Args:
            plan: its `subsets` and `member_subsets` of the method are combined.
            method: name of the method.
            common: selections and sums.
        """
        self._base, self._chosen = common.scale * common.weight, common.particle
        self._subsets: dict[str, list[tuple[int, ...]]] = {}
        self._linear: dict[str, bool] = {}
        # By what ensembles differ by: for each pass, the ensembles that are filled.
        self._filled: dict[str, list[list[Ratios]]] = {}
        # The same, with the contents (B,) of each by observable.
        self._contents: dict[str, list[list[dict[str, np.ndarray]]]] = {}
        for varied in GROUPS:
            subsets = _subsets(plan, method, varied)
            if not subsets or (varied == "members" and not _kept(plan, method)):
                continue
            linear = _linear(plan, method, varied)
            wanted = [(i,) for i in subsets[-1]] if linear else subsets
            make = {"lanes": _lanes, "members": _members}[varied]
            self._subsets[varied], self._linear[varied] = subsets, linear
            self._filled[varied] = [make(plan, method, p, common, wanted) for p in plan.passes]
            self._contents[varied] = [[{} for _ in wanted] for _ in plan.passes]

    def fill(self, rows: slice, counts: Mapping[str, CountMatrix]) -> None:
        """Add a slice of events, with the entries of each observable at particle level."""
        inside = np.flatnonzero(self._chosen[rows])
        for varied, passes in self._filled.items():
            for ensembles, contents in zip(passes, self._contents[varied], strict=True):
                for ratios, content in zip(ensembles, contents, strict=True):
                    weight = self._base[rows].copy()
                    weight[inside] *= ratios(rows.start + inside)
                    for name, matrix in counts.items():
                        content[name] = content.get(name, 0.0) + matrix.counts.T @ weight

    def write(self, file: h5py.File) -> None:
        """Write `networks/<observable>` and `members/<observable>` (subset, pass, bin)."""
        for varied, passes in self._contents.items():
            subsets = self._subsets[varied]
            for name in passes[0][0]:
                found = [[content[name] for content in contents] for contents in passes]
                if self._linear[varied]:
                    place = {i: at for at, i in enumerate(subsets[-1])}
                    found = [
                        [np.mean([single[place[i]] for i in s], axis=0) for s in subsets]
                        for single in found
                    ]
                values = np.array(found, np.float64).swapaxes(0, 1)
                file.create_dataset(f"{GROUPS[varied]}/{name}", data=values)


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


def _lanes(
    plan: Plan, method: str, pass_: int, common: Setup, wanted: Sequence[tuple[int, ...]]
) -> list[Ratios]:
    """Return the ratios of some lanes each."""
    lanes = [
        row.__getitem__
        for path in plan.inputs.subsets(method, pass_)
        for row in memory_map(path, "ratio", (None, None), "f")
    ]
    how = plan.combinations(method)[0]
    return [combined([lanes[i] for i in subset], how, common) for subset in wanted]


def _members(
    plan: Plan, method: str, pass_: int, common: Setup, wanted: Sequence[tuple[int, ...]]
) -> list[Ratios]:
    """Return the ratios of all lanes, with some members of each."""
    settings = plan.config.methods[method]
    lanes = [
        [member.__getitem__ for member in row]
        for path in plan.inputs.members(method, pass_)
        for row in memory_map(path, "members", (None, settings.members, None), "f")
    ][: settings.lanes]
    how = plan.combinations(method)[0]
    return [
        combined(
            [combined([lane[i] for i in subset], settings.aggregate, common) for lane in lanes],
            *(how, common),
        )
        for subset in wanted
    ]


def combined(parts: Sequence[Ratios], how: str, common: Setup) -> Ratios:
    """Return the combination of ratios; nothing is kept of events but what restores the yield.

    Args:
        parts: what gives the ratios (m,) of events at m positions, of each lane or member.
        how: their combination.
        common: selections and sums of the n events.

    Returns:
        What gives the combined ratios (m,) of events at m positions.
    """
    if len(parts) == 1:
        return parts[0]
    index = np.flatnonzero(common.particle)

    def together(at: np.ndarray) -> np.ndarray:
        return np.stack([part(at) for part in parts])

    base = common.scale * common.weight[index]
    _, factor = combination.with_factor(lambda rows: together(index[rows]), how, base)
    return lambda at: combination.apply(together(at), how, factor)


def read_ensembles(plan: Plan, names: Sequence[str]) -> Iterator[Ensembles]:
    """Yield the ensembles of every method that has several lanes or members, and passes.

    Args:
        plan: of the study.
        names: of the observables at particle level.
    """
    from omniflow.evaluation.ensembles import Ensembles  # by pandas, which histograms do not need

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
                method,
                plan.combinations(method)[0],
                varied,
                settings.lanes,
                settings.members,
                trained,
                subsets,
                contents,
            )
