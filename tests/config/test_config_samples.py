import pytest

from omniflow.config.samples import H1Sample, share_events
from omniflow.unfolding.variants import origins


@pytest.fixture
def files(tmp_path, monkeypatch):
    """The same file under its path, a relative one, and a link to its folder."""
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a.h5").touch()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    monkeypatch.chdir(tmp_path)
    return [str(tmp_path / "real" / "a.h5"), "real/../real/a.h5", "link/a.h5"]


def _sample(name, **changes):
    return H1Sample(source="h1", files=(name,), **changes)


def test_links_and_spellings_are_the_same_file(files):
    for name in files:
        assert share_events(_sample(files[0]), _sample(name))
        assert origins(_sample(files[0])) == origins(_sample(name))
        # Of the same file other records are other events.
        parts = _sample(files[0], events=10), _sample(name, skip=10)
        assert not share_events(*parts)
        assert origins(parts[0]) == origins(parts[1])
        mixed = H1Sample(source="h1", files=("b.h5", name))
        assert share_events(_sample(files[0]), mixed)
    assert not share_events(_sample(files[0]), _sample("other/a.h5"))
    assert not origins(_sample(files[0])) & origins(_sample("other/a.h5"))
