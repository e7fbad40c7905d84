"""Classifiers: tables of how networks judge held-out events, and those that they trained on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import pandas as pd

from omniflow.evaluation.scores import PARTS, Scores, auc, chi2, coarse, pooled, reliability, roc
from omniflow.tables.classifiers import CLASSIFIERS, RELIABILITY, ROC
from omniflow.unfolding.coordinates import STEP_NAMES, Network


def classifiers_tables(
    groups: Iterable[Mapping[Network, Mapping[str, Scores]]],
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Build classifiers.csv, reliability.csv and roc.csv.

    Args:
        groups: scores by network and part, of the networks of one chain, iteration and step each.

    Returns:
        One row per network and part, and the curves of each chain, iteration and step.
    """
    networks, fractions, cuts = [], [], []
    for found in groups:
        if not found:
            continue
        networks += [row for network, own in found.items() for row in _network(network, own)]
        first = next(iter(found))
        keys = (first.chain, first.iteration, STEP_NAMES[first.step])
        starts = None
        for part in PARTS:
            every = pooled([own[part] for own in found.values()])
            starts = coarse(every) if starts is None else starts
            columns = reliability(every, starts)
            fractions += [(*keys, part, *row) for row in zip(*columns, strict=True)]
            cuts += [(*keys, part, *row) for row in zip(*roc(every), strict=True)]
    return (
        CLASSIFIERS.build(pd.DataFrame(networks, columns=CLASSIFIERS.names)),
        RELIABILITY.build(pd.DataFrame(fractions, columns=RELIABILITY.names).dropna()),
        ROC.build(pd.DataFrame(cuts, columns=ROC.names).drop_duplicates().dropna()),
    )


def _network(network: Network, own: Mapping[str, Scores]) -> Iterator[tuple]:
    place = (network.chain, network.pass_, network.lane, network.member, network.fold)
    starts = coarse(own[PARTS[0]])
    for part, found in own.items():
        measured = (*auc(found), *chi2(found, starts))
        stage = (network.iteration, STEP_NAMES[network.step])
        yield (*place, *stage, part, found.events, *measured)
