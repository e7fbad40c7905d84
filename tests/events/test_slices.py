from omniflow.events import slices


def test_slices_are_consecutive_and_complete(monkeypatch):
    monkeypatch.setattr(slices, "EVENTS", 3)
    assert list(slices.slices(7)) == [slice(0, 3), slice(3, 6), slice(6, 7)]
    assert list(slices.slices(3)) == [slice(0, 3)]
    assert list(slices.slices(0)) == []
