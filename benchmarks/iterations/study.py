"""Restart and training policies compared on pairs of samples, iteration by iteration.

    python benchmarks/iterations/study.py FOLDER --pairs A C --policies warm cold --lanes 2

Pairs and policies are those of `pairs.yaml` and `policies.yaml`; a pair in lower case has half
of its events. One process trains one lane after the other. Each pair has one folder of events,
which its studies share, and nothing that is finished is done again, so that a run can be stopped
at any time. Distances to truth and to data of all studies in FOLDER go to FOLDER/distances.csv,
from which `table.py` makes a table.
"""

from __future__ import annotations

import argparse
import os
from itertools import product
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import pandas as pd
import yaml

from omniflow.config import validate
from omniflow.stages import evaluation, samples, tables, training, weights
from omniflow.unfolding.plan import Plan

HERE = Path(__file__).parent
SHARED = ("samples", "features", "observables", "axes.json")
KEYS = ["method", "combine", "iteration", "observable"]


def read(name: str) -> dict:
    """Return the content of a YAML file beside this script."""
    return yaml.safe_load((HERE / name).read_text(encoding="utf-8"))


def merged(base: dict, over: dict) -> dict:
    """Return `base` with the values of `over`, section by section."""
    sections = {k: merged(base.get(k) or {}, v) for k, v in over.items() if isinstance(v, dict)}
    return base | over | sections


def plan_of(folder: Path, pair: str, policy: dict, options: argparse.Namespace, seed: int) -> Plan:
    """Return the plan of one study: the closure configuration with a pair and a policy."""
    raw = yaml.safe_load((HERE.parents[1] / "config" / "closure.yaml").read_text(encoding="utf-8"))
    data, simulation = read("pairs.yaml")[pair.upper()]
    if pair.islower():
        data, simulation = (s | {"events": s["events"] // 2} for s in (data, simulation))
    own = {
        "study": {"name": "study", "seed": seed, "output": str(folder)},
        "unfolding": {"iterations": options.iterations},
        "execution": {"threads": 1},
    }
    raw = merged(merged(raw, own), policy)
    raw["samples"] = {"data": data, "simulation": simulation}
    raw["methods"] = {"none": {}} | (
        {"parallel": {"lanes": options.lanes}} if options.lanes > 1 else {}
    )
    return Plan(validate(raw))


def prepare(plan: Plan) -> None:
    """Make event stores, features and observables where they are not there yet."""
    for role in plan.samples:
        if not plan.store(role).exists():
            samples.make_store(plan, role)
    if not plan.scaling("detector").exists():
        samples.make_scaling(plan)
    for role, level in plan.classifier_inputs:
        if not plan.features(role, level).exists():
            samples.make_features(plan, role, level)
    for role in plan.samples:
        if not plan.observables(role).exists():
            samples.make_observables(plan, role)
    if not plan.axes.exists():
        samples.make_axes(plan)


def unfold(plan: Plan) -> None:
    """Run what is left of a study up to its histograms."""
    for group, iteration, step in plan.stages():
        if plan.weights(group, iteration, step).exists():
            continue
        for block in plan.blocks(group, iteration, step):
            if not plan.history(block).exists():
                training.train_block(plan, block)
        weights.aggregate(plan, group, iteration, step)
    for result in plan.variants.results:
        weights.combine(plan, result)
        evaluation.make_histograms(plan, result)


def distances(plan: Plan) -> pd.DataFrame:
    """Return distances to truth and, at detector level, to data, per method and iteration."""
    common, columns = weights.setup(plan), [*KEYS, "td", "td_floor"]
    particle = tables.particle_level(plan, common)[-1]
    detector = tables.detector_level(plan, common)[-1]
    return particle[[*columns, "td_prior"]].merge(
        detector[columns], on=KEYS, suffixes=("", "_detector")
    )


def main() -> None:
    """Run the studies named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pairs", nargs="+", required=True)
    parser.add_argument("--policies", nargs="+", required=True)
    parser.add_argument("--seeds", nargs="+", type=int, default=[1])
    parser.add_argument("--lanes", type=int, default=1)
    parser.add_argument("--iterations", type=int, default=4)
    options = parser.parse_args()
    for name, pair, seed in product(options.policies, options.pairs, options.seeds):
        events = plan_of(options.folder / pair / "events", pair, {}, options, 1)
        prepare(events)
        place = options.folder / pair / name / f"seed-{seed}"
        plan = plan_of(place, pair, read("policies.yaml")[name] or {}, options, seed)
        plan.root.mkdir(parents=True, exist_ok=True)
        for part in SHARED:
            if not (plan.root / part).exists():
                (plan.root / part).symlink_to((events.root / part).resolve())
        unfold(plan)
        found = distances(plan).assign(pair=pair, policy=name, seed=seed)
        found.to_csv(plan.root / "distances.csv", index=False)
        print(pair, name, seed, flush=True)
    done = sorted(options.folder.glob("*/*/seed-*/study/distances.csv"))
    pd.concat(map(pd.read_csv, done)).to_csv(options.folder / "distances.csv", index=False)


if __name__ == "__main__":
    main()
