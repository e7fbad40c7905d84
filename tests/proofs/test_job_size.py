"""Proof (e): the numbers do not depend on `execution.networks_per_job`."""

from pathlib import Path

import numpy as np
import pytest
from proof_chain import make_plan, read

from omniflow.api import run

pytestmark = pytest.mark.usefixtures("tensorflow_runtime")

DATA = Path(__file__).parents[1] / "data"
PER_JOB = (1, 3, 4)


def h1(name, **records):
    return {"source": "h1", "files": [str(DATA / f"h1_{name}.h5")], **records}


def study(folder, per_job):
    """Return the plan of a small study of real events, run with this block size."""
    plan = make_plan(
        folder / str(per_job),
        {
            "data": h1("nature", events=700),
            "simulation": h1("simulation", events=700),
            "pretraining": {
                "numerator": h1("nature", skip=700),
                "denominator": h1("simulation", skip=700),
            },
        },
        classifier={"kind": "deepsets", "width": 8, "blocks": 1},
        training={
            **{"optimizer": "adam", "learning_rate": 1e-2, "warmup_epochs": 0},
            **{"batch_size": 100, "epochs": 1, "min_updates": 15},
        },
        unfolding={"iterations": 2, "restart": {"network": "warm"}},
        methods={
            "hybrid": {"lanes": 2, "members": 2, "aggregate": "median"},
            "pretrained": {"lanes": 2, "start": "pretrained"},
        },
        combine=["mean", "log_mean"],
        execution={"networks_per_job": per_job},
    )
    run(plan, jobs_apart=True)
    return plan


def test_unfolded_weights_are_bitwise_equal(tmp_path):
    plans = {per_job: study(tmp_path, per_job) for per_job in PER_JOB}
    # The block sizes cut the study differently: by network, by lane and not at all.
    (hybrid,) = (chain for chain in plans[1].chains if chain.startswith("scratch"))
    cuts = [
        [[len(b.networks) for b in plan.blocks(g, 1, 1)] for g in plan.groups(hybrid, 1)]
        for plan in plans.values()
    ]
    assert cuts == [[[1, 1], [1, 1]], [[2], [2]], [[4]]]

    for method in ("hybrid", "pretrained"):
        for how in ("mean", "log_mean"):
            results = [read(plan.unfolded(method, how, 1)) for plan in plans.values()]
            # A result that could differ: trained weights, other than 1 and per iteration.
            assert np.std(results[0].ratio, axis=1).min() > 1e-3
            assert not np.array_equal(*results[0].ratio)
            for result in results[1:]:
                assert np.array_equal(result.event_id, results[0].event_id)
                assert result.weight.tobytes() == results[0].weight.tobytes()
                assert result.ratio.tobytes() == results[0].ratio.tobytes()
    lanes = {how: read(plans[1].unfolded("hybrid", how, 1)).weight for how in ("mean", "log_mean")}
    assert not np.array_equal(lanes["mean"], lanes["log_mean"])
