"""Plans to look at."""

from omniflow.config import validate
from omniflow.unfolding.plan import Plan

PYTHIA = {"source": "pythia", "events": 1000, "seed": 3}
METHODS = {
    "none": {},
    "parallel": {"lanes": 5},
    "step": {"members": 5},
    "hybrid": {"lanes": 2, "members": 3, "aggregate": "median"},
    "pretrained_step": {"members": 5, "start": "pretrained"},
    "backbone": {"start": "backbone"},
}
PURPOSES = ("initial", "split", "order")


BOTH = {"misses": "conditional_mean", "fakes": "conditional_mean", "particle_level": "pass_gen"}


def make_plan(
    methods=METHODS,
    passes=2,
    per_job=5,
    iterations=3,
    restart=None,
    acceptance=None,
    **sections,
):
    raw = {
        "study": {"name": "s", "seed": 11, "passes": passes, "output": "out"},
        "samples": {
            "data": PYTHIA,
            "simulation": PYTHIA | {"seed": 92},
            "pretraining": {
                "numerator": PYTHIA | {"seed": 93},
                "denominator": PYTHIA | {"seed": 94},
            },
        },
        "methods": methods,
        "unfolding": {
            "iterations": iterations,
            "restart": restart or {},
            **(acceptance or {}),
        },
        "execution": {"networks_per_job": per_job},
    }
    raw |= sections
    raw["training"] = {"min_updates": 1, **raw.get("training", {})}
    return Plan(validate(raw))


def all_networks(plan):
    return {network: block for block in plan.all_blocks() for network in block.networks}


def state(plan, network):
    return tuple(tuple(plan.seed(p, network).generate_state(4)) for p in PURPOSES)


def coordinates(network):
    return (
        network.chain,
        network.pass_,
        network.lane,
        network.member,
        network.iteration,
        network.step,
    )
