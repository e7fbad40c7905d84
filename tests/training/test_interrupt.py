import os
import signal

import pytest

from omniflow.training import interrupt


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_are_noted_and_later_obeyed_again(number):
    before = signal.getsignal(number)
    with interrupt.noted() as found:
        assert not found.requested
        os.kill(os.getpid(), number)
        assert found.requested
    assert signal.getsignal(number) == before
    with interrupt.noted() as found:
        assert not found.requested
