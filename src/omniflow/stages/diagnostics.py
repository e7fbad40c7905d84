"""Tables of diagnostics: what tells how far classifiers and weights can be trusted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields

import numpy as np
import pandas as pd

from omniflow.evaluation import convergence, overtraining, tails
from omniflow.evaluation import scores as evaluation
from omniflow.evaluation.histograms import Histogram
from omniflow.evaluation.scores import PARTS, Scores
from omniflow.events import store
from omniflow.events.quality import effective_size
from omniflow.files import memory_map, open_h5
from omniflow.stages import parts, response, scores, second
from omniflow.stages.evaluation import counts, edges, read_histograms
from omniflow.stages.weights import setup
from omniflow.unfolding.coordinates import STEP_NAMES, Network
from omniflow.unfolding.plan import Plan

_NETWORK = ("chain", "pass", "lane", "member", "fold", "iteration", "step")
_OVERTRAINING = (
    *("chain", "lane", "member", "iteration", "observable"),
    *("chi2", "bins", "p_value", "difference"),
)
_CURVE = ("chain", "iteration", "step", "part")


def tables(
    plan: Plan,
    prior: Mapping[str, Histogram],
    levels: Mapping[str, tuple[pd.DataFrame, pd.DataFrame]],
) -> dict[str, pd.DataFrame]:
    """Return the tables of diagnostics by name.

    Args:
        plan: of the study.
        prior: observable -> simulation at particle level before unfolding, (B,).
        levels: bins and distances by level, as `convergence.falls` takes them; without truth no
            `particle`.
    """
    falls = {
        level: convergence.falls(*(headline(plan, table) for table in pair))
        for level, pair in levels.items()
    }
    # A level without observables has none.
    some = {level: found for level, found in falls.items() if len(found)} or falls
    weights, distributions = _weights(plan)
    return {
        **_classifiers(plan),
        "tails": weights,
        "weight_distributions": distributions,
        "effective_sizes": _effective_sizes(plan, prior),
        "overtraining": _overtraining(plan),
        "second_classifier": second.table(plan),
        "response": response.table(plan),
        "convergence": pd.concat(some, names=["level"]).reset_index("level"),
        "stopping": _stopping(falls["detector"]),
    }


def judged(plan: Plan) -> dict[str, object]:
    """Return what held-out events are, their fraction, and how many networks lack scores.

    With them what is known of the events that pre-trained networks have seen, if there are any.

    The networks that are missing are those that a version without scores has trained.
    """
    training, restart = plan.config.training, plan.config.unfolding.restart
    redrawn = restart.split == "fresh" and len(plan.iterations) > 1
    split = restart.network if redrawn else "kept"
    if training.reserved:
        events, fraction = "reserved", training.reserved
    elif training.folds > 1:
        events, fraction = "fold", 1 / training.folds
    else:
        events, fraction = "fresh" if split == "warm" else "split", training.validation
    unscored = [
        len(block.networks)
        for group in _blocks(plan)
        for block in group
        if plan.scored(block.group, block.step)
        and not (plan.networks_folder(block) / scores.NAME).is_file()
    ]
    found = {"events": events, "fraction": fraction, "split": split, "unscored": sum(unscored)}
    pretraining = plan.config.samples.pretraining
    if plan.needs_pretraining and pretraining is not None:
        found["pretraining"] = pretraining.known
    return found


def headline(plan: Plan, table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of each method's first combination."""
    first = {method: plan.combinations(method)[0] for method in plan.config.methods}
    return table[table["combine"] == table["method"].map(first)]


# -- classifiers ---------------------------------------------------------------------------------


def _classifiers(plan: Plan) -> dict[str, pd.DataFrame]:
    """Return one row per network and part, and the curves of each chain, iteration and step."""
    networks, reliability, roc = [], [], []
    for group in _blocks(plan):
        found: dict[Network, dict[str, Scores]] = {}
        for block in group:
            found |= scores.of_block(plan.networks_folder(block), block)
        if not found:
            continue
        networks += [row for network, own in found.items() for row in _network(network, own)]
        first = group[0]
        keys = (first.group.chain, first.iteration, STEP_NAMES[first.step])
        starts = None
        for part in PARTS:
            pooled = evaluation.pooled([own[part] for own in found.values()])
            starts = evaluation.coarse(pooled) if starts is None else starts
            columns = evaluation.reliability(pooled, starts)
            reliability += [(*keys, part, *row) for row in zip(*columns, strict=True)]
            roc += [(*keys, part, *row) for row in zip(*evaluation.roc(pooled), strict=True)]
    return {
        "classifiers": pd.DataFrame(
            networks, columns=[*_NETWORK, "part", "events", "auc", "auc_error", "chi2", "bins"]
        ),
        "reliability": pd.DataFrame(
            reliability, columns=[*_CURVE, "predicted", "observed", "observed_error"]
        ).dropna(),
        "roc": pd.DataFrame(roc, columns=[*_CURVE, "class_b", "class_a"])
        .drop_duplicates()
        .dropna(),
    }


def _blocks(plan: Plan) -> Iterator[list]:
    """Yield the blocks of each chain, iteration and step 1 and 2, over all passes and lanes."""
    for chain in plan.chains:
        groups = [group for pass_ in plan.passes for group in plan.groups(chain, pass_)]
        for iteration in plan.iterations:
            for step in (1, 2):
                yield [b for group in groups for b in plan.blocks(group, iteration, step)]


def _network(network: Network, own: dict[str, Scores]) -> Iterator[tuple]:
    place = (network.chain, network.pass_, network.lane, network.member, network.fold)
    starts = evaluation.coarse(own[PARTS[0]])
    for part, found in own.items():
        measured = (*evaluation.auc(found), *evaluation.chi2(found, starts))
        stage = (network.iteration, STEP_NAMES[network.step])
        yield (*place, *stage, part, found.events, *measured)


# -- weights -------------------------------------------------------------------------------------


def _weights(plan: Plan) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the tails per pass and iteration, and the distribution after the last iteration."""
    rows, parts = [], []
    for method in plan.config.methods:
        how = plan.combinations(method)[0]
        for pass_ in plan.passes:
            with open_h5(plan.unfolded(method, how, pass_)) as file:
                weight = file["weight"][:]
                ratios = file["ratio"]
                base = weight / ratios[-1]
                before = np.ones(len(base))
                for i, iteration in enumerate(plan.iterations):
                    ratio = ratios[i].astype(float)
                    keys = {"method": method, "pass": pass_, "iteration": iteration}
                    rows.append(keys | tails.tails(base, ratio, before))
                    before = ratio
            low, events = tails.distribution(before)
            parts.append(pd.DataFrame({"low": low.round(4), "fraction": events / len(base)}))
            parts[-1].insert(0, "method", method)
    # A bin that a pass has no event in counts with 0.
    total = pd.concat(parts).groupby(["method", "low"], sort=False)["fraction"].sum()
    distribution = (total / len(plan.passes)).reset_index()
    distribution.insert(2, "high", (distribution["low"] + tails.WIDTH).round(4))
    order = {method: i for i, method in enumerate(plan.config.methods)}
    distribution = distribution.sort_values(
        ["method", "low"], key=lambda c: c.map(order) if c.name == "method" else c
    )
    return pd.DataFrame(rows), distribution


def _effective_sizes(plan: Plan, prior: Mapping[str, Histogram]) -> pd.DataFrame:
    """Return effective sizes per bin after the last iteration, and before unfolding."""
    found = []
    for method in plan.config.methods:
        how = plan.combinations(method)[0]
        for result in read_histograms(plan, method, "particle"):
            if result.combine != how or result.iteration != plan.iterations[-1]:
                continue
            for name, edge in edges(plan, "particle").items():
                after, before = result.histograms[name], prior[name]
                columns = {
                    "bin": np.arange(len(edge) - 1),
                    "low": edge[:-1],
                    "high": edge[1:],
                    "ess": effective_size(after.content, after.variance).mean(axis=0),
                    "ess_prior": effective_size(before.content, before.variance),
                }
                rows = pd.DataFrame({"method": method, "observable": name} | columns)
                found.append(rows[after.filled.any(axis=0)])
    return pd.concat(found, ignore_index=True)


def _overtraining(plan: Plan) -> pd.DataFrame:
    """Compare events that trained with held-out ones, for step 2 of the first and last iteration.

    Only the networks of pass 1: the passes are alike, and every network takes a pass over the
    events of every observable.
    """
    if len(plan.folds) > 1:  # no event's weight comes from a network that has seen it
        return pd.DataFrame(columns=_OVERTRAINING)
    common = setup(plan)
    event_id = store.open_store(plan.store("simulation")).event_id
    judged = list(_judged(plan))
    found: dict[tuple[int, str], tuple[Histogram, Histogram]] = {}
    for rows, matrices in counts(plan, "simulation", "particle"):
        base = common.scale * np.where(common.particle[rows], common.weight[rows], 0.0)
        for at, (network, ratios) in enumerate(judged):
            out, trained = parts.judged(plan, network, event_id[rows])
            used, ratio = np.where(out | trained, base, 0.0), ratios[rows].astype(float)
            for name, matrix in matrices.items():
                pair = overtraining.fill(matrix, used, ratio, out)
                before = found.get((at, name), (None, None))
                found[at, name] = (pair[0].plus(before[0]), pair[1].plus(before[1]))
    table = []
    for (at, name), pair in found.items():
        network, _ = judged[at]
        keys = {"chain": network.chain, "lane": network.lane, "member": network.member}
        keys |= {"iteration": network.iteration, "observable": name}
        table.append(keys | overtraining.compare(*pair))
    return pd.DataFrame(table)


def _judged(plan: Plan) -> Iterator[tuple[Network, np.ndarray]]:
    """Yield the networks that are judged, with the ratios (n,) after their iteration."""
    for group in (g for chain in plan.chains for g in plan.groups(chain, plan.passes[0])):
        for iteration in sorted({plan.iterations[0], plan.iterations[-1]}):
            ratios = memory_map(plan.final_weights(group, iteration), "ratio")
            for network in (n for b in plan.blocks(group, iteration, 2) for n in b.networks):
                yield network, ratios[group.lanes.index(network.lane)]


def _stopping(falls: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for method, own in falls.groupby("method", sort=False):
        found = vars(convergence.suggest(own))
        names = {key: " ".join(found[key]) for key in ("above_floor", "rising")}
        rows.append({"method": method} | found | names)
    columns = ["method", *(field.name for field in fields(convergence.Suggestion))]
    frame = pd.DataFrame(rows, columns=columns)
    return frame.astype({"iteration": "Int64", "to": "Int64"})
