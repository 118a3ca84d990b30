from __future__ import annotations

import signal
import threading

import pytest

from ml_containerize.smoke.cleanup import uninterrupted


def test_a_signal_waits_for_the_end_of_the_block() -> None:
    done = []

    def clean_up() -> None:
        with uninterrupted():
            signal.raise_signal(signal.SIGINT)
            done.append("cleaned up")

    with pytest.raises(KeyboardInterrupt):
        clean_up()
    assert done


def test_the_handlers_are_as_before_afterwards() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with uninterrupted():
        pass
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_in_another_thread_the_block_just_runs() -> None:
    done = []

    def work() -> None:
        with uninterrupted():
            done.append("cleaned up")

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done
