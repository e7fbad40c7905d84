import math

import numpy as np
import pytest

from omniflow.errors import InputError
from omniflow.events import store
from omniflow.events.ingest import ingest
from omniflow.events.plausibility import RULES, Plausibility
from omniflow.events.sample import Events, Level
from omniflow.physics.dis.h1 import H1
from omniflow.physics.dis.kinematics import DIS_EVENT, DIS_PARTICLE
from omniflow.sources.npz import Npz

RNG = np.random.default_rng(3)


def _events(event, particles=None, counts=None, passes=None, first=0):
    """Events at detector level, of columns by name."""
    event = {name: np.float32(values) for name, values in event.items()}
    n = len(next(iter(event.values())))
    particles = {name: np.float32(values) for name, values in (particles or {}).items()}
    counts = np.zeros(n, int) if counts is None else np.asarray(counts)
    passes = np.ones(n, bool) if passes is None else np.asarray(passes)
    level = Level(
        np.stack(list(event.values()), axis=1),
        np.stack(list(particles.values()), axis=1) if particles else np.zeros((0, 0), np.float32),
        np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        tuple(event),
        tuple(particles),
    )
    ids = np.arange(first, first + n, dtype=np.uint64) + 100
    return Events(ids, np.ones(n), passes, None, level, None)


def _warnings(*parts, units=None, rules=RULES):
    plausibility = Plausibility(units or {}, rules)
    for part in parts:
        plausibility.add(part)
    return plausibility.warnings("event {}".format)


GOOD = {
    "phi": RNG.uniform(-math.pi, 2 * math.pi, 50),
    "pt": RNG.uniform(0, 6999, 50),
    "eta": RNG.normal(0, 3, 50),
    "n": RNG.integers(0, 9, 50),
}


def test_plausible_events():
    assert _warnings(_events(GOOD)) == []
    assert _warnings(_events(GOOD), units={"phi": "rad", "pt": "GeV"}) == []
    assert _warnings(_events({"x": [1, 1, 1]})) == []  # few may be equal
    empty = _events({"x": []})
    assert _warnings(empty, empty) == []


@pytest.mark.parametrize(
    ("name", "unit", "value", "message"),
    [
        (
            "phi",
            "",
            -179.5,
            "phi at detector level is -179.5 in event 107, and 1 of 50 values are beyond 2 pi: it "
            "is probably in degrees; give it `unit: deg`.",
        ),
        (
            "angle",
            "rad",
            7,
            "angle at detector level is 7 rad in event 107, and 1 of 50 values are beyond 2 pi",
        ),
        ("jet_phi", "1", 90, "jet_phi at detector level is 90 in event"),
        ("dphi_jet_e", "", 90, "dphi_jet_e at detector level is 90 in event"),
        (
            "momentum",
            "GeV",
            45_000,
            "momentum at detector level is 45000 GeV in event 107, and 1 of 50 values are beyond "
            "7000 GeV: it is probably in MeV; give it `unit: MeV`.",
        ),
        ("e_px", "", -45_000, "e_px at detector level is -45000 in event 107"),
        ("met", "GeV", -999, "met at detector level is -999 GeV in event 107, and 1 of 50 values"),
        ("lead_eta", "", 25, "lead_eta at detector level is 25 in event 107, and 1 of 50 values"),
        (
            "x",
            "",
            -999,
            "x at detector level is -999 in event 107, and 1 of 50 values are that number: it "
            "probably stands for a missing one; name it in `missing`.",
        ),
    ],
)
def test_doubtful_values(name, unit, value, message):
    values = RNG.uniform(0.1, 1, 50)
    values[7] = value
    (warning,) = _warnings(_events({name: values}), units={name: unit})
    assert warning.startswith(message)
    assert warning.endswith(".")


@pytest.mark.parametrize(
    ("name", "unit", "value"),
    [
        ("phi", "deg^2", 90),
        ("philosophy", "", 90),
        ("pt", "bins", 1e5),
        ("beta", "", 25),
        ("particles", "", 1e5),
    ],
)
def test_columns_of_other_kinds(name, unit, value):
    values = RNG.uniform(0.1, 1, 50)
    values[7] = value
    assert _warnings(_events({name: values}), units={name: unit}) == []


def test_events_that_fail_do_not_count():
    values = np.full(20, 90.0)
    values[:4] = 0
    passes = np.arange(20) < 4
    assert _warnings(_events({"phi": values}, passes=passes)) == []
    (warning,) = _warnings(_events({"phi": values}))
    assert "in event 104, and 16 of 20 values" in warning


def test_particles_and_parts():
    """Numbers add up over parts; the first doubtful particle's event is named."""
    first = _events({"x": [1, 2, 3]}, {"phi": [0.1, 0.2]}, [2, 0, 0])
    second = _events({"x": [4, 5, 6]}, {"phi": [1, 2, 90, 91]}, [0, 2, 2], first=3)
    (warning,) = _warnings(first, second)
    assert warning.startswith("phi at detector level is 90 in event 105, and 2 of 6 values are")


def test_values_that_are_all_equal():
    first, second = (_events({"x": np.full(10, 2.5), "y": np.arange(10.0)}) for _ in range(2))
    (warning,) = _warnings(first, second, units={"x": "GeV"})
    assert warning == (
        "x at detector level is 2.5 GeV in all of 20 values: it is probably another column than "
        "was meant, and tells nothing; correct its expression or leave it out."
    )


def test_inelasticity_is_known_to_dis_alone():
    rules = H1(source="h1", files=("a.h5",)).rules()
    values = RNG.uniform(0.1, 0.9, 50)
    values[3] = 1.5
    assert _warnings(_events({"y": values})) == []
    (warning,) = _warnings(_events({"y": values}), rules=rules)
    assert warning.startswith("y at detector level is 1.5 in event 103, and 1 of 50 values are out")


def test_levels_are_told_apart():
    one = _events({"phi": RNG.uniform(0, 1, 20)})
    both = Events(
        one.event_id,
        one.weight,
        one.pass_detector,
        one.pass_detector,
        one.detector,
        _events({"phi": np.arange(20.0)}).detector,
    )
    (warning,) = _warnings(both)
    assert warning.startswith("phi at particle level is 7 in event 107, and 13 of 20 values are")


def _source(tmp_path, **settings):
    np.savez(
        tmp_path / "a.npz", pt=RNG.uniform(1e4, 1e5, 40), n=np.arange(40), phi=RNG.uniform(0, 6, 40)
    )
    files = [tmp_path / "a.npz"]
    detector = {"event": {"pt": {"expression": "pt", "unit": "GeV"}, "phi": "phi"}}
    return Npz.model_validate(
        {"source": "npz", "files": files, "detector": detector, "id": "n", **settings}
    )


def test_warnings_are_kept_in_the_store(tmp_path):
    ingest(_source(tmp_path), tmp_path / "store.h5", 1)
    (warning,) = store.warnings(tmp_path / "store.h5")
    assert warning.startswith("pt at detector level is ")
    assert f" GeV in {tmp_path}/a.npz: entry 0 (n 0), and 40 of 40 values" in warning
    assert store.units(tmp_path / "store.h5") == {"pt": "GeV", "phi": "1"}


def test_strict_sources_refuse(tmp_path):
    with pytest.raises(
        InputError,
        match=r"a\.npz: pt at detector level is .* it is probably in MeV; give it `unit: MeV`\. "
        r"\(Without `strict: true` these are warnings\.\)",
    ):
        ingest(_source(tmp_path, strict=True), tmp_path / "store.h5", 1)
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]
    unit = {"event": {"pt": {"expression": "pt", "unit": "MeV"}, "phi": "phi"}}
    ingest(_source(tmp_path, strict=True, detector=unit), tmp_path / "store.h5", 1)
    assert store.warnings(tmp_path / "store.h5") == []


def test_dis_events_of_the_tests_are_plausible():
    for name in ("h1_nature.h5", "h1_simulation.h5"):
        path = __file__.replace("events/test_plausibility.py", f"data/{name}")
        source = H1(source="h1", files=(path,))
        assert source.columns("detector") == source.columns("particle") == (DIS_EVENT, DIS_PARTICLE)
        assert _warnings(*source.read(), units=source.units(), rules=source.rules()) == []


@pytest.mark.parametrize(
    ("unit", "values", "number"),
    [
        ("MeV", (1e3, 1e5), -999.0),
        ("keV", (1e3, 1e5), -9999.0),
        ("TeV", (0.1, 2), -99999.0),
        ("MeV^2", (1e3, 1e5), -1e6),
        ("deg", (-180, 180), -999.0),
        ("mrad", (-3000, 3000), -999999.0),
        ("GeV", (1, 100), -999.0),
        ("", (1, 100), -999.0),
    ],
)
@pytest.mark.parametrize("kind", ["f4", "f8"])
def test_missing_numbers_are_known_before_their_unit_is_converted(
    tmp_path, unit, values, number, kind
):
    array = RNG.uniform(*values, 40).astype(kind)
    lists = RNG.uniform(*values, (40, 2)).astype(kind)
    array[7], lists[9, 1] = number, number
    np.savez(tmp_path / "a.npz", a=array, b=lists)
    columns = {"expression": "a", "unit": unit}, {"expression": "b", "unit": unit}
    level = {"event": {"e": columns[0]}, "particles": {"p": columns[1]}}
    settings = {"detector": level, "particle": level, "padded": "b"}
    source = Npz.model_validate({"source": "npz", "files": [tmp_path / "a.npz"], **settings})
    ingest(source, tmp_path / "store.h5", 1)
    shown = f"{number:g} {unit}".strip()
    assert store.warnings(tmp_path / "store.h5") == [
        f"{column} at {level} level is {shown} in {tmp_path}/a.npz: event {event}, and 1 of "
        f"{total} values are that number: it probably stands for a missing one; name it in "
        "`missing`."
        for level in ("detector", "particle")
        for column, event, total in (("e", 7, 40), ("p", 9, 80))
    ]
    if unit not in ("GeV", ""):  # nothing else is taken for it
        array[7], lists[9, 1] = array[0], lists[0, 0]
        np.savez(tmp_path / "a.npz", a=array, b=lists)
        ingest(source, tmp_path / "store.h5", 1)
        assert store.warnings(tmp_path / "store.h5") == []


def test_units_that_are_declared_are_not_asked_for():
    values = RNG.uniform(0.1, 1, 50)
    values[7] = 45
    converted = {"detector": {"x": (math.pi / 180, "deg")}}
    plausibility = Plausibility({"x": "rad"}, converted=converted)
    plausibility.add(_events({"x": values}))
    (warning,) = plausibility.warnings("event {}".format)
    assert warning == (
        "x at detector level is 45 rad in event 107, and 1 of 50 values are beyond 2 pi: its "
        "numbers are probably not in deg; correct its `unit`."
    )
