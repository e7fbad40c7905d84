"""Tests of the detector response, by small networks that see one level of two samples, or both."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property

import numpy as np
import pandas as pd

import omniflow
from omniflow.config.schema import Config
from omniflow.config.training import Training
from omniflow.errors import TrainingError
from omniflow.evaluation import response
from omniflow.evaluation.response import Compared
from omniflow.events import store
from omniflow.events.batches import Source
from omniflow.events.features import Features
from omniflow.events.split import held_out
from omniflow.files import read_json, understood, write_json
from omniflow.observables import cache
from omniflow.stages import inputs
from omniflow.stages.networks import Networks, digest
from omniflow.tables.identifiability import RESPONSE
from omniflow.training import interrupt
from omniflow.training.interrupt import Interrupt
from omniflow.unfolding import seeds
from omniflow.unfolding.coordinates import ALONE, EXPECTED, JOINT, LEVELS, Network
from omniflow.unfolding.plan import Plan
from omniflow.unfolding.results import RESPONSE_EVENTS

# The test, and the same where the responses are equal by construction.
TESTS = ("sample", "control")
# The same in all studies: what is tested is not what the study's networks can do.
_WIDTH, _LAYERS = 32, 2
_TRAINING = Training(
    optimizer="adam",
    learning_rate=3e-3,
    beta_1=0.9,
    beta_2=0.999,
    warmup_epochs=1,
    epochs=20,
    patience=4,
    ema=0.99,
)
_TRAINED = 0.5  # share of the events that networks are trained on; the others are judged
_FAR = 8.0  # inputs end at so many standard deviations


@dataclass(frozen=True)
class Sample:
    """Events of a sample.

    Attributes:
        event_id: (n,) uint64.
        weight: (n,) float64.
        particle: (n, E) observables of events at particle level; NaN where they do not exist.
        detector: (n, D) the same at detector level, NaN where an event does not pass.
    """

    event_id: np.ndarray
    weight: np.ndarray
    particle: np.ndarray
    detector: np.ndarray

    def take(self, rows: np.ndarray) -> Sample:
        """Return some events.

        Args:
            rows: (n,) bool, which.

        Returns:
            A sample of k events.
        """
        return Sample(*(getattr(self, field.name)[rows] for field in fields(self)))


def train(plan: Plan, role: str) -> None:
    """Test whether a sample has the response of the simulation, and write the result.

    Besides the test itself a control: two halves of the simulation, one with the sample's particle
    level by weights. Networks that cannot be trained are noted.
    """
    records: list[dict] = []
    sample, simulation = (read(plan, each) for each in (role, "simulation"))
    with interrupt.noted() as interruption:
        if all(s.particle.size and s.detector.size for s in (sample, simulation)):
            records = list(_tests(plan, role, sample, simulation, interruption))
    write_json({"role": role, "tests": records}, plan.response(role))


def table(plan: Plan) -> pd.DataFrame:
    """Return the results of all tests and controls."""
    rows = []
    none = dict.fromkeys((field.name for field in fields(Compared)), np.nan) | {"failure": ""}
    for role in plan.response_roles:
        path = plan.response(role)
        content = read_json(path)
        with understood(path):
            rows += [none | {"role": role} | record for record in content["tests"]]
    return RESPONSE.build(rows)


def networks(role: str) -> list[Network]:
    """Return the networks of the tests of a sample."""
    return [
        Network(f"response-{role}", 1, test, 0, 0, step, test)
        for test in range(len(TESTS))
        for step in (ALONE, JOINT, EXPECTED)
    ]


def read(plan: Plan, role: str) -> Sample:
    """Return the observables of the events of a sample that are unfolded, or of some of them.

    Args:
        plan: of the study.
        role: of the sample.

    Returns:
        At most about `RESPONSE_EVENTS` events; none without particle level.
    """
    events = store.open_store(plan.store(role))
    if events.particle is None:
        empty = np.zeros((0, 0))
        return Sample(np.zeros(0, np.uint64), np.zeros(0), empty, empty)
    chosen = np.array(inputs.unfolded(plan, events))
    wanted = RESPONSE_EVENTS / max(1, np.count_nonzero(chosen))
    if wanted < 1:
        seed = seeds.integer(seeds.sequence(plan.config.study.seed, f"response {role}"))
        chosen &= held_out(events.event_id, seed, wanted)
    found = {level: _values(plan, role, level, chosen) for level in LEVELS}
    found["detector"][~np.asarray(events.pass_detector)[chosen]] = np.nan
    weight = np.asarray(events.weight, np.float64)[chosen]
    return Sample(np.asarray(events.event_id)[chosen], weight, **found)


def _values(plan: Plan, role: str, level: str, chosen: np.ndarray) -> np.ndarray:
    """Return the observables of events (k, E) float32 of chosen events (n,) bool."""
    there = [name for name, levels in plan.observed.items() if level in levels]
    kinds = cache.kinds(plan.observables("simulation") / f"{level}.h5", there) if there else {}
    names = [name for name, kind in kinds.items() if kind == "event"]
    values = np.full((np.count_nonzero(chosen), len(names)), np.nan, np.float32)
    place = np.cumsum(chosen) - 1
    path = plan.observables(role) / f"{level}.h5"
    if not names:
        return values
    for rows, found in cache.entries(path, names, len(chosen)):
        for column, name in enumerate(names):
            event = rows.start + found[name].event_index
            kept = chosen[event]
            values[place[event[kept]], column] = found[name].value[kept]
    return values


def _tests(
    plan: Plan, role: str, sample: Sample, simulation: Sample, interruption: Interrupt | None
) -> Iterator[dict]:
    """Yield what the test and its control find."""
    trained = networks(role)
    small = Plan(small_networks(plan), plan.root)
    test = Test(small, trained[:3], sample, simulation, interruption)
    found = _compared(test)
    yield {"test": TESTS[0]} | found
    if "failure" in found:
        return
    half = held_out(simulation.event_id, seeds.integer(plan.seed("halves", trained[3])), 0.5)
    moved = simulation.take(half)
    ratio = np.exp(test.alone[len(sample.weight) :])[half]
    moved = replace(moved, weight=moved.weight * ratio)
    control = Test(small, trained[3:], moved, simulation.take(~half), interruption)
    yield {"test": TESTS[1]} | _compared(control)


def _compared(test: Test) -> dict:
    """Return what a test finds, or why it failed."""
    try:
        return asdict(test.compare())
    except TrainingError as error:
        return {"failure": str(error)}


def small_networks(plan: Plan) -> Config:
    """Return the configuration of a plan with the networks of these tests in place of its own."""
    config = plan.config
    settings = {"kind": "mlp", "width": _WIDTH, "blocks": _LAYERS, "layers": None, "dropout": 0.0}
    return config.model_copy(
        update={
            "classifier": config.classifier.model_copy(update=settings | {"options": {}}),
            "training": _TRAINING,
            "execution": config.execution.model_copy(update={"ranks": 1, "gpus": 0}),
        }
    )


class Test:
    """Two samples, of whose events some train networks and the others are judged."""

    def __init__(
        self,
        plan: Plan,
        networks: Sequence[Network],
        sample: Sample,
        simulation: Sample,
        interruption: Interrupt | None = None,
    ) -> None:
        """Take two samples.

        Args:
            plan: with the settings of these networks (`small_networks`).
            networks: that see particle level, both levels, and particle level again.
            sample: class A.
            simulation: class B.
            interruption: is heeded.
        """
        self.plan, self.networks, self._interruption = plan, networks, interruption
        both = [(getattr(sample, f.name), getattr(simulation, f.name)) for f in fields(Sample)]
        self.event_id, weight, particle, detector = (np.concatenate(pair) for pair in both)
        self.first = np.arange(len(weight)) < len(sample.weight)
        # About 1 per event, as balanced classes have it.
        self.weight = response.balanced(weight, self.first) * len(weight) / 2
        seed = seeds.integer(plan.seed("judge", networks[0]))
        self.trained = held_out(self.event_id, seed, _TRAINED)
        self._particle = scaled(particle, self.trained)
        self._detector = scaled(detector, self.trained)

    @cached_property
    def alone(self) -> np.ndarray:
        """Logits (n,) of the sample against the simulation at particle level."""
        return self._logits(self.networks[0], self._particle, self.first.astype(np.float64))

    def compare(self) -> Compared:
        """Train the networks and judge the events that they have not seen.

        Raises:
            TrainingError: a network cannot be trained.
        """
        inputs = np.concatenate([self._particle, self._detector], axis=1)
        joint = self._logits(self.networks[1], inputs, self.first.astype(np.float64))
        label = 1 / (1 + np.exp(-joint))
        expected = self._logits(self.networks[2], self._particle, label)
        # Classes are balanced in the training; q is the mean label.
        weight = self.weight[self.trained]
        a, b = (float((weight * y[self.trained]).sum()) for y in (label, 1 - label))
        judged, clip = ~self.trained, _TRAINING.logit_clip
        expected += np.log(a / b)
        alone, joint, expected = (each[judged] for each in (self.alone, joint, expected))
        weight, first = self.weight[judged], self.first[judged]
        return response.compare(weight, first, alone, joint, expected, clip)

    def _logits(self, network: Network, inputs: np.ndarray, label: np.ndarray) -> np.ndarray:
        """Return the logits (n,) of a network that is trained on labels (n,) from 0 to 1."""
        job = _Classifier(self, network, inputs, label)
        ((parameters, _),) = job.train([network])
        return job.predict(parameters)


class _Classifier(Networks):
    """One network: the strata are the two samples."""

    def __init__(self, test: Test, network: Network, inputs: np.ndarray, label: np.ndarray) -> None:
        """Take inputs (n, E) and labels (n,) of the events of a test."""
        n = len(inputs)
        neighbours = np.zeros((0, test.plan.config.classifier.neighbours), np.int16)
        features = Features(np.zeros((0, 0), np.float32), neighbours, np.zeros(n + 1, int), inputs)
        a, b = test.weight * label, test.weight * (1 - label)
        self._all = Source(features, test.event_id, np.ones(n, bool), (a,), (b,))
        self._strata = tuple(
            replace(self._all, select=test.trained & stratum)
            for stratum in (test.first, ~test.first)
        )
        self._digest = digest([test.event_id, inputs, a, b, test.trained])
        super().__init__(test.plan, "particle", features, test._interruption)

    def sources(self, network: Network) -> tuple[Source, ...]:
        """Return the events that the network is trained on."""
        return self._strata

    def fingerprint(self, network: Network, initial: np.ndarray) -> str:
        """Return a hash of settings, events and start.

        Args:
            network: that is trained.
            initial: (d,) parameters that it starts from.

        Returns:
            Sixteen hexadecimal digits.
        """
        config = self.plan.config
        settings = (config.classifier, config.training)  # no network of the study's own
        parts = [omniflow.__version__, network.name, str(config.study.seed), self._digest]
        parts += [self.trainer.engine.name, config.execution.precision]
        parts += [each.model_dump_json(exclude={"features"}) for each in settings]
        text = np.frombuffer(" ".join(parts).encode(), np.uint8)
        return digest([text, initial])

    def predict(self, parameters: np.ndarray) -> np.ndarray:
        """Return the logits (n,) of all events.

        Args:
            parameters: (d,).

        Returns:
            (n,) float64.
        """
        logits = np.empty(len(self._all.event_id))
        for where, found in self.trainer.predict([parameters], self._all):
            logits[where] = found[0]
        return logits


def scaled(values: np.ndarray, trained: np.ndarray) -> np.ndarray:
    """Return inputs of networks: standardised, 0 where a value does not exist, and whether it does.

    Args:
        values: (n, E), NaN where there is none.
        trained: (n,) bool, events whose mean and standard deviation are taken.

    Returns:
        (n, F) float32, with a column more for each that has NaN; equal ones once.
    """
    there = np.isfinite(values)
    known = there & trained[:, None]
    count = np.maximum(known.sum(axis=0), 1)
    filled = np.where(there, values, 0).astype(np.float64)
    mean = (filled * known).sum(axis=0) / count
    width = np.sqrt((np.square(filled - mean) * known).sum(axis=0) / count)
    found = np.clip((filled - mean) / np.where(width > 0, width, 1), -_FAR, _FAR) * there
    lacking = np.unique(there[:, ~there.all(axis=0)], axis=1)
    return np.concatenate([found, lacking], axis=1).astype(np.float32)
