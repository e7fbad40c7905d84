"""Stage 4: histograms of smaller ensembles, for the spread against the number of lanes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import h5py
import numpy as np

from omniflow.evaluation.histograms import CountMatrix
from omniflow.evaluation.networks import Ensembles
from omniflow.files import memory_map, open_h5, read_dataset
from omniflow.unfolding import combine as combination
from omniflow.unfolding.plan import Plan
from omniflow.unfolding.steps import Setup


def write_ensembles(
    plan: Plan, method: str, common: Setup, counts: Mapping[str, CountMatrix], file: h5py.File
) -> None:
    """Write `networks/<observable>` (subset, pass, bin): contents after the last iteration.

    Weights are read and combined one ensemble at a time. The mean is linear: its histograms are
    means of those of single lanes.

    Args:
        plan: its `subsets` of the method's lanes are combined; none, and nothing is written.
        method: name of the method.
        common: selections and sums.
        counts: entries at particle level of each observable.
        file: the method's histograms.
    """
    subsets = plan.subsets(method)
    if not subsets:
        return
    how = plan.combinations(method)[0]
    base, chosen = common.scale * common.weight, common.particle

    def histograms(nu: np.ndarray) -> list[np.ndarray]:
        """Return the contents (B,) of each observable for the combination of lanes (k, n)."""
        weight = base.copy()
        weight[chosen] *= combination.combine(nu[:, chosen], how, base[chosen])
        return [matrix.counts.T @ weight for matrix in counts.values()]

    rows: dict[str, list[list[np.ndarray]]] = {name: [] for name in counts}
    for pass_ in plan.passes:
        lanes = [
            row
            for path in plan.inputs.subsets(method, pass_)
            for row in memory_map(path, "ratio", (None, None), "f")
        ]
        if how == "mean":
            single = [histograms(lane[None]) for lane in lanes[: max(subsets[-1]) + 1]]
            found = [
                [np.mean([single[i][o] for i in subset], axis=0) for o in range(len(counts))]
                for subset in subsets
            ]
        else:
            found = [histograms(np.stack([lanes[i] for i in subset])) for subset in subsets]
        for name, contents in zip(counts, zip(*found, strict=True), strict=True):
            rows[name].append(list(contents))
    for name, passes in rows.items():
        file.create_dataset(f"networks/{name}", data=np.stack(passes, axis=1))


def read_ensembles(plan: Plan) -> Iterator[Ensembles]:
    """Yield the ensembles of every method that has several lanes and passes."""
    for method, settings in plan.config.methods.items():
        subsets = plan.subsets(method)
        if not subsets:
            continue
        shape = (len(subsets), len(plan.passes), None)
        with open_h5(plan.histograms(method)) as file:
            contents = {
                name: read_dataset(file, f"networks/{name}", shape, "f")
                for name in plan.config.observables.names
            }
        how = plan.combinations(method)[0]
        trained = plan.chains[plan.chain_slug(settings)].networks
        yield Ensembles(method, how, trained, subsets, contents)
