"""Both engines against the slow network: any sizes, order, batches, chunks and micro-batches."""

import functools
from dataclasses import dataclass, replace
from unittest import mock

import model_inputs as make
import numpy as np
import pytest
import slow_pet
from hypothesis import given, settings
from hypothesis import strategies as st

from omniflow.events.batches import Source, flat
from omniflow.events.features import Features
from omniflow.models.keras_model import KerasModel
from omniflow.training import native
from omniflow.training.graph import Graph

# Width, heads, blocks, class blocks, neighbours.
ARCHITECTURES = ((8, 2, 2, 2, 3), (6, 3, 1, 1, 1), (4, 1, 1, 2, 7))
TRACED = (8, 2, 1, 1, 3)
ROWS = (1, 2, 5, 9, 128)  # particles per chunk of the native engine


@functools.cache
def network(architecture):
    width, heads, blocks, class_blocks, neighbours = architecture
    sizes = {"width": width, "heads": heads, "blocks": blocks, "class_blocks": class_blocks}
    found = make.small("pet", **sizes, neighbours=neighbours)
    return make.registry.build(found, make.PARTICLE, make.EVENT), found


@dataclass(frozen=True)
class Case:
    """What is drawn.

    Attributes:
        architecture: as those above.
        counts: particles of each event.
        seed: of parameters, events, weights and the order of events and particles.
        classes: whether an event in both classes is given as one in each, as without step 2's pair.
        cut: where the batch is cut in two.
        rows: particles per chunk.
        parts: micro-batches.
        threads: of the native engine.
    """

    architecture: tuple[int, ...]
    counts: list[int]
    seed: int
    classes: bool
    cut: int
    rows: int
    parts: int
    threads: int


@st.composite
def cases(draw, architectures):
    architecture, rows = draw(st.sampled_from(architectures)), draw(st.sampled_from(ROWS))
    # Around what something may depend on: none, one, the neighbours, a chunk.
    edges = {n + i for n in (1, architecture[-1], min(rows, 9)) for i in (-1, 0, 1)}
    counts = draw(st.lists(st.sampled_from(sorted(edges)), min_size=1, max_size=12))
    return Case(
        *(architecture, counts, draw(st.integers(0, 2**32 - 1)), draw(st.booleans())),
        *(draw(st.integers(0, len(counts) - 1)), rows),
        *(draw(st.sampled_from((1, 2, 3, 4, 8))), draw(st.sampled_from((1, 2)))),
    )


class Inputs:
    """Parameters and events of a case, in the order that engines see and in the original one.

    Attributes:
        vector: (d,) parameters.
        events, a, b: as the slow network takes them, with their weights in class A and class B.
        calls: sources that an engine is given one after the other, with the events to take of
            each; together they hold all events, and their losses and gradients are summed.
        order: of the events in every source, positions in `events`.
    """

    def __init__(self, case: Case) -> None:
        self.model, self.settings = network(case.architecture)
        k, n = self.settings.neighbours, len(case.counts)
        rng = np.random.default_rng(case.seed)
        self.layout = KerasModel(self.model).layout
        drawn = self.layout.initial(np.random.SeedSequence(case.seed))
        drawn = drawn + rng.normal(0, 0.3, drawn.shape)
        self.vector = drawn.astype(np.float32).astype(float)
        self.events = [rounded(event) for event in make.some_events(case.counts, case.seed)]
        for event in self.events:
            event["neighbours"] = slow_pet.nearest(event["particles"][:, :2], k)
        a, b = rng.exponential(size=(2, n)).astype(np.float32)
        self.a, self.b = a.astype(float), b.astype(float)
        self.order = rng.permutation(n)
        found = [make.permuted(e, rng.permutation(len(e["particles"]))) for e in self.events]
        source = stored([found[i] for i in self.order], k, a[self.order], b[self.order])
        sources = [source]
        if case.classes:
            sources = [replace(source, denominator=()), replace(source, numerator=())]
        pieces = [piece for piece in np.split(np.arange(n), [case.cut]) if len(piece)]
        self.calls = [(one, piece) for one in sources for piece in pieces]

    def compare(self, logits, loss, gradient, tolerance):
        """Logits and loss, and the gradient along one direction."""
        w = slow_pet.weights(self.model, self.vector)
        expected = np.array([slow_pet.logit(w, self.settings, event) for event in self.events])
        np.testing.assert_allclose(logits, expected, rtol=tolerance, atol=tolerance)
        assert loss == pytest.approx(slow_pet.loss(expected, self.a, self.b), rel=tolerance)
        direction = np.random.default_rng(0).normal(size=len(self.vector))
        slope = slow_pet.slope(
            *(self.model, self.settings, self.vector, direction), *(self.events, self.a, self.b)
        )
        scale = np.linalg.norm(gradient)
        assert scale > 1e-3
        assert gradient @ direction == pytest.approx(slope, abs=tolerance * scale)


def rounded(event):
    """The event in numbers that float32 holds as well."""
    return {key: value.astype(np.float32).astype(float) for key, value in event.items()}


def stored(events, neighbours, a, b):
    """The events as they lie on disk."""
    counts = [len(event["particles"]) for event in events]
    features = Features(
        np.concatenate([event["particles"] for event in events]).astype(np.float32),
        np.concatenate([event["neighbours"] for event in events]).astype(np.int16),
        np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        np.stack([event["event"] for event in events]).astype(np.float32),
    )
    ids = np.arange(len(events)).astype(np.uint64)
    return Source(features, ids, np.ones(len(events), bool), (a,), (b,))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(case=cases(ARCHITECTURES))
def test_the_native_engine_is_the_slow_network_to_double_precision(case):
    inputs = Inputs(case)
    sizes = (make.PARTICLE, make.EVENT, inputs.settings.neighbours)
    with mock.patch.object(native, "ROWS", case.rows):
        run = native.PET(inputs.layout, inputs.settings, sizes, case.threads, double=True)
    logits, loss, gradient = np.empty(len(case.counts)), 0.0, 0.0
    for source, index in inputs.calls:
        events = flat([source], [index])
        names = ("particles", "event", "numerator", "denominator")
        events = replace(events, **{name: getattr(events, name).astype(float) for name in names})
        found = run(inputs.vector, events, gradient=True)
        logits[inputs.order[index]] = found.outputs
        loss, gradient = loss + found.loss, gradient + found.gradient
    inputs.compare(logits, loss, gradient, 1e-9)


@functools.cache
def graph(architecture):
    """Traced once."""
    model, found = network(architecture)
    (event,) = make.some_events([1])
    event["neighbours"] = np.full((1, found.neighbours), -1)
    return Graph(model, stored([event], found.neighbours, *np.ones((2, 1))).features, 1)


def engine(kind, case, inputs):
    if kind == "tensorflow":
        chosen = graph(case.architecture)
        chosen.parts = case.parts
        return chosen
    with mock.patch.object(native, "ROWS", case.rows):
        features = inputs.calls[0][0].features
        return native.Native(inputs.layout, inputs.settings, features, case.threads)


@pytest.mark.parametrize("kind", ["native", "tensorflow"])
@settings(max_examples=40, deadline=None, derandomize=True)
@given(case=cases([TRACED]))
def test_engines_are_the_slow_network_to_single_precision(kind, case):
    inputs = Inputs(case)
    run = engine(kind, case, inputs)
    parameters = [inputs.vector.astype(np.float32)]
    logits, loss, gradient = np.full(len(case.counts), np.nan), 0.0, 0.0
    for source, index in inputs.calls:
        (batch,) = run.prepare([([source], [index[np.newaxis]])])
        (value,), (change,) = run.gradient(parameters, batch)
        loss, gradient = loss + value, gradient + np.asarray(change, float)
        for events, (found,) in run.outputs(parameters, source, index):
            logits[inputs.order[events]] = found
    inputs.compare(logits, loss, gradient, 1e-4)


def test_several_sources_in_one_batch_are_one_sum():
    """Step 1: data and simulation, whose events share the micro-batches."""
    inputs = Inputs(Case(TRACED, [0, 1, 4, 9, 2, 5], 3, False, 0, 128, 1, 1))
    half = np.arange(3)
    inputs.a[inputs.order[3:]] = inputs.b[inputs.order[:3]] = 0
    ((source, _),) = inputs.calls
    sources = [replace(source, denominator=()), replace(source, numerator=())]
    run = graph(TRACED)
    run.parts = 4
    for one in (run, native.Native(inputs.layout, inputs.settings, source.features, 1)):
        parameters = [inputs.vector.astype(np.float32)]
        (batch,) = one.prepare([(sources, [half[np.newaxis], half[np.newaxis] + 3])])
        (loss,), (gradient,) = one.gradient(parameters, batch)
        logits = np.empty(6)
        for events, (found,) in one.outputs(parameters, source, np.arange(6)):
            logits[inputs.order[events]] = found
        inputs.compare(logits, loss, np.asarray(gradient, float), 1e-4)


def test_the_slow_derivative_is_that_of_finite_differences():
    model, found = network(ARCHITECTURES[0])
    rng = np.random.default_rng(7)
    vector = np.concatenate([np.ravel(w) for w in make.randomised(found, 3).get_weights()])
    direction, events = rng.normal(size=len(vector)), make.some_events((0, 2, 4))
    a, b = rng.exponential(size=(2, 3))

    def loss(step):
        w = slow_pet.weights(model, vector + step * direction)
        return slow_pet.loss(np.array([slow_pet.logit(w, found, e) for e in events]), a, b)

    slope = slow_pet.slope(model, found, vector, direction, events, a, b)
    assert (loss(1e-6) - loss(-1e-6)) / 2e-6 == pytest.approx(slope, rel=1e-6)
