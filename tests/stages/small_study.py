"""Small studies of one event feature, run through the stages as the workflow does."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from omniflow.config import validate
from omniflow.events import store
from omniflow.events.sample import Events, Level
from omniflow.stages import pretraining, samples, training, weights
from omniflow.training.engines import shared
from omniflow.unfolding.coordinates import Network
from omniflow.unfolding.plan import Plan

SOURCE = f"{Path(__file__).with_name('one_number.py')}:OneNumber"
ROLE = {"source": SOURCE, "events": 1000, "seed": 3}
SIZES = {
    "data": 400,
    "simulation": 500,
    "pretraining-numerator": 300,
    "pretraining-denominator": 300,
    "pretraining-simulation": 300,
}


def make_plan(
    folder: Path, name: str, methods: dict, restart: dict, per_job: int, **unfolding: str
) -> Plan:
    raw = {
        "study": {"name": name, "seed": 5, "passes": 1, "output": str(folder)},
        "samples": {
            "data": ROLE,
            "simulation": ROLE | {"seed": 4},
            "pretraining": {"numerator": ROLE | {"seed": 5}, "denominator": ROLE | {"seed": 6}},
        },
        "classifier": {"kind": "mlp", "width": 4, "blocks": 1, "features": {"event": ["x"]}},
        "training": {
            "optimizer": "adam",
            "learning_rate": 0.02,
            "schedule": "constant",
            "warmup_epochs": 0,
            "epochs": 2,
            "min_updates": 1,
            "batch_size": 100,
            "ema": 0.5,
        },
        "unfolding": {
            "iterations": 2,
            "particle_level": "pass_gen",
            "restart": restart,
            **unfolding,
        },
        "methods": methods,
        "execution": {"networks_per_job": per_job},
    }
    return Plan(validate(raw))


def sample(n: int, mean: float, seed: int, truth: bool = True) -> Events:
    """Normal truth, smeared; every fifth event is a miss, every seventh a fake, some both."""
    rng = np.random.default_rng(seed)
    z = rng.normal(mean, 1, n)
    detector, particle = np.arange(n) % 5 != 0, np.arange(n) % 7 != 0
    x = np.where(detector, z + rng.normal(0, 0.3, n), 0)
    return Events(
        rng.permutation(10 * n)[:n].astype(np.uint64),
        rng.uniform(0.5, 1.5, n),
        detector,
        particle if truth else None,
        _level(x),
        _level(z) if truth else None,
    )


def _level(x: np.ndarray) -> Level:
    empty = np.zeros((0, 0), np.float32), np.zeros(len(x) + 1, int)
    return Level(x[:, None].astype(np.float32), *empty, ("x",), ())


def run(plan: Plan) -> Plan:
    for i, role in enumerate(plan.samples):
        truth = role != "data"  # as real data
        mean = 0.5 if role in ("data", "pretraining-numerator") else 0.0
        events = sample(SIZES[role], mean, 100 + i, truth)
        store.write(events, plan.store(role), {}, 7 + i)
    samples.make_scaling(plan)
    for role, level in plan.classifier_inputs:
        samples.make_features(plan, role, level)
    for model in range(len(plan.pretraining_networks)):
        pretraining.pretrain(plan, model)
    return train(plan)


@shared()
def train(plan: Plan) -> Plan:
    for chain in plan.chains:
        for group in plan.groups(chain, 1):
            for iteration in plan.iterations:
                for step in plan.steps:
                    for block in plan.blocks(group, iteration, step):
                        training.train_block(plan, block)
                    weights.aggregate(plan, group, iteration, step)
    return plan


def records(plan: Plan) -> dict[Network, dict]:
    """The record of every network, pre-training included."""
    files = [plan.history(block) for block in plan.all_blocks()]
    files += [plan.pretrained(n.lane) / "history.json" for n in plan.pretraining_networks]
    found = {}
    for path in files:
        for record in json.loads(path.read_text())["networks"]:
            found[Network(**record["network"])] = record
    return found
