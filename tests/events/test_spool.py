import errno
import io
from dataclasses import replace

import numpy as np
import pytest

from omniflow.errors import InputError, OutputError
from omniflow.events import store
from omniflow.events.sample import Events, Level
from omniflow.events.spool import Spool

RNG = np.random.default_rng(11)


def _level(n, columns=2, features=3):
    counts = RNG.integers(0, 4, n) if features else np.zeros(n, np.int64)
    return Level(
        RNG.normal(size=(n, columns)).astype(np.float32),
        RNG.normal(size=(counts.sum(), features)).astype(np.float32),
        np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        tuple("abcde"[:columns]),
        tuple("vwxyz"[:features]),
    )


def _events(n, truth=True, **shape):
    return Events(
        RNG.integers(0, 2**63, n).astype(np.uint64),
        RNG.normal(size=n),
        RNG.random(n) < 0.5,
        RNG.random(n) < 0.5 if truth else None,
        _level(n, **shape),
        _level(n, **shape) if truth else None,
    )


def _arrays(events):
    arrays = [events.event_id, events.weight, events.pass_detector, events.pass_particle]
    for level in (events.detector, events.particle):
        arrays += [] if level is None else [level.event, level.particles, level.offsets]
    return [array for array in arrays if array is not None]


@pytest.mark.parametrize("truth", [True, False])
@pytest.mark.parametrize("shape", [{}, {"features": 0}, {"columns": 0}, {"columns": 1}])
def test_parts_become_one_sample(tmp_path, truth, shape):
    """Bit by bit that of memory, also with empty parts in between."""
    parts = [_events(n, truth, **shape) for n in (0, 5, 1, 0, 17)]
    with Spool(tmp_path / "store.h5") as spool:
        for part in parts:
            spool.append(part, "mine")
        assert spool.events == 23
        whole = spool.whole()
        for one, other in zip(_arrays(whole), _arrays(Events.joined(parts)), strict=True):
            np.testing.assert_array_equal(one, other, strict=True)
        assert whole.detector.event_columns == parts[0].detector.event_columns
        assert whole.detector.particle_columns == parts[0].detector.particle_columns
        assert isinstance(whole.weight, np.memmap)
        assert not whole.weight.flags.writeable
        assert len(list(tmp_path.iterdir())) == 1
    assert list(tmp_path.iterdir()) == []
    assert len(whole.weight) == 23  # still there


def test_nothing_is_left_after_errors(tmp_path):

    def fail(error):
        with Spool(tmp_path / "deep" / "store.h5") as spool:
            spool.append(_events(3), "mine")
            raise error

    for error in (InputError, KeyboardInterrupt):
        with pytest.raises(error):
            fail(error)
        assert list((tmp_path / "deep").iterdir()) == []
    with Spool(tmp_path / "store.h5") as spool, pytest.raises(ValueError, match="nothing"):
        spool.whole()


def test_what_a_killed_process_left_is_removed(tmp_path):
    left = tmp_path / ".tmp-0123456789ab-store.h5.parts"
    other = tmp_path / ".tmp-0123456789ab-other.h5.parts"
    for folder in (left, other):
        folder.mkdir()
        (folder / "weight").write_bytes(b"x")
    with Spool(tmp_path / "store.h5"):
        assert not left.exists()
    assert list(tmp_path.iterdir()) == [other]


def test_parts_with_other_columns_are_refused(tmp_path):
    renamed = _events(2)
    renamed = replace(renamed, detector=replace(renamed.detector, event_columns=("a", "x")))
    for other in (renamed, _events(2, truth=False), _events(2, features=2)):
        with Spool(tmp_path / "store.h5") as spool:
            spool.append(_events(4), "mine")
            with pytest.raises(InputError, match=r"mine: events from number 4 on have the columns"):
                spool.append(other, "mine")


def test_a_full_disk_is_named(tmp_path, monkeypatch):
    class Full(io.BytesIO):
        def write(self, data):
            raise OSError(errno.ENOSPC, "no space", str(tmp_path / "weight"))

    with Spool(tmp_path / "store.h5") as spool:
        monkeypatch.setattr(spool, "_file", lambda name: Full())
        with pytest.raises(OutputError, match=r"store\.h5: cannot be written: no space is left"):
            spool.append(_events(2), "mine")


def test_a_buffer_that_does_not_fit_is_named_and_nothing_is_left(tmp_path, monkeypatch):
    """The disk is full: what a file holds back is written when it is closed, and fails then."""
    real = open

    def onto_a_full_disk(*_, **options):
        return real("/dev/full", "wb", **options)

    monkeypatch.setattr("builtins.open", onto_a_full_disk)
    with (
        pytest.raises(OutputError, match="no space is left"),
        Spool(tmp_path / "store.h5") as spool,
    ):
        # The ids fit into the buffer of their file, the particles do not.
        spool.append(_events(500, features=50), "a sample")
    monkeypatch.undo()
    assert list(tmp_path.iterdir()) == []


def test_levels_give_their_disk_back(tmp_path):
    """One after the other, when the store holds them; the store is the same."""
    parts = [_events(n) for n in (5, 0, 17)]
    whole = Events.joined(parts)
    store.write(whole, tmp_path / "wanted.h5", {}, 3)
    sizes = {}
    with Spool(tmp_path / "store.h5") as spool:
        for part in parts:
            spool.append(part, "mine")

        def discard(level):
            spool.discard(level)
            (folder,) = tmp_path.glob(".tmp-*.parts")
            sizes[level] = {path.name for path in folder.iterdir() if path.stat().st_size}

        store.write(spool.whole(), tmp_path / "store.h5", {}, 3, written=discard)
    flags = {"event_id", "weight", "pass_detector", "pass_particle"}
    kept = {f"particle-{name}" for name in ("event", "particles", "offsets")}
    assert sizes == {"detector": flags | kept}
    for one, other in zip(
        _arrays(store.open_store(tmp_path / "store.h5")),
        _arrays(store.open_store(tmp_path / "wanted.h5")),
        strict=True,
    ):
        np.testing.assert_array_equal(one, other, strict=True)
