"""Signals: noted once, deadly twice (that in tests/test_build_signals.py), handlers put back."""

import signal
import threading

import pytest

from gpucnn.training.interruption import Interrupted, Interruption


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_is_noted_and_the_second_would_kill(number: signal.Signals) -> None:
    before = {s: signal.getsignal(s) for s in Interruption.SIGNALS}
    with Interruption() as interruption:
        interruption.check()
        signal.raise_signal(number)
        with pytest.raises(Interrupted):
            interruption.check()
        assert all(signal.getsignal(s) is signal.SIG_DFL for s in Interruption.SIGNALS)
    assert {s: signal.getsignal(s) for s in Interruption.SIGNALS} == before


def test_outside_the_main_thread_nothing_is_handled() -> None:
    entered = []

    def work() -> None:
        with Interruption() as interruption:
            entered.append(interruption)

    before = signal.getsignal(signal.SIGINT)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert entered
    assert signal.getsignal(signal.SIGINT) is before
