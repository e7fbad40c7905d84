"""Overtraining: weights of events that trained against those of held-out ones."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from omniflow.evaluation.histograms import Histogram
from omniflow.evaluation.overtraining import fill, overtraining_table
from omniflow.events import store
from omniflow.hdf5 import memory_map
from omniflow.stages import parts
from omniflow.stages.evaluation import counts
from omniflow.stages.finished import Finished
from omniflow.tables.classifiers import OVERTRAINING
from omniflow.tables.table import Table
from omniflow.unfolding.coordinates import Network
from omniflow.unfolding.plan import Plan


def tables(study: Finished) -> dict[Table, pd.DataFrame]:
    """Return step 2 of the first and last iteration of pass 1.

    The passes are alike, and every network takes a pass over the events of every observable.
    """
    # With folds no event's weight comes from a network that has seen it.
    found = {} if len(study.plan.folds) > 1 else _filled(study)
    return {OVERTRAINING: overtraining_table(found)}


def _filled(study: Finished) -> dict[tuple[Network, str], tuple[Histogram, Histogram]]:
    """Return histograms of events that trained and of those held out, by network and observable."""
    plan, common = study.plan, study.common
    event_id = store.open_store(plan.store("simulation")).event_id
    judged = list(_judged(plan))
    found: dict[tuple[Network, str], tuple[Histogram, Histogram]] = {}
    for rows, matrices in counts(plan, "simulation", "particle"):
        base = common.scale * np.where(common.particle[rows], common.weight[rows], 0.0)
        for network, ratios in judged:
            out, trained = parts.judged(plan, network, event_id[rows])
            used, ratio = np.where(out | trained, base, 0.0), ratios[rows].astype(float)
            for name, pair in fill(matrices, used, ratio, out).items():
                before = found.get((network, name), (None, None))
                found[network, name] = (pair[0].plus(before[0]), pair[1].plus(before[1]))
    return found


def _judged(plan: Plan) -> Iterator[tuple[Network, np.ndarray]]:
    """Yield the networks that are judged, with the ratios (n,) after their iteration."""
    for group in (g for chain in plan.chains for g in plan.groups(chain, plan.passes[0])):
        for iteration in sorted({plan.iterations[0], plan.iterations[-1]}):
            ratios = memory_map(plan.final_weights(group, iteration), "ratio")
            for network in (n for b in plan.blocks(group, iteration, 2) for n in b.networks):
                yield network, ratios[group.lanes.index(network.lane)]
