import awkward as ak
import numpy as np
import pytest
import uproot
from mapped_files import lists, read, refused, same, source

from omniflow.sources.readers import reader, root

X = {"event": ["x"]}
RNG = np.random.default_rng(5)
COUNTS = RNG.integers(0, 5, 40)
PT = ak.unflatten(RNG.uniform(1, 99, COUNTS.sum()).astype("f4"), COUNTS)
ETA = ak.unflatten(RNG.normal(size=COUNTS.sum()), COUNTS)
CONTENT = {
    "x": RNG.normal(size=40).astype("f4"),
    "event": np.arange(40, dtype="u8") + 2**62,
    "run": np.repeat([1, 2], 20).astype("i4"),
    "passes": RNG.random(40) < 0.7,
    "Jet": ak.zip({"pt": PT, "eta": ETA}),
    "lone": PT,
    "fixed": RNG.normal(size=(40, 3)).astype("f4"),
}


def tree(file, name, content):
    """Write a TTree."""
    types = {
        key: value.type
        if isinstance(value, ak.Array)
        else np.dtype((value.dtype, value.shape[1:]) if value.ndim > 1 else value.dtype)
        for key, value in content.items()
    }
    file.mktree(name, types).extend(content)


def ntuple(file, name, content):
    """Write an RNTuple."""
    content = {
        key: ak.to_regular(ak.Array(value)) if np.ndim(value) > 1 else value
        for key, value in content.items()
        if not isinstance(value, ak.Array)
    } | {key: value for key, value in content.items() if isinstance(value, ak.Array)}
    file.mkrntuple(name, content)


def written(path, content, kind=tree, name="Events"):
    with uproot.recreate(path) as file:
        kind(file, name, content)
    return path


def rows(content, part):
    return {key: value[part] for key, value in content.items()}


@pytest.fixture(params=["tree", "ntuple"])
def path(request, tmp_path):
    return written(tmp_path / "a.root", CONTENT, {"tree": tree, "ntuple": ntuple}[request.param])


def mapping(path):
    """The names of jets are those that uproot gives them."""
    dot = "_" if "TTree" in uproot.open(path).classnames().values() else "."
    return {
        "detector": {
            "event": {"x": "x", "n": f"count(Jet{dot}pt)", "third": "nth(fixed, 2)"},
            "particles": {"pt": f"Jet{dot}pt", "eta": f"Jet{dot}eta", "px": "lone * 2"},
            "keep": f"Jet{dot}pt > 20",
            "selection": "passes",
        },
        "id": "event",
    }


def brute():
    """Passing, columns of the event, and particles (pt, eta, px) of CONTENT."""
    event, particles = [], []
    for at in range(40):
        passes = bool(CONTENT["passes"][at])
        jets = zip(PT[at].to_list(), ETA[at].to_list(), strict=True)
        row = [CONTENT["x"][at], COUNTS[at], CONTENT["fixed"][at, 2]] if passes else [0, 0, 0]
        event.append(np.float32(row).tolist())
        kept = [(p, e, 2 * p) for p, e in jets if p > 20 and passes]
        particles.append([np.float32(jet).tolist() for jet in kept])
    return event, particles


def checked(events, part=slice(None)):
    event, particles = brute()
    assert events.event_id.tolist() == CONTENT["event"][part].tolist()
    assert events.detector.event.tolist() == event[part]
    found = events.detector
    borders = zip(found.offsets, found.offsets[1:], strict=False)
    assert [found.particles[a:b].tolist() for a, b in borders] == particles[part]
    assert events.pass_detector.tolist() == CONTENT["passes"][part].tolist()


def test_flat_and_jagged_branches(path):
    checked(read("root", path, **mapping(path)))


@pytest.mark.parametrize("chunk", [1, 500, 2000])
def test_chunks_change_nothing(path, monkeypatch, chunk):
    monkeypatch.setattr(root, "CHUNK_BYTES", chunk)
    found = source("root", path, **mapping(path))
    parts = list(found.read())
    assert len(parts) > 1 or chunk > 1000
    checked(read("root", path, **mapping(path)))
    for skip, events in ((0, 7), (13, 20), (39, 1)):
        part = read("root", path, skip=skip, events=events, **mapping(path))
        checked(part, slice(skip, skip + events))


def test_several_files(tmp_path, monkeypatch):
    """Records over the borders of files and chunks; patterns are ordered by name."""
    for k in range(4):
        kind = tree if k % 2 else ntuple  # both call the branches here alike
        flat = {key: CONTENT[key] for key in ("x", "event", "passes", "lone")}
        written(tmp_path / f"part{k}.root", rows(flat, slice(10 * k, 10 * k + 10)), kind)
    settings = {"detector": {"event": ["x"], "particles": {"pt": "lone"}}}
    whole = read("root", tmp_path / "part*.root", **settings)
    assert whole.event_id.tolist() == list(range(40))
    assert whole.detector.event[:, 0].tolist() == CONTENT["x"].tolist()
    assert lists(whole.detector, "pt") == PT.to_list()
    monkeypatch.setattr(root, "CHUNK_BYTES", 100)
    same(read("root", tmp_path / "part*.root", **settings), whole)
    for skip, events in ((0, 10), (9, 2), (5, 30), (30, 10)):
        part = read("root", tmp_path / "part*.root", skip=skip, events=events, **settings)
        same(part, whole.take(np.arange(skip, skip + events)))
    some = read("root", tmp_path / "part*.root", skip=5, preselection="passes", **settings)
    same(some, whole.take(np.flatnonzero(CONTENT["passes"] & (np.arange(40) >= 5))))


def test_two_trees_of_one_file(tmp_path):
    with uproot.recreate(tmp_path / "a.root") as file:
        tree(file, "Events", {"x": np.arange(3.0)})
        tree(file, "folder/Runs", {"x": np.arange(2.0) + 5})
        file["text"] = "no tree"
    message = r"a\.root: has Events, folder/Runs; name one by `table`"
    refused(message, "root", tmp_path / "a.root", detector=X)
    events = read("root", tmp_path / "a.root", table="folder/Runs", detector=X)
    assert events.detector.event.tolist() == [[5], [6]]
    refused(r"a\.root: has no tree 'Event'; did you mean 'Events'\? it has Events, folder/Runs",
            "root", tmp_path / "a.root", table="Event", detector=X)  # fmt: skip


def test_names_of_branches(tmp_path):
    """Delphes' branches are called `Jet/Jet.PT`: they have their last name, too."""
    content = {"Event/Event.Weight": np.arange(3.0), "MET.pt": np.arange(3.0) + 1, "in": np.ones(3)}
    path = written(tmp_path / "a.root", content)
    columns = {
        "a": "Event.Weight",
        "b": 'column("Event/Event.Weight")',
        "c": "MET.pt",
        "d": 'column("in")',
    }
    events = read("root", path, detector={"event": columns})
    assert events.detector.event.tolist() == [[0, 0, 1, 1], [1, 1, 2, 1], [2, 2, 3, 1]]


def test_records_of_ntuples(tmp_path):
    content = {
        "met": ak.zip({"pt": np.arange(3.0), "phi": np.arange(3.0) + 10}),
        "deep": ak.zip({"a": ak.zip({"b": np.arange(3)})}),
        "lost": ak.Array([1.5, None, 2.5]),
    }
    path = written(tmp_path / "a.root", content, ntuple)
    columns = {"pt": "met.pt", "phi": "met.phi", "b": "deep.a.b", "lost": "lost"}
    events = read("root", path, detector={"event": columns})
    assert events.pass_detector.tolist() == [True, False, True]  # what is null is missing
    assert events.detector.event.tolist() == [[0, 10, 0, 1.5], [0, 0, 0, 0], [2, 12, 2, 2.5]]


def test_large_ids_are_exact(path):
    part = read("root", path, detector=X, id="event", preselection="event % 7 == 3")
    wanted = [int(e) for e in CONTENT["event"] if int(e) % 7 == 3]
    assert part.event_id.tolist() == wanted


def test_columns_that_do_not_fit(path):
    jet = mapping(path)["detector"]["particles"]["pt"]
    for settings, message in (
        ({"detector": {"event": ["xx"]}}, r"a\.root:Events: has no column 'xx'; did you mean x"),
        (
            {"detector": {"event": {"j": jet}}},
            r"Events: detector\.event\.j: 'Jet.pt' has one value",
        ),
        ({"detector": {"particles": ["x"]}}, r"Events: detector\.particles\.x: 'x' has one value"),
        ({"detector": X, "id": jet}, r"Events: id: 'Jet.pt' has one value per particle"),
        (
            {"detector": {"particles": {"pt": jet, "f": "fixed"}}},
            r"Events: entry \d+: detector\.particles: pt has \d values and f has 3; all columns of",
        ),
        (
            {"detector": {"event": {"x": f"sum({jet} * fixed)"}}},
            r"a\.root:Events: Jet.pt and fixed are particles of different collections",
        ),
    ):
        refused(message, "root", path, **settings)


@pytest.mark.parametrize("kind", [tree, ntuple])
def test_text_is_refused(tmp_path, kind):
    content = {"x": np.arange(2.0), "text": ak.Array(["one", "two"])}
    path = written(tmp_path / "a.root", content, kind)
    assert len(read("root", path, detector=X)) == 2
    refused(r"a\.root:Events: text: is of type string; columns are numbers", "root", path,
            detector={"event": {"x": "text"}})  # fmt: skip


def test_empty_trees_are_refused(tmp_path):
    with uproot.recreate(tmp_path / "a.root") as file:
        file.mktree("Events", {"x": "f8"})
    refused(r"a\.root.*: there are no records", "root", tmp_path / "a.root",
            detector=X)  # fmt: skip
    # beside others it is no fault
    written(tmp_path / "b.root", {"x": np.arange(2.0)})
    assert len(read("root", tmp_path / "a.root", tmp_path / "b.root", detector=X)) == 2


def test_files_that_cannot_be_read(tmp_path):
    path = written(tmp_path / "a.root", {"x": RNG.normal(size=50_000)})
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    refused(r"a\.root.*(cannot be (read|opened)).*copy it again", "root", path, detector=X)
    middle = len(whole) // 2
    path.write_bytes(whole[:middle] + b"\xff" * 200 + whole[middle + 200 :])
    refused(r"a\.root:Events: entries 0 to 49999 of x cannot be read .*file is damaged", "root",
            path, detector=X)  # fmt: skip
    path.write_bytes(b"no such thing")
    refused(r"a\.root: cannot be opened as a ROOT file", "root", path, detector=X)
    path.write_bytes(b"")
    refused(r"a\.root: cannot be opened as a ROOT file", "root", path, detector=X)
    refused(r"b\.root: no such file; check the path", "root", tmp_path / "b.root", detector=X)
    with uproot.recreate(path) as file:
        file["text"] = "no tree"
    refused(r"a\.root: has no tree, so there are no events in it", "root", path, detector=X)


def test_types_of_branches(path):
    with source("root", path, detector=X).reader(str(path), None) as found:
        assert found.types()["x"] == "float"
        assert found.count() == 40


def test_messages_show_some_of_many_columns(tmp_path):
    path = written(tmp_path / "a.root", {f"b{k:03}": np.ones(1) for k in range(50)})
    refused(r"'x'; there are: b000, b001, .*b029 and 20 more$", "root", path, detector=X)


def test_numbers_of_awkward_arrays():
    """None among lists and numbers; what is no number is refused."""
    flat = reader.of_awkward(ak.Array([1, None, 3]), "a", "b")
    assert flat.array[[0, 2]].tolist() == [1, 3]
    assert np.isnan(flat.array[1])
    jagged = reader.of_awkward(ak.Array([[1, None], None, [], [4]]), "a", "b")
    assert jagged.offsets.tolist() == [0, 2, 2, 2, 3]
    assert np.isnan(jagged.array[1])


def test_members_of_classes(tmp_path):
    """Branches as ROOT makes them of objects: each member in the folder of its object."""
    content = {f"{name}/{key}": RNG.random(40) for name in ("el", "mu") for key in ("fE", "fP.fX")}
    path = written(tmp_path / "a.root", content | {"met/fE2": RNG.random(40)})
    found = read("root", path, detector={"event": {"e": 'column("mu/fE")', "m": "fE2"}})
    assert found.detector.event[:, 0].tolist() == content["mu/fE"].astype("f4").tolist()
    for name in ("fE", "fP.fX"):  # whose?
        message = rf"has no column '{name}'; did you mean column\('el/{name}'\) or column\('mu/"
        refused(message, "root", path, detector={"event": {"x": name}})


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("s", "s: is of type string; columns are numbers, or lists of numbers: take another one"),
        ("words", "words: is of type var .* string"),
        ("p4", r"p4: is of type .* take one of its members: p4\.fP, p4\.fE"),
        ("p4.fP", r"p4\.fP: is of type .* take one of its members: p4\.fP\.x, p4\.fP\.y"),
        ("jets", r"jets: is of type var .* take one of its members: jets\.pt, jets\.hits"),
        (
            "jets.hits",
            r"jets\.hits: holds lists in lists \(2 levels, as of std::vector",
        ),
        ("jets.hits[0]", r"jets\.hits\[0\]: holds lists in lists .* write what you need"),
        ("vectors", r"vectors: holds lists in lists \(3 levels"),
        ("pt[0]", r"has no column 'pt'; did you mean jets\.pt\?"),
    ],
)
def test_types_that_are_no_columns(tmp_path, name, message):
    content = {
        "s": ak.Array(["a", "bc"]),
        "words": ak.Array([["a"], ["bc", "d"]]),
        "p4": ak.Array([{"fP": {"x": 1.0, "y": 2.0}, "fE": 3.0}] * 2),
        "jets": ak.Array([[{"pt": 1.0, "hits": [1.0, 2.0]}], []]),
        "vectors": ak.Array([[[[1.0], []]], []]),
    }
    written(tmp_path / "a.root", content, ntuple)
    level = {"event": {"x": f'column("{name}")'}}
    refused(rf"a\.root:Events.*: {message}", "root", tmp_path / "a.root", detector=level)


def test_flags_and_unsigned_numbers(path):
    level = {"event": {"flag": "passes", "odd": "event % 2", "not": "where(passes, 0, 1)"}}
    found = read("root", path, detector=level).detector.event
    wanted = np.stack([CONTENT["passes"], CONTENT["event"] % 2, ~CONTENT["passes"]], axis=1)
    assert np.array_equal(found, wanted.astype("f4"))
