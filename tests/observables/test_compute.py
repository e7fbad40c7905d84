import numpy as np
import pytest
from toy_level import LEVEL

from omniflow.errors import InputError
from omniflow.expressions import ExpressionError, Values
from omniflow.observables import JetDefinition, Observable, from_expression, from_function
from omniflow.observables import compute as computing
from omniflow.observables.compute import compute, parts
from omniflow.observables.observable import from_jets

ANTIKT = JetDefinition("antikt", 0.4, 5.0)
SEVERAL = [
    from_expression("met", "met"),
    from_expression("pt", "pt"),
    from_jets("jet", "tau21", ANTIKT),
    from_expression("jets", "jets.pt[jets.pt > 10]", jets=ANTIKT),
]


def test_kinds_are_found():
    (part,) = parts(LEVEL, SEVERAL)
    assert part.kinds == {"met": "event", "pt": "particle", "jet": "jet", "jets": "entry"}
    assert (part.start, part.stop) == (0, 3)
    # jets that tau21 does not exist for stay, as NaN
    assert np.isnan(part.entries["jet"].value).tolist() == [False, True, True]
    eta, phi = part.axes[ANTIKT]
    assert len(eta) == len(phi) == 3


def test_chunks_do_not_matter(monkeypatch):
    whole = compute(LEVEL, SEVERAL)
    monkeypatch.setattr(computing, "CHUNK", 1)
    for name, entries in compute(LEVEL, SEVERAL).items():
        np.testing.assert_array_equal(entries.event_index, whole[name].event_index)
        np.testing.assert_array_equal(entries.value, whole[name].value)


def test_values_do_not_depend_on_the_other_events():
    alone = compute(LEVEL.take(np.array([2])), SEVERAL)
    for name, entries in compute(LEVEL, SEVERAL).items():
        of_event = entries.value[entries.event_index == 2]
        np.testing.assert_array_equal(alone[name].value, of_event)


def test_nothing_of_no_events():
    found = compute(LEVEL.take(np.array([], dtype=int)), SEVERAL)
    assert [len(entries) for entries in found.values()] == [0, 0, 0, 0]


def test_what_is_not_finite_has_no_entry():
    infinite = from_expression("x", "log10(met - 10)")
    assert compute(LEVEL, [infinite])["x"].event_index.tolist() == [1, 2]
    huge = from_expression("x", "met * 1e39")  # more than float32 holds
    assert compute(LEVEL, [huge])["x"].event_index.tolist() == []


def observable(found, **options):
    return Observable("x", lambda chunk: found, **options)


@pytest.mark.parametrize(
    ("found", "options", "message"),
    [
        (
            np.zeros(2),
            {},
            "observable x: gives 2 values for 3 events; give one value per event, or",
        ),
        (np.zeros((3, 2)), {}, r"an array of shape \(3, 2\) and type float64"),
        (np.array(["a"] * 3), {}, "type <U1"),
        ((np.zeros(1), np.zeros(1), np.zeros(1)), {}, "gives 3 arrays"),
        (([0, 1], [1.0]), {}, "has 2 indices of 1 values"),
        (([0, 3], [1.0, 2.0]), {}, "must not fall, from 0 to 2 in a chunk of 3 events"),
        (([1, 0], [1.0, 2.0]), {}, "must not fall"),
        (([0, 0], [1.0, 2.0]), {"kind": "event"}, "several values in one event"),
        (np.zeros(3), {"kind": "particle"}, "declared to be of the kind 'particle', but gives one"),
        (([0], [1.0]), {"kind": "jet", "jets": ANTIKT}, "not one value per jet: give NaN"),
    ],
)
def test_what_does_not_fit_is_refused(found, options, message):
    with pytest.raises(InputError, match=message):
        compute(LEVEL, [observable(found, **options)])


def test_an_expression_of_particles_is_no_event():
    with pytest.raises(InputError, match="several values in one event, but is of the kind 'event'"):
        compute(LEVEL, [from_expression("x", "pt", kind="event")])
    found = observable(Values(np.zeros(3)), kind="event")
    assert len(compute(LEVEL, [found])["x"]) == 3


def test_errors_name_the_observable():
    with pytest.raises(ExpressionError, match="observable ht: unknown column 'ptt': did you mean"):
        compute(LEVEL, [from_expression("ht", "sum(ptt)")])
    level = LEVEL.take(np.arange(3))
    with pytest.raises(InputError, match=r"observable y: gives"):
        compute(level, [from_function("y", lambda level: np.zeros(7))])
    with pytest.raises(ZeroDivisionError) as raised:
        compute(level, [from_function("y", lambda level: 1 // 0)])
    assert raised.value.__notes__ == ["while the observable y was computed"]


def test_events_of_jets_declared_as_such():
    found = from_expression("x", "jets.mass", jets=ANTIKT, kind="jet")
    (part,) = parts(LEVEL, [found])
    assert part.kinds == {"x": "jet"}
    assert ANTIKT in part.axes
