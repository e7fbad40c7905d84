"""What mapped sources share, whatever the format: shown with npz files."""

import numpy as np
import pytest
from mapped_files import lists, read, refused, source
from pydantic import ValidationError

from omniflow.errors import InputError
from omniflow.events.hashing import mixed
from omniflow.expressions import Values
from omniflow.sources.mapped import Mapped
from omniflow.sources.rows import cleared, taken

X = {"event": ["x"]}


def written(path, **arrays):
    np.savez(path, **arrays)
    return path


@pytest.fixture
def path(tmp_path):
    """Four events of a few numbers."""
    return written(
        tmp_path / "a.npz",
        x=np.array([1.0, 2, 3, 4]),
        y=np.array([10, -999, 30, 40]),
        z=np.array([0.1, np.nan, -999.9, 0.4], np.float32),
        flag=np.array([1, 0, 1, 1]),
        f=np.array([1, 2**24 + 1, 3, 4], np.float32),
        run=np.array([1, 1, 2, 2]),
        number=np.array([7, 8, 7, 2**62], np.uint64),
        pt=np.array([[1000.0, 2000], [0, 0], [500, 0], [3000, 4000]]),
        angle=np.array([180.0, 90, -90, 360]),
    )


# -- columns ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "columns",
    [
        ["x", "y"],
        {"x": "x", "y": "y"},
        {"x": {"expression": "x"}, "y": {"expression": "y", "unit": ""}},
    ],
)
def test_columns_are_written_in_three_ways(path, columns):
    events = read("npz", path, detector={"event": columns})
    assert events.detector.event.tolist() == [[1, 10], [2, -999], [3, 30], [4, 40]]
    assert events.detector.event_columns == ("x", "y")


def test_units_are_converted(path):
    found = source(
        "npz",
        path,
        detector={
            "event": {
                "phi": {"expression": "angle", "unit": "deg"},
                "small": {"expression": "angle", "unit": "mrad"},
                "x": {"expression": "x", "unit": "TeV"},
                "q2": {"expression": "x", "unit": "MeV^2"},
                "t": {"expression": "x", "unit": "ns"},
                "n": "x",
            },
            "particles": {"pt": {"expression": "pt", "unit": "MeV"}},
        },
        padded=["pt"],
    )
    (events,) = found.read()
    wanted = np.stack(
        [
            np.array([np.pi, np.pi / 2, -np.pi / 2, 2 * np.pi]),
            np.array([0.18, 0.09, -0.09, 0.36]),
            [1000, 2000, 3000, 4000],
            np.array([1, 2, 3, 4]) * 1e-6,
            [1, 2, 3, 4],
            [1, 2, 3, 4],
        ],
        axis=1,
    )
    np.testing.assert_allclose(events.detector.event, wanted, rtol=1e-6)
    assert lists(events.detector, "pt") == [[1, 2], [], [0.5], [3, 4]]
    assert found.units() == {
        **{"phi": "rad", "small": "rad", "x": "GeV", "q2": "GeV^2", "t": "ns", "n": ""},
        "pt": "GeV",
    }


def test_expressions_of_particles(path):
    events = read(
        "npz",
        path,
        detector={
            "event": {"ht": "sum(pt)", "lead": "where(count(pt) > 0, max(pt), -1)"},
            "particles": {"share": "pt / sum(pt)"},
            "keep": "pt >= 1000",
        },
        padded="pt",
    )
    assert events.detector.event.tolist() == [[3000, 2000], [0, -1], [500, 500], [7000, 4000]]
    shares = np.float32([1000 / 3000, 2000 / 3000, 3000 / 7000, 4000 / 7000])
    assert np.array_equal(events.detector.particles[:, 0], shares)
    assert events.detector.counts.tolist() == [2, 0, 0, 2]


def test_weights(path):
    assert read("npz", path, detector=X).weight.tolist() == [1, 1, 1, 1]
    events = read("npz", path, detector=X, weight="2 * x - 3", weights={"up": "x + 1"})
    assert events.weight.tolist() == [-1, 1, 3, 5]
    assert events.weight.dtype == np.float64
    refused(
        r"a\.npz: entry 1: weight: 'z' is nan; leave such records out by `preselection`",
        *("npz", path),
        detector=X,
        weight="z",
    )
    refused(r"a\.npz: weight: 'pt' has one value per particle", "npz", path, detector=X,
            weight="pt", padded="pt")  # fmt: skip
    refused(r"a\.npz: has no column 'ww'", "npz", path, detector=X, weights={"up": "ww"})


# -- selections and missing values -----------------------------------------------------------


def test_selections(path):
    """Events that fail at detector level hold nothing; at particle level they keep all."""
    level = {"event": ["x"], "particles": ["pt"]}
    events = read(
        "npz",
        path,
        detector=level | {"selection": "flag"},
        particle=level | {"selection": "x > 2"},
        padded="pt",
    )
    assert events.pass_detector.tolist() == [True, False, True, True]
    assert events.pass_particle.tolist() == [False, False, True, True]
    assert events.detector.event.tolist() == [[1], [0], [3], [4]]
    assert events.particle.event.tolist() == [[1], [2], [3], [4]]
    failing = read("npz", path, detector=level | {"selection": "x > 2"}, padded="pt")
    assert lists(failing.detector, "pt") == [[], [], [500], [3000, 4000]]


def test_without_a_selection_events_pass_that_lack_nothing(path):
    events = read("npz", path, detector={"event": ["y", "z"]}, missing=[-999, -999.9])
    assert events.pass_detector.tolist() == [True, False, False, True]
    assert events.detector.event[[1, 2]].tolist() == [[0, 0], [0, 0]]


def test_missing_values_of_events_that_pass_are_refused(path):
    settings = {"detector": {"event": {"z": "z * 2"}, "selection": "x > 0"}, "missing": [-999.9]}
    refused(
        r"a\.npz: entry 1: detector\.event\.z: 'z \* 2' is missing; make detector\.selection fail",
        *("npz", path),
        **settings,
    )
    settings["detector"]["selection"] = "x > 2"
    refused(r"a\.npz: entry 2: detector\.event\.z: 'z \* 2' is missing", "npz", path, **settings)
    settings["detector"]["selection"] = "not isnan(z)"
    assert read("npz", path, **settings).pass_detector.tolist() == [True, False, False, True]
    refused(
        r"a\.npz: entry 1: particle\.event\.z: 'z' is missing; make particle\.selection fail",
        *("npz", path),
        detector={"event": {"z": "x"}},
        particle={"event": ["z"], "selection": "x > 0"},
    )


def test_fakes_may_lack_their_truth(path):
    found = read(
        *("npz", path),
        detector={"event": {"z": "x"}},
        particle={"event": ["z"], "selection": "not isnan(z)"},
        missing=[-999.9],
    )
    assert found.pass_particle.tolist() == [True, False, False, True]
    assert not found.particle.event[1:3].any()


def test_infinity_is_no_missing_value(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.array([1.0, np.inf, 1e300]))
    for x in ("x", "x * 1e10"):
        refused(
            r"entry 1: detector\.event\.x: .* is inf, or above what float32 holds",
            *("npz", tmp_path / "a.npz"),
            detector={"event": {"x": x}},
        )


@pytest.mark.parametrize(
    ("unit", "factor"),
    [("degrees", np.pi / 180), ("°", np.pi / 180), ("MeV/c", 1e-3), ("GeV/c", 1.0)],
)
def test_other_spellings_of_units(path, unit, factor):
    settings = {"event": {"x": {"expression": "x", "unit": unit}}}
    found = read("npz", path, detector=settings).detector.event
    plain = read("npz", path, detector=X).detector.event
    np.testing.assert_allclose(found, plain * factor, rtol=1e-6)


def test_units_that_differ_in_case_are_refused():
    column = {"expression": "x", "unit": "MEV"}
    with pytest.raises(ValidationError, match="'MEV' is no unit; did you mean 'MeV'"):
        source("npz", "a.npz", detector={"event": {"x": column}})


def test_friends_of_levels_apart_are_refused():
    with pytest.raises(ValidationError, match="friends are joined to one table of both levels"):
        source(
            *("npz", "a.npz"),
            detector=X,
            particle={"event": ["x"], "files": ["b.npz"]},
            friends=[{"files": ["c.npz"]}],
            id="x",
        )


def test_missing_values_in_other_types():
    for array, missing, wanted in (
        (np.array([0.1, -1.1], np.float32), (-1.1,), [False, True]),
        (np.array([0.1, -1.1]), (-1.1,), [False, True]),
        (np.array([1, 65504], np.float16), (-1e6, 1.0), [True, False]),
        (np.array([255, 3], np.uint8), (-1.0, 3.0, 3.5), [False, True]),
        (np.array([True, False]), (1.0,), [False, False]),
        (np.array([2**60, 1]), (5.0,), [False, False]),
    ):
        found = cleared(Values(array), missing).array
        assert np.isnan(found.astype(float)).tolist() == wanted
        if not any(wanted):
            assert found is array
    assert cleared(Values(np.array([2**53 + 1])), ()).array.dtype == np.int64


@pytest.mark.parametrize(
    ("selection", "message"),
    [
        ("y", r"a\.npz: entry 0: detector\.selection: 'y' is 10, which is neither true nor false"),
        ("pt > 3", r"a\.npz: detector\.selection: 'pt > 3' has one value per particle"),
        ("flagg", r"a\.npz: has no column 'flagg'; did you mean flag\?"),
    ],
)
def test_selections_that_are_none(path, selection, message):
    padded = ["pt"] if "pt" in selection else []
    refused(message, "npz", path, detector=X | {"selection": selection}, padded=padded)


@pytest.mark.parametrize(
    ("level", "message"),
    [
        ({"keep": "x > 1"}, r"a\.npz: detector\.keep: 'x > 1' is no condition on particles"),
        ({"keep": "pt"}, r"a\.npz: detector\.keep: 'pt' is no condition on particles"),
        ({"keep": "angle"}, r"entry 0: detector\.particles: p has 2 values and keep has 1|keep: '"),
    ],
)
def test_keep_must_be_a_condition_on_particles(path, level, message):
    refused(message, "npz", path, detector={"particles": {"p": "pt"}} | level, padded="pt")


def test_missing_numbers_of_particles_are_refused(path):
    settings = {"particles": {"p": "where(pt == 500, nan, pt)"}}
    refused(
        r"a\.npz: entry 2: detector\.particles\.p: is nan for its particle 0; leave such particles",
        *("npz", path),
        detector=settings,
        padded="pt",
    )
    kept = read("npz", path, detector=settings | {"keep": "pt != 500"}, padded="pt")
    assert kept.detector.counts.tolist() == [2, 0, 0, 2]
    huge = {"particles": {"p": "pt * 1e38"}}
    refused(r"entry 0: detector\.particles\.p: is inf", "npz", path, detector=huge, padded="pt")


def test_preselection(path):
    events = read("npz", path, detector=X, preselection="run == 2")
    assert events.event_id.tolist() == [2, 3]
    assert events.detector.event.tolist() == [[3], [4]]
    part = read("npz", path, detector=X, preselection="run == 2", events=3)
    assert part.event_id.tolist() == [2]  # records are counted before
    refused(r"a\.npz: none of 4 records passes preselection \(run == 3\); correct it", "npz", path,
            detector=X, preselection="run == 3")  # fmt: skip


# -- ids -------------------------------------------------------------------------------------


def test_ids(path):
    assert read("npz", path, detector=X).event_id.tolist() == [0, 1, 2, 3]
    assert read("npz", path, detector=X, id="number").event_id.tolist() == [7, 8, 7, 2**62]
    both = read("npz", path, detector=X, id=["run", "number"]).event_id
    assert both.dtype == np.uint64
    assert len(set(both.tolist())) == 4
    run, number = np.array([1, 1, 2, 2], np.uint64), np.array([7, 8, 7, 2**62], np.uint64)
    assert np.array_equal(both, mixed(mixed(run) + number))
    other = read("npz", path, detector=X, id=["number", "run"]).event_id
    assert not set(both.tolist()) & set(other.tolist())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x / 2", r"a\.npz: entry 0: id: 'x / 2' is 0\.5; ids are whole numbers from 0 on"),
        ("z", r"a\.npz: entry 0: id: 'z' is 0\.1"),
        ("y", r"a\.npz: entry 1: id: 'y' is -999"),
        ("x * 2 ** 60", r"entry 0: id: 'x \* 2 \*\* 60' is 1\.15\d+e\+18, but float64 holds whole"),
        ("f", r"entry 1: id: 'f' is 16777216, but float32 holds whole numbers up to 16777216 only"),
        ("pt", r"a\.npz: id: 'pt' has one value per particle"),
    ],
)
def test_ids_that_are_none(path, text, message):
    padded = ["pt"] if text == "pt" else []
    refused(message, "npz", path, detector=X, id=text, padded=padded)


def test_places_of_events(path, tmp_path):
    two = written(tmp_path / "b.npz", x=np.ones(3), run=np.ones(3, int), number=np.arange(3))
    plain = source("npz", path, two, detector=X)
    assert plain.place(2) == f"{path}: event 2"
    assert plain.place(5) == f"{two}: event 1 (id 5)"
    named = source("npz", path, two, detector=X, id="number")
    assert named.place(8) == f"{path}: entry 1 (number 8)"
    assert named.place(2) == f"{two}: entry 2 (number 2)"
    assert named.place(99) == "event with id 99"
    chosen = source("npz", path, two, detector=X, id="number", preselection="run == 1")
    assert chosen.place(7) == f"{path}: entry 0 (number 7)"


# -- files -----------------------------------------------------------------------------------


def test_files_and_records(path, tmp_path):
    for k in range(2):
        written(tmp_path / f"part{k}.npz", x=np.arange(3.0) + 10 * k)
    parts = source("npz", tmp_path / "part*.npz", detector=X)
    assert parts.files == tuple(str(tmp_path / f"part{k}.npz") for k in range(2))
    assert parts.records() == 6
    assert parts.has_truth() is False
    assert parts.columns("detector") == (("x",), ())
    part = source("npz", tmp_path / "part*.npz", detector=X, skip=2, events=2)
    assert part.records() == 2
    assert next(iter(part.read())).event_id.tolist() == [2]
    assert part.next(1).skip == 4
    (more,) = part.following(3)
    assert (more.skip, more.events) == (4, 6)
    assert source("npz", tmp_path / "none.npz", detector=X).records() is None


def test_samples_that_share_events(tmp_path):
    for name in "abc":
        written(tmp_path / f"{name}.npz", x=np.ones(9), n=np.arange(9))
    a, b, c = (tmp_path / f"{name}.npz" for name in "abc")

    def sample(*files, **settings):
        return source("npz", *files, detector=X, **settings)

    assert not sample(a).shares(sample(b))
    assert sample(a).shares(sample(a, b))
    assert not sample(a, events=4).shares(sample(a, skip=4))
    apart = [
        source("npz", one, detector=X, particle={"event": ["x"], "files": [two]}, id="n")
        for one, two in ((a, c), (b, c))
    ]
    assert apart[0].shares(apart[1])
    assert not apart[0].shares(sample(b))
    assert apart[0].inputs() == (str(a), str(c))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"detector": {}}, "give columns: event, particles or both"),
        ({"detector": X | {"keep": "x > 1"}}, "keep is a condition on particles"),
        ({"detector": {"event": {"2x": "x"}}}, r"String should match pattern"),
        ({"detector": {"event": ["x +"]}}, "x \\+|pattern"),
        ({"detector": {"event": {"x": "x +"}}}, "detector.event.x.expression"),
        (
            {
                "detector": {"event": {"x": {"expression": "x", "unit": "MeV"}}},
                "particle": X,
            },
            "x is in GeV at detector level and in no unit at particle level; give both levels",
        ),
        ({"detector": X, "weight": "import os"}, "weight"),
        ({"detector": X, "files": ["a.npz", "a.npz"]}, "a.npz is given twice"),
        ({"detector": X, "files": []}, "at least 1"),
        ({"detector": X, "evnts": 3}, "evnts"),
    ],
)
def test_configurations_that_are_refused(settings, message):
    with pytest.raises(ValidationError, match=message):
        source("npz", "a.npz", **settings)


def test_levels_have_columns_of_their_own(path):
    levels = {
        "detector": {"event": {"x": "x", "met": "2 * x"}, "particles": ["pt"]},
        "particle": {"event": {"tag": "x + 1", "x": {"expression": "x", "unit": ""}}},
    }
    made = source("npz", path, **levels, padded="pt")
    assert made.columns("detector") == (("x", "met"), ("pt",))
    assert made.columns("particle") == (("tag", "x"), ())
    (events,) = made.read()
    np.testing.assert_allclose(events.particle.event[:, 0], events.particle.event[:, 1] + 1)
    define = made.observables({"detector": (), "particle": ()})["define"]
    assert {name: each.get("level") for name, each in define.items()} == {
        **{"x": None, "met": "detector", "tag": "particle", "pt": "detector"},
    }


def test_real_data_have_the_columns_that_are_measured():
    made = source("npz", "a.npz", detector={"event": ["x"]})
    assert made.columns("particle") == made.columns("detector") == (("x",), ())


def test_levels_may_lack_particles_or_columns_of_the_event(path):
    events = read(
        "npz",
        path,
        detector={"event": ["x"], "particles": ["pt"]},
        particle={"event": ["x"]},
        padded="pt",
    )
    assert events.particle.particle_columns == ()
    assert events.detector.particle_columns == ("pt",)


def test_the_interface_needs_a_reader(path):
    class Bare(Mapped):
        source: str

    with pytest.raises(TypeError, match="abstract method reader"):
        Bare.model_validate({"source": "bare", "files": [str(path)], "detector": X})


def test_events_of_jagged_columns_are_taken():
    values = Values(np.arange(6), np.array([0, 2, 2, 5, 6]), "x")
    found = taken(values, np.array([2, 0, 1]))
    assert found.array.tolist() == [2, 3, 4, 0, 1]
    assert found.offsets.tolist() == [0, 3, 5, 5]
    assert taken(Values(np.arange(4)), np.array([3, 1])).array.tolist() == [3, 1]


def test_records_beyond_the_end_are_refused(path):
    with pytest.raises(InputError, match=r"records 2 to 5 are asked for but there are 4"):
        read("npz", path, detector=X, skip=2, events=4)
    with pytest.raises(InputError, match=r"records from 4 are asked for but there are 4"):
        read("npz", path, detector=X, skip=4)


def test_a_pattern_that_matches_nothing_is_a_file_that_is_missing():
    """Configurations are checked where the files are not, too; who reads them says so."""
    refused(r"none\*\.npz: no such file", "npz", "none*.npz", detector=X)
    assert source("npz", "none*.npz", detector=X).records() is None
