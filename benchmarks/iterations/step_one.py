"""What networks of step 1 learn, measured on a large sample that no network has seen.

    python benchmarks/iterations/step_one.py FOLDER

Trains networks of the first step 1 of pair A with settings of `SETTINGS`, and prints the loss below
that of a ratio of 1, on held-out events and on pair T: the same physics, independent events. Events
are those of FOLDER, made where they are not there yet.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import study

from omniflow.events import features
from omniflow.events.batches import Source
from omniflow.files import write_text
from omniflow.models import registry
from omniflow.stages import samples
from omniflow.stages.inputs import events
from omniflow.training import runtime
from omniflow.training.engines import engine
from omniflow.training.losses import LOSSES
from omniflow.training.progress import Fit, Seeds, Task
from omniflow.training.trainer import Trainer
from omniflow.unfolding.plan import Plan

SETTINGS = {
    "closure": {},
    "rate 3e-4": {"training": {"learning_rate": 3e-4}},
    "rate 3e-3": {"training": {"learning_rate": 3e-3}},
    "weight decay 1": {"training": {"weight_decay": 1.0}},
    "weight decay 1, 16 epochs": {
        "training": {"weight_decay": 1.0, "epochs": 16, "patience": 5},
    },
    "batches of 64, rate 5e-4": {"training": {"batch_size": 64, "learning_rate": 5e-4}},
    "width 16": {"classifier": {"width": 16}},
    "features of the paper": {"classifier": {"features": "dis"}},
}


def plan_of(folder: Path, pair: str, over: dict) -> Plan:
    """Return the plan of a pair with its events in FOLDER/PAIR, and features by name."""
    options = argparse.Namespace(iterations=1, lanes=1)
    plan = study.plan_of(folder / pair / "events", pair, over, options, 1)
    place = folder / pair / f"events-{plan.config.classifier.features}"
    return study.plan_of(place, pair, over, options, 1)


def prepare(plan: Plan, base: Plan, scaling: Path | None) -> None:
    """Make what is missing of a pair, whose event stores are those of `base`."""
    for role in base.samples:
        if not base.store(role).exists():
            samples.make_store(base, role)
        link = plan.store(role)
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.exists():
            link.symlink_to(base.store(role).resolve())
    if not plan.scaling.exists():
        if scaling is None:
            samples.make_scaling(plan)
        else:
            write_text(scaling.read_text(encoding="utf-8"), plan.scaling)
    for role in plan.samples:
        if not plan.features(role, "detector").exists():
            samples.make_features(plan, role, "detector")


def sources(plan: Plan) -> tuple[Source, Source]:
    """Return data and simulation that pass, as classes of step 1."""
    found = []
    for role in ("data", "simulation"):
        sample, opened = events(plan, role), features.open_features(plan.features(role, "detector"))
        weights = ((sample.weight,), ()) if role == "data" else ((), (sample.weight,))
        found.append(Source(opened, sample.event_id, sample.pass_detector, *weights))
    return found[0], found[1]


def train(plan: Plan) -> tuple[Trainer, Fit]:
    """Return the trainer and a network of the first step 1."""
    config = plan.config
    data, simulation = sources(plan)
    particles, event = simulation.features.particles.shape[1], simulation.features.event.shape[1]
    neutral = LOSSES[config.training.loss].neutral
    model = registry.build(config.classifier, particles, event, "float32", neutral)
    trainer = Trainer(model, config.training, engine(config, model, simulation.features))
    drawn = registry.initial_weights(model, np.random.SeedSequence([1, 0]))
    start = registry.flatten(registry.with_neutral_head(model, drawn))
    seeds = Seeds(1000003, np.random.SeedSequence([1, 1]))
    [fit] = trainer.fit([Task("step 1", (data, simulation), start, seeds)])
    if isinstance(fit, Exception):
        raise fit
    return trainer, fit


def gain(trainer: Trainer, fit: Fit, plan: Plan, factor: float = 1.0) -> float:
    """Return by how much the loss is below ln 2 on a pair, with logits times a factor."""
    total = 0.0
    for sign, source in zip((-1, 1), sources(plan), strict=True):
        logits = np.empty(len(source.select))
        for where, found in trainer.predict([fit.parameters], source):
            logits[where] = found[0]
        weights = sum(source.weights(slice(None)))
        chosen = np.asarray(source.select)
        loss = np.logaddexp(0, sign * factor * logits[chosen])
        total += np.average(loss, weights=weights[chosen]) / 2
    return np.log(2) - total


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--settings", nargs="+", choices=SETTINGS, default=list(SETTINGS))
    options = parser.parse_args()
    runtime.configure(1)
    factors = (0.8, 0.9, 1.0)
    print("| settings | best epoch | held-out events |", *(f"x {f} |" for f in factors))
    print("|---" * (3 + len(factors)) + "|")
    for name in options.settings:
        plans = [plan_of(options.folder, pair, SETTINGS[name]) for pair in ("A", "T")]
        for plan, pair in zip(plans, ("A", "T"), strict=True):
            base = plan_of(options.folder, pair, {})
            prepare(plan, base, None if pair == "A" else plans[0].scaling)
        trainer, fit = train(plans[0])
        held_out = np.log(2) - min(epoch["val_loss"] for epoch in fit.history)
        columns = [held_out, *(gain(trainer, fit, plans[1], f) for f in factors)]
        numbers = " | ".join(f"{1000 * value:.2f}" for value in columns)
        print(f"| {name} | {fit.best_epoch} | {numbers} |", flush=True)


if __name__ == "__main__":
    main()
