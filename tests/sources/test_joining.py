"""Levels in tables of their own, and friends, joined by id; against dictionaries by id."""

import numpy as np
import pytest
import uproot
from mapped_files import lists, read, refused, same, source

from omniflow.sources.readers import root

RNG = np.random.default_rng(9)


def written(path, **trees):
    """A ROOT file of trees, whose branches are given by name; lists are jagged."""
    import awkward as ak

    with uproot.recreate(path) as file:
        for name, content in trees.items():
            arrays = {
                key: ak.Array(value) if isinstance(value, list) else np.asarray(value)
                for key, value in content.items()
            }
            types = {k: v.type if isinstance(v, ak.Array) else v.dtype for k, v in arrays.items()}
            file.mktree(name, types).extend(arrays)
    return path


def trees(reco, truth):
    """A reco and a truth tree; of each event x, w, and particles pt, functions of its id."""
    return {
        name: {
            "run": np.array([one // 10 for one in ids]),
            "event": np.array([one % 10 for one in ids]),
            "x": np.array([shift + one for one in ids], "f8"),
            "w": np.array([one / 8 + shift for one in ids]),
            "pt": [[float(one + k) for k in range(one % 3)] for one in ids],
        }
        for name, ids, shift in (("reco", reco, 0), ("truth", truth, 100))
    }


SETTINGS = {
    "detector": {"event": ["x"], "particles": ["pt"], "table": "reco", "selection": "x != 25"},
    "particle": {"event": ["x"], "particles": ["pt"], "table": "truth", "selection": "x < 130"},
    "id": ["run", "event"],
    "weight": "w",
}
RECO, TRUTH = [14, 3, 25, 99, 7], [7, 25, 30, 14, 3, 8]


def checked(events, reco, truth):
    """What joining must give, worked out by id."""
    order = [*truth, *(one for one in reco if one not in truth)]
    numbers = [(shift + one, one) for one in order for shift in (100 if one in truth else 0,)]
    assert events.weight.tolist() == [one / 8 + (100 if one in truth else 0) for one in order]
    passes = [one in reco and one != 25 for one in order]
    assert events.pass_detector.tolist() == passes
    assert events.pass_particle.tolist() == [one in truth and one < 30 for one in order]
    assert events.detector.event[:, 0].tolist() == [
        one if ok else 0 for one, ok in zip(order, passes, strict=True)
    ]
    assert events.particle.event[:, 0].tolist() == [
        number if one in truth else 0 for number, one in numbers
    ]
    particles = [[one + k for k in range(one % 3)] for one in order]
    assert lists(events.detector, "pt") == [
        each if ok else [] for each, ok in zip(particles, passes, strict=True)
    ]
    assert lists(events.particle, "pt") == [
        each if one in truth else [] for each, one in zip(particles, order, strict=True)
    ]


@pytest.mark.parametrize("chunk", [64 * 2**20, 60])
def test_separate_trees(tmp_path, monkeypatch, chunk):
    """Event 25 is there but not selected, 30 and 8 are misses, 99 is a fake."""
    monkeypatch.setattr(root, "CHUNK_BYTES", chunk)
    path = written(tmp_path / "a.root", **trees(RECO, TRUTH))
    checked(read("root", path, **SETTINGS), RECO, TRUTH)


def test_separate_files(tmp_path):
    reco = [written(tmp_path / f"reco{k}.root", t=trees(RECO[3 * k : 3 * k + 3], [])["reco"])
            for k in range(2)]  # fmt: skip
    truth = written(tmp_path / "truth.root", t=trees([], TRUTH)["truth"])
    settings = SETTINGS | {
        "detector": {"event": ["x"], "particles": ["pt"], "selection": "x != 25"},
        "particle": SETTINGS["particle"] | {"files": [truth], "table": "t"},
    }
    events = read("root", *reco, **settings)
    checked(events, RECO, TRUTH)
    found = source("root", *reco, **settings)
    assert found.inputs() == (*map(str, reco), str(truth))
    assert found.records() == len(TRUTH)
    assert [file["name"] for file in found.provenance()["files"]] == list(found.inputs())


@pytest.mark.parametrize("seed", range(5))
def test_many_events_in_any_order(tmp_path, seed):
    rng = np.random.default_rng(seed)
    reco, truth = (rng.permutation(200)[: rng.integers(1, 150)].tolist() for _ in range(2))
    path = written(tmp_path / "a.root", **trees(reco, truth))
    checked(read("root", path, **SETTINGS), reco, truth)


def test_events_are_chosen_after_joining(tmp_path):
    """Records of one table alone would lose their partners."""
    path = written(tmp_path / "a.root", **trees(RECO, TRUTH))
    whole = read("root", path, **SETTINGS)
    for skip, events in ((0, 2), (1, 4), (5, 2)):
        part = read("root", path, skip=skip, events=events, **SETTINGS)
        same(part, whole.take(np.arange(skip, skip + events)))
    refused(r"events from 5 to 9 are asked for but there are 7; change events or skip", "root",
            path, skip=5, events=5, **SETTINGS)  # fmt: skip


def test_detector_level_alone(tmp_path):
    path = written(tmp_path / "a.root", **trees(RECO, TRUTH))
    settings = {key: SETTINGS[key] for key in ("detector", "id", "weight")}
    events = read("root", path, **settings)
    assert events.particle is None
    assert events.weight.tolist() == [one / 8 for one in RECO]
    assert lists(events.detector, "pt") == [[14, 15], [], [], [], [7]]


def test_places_of_events_in_separate_trees(tmp_path):
    path = written(tmp_path / "a.root", **trees(RECO, TRUTH))
    found = source("root", path, **(SETTINGS | {"id": "10 * run + event"}))
    assert found.place(7) == f"{path}:reco: entry 4 (10 * run + event 7)"
    assert found.place(30) == f"{path}:truth: entry 2 (10 * run + event 30)"
    assert found.place(31) == "event with id 31"


def test_ids_of_one_table_twice(tmp_path):
    path = written(tmp_path / "a.root", **trees([1, 2, 1], [1]))
    refused(r"a\.root:reco: entry 0 \(.*event 1\) and .*a\.root:reco: entry 2 \(.*event 1\): "
            r"have one id, as have 1 pairs of records; events are joined by id: give what tells "
            r"them apart, such as \[run, event\]",
            "root", path, **SETTINGS)  # fmt: skip


def test_tables_of_one_length_are_joined_record_by_record(tmp_path):
    path = written(tmp_path / "a.root", **trees([1, 2, 4], [1, 2, 4]))
    events = read("root", path, **(SETTINGS | {"id": []}))
    assert events.detector.event[:, 0].tolist() == [1, 2, 4]
    assert events.particle.event[:, 0].tolist() == [101, 102, 104]
    path = written(tmp_path / "b.root", **trees([1, 2], [1, 2, 4]))
    refused(r"joined record by record, but have other numbers of records: .*b\.root:reco 2, "
            r".*b\.root:truth 3; give what tells events apart",
            "root", path, **(SETTINGS | {"id": []}))  # fmt: skip


def test_levels_that_do_not_join(tmp_path):
    path = written(tmp_path / "a.root", **trees([1, 2], [3, 4]))
    refused(r"a\.root:reco and .*a\.root:truth: have no event id in common; check `id`",
            "root", path, **SETTINGS)  # fmt: skip


def test_tables_that_lack_something(tmp_path):
    path = written(tmp_path / "a.root", **trees(RECO, TRUTH))
    broken = SETTINGS | {"particle": SETTINGS["particle"] | {"table": "truht"}}
    refused(r"a\.root: has no tree 'truht'; did you mean 'truth'", "root", path, **broken)
    broken = SETTINGS | {"id": "number"}
    refused(r"a\.root:reco: has no column 'number'", "root", path, **broken)
    broken = SETTINGS | {"preselection": "x > 1000"}
    refused(r"none of 5 records passes preselection", "root", path, **broken)
    broken = SETTINGS | {"preselection": "x < 100"}
    refused(r"none of 6 records passes preselection", "root", path, **broken)


# -- friends ---------------------------------------------------------------------------------


def friends(tmp_path, ids, order):
    main = written(tmp_path / "main.root", t={"id": np.array(ids), "x": np.array(ids) * 2.0})
    content = {
        "id": np.array(order),
        "x": np.zeros(len(order)),
        "score": np.array(order) / 4,
        "pt": [[float(one)] * (one % 3) for one in order],
    }
    other = written(tmp_path / "friend.root", f=content)
    settings = {
        "detector": {"event": ["x", "score"], "particles": ["pt"]},
        "id": "id",
        "friends": [{"files": [other], "table": "f"}],
    }
    return main, settings


@pytest.mark.parametrize("chunk", [64 * 2**20, 20])
def test_friends_are_found_by_id(tmp_path, monkeypatch, chunk):
    """In any order, and with more events; columns of the sample itself come first."""
    monkeypatch.setattr(root, "CHUNK_BYTES", chunk)
    ids = [5, 1, 8, 3]
    main, settings = friends(tmp_path, ids, [9, 8, 1, 2, 3, 5])
    events = read("root", main, **settings)
    assert events.event_id.tolist() == ids
    assert events.detector.event.tolist() == [[2 * one, one / 4] for one in ids]
    assert lists(events.detector, "pt") == [[one] * (one % 3) for one in ids]
    part = read("root", main, skip=1, events=2, **settings)
    same(part, events.take(np.arange(1, 3)))
    chosen = read("root", main, preselection="x > 5", **settings)
    assert chosen.event_id.tolist() == [5, 8, 3]


def test_friends_of_both_levels(tmp_path):
    main, settings = friends(tmp_path, [5, 1], [1, 5])
    more = written(tmp_path / "more.root", t={"id": np.array([1, 5]), "g": np.array([10.0, 50])})
    settings["particle"] = {"event": {"x": "g", "score": "score + g"}}
    settings["friends"].append({"files": [more]})
    events = read("root", main, **settings)
    assert events.particle.event.tolist() == [[50, 51.25], [10, 10.25]]
    assert source("root", main, **settings).inputs()[-1] == str(more)


def test_friends_that_do_not_fit(tmp_path):
    main, settings = friends(tmp_path, [5, 1, 8, 3], [8, 1, 3])
    refused(r"main\.root:t: entry 0 \(id 5\): .*friend\.root:f has no event with its id; .* 1 of 4",
            "root", main, **settings)  # fmt: skip
    assert read("root", main, preselection="id != 5", **settings).event_id.tolist() == [1, 8, 3]
    main, settings = friends(tmp_path, [5, 1], [5, 1, 5])
    refused(
        r"friend\.root:f: entry 0 \(id 5\) and .*:f: entry 2 \(id 5\): have one id",
        "root",
        main,
        **settings,
    )
    main, settings = friends(tmp_path, [5, 1], [5, 1])
    settings["detector"] = {"event": ["x"]}
    refused(r"friend\.root:f: gives no column that the sample lacks; leave it out",
            "root", main, **settings)  # fmt: skip
    settings["detector"] = {"event": ["scroe"]}
    refused(r"friend\.root:f: has no column 'scroe'; did you mean score\?",
            "root", main, **settings)  # fmt: skip
    settings["friends"][0]["table"] = "g"
    refused(r"friend\.root: has no tree 'g'; .*it has f", "root", main, **settings)
