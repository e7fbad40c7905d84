"""What tests of drafts share: from files to event stores, as a user goes."""

from pathlib import Path

from omniflow import config
from omniflow.drafts.init import init
from omniflow.events import store
from omniflow.stages import preflight, samples
from omniflow.unfolding.plan import Plan


def planned(folder, *files, edit=lambda text: text, **roles):
    """The text that `init` writes of files, and the plan of the study, which `check` accepts."""
    text = edit(init(list(map(str, files)), output="study.yaml", **roles))
    path = Path(folder) / "study.yaml"
    path.write_text(text, encoding="utf-8")
    plan = Plan(config.load(path), Path(folder) / "results")
    assert preflight.problems(plan) == []
    assert preflight.missing(plan) == []
    _ = plan.features_seen, plan.observed
    return text, plan


def stores(plan):
    """The event stores of data and simulation."""
    for role in ("data", "simulation"):
        samples.make_store(plan, role)
    return tuple(store.open_store(plan.store(role)) for role in ("data", "simulation"))


def through(folder, *files, **more):
    """Files through `init`, `check` and `convert`: the text, and both samples."""
    text, plan = planned(folder, *files, **more)
    return (text, *stores(plan))
