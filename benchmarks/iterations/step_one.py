"""What networks of step 1 learn, measured on a large sample that no network has seen.

    python benchmarks/iterations/step_one.py FOLDER first    # iteration 1, by settings
    python benchmarks/iterations/step_one.py FOLDER second   # iteration 2, by restart

Networks learn from pair A. Numbers are the loss below that of a ratio of 1, times 1000, on held-out
events and on pair T: the same physics, independent events. Events are those of FOLDER, made where
they are not there yet.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import study

from omniflow.config.schema import Config
from omniflow.events import features
from omniflow.events.batches import Source
from omniflow.files import write_text
from omniflow.models.classifiers import architecture
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
# Network that iteration 2 starts from, factor on the learning rate, settings.
RESTARTS = {
    "warm, rate factor 0.5": ("warm", 0.5, {}),
    "warm, rate factor 0.1": ("warm", 0.1, {}),
    "warm, rate factor 0.5, one epoch": ("warm", 0.5, {"epochs": 1, "warmup_epochs": 0.2}),
    "warm, rate factor 0.5, three epochs": ("warm", 0.5, {"epochs": 3, "warmup_epochs": 0.3}),
    "warm, rate factor 1, two epochs": ("warm", 1.0, {"epochs": 2, "warmup_epochs": 0.3}),
    "cold": ("cold", 1.0, {}),
    "cold, weight decay 1": ("cold", 1.0, {"weight_decay": 1.0, "epochs": 12}),
}
FACTORS = (0.5, 0.75, 1.0)


def plan_of(folder: Path, pair: str, over: dict) -> Plan:
    """Return the plan of a pair with its events in FOLDER/PAIR, and features by name."""
    options = argparse.Namespace(iterations=1, lanes=1)
    kind = study.plan_of(folder, pair, over, options, 1).config.classifier.features
    return study.plan_of(folder / pair / f"events-{kind}", pair, over, options, 1)


def prepare(plan: Plan, stores: Plan, scaling: Path | None) -> None:
    """Make what is missing of a pair: its event stores in `stores`, and features."""
    for role in stores.samples:
        if not stores.store(role).exists():
            samples.make_store(stores, role)
        link = plan.store(role)
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.exists():
            link.symlink_to(stores.store(role).resolve())
    if not plan.scaling("detector").exists():
        if scaling is None:
            samples.make_scaling(plan)
        else:
            write_text(scaling.read_text(encoding="utf-8"), plan.scaling("detector"))
    for role, level in plan.classifier_inputs:
        if not plan.features(role, level).exists():
            samples.make_features(plan, role, level)


def plans(folder: Path, over: dict) -> tuple[Plan, Plan]:
    """Return the pairs that networks learn from and are judged on, with all files made."""
    found = [plan_of(folder, pair, over) for pair in ("A", "T")]
    first = found[0].scaling("detector")
    for plan, pair, scaling in zip(found, ("A", "T"), (None, first), strict=True):
        stores = study.plan_of(
            folder / pair / "events", pair, {}, argparse.Namespace(iterations=1, lanes=1), 1
        )
        prepare(plan, stores, scaling)
    return found[0], found[1]


def step_one(plan: Plan, push: np.ndarray | None = None) -> tuple[Source, Source]:
    """Return data and simulation that pass, with push weights (n,), as classes of step 1."""
    found = []
    for role in ("data", "simulation"):
        sample, opened = events(plan, role), features.open_features(plan.features(role, "detector"))
        pushed = (sample.weight,) if push is None else (sample.weight, push)
        weights = ((sample.weight,), ()) if role == "data" else ((), pushed)
        found.append(Source(opened, sample.event_id, sample.pass_detector, *weights))
    return found[0], found[1]


def step_two(plan: Plan, pull: np.ndarray) -> Source:
    """Return all simulated events with pull weights (n,) and without, as classes of step 2."""
    sample = events(plan, "simulation")
    opened = features.open_features(plan.features("simulation", "particle"))
    every, weight = np.ones(len(sample), bool), sample.weight
    return Source(opened, sample.event_id, every, (weight, pull), (weight,))


class Networks:
    """Networks of one configuration."""

    def __init__(self, config: Config, source: Source) -> None:
        """Build the network for events like those of `source`."""
        particles, event = source.features.particles.shape[1], source.features.event.shape[1]
        neutral = LOSSES[config.training.loss].neutral
        classifier = architecture(config.classifier, particles, event, "float32", neutral)
        self.layout = classifier.layout
        self.trainer = Trainer(
            self.layout, config.training, engine(config, classifier, source.features)
        )

    def neutral(self, parameters: np.ndarray | None = None, number: int = 0) -> np.ndarray:
        """Return these parameters, or drawn ones, with a ratio of 1."""
        if parameters is None:
            parameters = self.layout.initial(np.random.SeedSequence([1, number]))
        return self.layout.neutral(parameters)

    def fit(self, sources: tuple[Source, ...], start: np.ndarray, number: int, rate: float) -> Fit:
        """Return a trained network; `number` sets its random numbers."""
        seeds = Seeds(1000003 + number, np.random.SeedSequence([2, number]))
        [fit] = self.trainer.fit([Task(f"network {number}", sources, start, seeds, rate)])
        if isinstance(fit, Exception):
            raise fit
        return fit

    def logits(self, fit: Fit, source: Source) -> np.ndarray:
        """Return the logits (n,), 0 where events take no part."""
        found = np.empty(len(source.select))
        for where, logits in self.trainer.predict([fit.parameters], source):
            found[where] = logits[0]
        return np.where(source.select, found, 0.0)

    def gains(self, fit: Fit, sources: tuple[Source, Source]) -> list[float]:
        """Return losses below ln 2 on held-out events and, by factor on logits, on `sources`."""
        found = [np.log(2) - min(epoch["val_loss"] for epoch in fit.history)]
        parts = [
            (sign, self.logits(fit, source)[source.select], sum(source.weights(slice(None))))
            for sign, source in zip((-1, 1), sources, strict=True)
        ]
        for factor in FACTORS:
            losses = [
                np.average(np.logaddexp(0, sign * factor * logits), weights=weight[source.select])
                for (sign, logits, weight), source in zip(parts, sources, strict=True)
            ]
            found.append(np.log(2) - sum(losses) / 2)
        return found


def first(folder: Path) -> Iterator[tuple[str, Fit, list[float]]]:
    """Yield networks of iteration 1, and what they gain."""
    for name, over in SETTINGS.items():
        learned, judged = plans(folder, over)
        sources = step_one(learned)
        networks = Networks(learned.config, sources[1])
        fit = networks.fit(sources, networks.neutral(), 0, 1.0)
        yield name, fit, networks.gains(fit, step_one(judged))


def second(folder: Path) -> Iterator[tuple[str, Fit, list[float]]]:
    """Yield networks of step 1 of iteration 2, and what they gain."""
    pairs = plans(folder, {})
    sources = step_one(pairs[0])
    networks = Networks(pairs[0].config, sources[1])
    one = networks.fit(sources, networks.neutral(), 0, 1.0)
    pull = np.exp(networks.logits(one, sources[1]))
    target = step_two(pairs[0], pull)
    two = networks.fit((target,), networks.neutral(number=1), 1, 1.0)
    push = [
        np.exp(networks.logits(two, step_two(plan, np.ones(len(events(plan, "simulation"))))))
        for plan in pairs
    ]
    for name, (network, rate, over) in RESTARTS.items():
        config = plans(folder, {"training": over})[0].config
        sources = step_one(pairs[0], push[0])
        networks = Networks(config, sources[1])
        start = networks.neutral(one.parameters if network == "warm" else None, 2)
        fit = networks.fit(sources, start, 2, rate)
        yield name, fit, networks.gains(fit, step_one(pairs[1], push[1]))


def main() -> None:
    """Print a Markdown table."""
    tables = {"first": first, "second": second}
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("table", choices=tables)
    options = parser.parse_args()
    runtime.configure(1)
    columns = ["network", "best epoch", "held-out", *(f"unseen, x {f}" for f in FACTORS)]
    print(f"| {' | '.join(columns)} |")
    print("|---" * len(columns) + "|")
    for name, fit, gains in tables[options.table](options.folder):
        numbers = " | ".join(f"{1000 * gain:.2f}" for gain in gains)
        print(f"| {name} | {fit.best_epoch} of {len(fit.history) - 1} | {numbers} |", flush=True)


if __name__ == "__main__":
    main()
