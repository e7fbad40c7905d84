"""Samples from arrays of a program."""

import awkward as ak
import numpy as np
import pandas as pd
import pytest

from omniflow.errors import InputError
from omniflow.events.sample import Events, Level

X, Y = np.array([1.5, 2.5, -3.0]), np.array([1, 0, 2])
COUNTS = [2, 0, 1]
PT, ETA = np.array([20.0, 10.0, 30.0]), np.array([0.5, -1.0, 0.0])
JAGGED = ak.unflatten(ak.zip({"pt": PT, "eta": ETA}), COUNTS)
PADDED = np.zeros((3, 2, 2))
PADDED[0], PADDED[2, 1] = [[20, 0.5], [10, -1]], [30, 0]  # a gap in front of the last
MASK = np.array([[1, 1], [0, 0], [0, 1]])


def _level(given) -> Level:
    return Events.from_arrays(given).detector


@pytest.mark.parametrize(
    ("given", "columns"),
    [
        (np.stack([X, Y], axis=1), ("x0", "x1")),
        ([[1.5, 1], [2.5, 0], [-3, 2]], ("x0", "x1")),
        ({"x": X, "y": Y}, ("x", "y")),
        ({"x": X.tolist(), "y": Y.astype("i1")}, ("x", "y")),
        (pd.DataFrame({"x": X, "y": Y}, index=[7, 8, 9]), ("x", "y")),
        (pd.DataFrame({"x": X, "y": pd.array(Y, dtype="Int64")}), ("x", "y")),
        (np.array(list(zip(X, Y, strict=True)), [("x", "f8"), ("y", "i4")]), ("x", "y")),
        (ak.zip({"x": X, "y": Y}), ("x", "y")),
        (ak.to_regular(ak.Array([[1.5, 1], [2.5, 0], [-3, 2]])), ("x0", "x1")),
    ],
)
def test_columns_of_events(given, columns):
    level = _level(given)
    assert level.event_columns == columns
    assert level.event.dtype == np.float32
    np.testing.assert_array_equal(level.event, np.stack([X, Y], axis=1))
    assert level.particle_columns == ()
    np.testing.assert_array_equal(level.offsets, np.zeros(4))


@pytest.mark.parametrize("given", [X, X.tolist(), pd.Series(X), ak.Array(X), X.astype("f4")])
def test_one_column(given):
    level = _level(given)
    assert level.event_columns == ("x0",)
    np.testing.assert_array_equal(level.event[:, 0], X)
    assert _level(pd.Series(X, name="mass")).event_columns == ("mass",)


@pytest.mark.parametrize(
    "given",
    [
        {"event": {"x": X}, "particles": JAGGED},
        {"event": pd.DataFrame({"x": X}), "particles": {"pt": JAGGED.pt, "eta": JAGGED.eta}},
        {
            "event": X,
            "event_columns": ["x"],
            "particles": PADDED,
            "particle_columns": ("pt", "eta"),
        },
        {"event": {"x": X}, "particles": PADDED, "mask": MASK, "particle_columns": ["pt", "eta"]},
        ak.Array({"x": X, "pt": JAGGED.pt, "eta": JAGGED.eta}),
        ak.Array({"x": X, "particles": JAGGED}),
    ],
)
def test_particles_of_every_form(given):
    level = _level(given)
    assert (level.event_columns, level.particle_columns) == (("x",), ("pt", "eta"))
    np.testing.assert_array_equal(level.event[:, 0], X)
    np.testing.assert_array_equal(level.offsets, [0, 2, 2, 3])
    np.testing.assert_array_equal(level.particles, np.stack([PT, ETA], axis=1))
    assert level.particles.dtype == np.float32


@pytest.mark.parametrize("given", [PADDED, {"particles": PADDED}, JAGGED.pt])
def test_particles_alone(given):
    level = _level(given)
    assert level.event.shape == (3, 0)
    np.testing.assert_array_equal(level.counts, COUNTS)
    np.testing.assert_array_equal(level.particles[:, 0], PT)


def test_rows_of_jagged_lists_are_columns():
    level = _level({"particles": ak.Array([[[20, 0.5], [10, -1]], [], [[30, 0]]])})
    np.testing.assert_array_equal(level.particles, np.stack([PT, ETA], axis=1))


def test_the_mask_decides_and_not_zeros():
    mask = MASK.astype(bool)
    mask[1, 0] = True
    level = _level({"particles": PADDED, "mask": mask})
    np.testing.assert_array_equal(level.counts, [2, 1, 1])
    np.testing.assert_array_equal(level.particles[2], [0, 0])


def test_flat_fields_of_records_in_records_are_columns_too():
    electron = ak.zip({"px": X, "py": Y})
    level = _level(ak.Array({"electron": electron, "jets": JAGGED, "y": Y}))
    assert level.event_columns == ("electron.px", "electron.py", "y")
    assert level.particle_columns == ("pt", "eta")


def test_defaults_and_types():
    events = Events.from_arrays(X, Y)
    np.testing.assert_array_equal(events.event_id, [0, 1, 2])
    assert events.event_id.dtype == np.uint64
    assert (events.weight.dtype, events.weight.tolist()) == (np.float64, [1, 1, 1])
    assert events.pass_detector.all()
    assert events.pass_particle.all()
    assert Events.from_arrays(X).pass_particle is None
    given = Events.from_arrays(
        X, Y, weight=[1, -0.5, 2], pass_detector=[1, 0, 1], pass_particle=Y > 0, event_id=[9, 7, 8]
    )
    assert given.weight.tolist() == [1, -0.5, 2]
    assert given.pass_detector.tolist() == [True, False, True]
    assert given.pass_particle.tolist() == [True, False, True]
    assert given.event_id.tolist() == [9, 7, 8]
    large = np.array([0, 1, 2], np.uint64) + np.uint64(2**63)
    assert Events.from_arrays(X, event_id=large).event_id.tolist() == large.tolist()


def test_events_that_fail_are_blank_at_detector_level_alone():
    x = np.array([1.5, np.nan, -3])
    particles = PADDED + (np.arange(3) == 1)[:, None, None]
    detector = {"event": x, "particles": particles}
    events = Events.from_arrays(
        detector, {"event": X, "particles": particles}, pass_detector=[True, False, True]
    )
    np.testing.assert_array_equal(events.detector.event[:, 0], [1.5, 0, -3])
    np.testing.assert_array_equal(events.detector.counts, COUNTS)
    np.testing.assert_array_equal(events.particle.counts, [2, 2, 1])
    np.testing.assert_array_equal(events.particle.event[:, 0], X)


def test_fakes_may_lack_their_truth():
    """As in files: NaN is no number of events that do not pass at particle level."""
    truth = {"event": {"x": [1.5, np.nan, -3], "y": Y}, "particles": PADDED}
    detector = {"event": {"x": X, "y": Y}, "particles": PADDED}
    events = Events.from_arrays(detector, truth, pass_particle=[True, False, False])
    np.testing.assert_array_equal(events.particle.event, [[1.5, 1], [0, 0], [-3, 2]])
    np.testing.assert_array_equal(events.particle.counts, COUNTS)
    assert np.isnan(truth["event"]["x"][1])


def test_pandas_objects_of_one_index_or_of_others():
    """Rows are paired by their places, where the index does not say otherwise."""
    table = pd.DataFrame({"x": X}, index=[7, 8, 9])
    for index in ([7, 8, 9], [0, 1, 2], [7, 8, 8]):
        events = Events.from_arrays(table, weight=pd.Series([1.0, 2, 3], index))
        assert events.weight.tolist() == [1, 2, 3]


def test_arrays_of_other_packages():
    class Tensor:
        def __array__(self, dtype=None, copy=None):
            return np.stack([X, Y], axis=1).astype(dtype)

    np.testing.assert_array_equal(_level(Tensor()).event, _level(np.stack([X, Y], 1)).event)
    assert _level({"particles": PADDED, "event": X, "event_columns": "mass"}).event_columns == (
        "mass",
    )


def test_arrays_are_copied():
    for x in (X.astype("f4"), np.asfortranarray(np.stack([X, Y], 1), "f4")):
        weight = np.ones(3)
        events = Events.from_arrays(x, weight=weight)
        x[:], weight[:] = 99, 99
        assert events.detector.event[0, 0] == 1.5
        assert events.weight[0] == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"detector": "x"}, "detector: is a str; give an array"),
        ({"detector": {}}, "detector: has no columns; give an array"),
        ({"detector": np.zeros((1, 2, 3, 4))}, r"detector: is a ndarray of shape \(1, 2, 3, 4\)"),
        ({"detector": {"x": ["a", "b"]}}, r"detector\['x'\]: has type <U1; give real numbers"),
        ({"detector": {"x": X + 1j}}, r"detector\['x'\]: has type complex128; give real numbers"),
        ({"detector": {"x": X, "y": X[:2]}}, "detector: y has 2 events and x has 3; all columns"),
        ({"detector": {"x": X, "y": PADDED}}, r"\['y'\]: has shape \(3, 2, 2\); give one number"),
        (
            {"detector": {"x": np.ma.masked_greater(X, 2)}},
            r"detector\['x'\], event 1: has no value; leave the event out",
        ),
        (
            {"detector": pd.DataFrame({"x": pd.array([1, None, 3], dtype="Int64")})},
            "detector/event, event 1: x is nan; remove the event or correct it",
        ),
        ({"detector": ak.Array([1, None, 3])}, r"detector: is of type 3 \* \?int64, and not one"),
        ({"detector": {"x": [1, 1e40, 2]}}, "event 1: x is 1e\\+40, more than float32 holds"),
        ({"detector": {"x": [1, np.nan, 2]}}, "detector/event, event 1: x is nan; remove the"),
        (
            {"detector": X, "particle": X[:2]},
            "particle: has 2 events and detector has 3; give both levels of the same events",
        ),
        ({"detector": X, "pass_particle": Y > 0}, "pass_particle: is given without particle"),
        (
            {"detector": X, "weight": [1, 2]},
            "weight: has 2 events; the detector level has 3: give as many",
        ),
        ({"detector": X, "weight": [1, np.inf, 2]}, "weight, event 1: weight is inf"),
        ({"detector": X, "weight": [-1, -1, -1]}, "the weights of all events add up to -3"),
        ({"detector": X, "pass_detector": [0, 1, 2]}, "pass_detector, event 2: pass_detector is 2"),
        ({"detector": X, "pass_detector": [0, 0, 0]}, "no event passes the detector-level"),
        ({"detector": X, "event_id": X}, "event_id: has type float64; give whole numbers"),
        ({"detector": X, "event_id": [0, -1, 2]}, "event_id, event 1: is -1; ids must not be"),
        ({"detector": X, "event_id": [5, 6, 5]}, "event_id, event 2: 5 is already the id"),
        (
            {"detector": {"particles": PADDED, "Event": X}},
            "detector: has the keys 'particles' and 'Event'; with 'particles' the keys are event,",
        ),
        (
            {"detector": {"particles": PADDED, "event": X[:2]}},
            "detector: particles has 3 events and x0 has 2; all columns",
        ),
        (
            {"detector": {"particles": PADDED, "particle_columns": ["pt"]}},
            r"\['particle_columns'\]: has 1 names; there are 2 columns: name each",
        ),
        (
            {"detector": {"particles": PADDED, "mask": MASK[:2]}},
            r"has shape \(3, 2, 2\) and its mask \(2, 2\); give a mask \(events, particles\)",
        ),
        (
            {"detector": {"particles": JAGGED, "mask": MASK}},
            r"detector\['particles'\]: is jagged and has a mask; leave the mask out",
        ),
        (
            {"detector": {"particles": X}},
            r"\['particles'\]: has shape \(3,\) and type float64; give numbers \(events, particles",
        ),
        (
            {"detector": ak.Array({"pt": JAGGED.pt, "e": JAGGED.pt[:, :1]})},
            "detector, event 0: e has other numbers of particles than pt; give columns of one",
        ),
        ({"detector": [[1, 2], [3]]}, "detector: is a list of parts of different lengths; give an"),
        ({"detector": {"x": [[1, 2], [3]]}}, r"\['x'\]: is a list of parts of different lengths"),
        ({"detector": (PADDED, X)}, "detector: is a tuple of parts of different lengths; give an"),
        ({"detector": [{"x": 1}, {"x": 2}]}, "detector: is a list of other things; give an array"),
        (
            {"detector": {"x": np.array([1, None, 2])}},
            r"\['x'\]: has type object; give real numbers, such as by \.astype\(float\)",
        ),
        (
            {"detector": ak.Array([[[1.0, 2], [3]], []])},
            "has particles of 1 to 2 columns; give all particles the same columns",
        ),
        ({"detector": {"": X}}, r"a column without a name in \('',\); name it"),
        (
            {"detector": X, "weights": [X]},
            "weights: is a list; give a mapping from names to arrays",
        ),
        ({"detector": X, "weights": {"up": X[:2]}}, r"weights\['up'\]: has 2 events; the detector"),
        (
            {"detector": pd.DataFrame({"x": X}), "weight": pd.Series(X**2, [2, 0, 1])},
            "weight: its index holds the labels of that of detector in another order; .* reindex",
        ),
        ({"detector": X, "particle": [1, np.nan, 2]}, "particle/event, event 1: x0 is nan"),
        (
            {"detector": {"particles": ak.Array([[["a"]], [["b"]]])}},
            r"detector\['particles'\]\['x0'\]: has type <U1; give real numbers",
        ),
    ],
)
def test_what_is_refused_names_argument_and_remedy(arguments, message):
    with pytest.raises(InputError, match=f"^Events.from_arrays: .*{message}"):
        Events.from_arrays(**arguments)


def test_short_words_for_long_arrays():
    assert repr(Events.from_arrays({"x": X}, {"x": X}, pass_detector=Y > 0)) == (
        "Events(3 events; 2 pass; detector: x; particle: x)"
    )
    assert repr(_level({"event": X, "particles": JAGGED})) == (
        "Level(3 events; x0; 3 particles of pt, eta)"
    )
