"""Restart and training policies compared on several pairs of samples, iteration by iteration.

    python benchmarks/iterations/study.py prepare PAIR ...
    python benchmarks/iterations/study.py run FOLDER --pairs A B --policies shipped cold --seeds 1

One process trains one lane after the other. What is done is not done again, so that a run can be stopped
at any time.
"""

from __future__ import annotations

import argparse
import json
import os
from itertools import product
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import yaml

HERE = Path(__file__).parent


def sample(events, seed, shower, pdf, scale, *settings):
    return {
        "source": "pythia", "events": events, "seed": seed, "shower": shower, "pdf": pdf,
        "factorisation_scale": scale, "settings": list(settings),
    }


PAIRS = {
    "A": (sample(60000, 101, "vincia", 8, 4), sample(120000, 202, "simple", 13, 0.5)),
    "B": (sample(60000, 303, "simple", 8, 4), sample(120000, 404, "vincia", 13, 0.5)),
    "C": (sample(60000, 505, "simple", 13, 0.5), sample(120000, 606, "vincia", 8, 4)),
    "D": (sample(60000, 707, "vincia", 13, 0.5), sample(120000, 808, "simple", 8, 2)),
    "E": (sample(60000, 909, "simple", 14, 2, "TimeShower:alphaSvalue = 0.15", "StringPT:sigma = 0.4"),
          sample(120000, 1010, "simple", 13, 0.7)),
    "F": (sample(60000, 1111, "vincia", 8, 1), sample(120000, 1212, "simple", 8, 3, "TimeShower:alphaSvalue = 0.127")),
}

NAMES = ["eta_p_minus_eta_e", "log10_pt", "log10_pt_over_q", "jet_pt", "jet_eta", "jet_tau21",
         "q2", "eta_e", "dphi_jet_e", "y", "multiplicity"]


def merged(base, over):
    out = dict(base)
    for key, value in over.items():
        out[key] = merged(out[key], value) if isinstance(value, dict) and isinstance(out.get(key), dict) else value
    return out


def plan_of(root, pair, policy, seed, lanes, iterations):
    from omniflow.config import validate
    from omniflow.unfolding.plan import Plan

    data, simulation = PAIRS[pair]
    raw = {
        "study": {"name": "iterations", "seed": seed, "passes": 1, "output": str(root)},
        "samples": {"data": data, "simulation": simulation},
        "classifier": {"kind": "pet", "width": 32, "heads": 4, "blocks": 2, "class_blocks": 1,
                       "layer_scale": 0.1, "features": "dis_sums"},
        "training": {"optimizer": "adamw", "learning_rate": 1e-3, "beta_1": 0.9, "beta_2": 0.999,
                     "weight_decay": 0.01, "epochs": 6, "patience": 2, "warmup_epochs": 0.5,
                     "batch_size": 256, "micro_batches": 4},
        "unfolding": {"iterations": iterations, "restart": {"network": "warm", "rate_factor": 0.5}},
        "methods": {"none": {}, "parallel": {"lanes": lanes}} if lanes > 1 else {"none": {}},
        "observables": {"names": NAMES},
        "execution": {"networks_per_job": 1, "threads": 1},
    }
    return Plan(validate(merged(raw, policy)))


def prepare(runs, pair):
    from omniflow.stages import samples

    plan = plan_of(runs / pair / "base", pair, {}, 1, 1, 1)
    for role in ("data", "simulation"):
        if not plan.store(role).exists():
            samples.make_store(plan, role)
    if not plan.scaling.exists():
        samples.make_scaling(plan)
    for role, level in plan.classifier_inputs:
        if not plan.features(role, level).exists():
            samples.make_features(plan, role, level)
    for role in ("data", "simulation"):
        if not plan.observables(role).exists():
            samples.make_observables(plan, role)


def run(runs, pair, name, policy, seed, lanes, iterations):
    from omniflow.stages import evaluation, training, weights
    from omniflow.evaluation.tables import detector_tables, unfolding_tables, Unfolded
    from omniflow.events import store
    from omniflow.evaluation.histograms import Histogram
    from omniflow.stages.weights import setup

    root = runs / pair / name / f"seed-{seed}"
    root.mkdir(parents=True, exist_ok=True)
    for part in ("samples", "features", "observables"):
        if not (root / part).exists():
            (root / part).symlink_to(runs / pair / "base" / part)
    plan = plan_of(root, pair, policy, seed, lanes, iterations)
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
    common = setup(plan)
    data = store.open_store(plan.store("data"))
    edges = evaluation.edges(plan)
    prior_weight = common.scale * common.weight

    def fill(role, level, weight):
        return {n: m.fill(np.asarray(weight)) for n, m in evaluation.counts(plan, role, level).items()}

    def results(level):
        return [u for m in plan.variants.results for u in evaluation.read_histograms(plan, m, level)]

    _, summary = unfolding_tables(results("particle"), edges, fill("simulation", "particle", prior_weight),
                                  fill("data", "particle", data.weight), plan.config.unfolding.normalization)
    before = {n: Histogram(h.content[None], h.variance[None], h.sum_covariance[None])
              for n, h in fill("simulation", "detector", prior_weight).items()}
    priors = [Unfolded(m, how, 0, before) for m in plan.config.methods for how in plan.combinations(m)]
    _, detector = detector_tables([*priors, *results("detector")], edges, evaluation.measured(plan),
                                  plan.config.unfolding.normalization)
    summary.to_csv(root / "summary.csv", index=False)
    detector.to_csv(root / "detector_summary.csv", index=False)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("action", choices=["prepare", "run"])
    parser.add_argument("runs", type=Path)
    parser.add_argument("--pairs", nargs="+", default=list(PAIRS))
    parser.add_argument("--policies", nargs="+", default=[])
    parser.add_argument("--seeds", nargs="+", type=int, default=[1])
    parser.add_argument("--lanes", type=int, default=1)
    parser.add_argument("--iterations", type=int, default=3)
    args = parser.parse_args()
    if args.action == "prepare":
        for pair in args.pairs:
            prepare(args.runs, pair)
            print(pair, "ready", flush=True)
        return
    known = yaml.safe_load((HERE / "policies.yaml").read_text())
    for name, pair, seed in product(args.policies, args.pairs, args.seeds):
        run(args.runs, pair, name, known[name], seed, args.lanes, args.iterations)
        print(name, pair, seed, "done", flush=True)


if __name__ == "__main__":
    main()
