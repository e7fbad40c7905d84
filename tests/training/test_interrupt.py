import os
import signal

from omniflow.training import interrupt


def test_sigterm_is_noted_and_later_obeyed_again():
    before = signal.getsignal(signal.SIGTERM)
    with interrupt.noted() as found:
        assert not found.requested
        os.kill(os.getpid(), signal.SIGTERM)
        assert found.requested
    assert signal.getsignal(signal.SIGTERM) == before
    with interrupt.noted() as found:
        assert not found.requested
