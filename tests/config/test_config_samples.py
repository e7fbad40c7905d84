import pytest

from omniflow.physics.dis.h1 import H1


@pytest.fixture
def files(tmp_path, monkeypatch):
    """The same file under its path, a relative one, and a link to its folder."""
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a.h5").touch()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    monkeypatch.chdir(tmp_path)
    return [str(tmp_path / "real" / "a.h5"), "real/../real/a.h5", "link/a.h5"]


def _sample(name, **changes):
    return H1(source="h1", files=(name,), **changes)


def test_links_and_spellings_are_the_same_file(files):
    for name in files:
        assert _sample(files[0]).shares(_sample(name))
        assert _sample(files[0]).origins() == _sample(name).origins()
        # Of the same file other records are other events.
        parts = _sample(files[0], events=10), _sample(name, skip=10)
        assert not parts[0].shares(parts[1])
        assert parts[0].origins() == parts[1].origins()
        mixed = H1(source="h1", files=("b.h5", name))
        assert _sample(files[0]).shares(mixed)
    assert not _sample(files[0]).shares(_sample("other/a.h5"))
    assert not _sample(files[0]).origins() & _sample("other/a.h5").origins()
