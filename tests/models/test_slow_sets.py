"""The native deep sets and MLP against slow ones: any sizes, batches, chunks and threads."""

from dataclasses import dataclass
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from slow_sets import Network, total

from omniflow.events.batches import Flat
from omniflow.training import sets
from omniflow.training.losses import LOSSES
from omniflow.training.sets import Sets

WIDTHS = (1, 2, 3, 8, 15, 16, 17, 33, 64)
ROWS, EVENTS = (1, 2, 5, 9, 256), (1, 2, 7, 96)


@dataclass(frozen=True)
class Case:
    """What is drawn.

    Attributes:
        network: sizes.
        counts: particles of each event.
        seed: of parameters, events and weights.
        rows, events: particles and events per chunk.
        threads: of one call.
        loss: name.
    """

    network: Network
    counts: list[int]
    seed: int
    rows: int
    events: int
    threads: int
    loss: str


@st.composite
def cases(draw):
    layers = st.lists(st.sampled_from(WIDTHS), max_size=3).map(tuple)
    per_particle = draw(st.none() | layers)
    event = draw(st.integers(0 if per_particle is not None else 1, 18))
    network = Network(per_particle, draw(layers), draw(st.integers(1, 18)), event)
    rows, events = draw(st.sampled_from(ROWS)), draw(st.sampled_from(EVENTS))
    counts = draw(st.lists(st.sampled_from((0, 1, 2, 3, 8, 9, 10)), min_size=1, max_size=12))
    return Case(
        *(network, counts, draw(st.integers(0, 2**32 - 1)), rows, events),
        *(draw(st.sampled_from((1, 2, 3))), draw(st.sampled_from(sorted(LOSSES)))),
    )


class Inputs:
    """Parameters, events and weights of a case, in numbers that float32 holds as well."""

    def __init__(self, case: Case) -> None:
        net, rng, n = case.network, np.random.default_rng(case.seed), len(case.counts)

        def normal(*shape):
            return rng.normal(size=shape).astype(np.float32).astype(float)

        scales = [[(a + b) ** -0.5] * (a * b) + [0.3] * b for a, b in net.shapes()]
        self.vector = normal(net.size()) * np.concatenate(scales).astype(np.float32)
        self.vector[-1] += LOSSES[case.loss].neutral
        self.events = [
            {"particles": normal(count, net.particle), "event": normal(net.event)}
            for count in case.counts
        ]
        self.a, self.b = rng.exponential(size=(2, n)).astype(np.float32).astype(float)

    def flat(self, kind, shift=0) -> Flat:
        counts = [len(event["particles"]) for event in self.events]
        return Flat(
            np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
            np.concatenate([event["particles"] for event in self.events]).astype(kind),
            np.empty((sum(counts), 0), np.int32),
            np.stack([event["event"] for event in self.events]).astype(kind),
            self.a.astype(kind),
            self.b.astype(kind),
        )


def function(case, double):
    net = case.network
    with mock.patch.multiple(sets, ROWS=case.rows, EVENTS=case.events):
        return Sets(
            *(net.per_particle, net.per_event, (net.particle, net.event)),
            *(case.threads, double, case.loss),
        )


@pytest.mark.parametrize(("kind", "tolerance"), [(np.float64, 1e-9), (np.float32, 2e-4)])
@settings(max_examples=120, deadline=None, derandomize=True)
@given(case=cases())
def test_the_native_network_is_the_slow_one(kind, tolerance, case):
    inputs, net = Inputs(case), case.network
    run = function(case, kind == np.float64)
    assert run.size == net.size()
    found = run(inputs.vector.astype(kind), inputs.flat(kind), gradient=True)
    expected = np.array([net.output(inputs.vector, event) for event in inputs.events])
    np.testing.assert_allclose(found.outputs, expected, rtol=tolerance, atol=tolerance)
    if kind == np.float32 and case.loss.startswith("mlc") and np.any(expected < 0.05):
        return  # near the floor, where costs are steep, rounding is no longer small
    loss = total(case.loss, expected, inputs.a, inputs.b)
    assert found.loss == pytest.approx(loss, rel=tolerance, abs=tolerance * inputs.a.sum())
    gradient = found.gradient.astype(float)
    for seed in range(2):
        direction = np.random.default_rng(seed).normal(size=net.size())
        slope = net.slope(inputs.vector, direction, inputs.events, inputs.a, inputs.b, case.loss)
        scale = np.linalg.norm(gradient) * np.linalg.norm(direction)
        assert gradient @ direction == pytest.approx(slope, abs=tolerance * scale)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(case=cases())
def test_neither_chunks_nor_threads_change_outputs_and_a_repeat_changes_nothing(case):
    inputs = Inputs(case)
    vector, events = inputs.vector.astype(np.float32), inputs.flat(np.float32)
    run = function(case, False)
    one, two = (run(vector, events, gradient=True) for _ in range(2))
    assert one.gradient.tobytes() == two.gradient.tobytes()
    assert one.loss == two.loss
    alone = run(vector, events)
    assert alone.gradient is None
    assert alone.outputs.tobytes() == one.outputs.tobytes()
    with mock.patch.object(sets, "EVENTS", 10_000):
        other = Sets(
            case.network.per_particle,
            case.network.per_event,
            (case.network.particle, case.network.event),
            loss=case.loss,
        )(vector, events, gradient=True)
    assert other.outputs.tobytes() == one.outputs.tobytes()
    scale = np.abs(other.gradient).max()
    np.testing.assert_allclose(one.gradient, other.gradient, atol=1e-5 * scale)


def test_the_slow_derivative_is_that_of_finite_differences():
    net = Network((3,), (4, 2), 2, 2)
    case = Case(net, [0, 2, 3], 1, 1, 1, 1, "bce_normal")
    inputs = Inputs(case)
    direction = np.random.default_rng(5).normal(size=net.size())

    def loss(step):
        vector = inputs.vector + step * direction
        z = np.array([net.output(vector, event) for event in inputs.events])
        return total(case.loss, z, inputs.a, inputs.b)

    slope = net.slope(inputs.vector, direction, inputs.events, inputs.a, inputs.b, case.loss)
    assert (loss(1e-6) - loss(-1e-6)) / 2e-6 == pytest.approx(slope, rel=1e-6)


def test_what_is_not_a_number_stays_so():
    net = Network((3,), (4,), 2, 2)
    case = Case(net, [0, 2, 3], 1, 5, 2, 1, "bce_logistic")
    inputs = Inputs(case)
    run, events = function(case, False), inputs.flat(np.float32)
    found = run(np.full(net.size(), np.nan, np.float32), events, gradient=True)
    assert np.isnan(found.outputs).all()
    assert np.isnan(found.loss)
    broken = Flat(**vars(events) | {"particles": np.full_like(events.particles, np.nan)})
    found = run(inputs.vector.astype(np.float32), broken)
    np.testing.assert_array_equal(np.isnan(found.outputs), np.diff(events.offsets) > 0)


def test_wrong_arrays_are_refused():
    net = Network((3,), (4,), 2, 2)
    inputs = Inputs(case := Case(net, [0, 2, 3], 1, 5, 2, 1, "bce_logistic"))
    run, events = function(case, False), inputs.flat(np.float32)
    vector = inputs.vector.astype(np.float32)
    for wrong in (vector.astype(float), vector[:-1], vector[::-1]):
        with pytest.raises(TypeError, match="expected float32"):
            run(wrong, events)
    for name in ("event", "particles"):
        other = Flat(**vars(events) | {name: getattr(events, name)[:, :1]})
        with pytest.raises(TypeError, match="expected float32"):
            run(vector, other)
