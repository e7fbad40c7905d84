import threading

import pytest

from omniflow.training.prefetch import prefetch


def _threads():
    return [t for t in threading.enumerate() if t is not threading.main_thread()]


@pytest.mark.parametrize("depth", [1, 2, 50])
def test_items_come_in_order(depth):
    assert list(prefetch(range(200), depth)) == list(range(200))


def test_no_items():
    assert list(prefetch([])) == []


def test_items_that_are_none_are_items():
    assert list(prefetch([None, 0, None])) == [None, 0, None]


def test_items_are_computed_in_another_thread_and_ahead():
    started = threading.Event()
    names = []

    def items():
        for i in range(3):
            names.append(threading.current_thread().name)
            if i == 1:
                started.set()
            yield i

    stream = prefetch(items())
    assert next(stream) == 0
    assert started.wait(10)  # the second is made although nobody asked for it
    assert list(stream) == [1, 2]
    assert set(names).isdisjoint({threading.main_thread().name})


def test_no_more_than_depth_items_are_made_ahead():
    made = []
    arrived = threading.Semaphore(0)

    def items():
        for i in range(100):
            made.append(i)
            arrived.release()
            yield i

    stream = prefetch(items(), 2)
    next(stream)
    # One handed out, two waiting, one in the thread's hands.
    assert all(arrived.acquire(timeout=10) for _ in range(4))
    assert not arrived.acquire(timeout=0.3)
    stream.close()
    assert len(made) == 4


def test_an_exception_arrives_after_the_items_before_it():
    def items():
        yield 1
        yield 2
        raise ValueError("bad batch")

    stream = prefetch(items())
    assert [next(stream), next(stream)] == [1, 2]
    with pytest.raises(ValueError, match="bad batch"):
        next(stream)


def test_leaving_early_ends_the_thread():
    before = len(_threads())
    stream = prefetch(iter(int, 1), 2)  # endless
    for _, _ in zip(range(3), stream, strict=False):
        pass
    assert len(_threads()) == before + 1
    stream.close()
    assert len(_threads()) == before
